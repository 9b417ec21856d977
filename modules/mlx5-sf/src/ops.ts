/** `vdpa_config_ops` of a device. Mirrors `mlx5_vdpa_ops` in `net/mlx5_vnet.c` (Linux 6.1; `get_vq_dma_dev` is of 6.3). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { VdpaConfigOps } from '@vdpalab/vdpa-core';
import * as uapi from '@vdpalab/uapi';
import { MINIMUM_FEATURES } from './features.ts';
import { CVQ_GROUP, DATAVQ_GROUP, NUMVQ_GROUPS } from './vnet.ts';
import type { Vnet } from './vnet.ts';
import { indicesOf, stateOf } from './vq-state.ts';

const PAGE_SIZE = 4096;
/** Where a packed ring starts: descriptor 0, wrap counter 1. */
const PACKED_START = 0x8000;
/** `MLX5_VDPA_MAX_VQ_ENTRIES` */
const MAX_VQ_ENTRIES = 256;
const { VIRTIO_CONFIG_S_DRIVER_OK: DRIVER_OK, VIRTIO_CONFIG_S_FAILED: FAILED } = uapi;

/** The operations on one device. @param later a kernel of 6.6: it says that queues may be enabled after DRIVER_OK, as they always might */
export function vnetOps(ndev: Vnet, later: boolean): VdpaConfigOps {
  const { k, mdev, cvq, res } = ndev;
  const name = mdev.device.name;
  const invalid = (what: string, idx: number): KernelError => new KernelError('EINVAL', 'mlx5_vdpa.vq.index', `${name}: ${what}: no queue ${idx}`);
  /** The data or control queue of an index, `null` for one that is not there. */
  const at = (idx: number) => {
    if (!ndev.validIndex(idx)) return null;
    return ndev.isControl(idx) ? cvq : ndev.vqs[idx] ?? null;
  };
  return {
    get_device_features: () => ndev.features,
    async set_driver_features(_, features) {
      await ndev.locked(async () => verifyFeatures(ndev, features));
    },
    get_driver_features: () => ndev.actualFeatures,
    ...(later ? { get_backend_features: () => uapi.bit(uapi.VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK) } satisfies Partial<VdpaConfigOps> : {}),

    get_status: () => ndev.status,
    async set_status(_, status) {
      await ndev.locked(async () => {
        const turned = (status ^ ndev.status) & DRIVER_OK;
        if (turned !== 0 && (status & DRIVER_OK) === 0) {
          k.dev_warn(mdev.device, 'did not expect DRIVER_OK to be cleared');
          return;
        }
        try {
          if (turned !== 0) await ndev.start();
          ndev.status = status;
        } catch (error) {
          if (!isKernelError(error)) throw error;
          k.dev_warn(mdev.device, 'failed to setup driver');
          ndev.regions.use(null);
          ndev.status |= FAILED; // the op has no return value: the status tells
        }
      });
    },
    reset: () => ndev.locked(() => ndev.reset()),
    suspend: () => ndev.locked(() => ndev.suspend()),

    get_vq_num_max: () => MAX_VQ_ENTRIES,
    set_vq_num(_, idx, num) {
      const vq = at(idx);
      if (vq !== null) vq.numEnt = num;
      return undefined;
    },
    set_vq_address(_, idx, desc, driver, device) {
      const vq = at(idx);
      if (vq === null) throw invalid('set_vq_address', idx);
      vq.descAddr = desc;
      vq.driverAddr = driver;
      vq.deviceAddr = device;
      return undefined;
    },
    async set_vq_state(_, idx, state) {
      const vq = at(idx);
      if (vq === null) throw invalid('set_vq_state', idx);
      if ((state.kind === 'packed') !== ndev.has(uapi.VIRTIO_F_RING_PACKED)) {
        throw new KernelError('EOPNOTSUPP', 'mlx5_vdpa.vq.packed', `${name}: queue ${idx}: the state of a ${state.kind} ring`);
      }
      const { avail, used } = indicesOf(state);
      if (vq === cvq) {
        cvq.lastAvail = avail;
        return;
      }
      const data = ndev.vqs[idx]!; // not the control queue
      if (data.fwState === uapi.MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY) {
        k.dev_warn(mdev.device, 'can\'t modify available index');
        throw new KernelError('EINVAL', 'mlx5_vdpa.vq.running', `${name}: queue ${idx} runs`);
      }
      data.availIdx = avail;
      data.usedIdx = used;
    },
    async get_vq_state(_, idx) {
      const vq = at(idx);
      if (vq === null) throw invalid('get_vq_state', idx);
      if (vq === cvq) return { kind: 'split', avail_index: cvq.lastAvail };
      const data = ndev.vqs[idx]!; // not the control queue
      return stateOf(data.initialized ? (await data.query()).used : data.usedIdx, ndev.has(uapi.VIRTIO_F_RING_PACKED));
    },
    set_vq_ready: (_, idx, ready) => ndev.locked(() => setReady(ndev, idx, ready)),
    get_vq_ready: (_, idx) => at(idx)?.ready ?? false,
    kick_vq(_, idx) {
      const vq = at(idx);
      if (vq === cvq) return ndev.kickControl();
      return vq?.ready === true ? res.kick.write16(0, idx) : undefined;
    },
    set_vq_cb(_, idx, cb) {
      const vq = at(idx) ?? ndev.vqs[idx] ?? cvq; // callbacks are set before features are, too
      vq.callback = cb;
      return undefined;
    },
    get_vq_irq(_, idx) {
      throw new KernelError('EOPNOTSUPP', 'mlx5_vdpa.vq.irq', `${name}: queue ${idx}: interrupts are shared`);
    },
    get_vq_align: () => PAGE_SIZE,
    get_vq_group: (_, idx) => (ndev.isControl(idx) ? CVQ_GROUP : DATAVQ_GROUP),
    get_vq_notification: (_, idx) => (at(idx) === cvq || res.doorbell === null ? { addr: 0, size: 0 } : { addr: res.doorbell, size: PAGE_SIZE }),
    get_vq_dma_dev: (vdev, idx) => (ndev.isControl(idx) ? vdev.dev : vdev.dma_dev),
    get_vendor_vq_stats: (_, idx, msg) => ndev.locked(async () => {
      if (!ndev.validIndex(idx)) throw new KernelError('EINVAL', 'mlx5_vdpa.stats.index', `${name}: no queue ${idx}`, { extack: 'mlx5_vdpa: virtqueue index is not valid' });
      const { received, completed } = ndev.isControl(idx) ? { received: cvq.receivedDesc, completed: cvq.completedDesc } : await ndev.vqs[idx]!.counters(); // validIndex
      for (const [attr, value] of [['received_desc', received], ['completed_desc', completed]] as const) {
        msg.putString(uapi.VDPA_ATTR_DEV_VENDOR_ATTR_NAME, attr);
        msg.putU64(uapi.VDPA_ATTR_DEV_VENDOR_ATTR_VALUE, value, uapi.VDPA_ATTR_PAD);
      }
    }),

    get_device_id: () => uapi.VIRTIO_ID_NET,
    get_vendor_id: () => uapi.PCI_VENDOR_ID_MELLANOX,
    get_generation: () => ndev.generation,
    get_config_size: () => uapi.virtio_net_config.size,
    get_config: (_, offset, len) => ndev.config.slice(offset, offset + len),
    set_config: async () => undefined, // not supported
    set_config_cb(_, cb) {
      ndev.configCallback = cb;
      return undefined;
    },

    set_map: (_, asid, iotlb) => ndev.locked(() => ndev.setMap(asid, iotlb)),
    async set_group_asid(_, group, asid) {
      if (group >= NUMVQ_GROUPS) throw new KernelError('EINVAL', 'mlx5_vdpa.group', `${name}: group ${group} of ${NUMVQ_GROUPS}`);
      ndev.group2asid[group] = asid;
    },
  };
}

