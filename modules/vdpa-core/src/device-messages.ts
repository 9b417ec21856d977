/** Replies about one device that must read its configuration first. Mirrors `drivers/vdpa/vdpa.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { NlMessageBuilder } from '@vdpalab/netlink';
import type { SchedSymbols } from '@vdpalab/sched';
import {
  VDPA_ATTR_DEV_FEATURES, VDPA_ATTR_DEV_ID, VDPA_ATTR_DEV_NAME, VDPA_ATTR_DEV_NEGOTIATED_FEATURES, VDPA_ATTR_DEV_NET_CFG_MACADDR,
  VDPA_ATTR_DEV_NET_CFG_MAX_VQP, VDPA_ATTR_DEV_NET_CFG_MTU, VDPA_ATTR_DEV_NET_STATUS, VDPA_ATTR_DEV_QUEUE_INDEX, VDPA_ATTR_PAD,
  VDPA_ATTR_VDPA_DEV_SUPPORTED_FEATURES, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_ID_BLOCK, VIRTIO_ID_NET, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ,
  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX, VIRTIO_NET_F_MTU, VIRTIO_NET_F_RSS, virtio_blk_config, virtio_net_config,
} from '@vdpalab/uapi';
import { putBlockConfig } from './block-config.ts';
import { getConfigUnlocked, reading } from './config.ts';
import type { VdpaDevice } from './header.ts';

/** Writes one message; everything that sleeps was done before. */
export type Fill = (msg: NlMessageBuilder) => Atomic;

type Locks = Pick<SchedSymbols, 'down_read' | 'up_read' | 'down_write' | 'up_write'>;

const has = (features: bigint, bit: number): boolean => (features & (1n << BigInt(bit))) !== 0n;

/** Its configuration as this struct; members beyond its end are 0. */
async function configAs<T>(vdev: VdpaDevice, struct: { readonly size: number; readonly decode: (bytes: Uint8Array) => T }): Promise<T> {
  const raw = new Uint8Array(struct.size);
  const size = Math.min(raw.length, vdev.config.get_config_size(vdev));
  raw.set(await getConfigUnlocked(vdev, 0, size));
  return struct.decode(raw);
}

/** The driver's features are settled only from FEATURES_OK on. */
const negotiated = (vdev: VdpaDevice): bigint | null =>
  (vdev.config.get_status(vdev) & VIRTIO_CONFIG_S_FEATURES_OK) === 0 ? null : vdev.config.get_driver_features(vdev);

/**
 * `vdpa dev config show`.
 *
 * @param later a kernel of 6.12: block devices are shown too, and the attribute of the features has another number
 * @throws EOPNOTSUPP for another class of device
 */
export async function configMessage(k: Locks, vdev: VdpaDevice, later: boolean): Promise<Fill> {
  return reading(k, vdev, async () => {
    const id = vdev.config.get_device_id(vdev);
    const driver = negotiated(vdev);
    const rest = await classConfig(vdev, id, later);
    return (msg) => {
      msg.putString(VDPA_ATTR_DEV_NAME, vdev.dev.name);
      msg.putU32(VDPA_ATTR_DEV_ID, id);
      if (driver !== null) msg.putU64(VDPA_ATTR_DEV_NEGOTIATED_FEATURES, driver, VDPA_ATTR_PAD);
      return rest(msg);
    };
  });
}

/** What a class of device has of its own. */
async function classConfig(vdev: VdpaDevice, id: number, later: boolean): Promise<Fill> {
  const offered = vdev.config.get_device_features(vdev);
  if (id === VIRTIO_ID_BLOCK && later) {
    const config = await configAs(vdev, virtio_blk_config);
    return (msg) => {
      msg.putU64(VDPA_ATTR_DEV_FEATURES, offered, VDPA_ATTR_PAD);
      return putBlockConfig(msg, config, offered);
    };
  }
  if (id !== VIRTIO_ID_NET) throw new KernelError('EOPNOTSUPP', 'vdpa.netlink.config.class', `${vdev.dev.name}: virtio id ${id} has no configuration to show`);
  const net = await configAs(vdev, virtio_net_config);
  return (msg) => {
    msg.putU16(VDPA_ATTR_DEV_NET_STATUS, net.status); // whether STATUS is offered or not
    msg.putU64(later ? VDPA_ATTR_DEV_FEATURES : VDPA_ATTR_VDPA_DEV_SUPPORTED_FEATURES, offered, VDPA_ATTR_PAD);
    if (has(offered, VIRTIO_NET_F_MTU)) msg.putU16(VDPA_ATTR_DEV_NET_CFG_MTU, net.mtu);
    if (has(offered, VIRTIO_NET_F_MAC)) msg.put(VDPA_ATTR_DEV_NET_CFG_MACADDR, Uint8Array.from(net.mac));
    if (has(offered, VIRTIO_NET_F_MQ) || has(offered, VIRTIO_NET_F_RSS)) {
      msg.putU16(VDPA_ATTR_DEV_NET_CFG_MAX_VQP, net.max_virtqueue_pairs);
    }
    return undefined;
  };
}

