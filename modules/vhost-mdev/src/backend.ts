/** What is behind a device: the operations of a parent, whichever bus it met this driver on. */
import type { Atomic } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { MdevDevice, MdevSymbols } from '@vdpalab/mdev-core';
import { virtio_net_config } from '@vdpalab/uapi';
import type { VdpaCallback, VdpaDevice, VdpaNotificationArea, VdpaSymbols } from '@vdpalab/vdpa-core';

/** A parent's device. What is no promise is atomic; ring state is the available index. */
export interface Backend {
  /** On its bus; user space names it so. */
  readonly dev: Device;
  /** Whose DMA it is. */
  readonly dma_dev: Device;
  readonly get_device_id: () => number;
  readonly get_features: () => bigint;
  /** @throws the parent's errno */
  readonly set_features: (features: bigint) => Promise<void>;
  readonly get_status: () => number;
  readonly set_status: (status: number) => Promise<void>;
  readonly reset: () => Promise<void>;
  readonly get_config_size: () => number;
  readonly get_config: (offset: number, len: number) => Promise<Uint8Array>;
  readonly set_config: (offset: number, bytes: Uint8Array) => Promise<void>;
  readonly set_config_cb: (cb: VdpaCallback | null) => Atomic;
  readonly get_vq_num_max: () => number;
  readonly set_vq_num: (idx: number, num: number) => Atomic;
  /** Bus addresses. @throws the parent's errno */
  readonly set_vq_address: (idx: number, desc: bigint, driver: bigint, device: bigint) => Atomic;
  /** @throws the parent's errno */
  readonly set_vq_state: (idx: number, index: number) => Promise<void>;
  readonly get_vq_state: (idx: number) => Promise<number>;
  readonly set_vq_ready: (idx: number, ready: boolean) => Promise<void>;
  readonly get_vq_ready: (idx: number) => boolean;
  readonly set_vq_cb: (idx: number, cb: VdpaCallback | null) => Atomic;
  readonly kick_vq: (idx: number) => Atomic;
  /** Where a doorbell lies; null where the parent does not say. */
  readonly get_vq_notification: (idx: number) => VdpaNotificationArea | null;
}

/** A device of the vDPA bus. */
export function vdpaBackend(k: Pick<VdpaSymbols, 'vdpa_get_config' | 'vdpa_set_config' | 'vdpa_set_status'>, vdpa: VdpaDevice): Backend {
  const { config } = vdpa;
  return {
    dev: vdpa.dev,
    dma_dev: vdpa.dma_dev,
    get_device_id: () => config.get_device_id(vdpa),
    get_features: () => config.get_device_features(vdpa),
    set_features: (features) => vdpa.set_features(features),
    get_status: () => config.get_status(vdpa),
    set_status: (status) => k.vdpa_set_status(vdpa, status),
    reset: () => vdpa.reset(),
    get_config_size: () => config.get_config_size(vdpa),
    get_config: (offset, len) => k.vdpa_get_config(vdpa, offset, len),
    set_config: (offset, bytes) => k.vdpa_set_config(vdpa, offset, bytes),
    set_config_cb: (cb) => config.set_config_cb(vdpa, cb),
    get_vq_num_max: () => config.get_vq_num_max(vdpa),
    set_vq_num: (idx, num) => config.set_vq_num(vdpa, idx, num),
    set_vq_address: (idx, desc, driver, device) => config.set_vq_address(vdpa, idx, desc, driver, device),
    set_vq_state: (idx, index) => config.set_vq_state(vdpa, idx, { kind: 'split', avail_index: index }),
    async get_vq_state(idx) {
      const state = await config.get_vq_state(vdpa, idx);
      return state.kind === 'split' ? state.avail_index : state.last_avail_idx; // packed rings are not offered
    },
    set_vq_ready: (idx, ready) => config.set_vq_ready(vdpa, idx, ready),
    get_vq_ready: (idx) => config.get_vq_ready(vdpa, idx),
    set_vq_cb: (idx, cb) => config.set_vq_cb(vdpa, idx, cb),
    kick_vq: (idx) => config.kick_vq(vdpa, idx),
    get_vq_notification: (idx) => config.get_vq_notification?.(vdpa, idx) ?? null,
  };
}

/**
 * A mediated device of the class for vhost.
 *
 * @throws Error (the bus's mistake) for one of another class
 */
export function mdevBackend(k: Pick<MdevSymbols, 'mdev_get_vhost_ops' | 'mdev_get_iommu_device'>, mdev: MdevDevice): Backend {
  const ops = k.mdev_get_vhost_ops(mdev);
  return {
    dev: mdev.dev,
    dma_dev: k.mdev_get_iommu_device(mdev) ?? mdev.dev,
    get_device_id: () => ops.get_device_id(mdev),
    get_features: () => ops.get_features(mdev),
    set_features: (features) => ops.set_features(mdev, features),
    get_status: () => ops.get_status(mdev),
    set_status: (status) => ops.set_status(mdev, status),
    reset: () => ops.set_status(mdev, 0),
    get_config_size: () => virtio_net_config.size, // no operation says it: only network devices are served
    get_config: async (offset, len) => ops.get_config(mdev, offset, len),
    set_config: (offset, bytes) => ops.set_config(mdev, offset, bytes),
    set_config_cb: (cb) => ops.set_config_cb(mdev, cb),
    get_vq_num_max: () => ops.get_vq_num_max(mdev),
    set_vq_num: (idx, num) => ops.set_vq_num(mdev, idx, num),
    set_vq_address: (idx, desc, driver, device) => ops.set_vq_address(mdev, idx, desc, driver, device),
    set_vq_state: (idx, index) => ops.set_vq_state(mdev, idx, index),
    get_vq_state: (idx) => ops.get_vq_state(mdev, idx),
    set_vq_ready: (idx, ready) => ops.set_vq_ready(mdev, idx, ready),
    get_vq_ready: (idx) => ops.get_vq_ready(mdev, idx),
    set_vq_cb: (idx, cb) => ops.set_vq_cb(mdev, idx, cb),
    kick_vq: (idx) => ops.kick_vq(mdev, idx),
    get_vq_notification: () => null,
  };
}
