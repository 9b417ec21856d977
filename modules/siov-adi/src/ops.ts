/** `vdpa_config_ops` of an interface. */
import { KernelError } from '@vdpalab/abi';
import type { VdpaCallback, VdpaConfigOps } from '@vdpalab/vdpa-core';
import { PCI_VENDOR_ID_INTEL, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_ID_NET } from '@vdpalab/uapi';
import { ADI_QUEUES, DOORBELL_SIZE } from './registers.ts';
import type { AdiRegisters } from './registers.ts';

const PAGE_SIZE = 4096;
/** Smallest queue, in descriptors. */
const QUEUE_MIN = 64;

/** Who is called when an interface interrupts. */
export interface AdiCallbacks {
  readonly queues: (VdpaCallback | null)[];
  config: VdpaCallback | null;
}

/** What of an interface the operations need. */
export interface AdiSite {
  readonly name: string;
  readonly registers: AdiRegisters;
  readonly callbacks: AdiCallbacks;
  /** Linux interrupt of each queue. */
  readonly irqs: readonly number[];
  /** Physical address of BAR 2. */
  readonly bar: number;
  readonly queueMax: number;
}

/** The operations on one interface. */
export function adiOps({ name, registers, callbacks, irqs, bar, queueMax }: AdiSite): VdpaConfigOps {
  return {
    get_device_features: () => registers.features,
    async set_driver_features(_, features) {
      if (features !== 0n && (features & (1n << BigInt(VIRTIO_F_ACCESS_PLATFORM))) === 0n) {
        throw new KernelError('EINVAL', 'siov_adi.features.access-platform', `${name}: features 0x${features.toString(16)} lack ACCESS_PLATFORM`);
      }
      registers.driverFeatures = features;
    },
    get_driver_features: () => registers.driverFeatures,

    get_status: () => registers.status,
    async set_status(_, status) {
      if ((status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0 && (registers.status & VIRTIO_CONFIG_S_DRIVER_OK) === 0) {
        for (let qid = 0; qid < ADI_QUEUES; qid++) registers.setQueueVector(qid, qid); // a reset has forgotten them
        registers.setConfigVector(ADI_QUEUES);
      }
      registers.status = status;
    },
    async reset() {
      await registers.reset();
      callbacks.queues.fill(null);
      callbacks.config = null;
    },

    get_vq_num_max: () => queueMax,
    get_vq_num_min: () => QUEUE_MIN,
    set_vq_num: (_, qid, num) => registers.setQueueSize(qid, num),
    set_vq_address: (_, qid, desc, driver, device) => registers.setQueueAddress(qid, desc, driver, device),
    async set_vq_state(_, qid, state) {
      if (state.kind !== 'split') throw new KernelError('EOPNOTSUPP', 'siov_adi.vq.packed', `${name}: queue ${qid}: no packed rings`);
      registers.setQueueState(qid, state.avail_index);
    },
    get_vq_state: async (_, qid) => ({ kind: 'split', avail_index: registers.getQueueState(qid) }),
    set_vq_ready: async (_, qid, ready) => registers.setQueueReady(qid, ready),
    get_vq_ready: (_, qid) => registers.getQueueReady(qid),
    kick_vq: (_, qid) => registers.kick(qid),
    set_vq_cb(_, qid, cb) {
      callbacks.queues[qid] = cb;
      return undefined;
    },
    get_vq_irq(_, qid) {
      const irq = irqs[qid];
      if (irq === undefined) throw new KernelError('EINVAL', 'siov_adi.vq.irq', `${name}: queue ${qid} of ${ADI_QUEUES}`);
      return irq;
    },
    get_vq_align: () => PAGE_SIZE,
    get_vq_notification: (_, qid) => ({ addr: bar + registers.doorbell(qid), size: DOORBELL_SIZE }),

    get_device_id: () => VIRTIO_ID_NET,
    get_vendor_id: () => PCI_VENDOR_ID_INTEL,
    get_generation: () => registers.generation,
    get_config_size: () => registers.configSize,
    get_config: (_, offset, len) => registers.readConfig(offset, len),
    set_config: async () => undefined, // a network device of today has nothing to write there
    set_config_cb(_, cb) {
      callbacks.config = cb;
      return undefined;
    },
  };
}
