/**
 * The virtio bus: devices that transports register, drivers that match by id.
 *
 * Mirrors `include/linux/{virtio,virtio_config}.h` and `drivers/virtio/virtio.c` (Linux 6.1).
 */
import type { Atomic, KModule } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { VirtioConfigOps, VirtioDevice, Virtqueue } from '@vdpalab/virtio-ring';

declare module '@vdpalab/virtio-ring' {
  interface VirtioDevice {
    readonly index: number;
    readonly dev: Device;
    readonly id: { readonly device: number; readonly vendor: number };
    /** Negotiated. */
    features: bigint;
    readonly vqs: readonly Virtqueue[];
    /** The driver's own. */
    priv: unknown;
    /** The transport's own. */
    readonly transport: unknown;
  }

  interface VirtioConfigOps extends VirtioTransportOps {}
}

export type { VirtioConfigOps } from '@vdpalab/virtio-ring';

/** A queue as a driver asks for it. */
export interface VqRequest {
  /** `null` skips the index. */
  readonly name: string | null;
  readonly callback: ((vq: Virtqueue) => Atomic) | null;
}

/** `struct virtio_config_ops`, but what concerns single rings; they may sleep. */
export interface VirtioTransportOps {
  readonly get: (vdev: VirtioDevice, offset: number, len: number) => Promise<Uint8Array>;
  readonly set: (vdev: VirtioDevice, offset: number, bytes: Uint8Array) => Promise<void>;
  readonly generation?: (vdev: VirtioDevice) => Promise<number>;
  readonly get_status: (vdev: VirtioDevice) => Promise<number>;
  readonly set_status: (vdev: VirtioDevice, status: number) => Promise<void>;
  readonly reset: (vdev: VirtioDevice) => Promise<void>;
  /** @throws ENOENT EINVAL ENOMEM; none is left behind. `null` where the request skipped an index */
  readonly find_vqs: (vdev: VirtioDevice, vqs: readonly VqRequest[]) => Promise<(Virtqueue | null)[]>;
  readonly del_vqs: (vdev: VirtioDevice) => Promise<void>;
  readonly get_features: (vdev: VirtioDevice) => Promise<bigint>;
  readonly finalize_features: (vdev: VirtioDevice) => Promise<void>;
  readonly bus_name?: (vdev: VirtioDevice) => string;
}

/** What a transport gives: `register_virtio_device`. */
export interface VirtioDeviceInit {
  readonly parent: Device;
  readonly id: { readonly device: number; readonly vendor: number };
  readonly config: VirtioConfigOps;
  readonly transport: unknown;
  /** Last reference gone. */
  readonly release: (vdev: VirtioDevice) => Atomic;
}

/** `struct virtio_device_id`; `null` is VIRTIO_DEV_ANY_ID. */
export interface VirtioDeviceId {
  readonly device: number;
  readonly vendor: number | null;
}

/** `struct virtio_driver` */
export interface VirtioDriver {
  readonly name: string;
  readonly owner: KModule;
  readonly id_table: readonly VirtioDeviceId[];
  /** Feature bits the driver knows. */
  readonly feature_table: readonly number[];
  readonly validate?: (vdev: VirtioDevice) => Promise<void>;
  readonly probe: (vdev: VirtioDevice) => Promise<void>;
  readonly scan?: (vdev: VirtioDevice) => Promise<void>;
  readonly remove: (vdev: VirtioDevice) => Promise<void>;
  readonly config_changed?: (vdev: VirtioDevice) => Atomic;
}

export interface VirtioSymbols {
  /** @returns the device, registered: `virtioN`, lowest free N. */
  register_virtio_device: (init: VirtioDeviceInit) => Promise<VirtioDevice>;
  unregister_virtio_device: (vdev: VirtioDevice) => Promise<void>;
  register_virtio_driver: (drv: VirtioDriver) => Promise<void>;
  unregister_virtio_driver: (drv: VirtioDriver) => Promise<void>;
  virtio_has_feature: (vdev: VirtioDevice, bit: number) => boolean;
  /** DRIVER_OK; for probes that need the device running. */
  virtio_device_ready: (vdev: VirtioDevice) => Promise<void>;
  virtio_reset_device: (vdev: VirtioDevice) => Promise<void>;
  /** Find queues and keep them in `vdev.vqs`. */
  virtio_find_vqs: (vdev: VirtioDevice, vqs: readonly VqRequest[]) => Promise<(Virtqueue | null)[]>;
  virtio_del_vqs: (vdev: VirtioDevice) => Promise<void>;
  /** The configuration changed: atomic; delivered when the driver has enabled it. */
  virtio_config_changed: (vdev: VirtioDevice) => Atomic;
  /** Every queue broken: the device is gone. */
  virtio_break_device: (vdev: VirtioDevice) => Atomic;
  virtio_add_status: (vdev: VirtioDevice, status: number) => Promise<void>;
  dev_to_virtio: (dev: Device) => VirtioDevice;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VirtioSymbols {}
}