/**
 * `vdpa dev vstats show`: what the parent counts of one queue.
 *
 * @throws EOPNOTSUPP for a device that is no network device, or whose parent counts nothing; ERANGE for an index no
 *   network device has; EAGAIN before FEATURES_OK; the parent's errno
 */
export async function statsMessage(k: Locks, vdev: VdpaDevice, index: number): Promise<Fill> {
  return reading(k, vdev, async () => {
    const name = vdev.dev.name;
    const id = vdev.config.get_device_id(vdev);
    if (id !== VIRTIO_ID_NET) throw new KernelError('EOPNOTSUPP', 'vdpa.netlink.stats.class', `${name}: virtio id ${id} is no network device`);
    if (index > VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX) {
      const text = 'queue index exceeds max value';
      throw new KernelError('ERANGE', 'vdpa.netlink.stats.index', `${name}: ${text}: ${index} of ${VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX}`, { extack: `vdpa: ${text}` });
    }
    const stats = vdev.config.get_vendor_vq_stats;
    if (stats === undefined) throw new KernelError('EOPNOTSUPP', 'vdpa.netlink.stats.op', `${name}: the parent keeps no statistics`);
    const driver = negotiated(vdev);
    if (driver === null) {
      const text = 'feature negotiation not complete';
      throw new KernelError('EAGAIN', 'vdpa.netlink.stats.status', `${name}: ${text}`, { extack: `vdpa: ${text}` });
    }
    const net = await configAs(vdev, virtio_net_config);
    // the parent's op may sleep and writes straight into a message: record what it puts, replay it into the real one
    const puts: Fill[] = [];
    await stats(vdev, index, recorder(puts));
    return (msg) => {
      msg.putString(VDPA_ATTR_DEV_NAME, name);
      msg.putU32(VDPA_ATTR_DEV_ID, id);
      msg.putU16(VDPA_ATTR_DEV_NET_CFG_MAX_VQP, net.max_virtqueue_pairs);
      msg.putU64(VDPA_ATTR_DEV_NEGOTIATED_FEATURES, driver, VDPA_ATTR_PAD);
      msg.putU32(VDPA_ATTR_DEV_QUEUE_INDEX, index);
      for (const put of puts) put(msg);
      return undefined;
    };
  });
}

/** A builder that remembers; nested attributes are replayed as nested. */
function recorder(puts: Fill[]): NlMessageBuilder {
  const keep = (put: Fill): Atomic => void puts.push(put) as undefined;
  const open: number[] = [];
  return {
    get length() {
      return puts.length;
    },
    put: (type, bytes) => keep((m) => m.put(type, bytes)),
    putU8: (type, value) => keep((m) => m.putU8(type, value)),
    putU16: (type, value) => keep((m) => m.putU16(type, value)),
    putU32: (type, value) => keep((m) => m.putU32(type, value)),
    putU64: (type, value, pad) => keep((m) => m.putU64(type, value, pad)),
    putString: (type, value) => keep((m) => m.putString(type, value)),
    putFlag: (type) => keep((m) => m.putFlag(type)),
    nestStart(type) {
      const mark = puts.length;
      keep((m) => void open.push(m.nestStart(type)) as undefined);
      return mark;
    },
    nestEnd: () => keep((m) => m.nestEnd(open.pop() as number)), // opened by the replayed start
    trim: (mark) => void puts.splice(mark) as undefined,
  };
}
