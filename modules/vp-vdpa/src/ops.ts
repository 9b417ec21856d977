/** `vdpa_config_ops` of a function. Mirrors `drivers/vdpa/virtio_pci/vp_vdpa.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import { VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_F_RING_PACKED } from '@vdpalab/uapi';
import type { VdpaConfigOps, VdpaVqState } from '@vdpalab/vdpa-core';
import type { VirtioPciModernDevice, VirtioPciModernDevSymbols } from '@vdpalab/virtio-pci-modern-dev';
import type { VpVrings } from './vring.ts';

/** What the operations take. */
export type OpsSymbols = Pick<VirtioPciModernDevSymbols,
  | 'vp_modern_get_status' | 'vp_modern_set_status' | 'vp_modern_get_features' | 'vp_modern_get_driver_features' | 'vp_modern_set_features'
  | 'vp_modern_queue_address' | 'vp_modern_get_queue_enable' | 'vp_modern_set_queue_enable' | 'vp_modern_set_queue_size'
  | 'vp_modern_generation'>;

const PAGE_SIZE = 4096;
/** Largest queue, in descriptors, whatever the device can do. */
const VP_VDPA_QUEUE_MAX = 256;

/** Whether a state is the one a queue has after a reset. */
function isInitial(state: VdpaVqState, packed: boolean): boolean {
  if (packed !== (state.kind === 'packed')) return false;
  return state.kind === 'split'
    ? state.avail_index === 0
    : state.last_avail_counter === 1 && state.last_avail_idx === 0 && state.last_used_counter === 1 && state.last_used_idx === 0;
}

/** The operations on one function. */
export function vpVdpaOps(k: OpsSymbols, mdev: VirtioPciModernDevice, vrings: VpVrings): VdpaConfigOps {
  const name = mdev.pci_dev.dev.name;

  return {
    get_device_features: () => k.vp_modern_get_features(mdev),
    async set_driver_features(_, features) {
      k.vp_modern_set_features(mdev, features);
    },
    get_driver_features: () => k.vp_modern_get_driver_features(mdev),

    get_status: () => k.vp_modern_get_status(mdev),
    async set_status(_, status) {
      const starts = (status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0 && (k.vp_modern_get_status(mdev) & VIRTIO_CONFIG_S_DRIVER_OK) === 0;
      if (starts) await vrings.requestIrqs();
      k.vp_modern_set_status(mdev, status);
    },
    async reset() {
      const before = k.vp_modern_get_status(mdev);
      k.vp_modern_set_status(mdev, 0);
      if ((before & VIRTIO_CONFIG_S_DRIVER_OK) !== 0) await vrings.freeIrqs();
    },

    get_vq_num_max: () => VP_VDPA_QUEUE_MAX,
    set_vq_num: (_, qid, num) => k.vp_modern_set_queue_size(mdev, qid, num),
    set_vq_address: (_, qid, desc, driver, device) => k.vp_modern_queue_address(mdev, qid, desc, driver, device),
    async get_vq_state(_, qid) {
      throw new KernelError('EOPNOTSUPP', 'vp_vdpa.vq.get-state', `${name}: queue ${qid}: virtio on PCI tells no ring state`);
    },
    async set_vq_state(_, qid, state) {
      // A state is never set; the one a fresh queue has need not be.
      const fresh = (k.vp_modern_get_status(mdev) & VIRTIO_CONFIG_S_FEATURES_OK) !== 0 && !k.vp_modern_get_queue_enable(mdev, qid);
      const packed = (k.vp_modern_get_driver_features(mdev) & (1n << BigInt(VIRTIO_F_RING_PACKED))) !== 0n;
      if (fresh && isInitial(state, packed)) return;
      const why = fresh ? 'not the initial state' : 'before FEATURES_OK, or enabled';
      throw new KernelError('EOPNOTSUPP', 'vp_vdpa.vq.set-state', `${name}: queue ${qid}: ${why}`);
    },
    set_vq_ready: async (_, qid, ready) => void k.vp_modern_set_queue_enable(mdev, qid, ready),
    get_vq_ready: (_, qid) => k.vp_modern_get_queue_enable(mdev, qid),
    kick_vq(_, qid) {
      const { mem, offset } = vrings.of(qid).notify;
      return mem.write16(offset, qid);
    },
    set_vq_cb(_, qid, cb) {
      vrings.of(qid).cb = cb;
      return undefined;
    },
    get_vq_irq(_, qid) {
      const { irq } = vrings.of(qid);
      if (irq === null) throw new KernelError('EINVAL', 'vp_vdpa.vq.irq', `${name}: queue ${qid} has no interrupt now`);
      return irq;
    },
    get_vq_align: () => PAGE_SIZE,
    get_vq_notification: (_, qid) => ({ addr: vrings.of(qid).notify.pa, size: mdev.notify_offset_multiplier }),

    get_device_id: () => mdev.id.device,
    get_vendor_id: () => mdev.id.vendor,
    get_generation: () => k.vp_modern_generation(mdev),
    get_config_size: () => mdev.device_len,
    get_config(_, offset, len) {
      for (;;) {
        const before = k.vp_modern_generation(mdev);
        const bytes = Uint8Array.from({ length: len }, (__, i) => mdev.device?.read8(offset + i) ?? 0);
        if (k.vp_modern_generation(mdev) === before) return bytes;
      }
    },
    async set_config(_, offset, bytes) {
      bytes.forEach((byte, i) => mdev.device?.write8(offset + i, byte));
    },
    set_config_cb(_, cb) {
      vrings.configCb = cb;
      return undefined;
    },
  };
}