/** @throws EOPNOTSUPP without ACCESS_PLATFORM; EINVAL for MQ without CTRL_VQ @see `verify_driver_features` */
function verifyFeatures(ndev: Vnet, features: bigint): void {
  const { name } = ndev.mdev.device;
  if ((features & MINIMUM_FEATURES) !== MINIMUM_FEATURES) {
    throw new KernelError('EOPNOTSUPP', 'mlx5_vdpa.features.minimum', `${name}: features 0x${features.toString(16)} lack VERSION_1 or ACCESS_PLATFORM`);
  }
  if (uapi.hasBit(features, uapi.VIRTIO_NET_F_MQ) && !uapi.hasBit(features, uapi.VIRTIO_NET_F_CTRL_VQ)) {
    throw new KernelError('EINVAL', 'mlx5_vdpa.features.mq', `${name}: features 0x${features.toString(16)}: MQ needs CTRL_VQ`);
  }
  ndev.actualFeatures = features & ndev.features;
  if (ndev.has(uapi.VIRTIO_F_RING_PACKED)) for (const vq of ndev.vqs) vq.startAt(PACKED_START);
  ndev.curNumVqs = 2; // virtio 1.2, section 5.1.6.5.5: one pair until the driver says more
}

/** @see `mlx5_vdpa_set_vq_ready` */
async function setReady(ndev: Vnet, idx: number, ready: boolean): Promise<void> {
  if (ndev.actualFeatures === 0n || !ndev.validIndex(idx)) return;
  if (ndev.isControl(idx)) {
    ndev.cvq.ready = ready;
    return;
  }
  const vq = ndev.vqs[idx]!; // validIndex
  if (!ready) {
    await vq.suspend();
    vq.ready = false;
    return;
  }
  try {
    await vq.modify(uapi.MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY);
    vq.ready = true;
  } catch (error) {
    if (!isKernelError(error)) throw error;
    ndev.k.dev_warn(ndev.mdev.device, `modify VQ ${idx} to ready failed (${error.errno})`);
  }
}
