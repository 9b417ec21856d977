/** Virtio devices as mediated devices. Mirrors `include/linux/virtio_mdev_ops.h` of the RFC of 2019, which became `vdpa_config_ops`. */
import type { Atomic } from '@vdpalab/abi';
import type { MdevDevice } from './header.ts';

/** `struct virtio_mdev_callback`: atomic. */
export interface VirtioMdevCallback {
  readonly callback: () => Atomic;
}

/** `struct virtio_mdev_device_ops`: what a parent does for a driver of virtio or vhost. Those that throw refuse with an errno. */
export interface VirtioMdevDeviceOps {
  readonly set_vq_address: (mdev: MdevDevice, idx: number, desc_area: bigint, driver_area: bigint, device_area: bigint) => Atomic;
  readonly set_vq_num: (mdev: MdevDevice, idx: number, num: number) => Atomic;
  readonly kick_vq: (mdev: MdevDevice, idx: number) => Atomic;
  /** `null` unregisters. */
  readonly set_vq_cb: (mdev: MdevDevice, idx: number, cb: VirtioMdevCallback | null) => Atomic;
  readonly set_vq_ready: (mdev: MdevDevice, idx: number, ready: boolean) => Promise<void>;
  readonly get_vq_ready: (mdev: MdevDevice, idx: number) => boolean;
  /** The state of a ring is its available index. */
  readonly set_vq_state: (mdev: MdevDevice, idx: number, state: number) => Promise<void>;
  readonly get_vq_state: (mdev: MdevDevice, idx: number) => Promise<number>;
  /** Bytes. */
  readonly get_vq_align: (mdev: MdevDevice) => number;
  readonly get_features: (mdev: MdevDevice) => bigint;
  readonly set_features: (mdev: MdevDevice, features: bigint) => Promise<void>;
  readonly set_config_cb: (mdev: MdevDevice, cb: VirtioMdevCallback | null) => Atomic;
  /** In descriptors. */
  readonly get_vq_num_max: (mdev: MdevDevice) => number;
  readonly get_device_id: (mdev: MdevDevice) => number;
  readonly get_vendor_id: (mdev: MdevDevice) => number;
  readonly get_status: (mdev: MdevDevice) => number;
  /** 0 resets. */
  readonly set_status: (mdev: MdevDevice, status: number) => Promise<void>;
  readonly get_config: (mdev: MdevDevice, offset: number, len: number) => Uint8Array;
  readonly set_config: (mdev: MdevDevice, offset: number, bytes: Uint8Array) => Promise<void>;
  readonly get_generation: (mdev: MdevDevice) => number;
  /** Which of these operations there are: VIRTIO_MDEV_F_*. */
  readonly get_mdev_features: (mdev: MdevDevice) => bigint;
}
