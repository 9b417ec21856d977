/** `vdpa_config_ops` of a virtual device: one interface, or several that work as one. */
import { KernelError } from '@vdpalab/abi';
import type { VdpaCallback, VdpaConfigOps } from '@vdpalab/vdpa-core';
import {
  PCI_VENDOR_ID_INTEL, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_ID_NET, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_MQ, virtio_net_config,
} from '@vdpalab/uapi';
import type { AdiQueue, AdiQueues } from './queues.ts';
import { DOORBELL_SIZE } from './registers.ts';
import type { AdiRegisters } from './registers.ts';

const PAGE_SIZE = 4096;
/** Smallest queue, in descriptors. */
const QUEUE_MIN = 64;
const PAIRS_AT = virtio_net_config.offsetof('max_virtqueue_pairs');

const bit = (n: number): bigint => 1n << BigInt(n);
/** What only a device of several interfaces has. */
const CONTROL_FEATURES = bit(VIRTIO_NET_F_CTRL_VQ) | bit(VIRTIO_NET_F_CTRL_MAC_ADDR) | bit(VIRTIO_NET_F_MQ);

/** What the operations need. */
export interface VdevSite {
  readonly name: string;
  /** The first one's configuration, features and control queue are the device's. */
  readonly interfaces: readonly [AdiRegisters, ...AdiRegisters[]];
  readonly queues: AdiQueues;
  /** Who is called when the configuration changes. */
  readonly config: { callback: VdpaCallback | null };
  /** Vector of configuration changes, of each interface. */
  readonly configVector: number;
  /** Physical address of BAR 2. */
  readonly bar: number;
  readonly queueMax: number;
}

/** The operations on one device. */
export function vdevOps({ name, interfaces, queues, config, configVector, bar, queueMax }: VdevSite): VdpaConfigOps {
  const [leader] = interfaces;
  const offered = interfaces.length === 1 ? ~CONTROL_FEATURES : ~0n;
  const queue = (qid: number): AdiQueue => {
    const found = queues.at(qid);
    if (found === undefined) throw new KernelError('EINVAL', 'siov_adi.vq.index', `${name}: queue ${qid} of ${queues.all.length}`);
    return found;
  };
  return {
    get_device_features: () => leader.features & offered,
    async set_driver_features(_, features) {
      if (features !== 0n && (features & bit(VIRTIO_F_ACCESS_PLATFORM)) === 0n) {
        throw new KernelError('EINVAL', 'siov_adi.features.access-platform', `${name}: features 0x${features.toString(16)} lack ACCESS_PLATFORM`);
      }
      for (const registers of interfaces) registers.driverFeatures = features;
      queues.multiqueue = (features & bit(VIRTIO_NET_F_MQ)) !== 0n;
    },
    get_driver_features: () => leader.driverFeatures,

    get_status: () => leader.status,
    async set_status(_, status) {
      if ((status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0 && (leader.status & VIRTIO_CONFIG_S_DRIVER_OK) === 0) {
        for (const { registers, qid } of queues.all) registers.setQueueVector(qid, qid); // a reset has forgotten them
        leader.setConfigVector(configVector);
      }
      for (const registers of interfaces) registers.status = status;
    },
    async reset() {
      for (const registers of interfaces) await registers.reset();
      for (const one of queues.all) one.callback = null;
      queues.multiqueue = true;
      config.callback = null;
    },

    get_vq_num_max: () => queueMax,
    get_vq_num_min: () => QUEUE_MIN,
    set_vq_num(_, index, num) {
      const { registers, qid } = queue(index);
      return registers.setQueueSize(qid, num);
    },
    set_vq_address(_, index, desc, driver, device) {
      const { registers, qid } = queue(index);
      return registers.setQueueAddress(qid, desc, driver, device);
    },
    async set_vq_state(_, index, state) {
      if (state.kind !== 'split') throw new KernelError('EOPNOTSUPP', 'siov_adi.vq.packed', `${name}: queue ${index}: no packed rings`);
      const { registers, qid } = queue(index);
      registers.setQueueState(qid, state.avail_index);
    },
    async get_vq_state(_, index) {
      const { registers, qid } = queue(index);
      return { kind: 'split', avail_index: registers.getQueueState(qid) };
    },
    async set_vq_ready(_, index, ready) {
      const { registers, qid } = queue(index);
      registers.setQueueReady(qid, ready);
    },
    get_vq_ready(_, index) {
      const { registers, qid } = queue(index);
      return registers.getQueueReady(qid);
    },
    kick_vq(_, index) {
      const { registers, qid } = queue(index);
      return registers.kick(qid);
    },
    set_vq_cb(_, index, cb) {
      queue(index).callback = cb;
      return undefined;
    },
    get_vq_irq: (_, index) => queue(index).irq,
    get_vq_align: () => PAGE_SIZE,
    get_vq_notification(_, index) {
      const { registers, qid } = queue(index);
      return { addr: bar + registers.doorbell(qid), size: DOORBELL_SIZE };
    },

    get_device_id: () => VIRTIO_ID_NET,
    get_vendor_id: () => PCI_VENDOR_ID_INTEL,
    get_generation: () => leader.generation,
    get_config_size: () => leader.configSize,
    get_config(_, offset, len) {
      const bytes = leader.readConfig(offset, len);
      for (const [at, value] of [[PAIRS_AT, interfaces.length], [PAIRS_AT + 1, 0]] as const) {
        if (at >= offset && at < offset + len) bytes[at - offset] = value;
      }
      return bytes;
    },
    set_config: async () => undefined, // a network device of today has nothing to write there
    set_config_cb(_, cb) {
      config.callback = cb;
      return undefined;
    },
  };
}
