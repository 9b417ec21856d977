/**
 * The vDPA bus: devices, their operations, bus drivers, management devices.
 *
 * Mirrors `include/linux/vdpa.h` (Linux 6.1). Calls that may sleep return promises.
 */
import type { Atomic, KModule } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { EventfdCtx } from '@vdpalab/fs';
import type { MmStruct } from '@vdpalab/mm';
import type { NlMessageBuilder } from '@vdpalab/netlink';
import type { RwSemaphore } from '@vdpalab/sched';
import type { VhostIotlb } from '@vdpalab/vhost-iotlb';

/** `struct vdpa_callback`: atomic. `trigger` lets a parent signal the eventfd itself. */
export interface VdpaCallback {
  readonly callback: () => Atomic;
  readonly trigger?: EventfdCtx | null;
}

/** `struct vdpa_notification_area`: where a doorbell lies. */
export interface VdpaNotificationArea {
  /** Physical address. */
  readonly addr: number;
  /** Bytes. */
  readonly size: number;
}

/** `struct vdpa_vq_state`: split by the available index, packed by counters and indices. */
export type VdpaVqState =
  | { readonly kind: 'split'; readonly avail_index: number }
  | {
      readonly kind: 'packed';
      readonly last_avail_counter: 0 | 1;
      readonly last_avail_idx: number;
      readonly last_used_counter: 0 | 1;
      readonly last_used_idx: number;
    };

/** `struct vdpa_iova_range`, inclusive. */
export interface VdpaIovaRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** What bus drivers a parent supports: the DMA models of the first overview of the framework. */
export type VdpaModel = 'virtio' | 'vfio' | 'vhost';

/** `struct vdpa_config_ops`: the only way from a bus driver to a parent. */
export interface VdpaConfigOps {
  /** Addresses in the queue's address space. @throws the parent's errno */
  readonly set_vq_address: (vdev: VdpaDevice, idx: number, desc: bigint, driver: bigint, device: bigint) => Atomic;
  readonly set_vq_num: (vdev: VdpaDevice, idx: number, num: number) => Atomic;
  readonly kick_vq: (vdev: VdpaDevice, idx: number) => Atomic;
  /** Doorbell with NOTIFICATION_DATA (later than 6.1; optional). */
  readonly kick_vq_with_data?: (vdev: VdpaDevice, data: number) => Atomic;
  /** `null` unregisters. */
  readonly set_vq_cb: (vdev: VdpaDevice, idx: number, cb: VdpaCallback | null) => Atomic;
  readonly set_vq_ready: (vdev: VdpaDevice, idx: number, ready: boolean) => Promise<void>;
  readonly get_vq_ready: (vdev: VdpaDevice, idx: number) => boolean;
  readonly set_vq_state: (vdev: VdpaDevice, idx: number, state: VdpaVqState) => Promise<void>;
  readonly get_vq_state: (vdev: VdpaDevice, idx: number) => Promise<VdpaVqState>;
  /** (optional; later than 6.1) Bits of VHOST_GET_BACKEND_FEATURES that the parent adds. */
  readonly get_backend_features?: (vdev: VdpaDevice) => bigint;
  /** (optional) Fill in netlink attributes. */
  readonly get_vendor_vq_stats?: (vdev: VdpaDevice, idx: number, msg: NlMessageBuilder) => Promise<void>;
  /** (optional) */
  readonly get_vq_notification?: (vdev: VdpaDevice, idx: number) => VdpaNotificationArea;
  /** (optional) Linux interrupt number, constant while DRIVER_OK. @throws EINVAL when it has none of its own */
  readonly get_vq_irq?: (vdev: VdpaDevice, idx: number) => number;
  /** Alignment of rings, bytes. */
  readonly get_vq_align: (vdev: VdpaDevice) => number;
  /** (optional; later than 6.1) Largest size of one queue, in descriptors. */
  readonly get_vq_size?: (vdev: VdpaDevice, idx: number) => number;
  /** (optional) */
  readonly get_vq_group?: (vdev: VdpaDevice, idx: number) => number;
  /** (optional; later than 6.1) Group of the queue's descriptor table alone. */
  readonly get_vq_desc_group?: (vdev: VdpaDevice, idx: number) => number;
  readonly get_device_features: (vdev: VdpaDevice) => bigint;
  /** @throws EINVAL */
  readonly set_driver_features: (vdev: VdpaDevice, features: bigint) => Promise<void>;
  readonly get_driver_features: (vdev: VdpaDevice) => bigint;
  readonly set_config_cb: (vdev: VdpaDevice, cb: VdpaCallback | null) => Atomic;
  readonly get_vq_num_max: (vdev: VdpaDevice) => number;
  /** (optional) 1 when absent. */
  readonly get_vq_num_min?: (vdev: VdpaDevice) => number;
  readonly get_device_id: (vdev: VdpaDevice) => number;
  readonly get_vendor_id: (vdev: VdpaDevice) => number;
  readonly get_status: (vdev: VdpaDevice) => number;
  readonly set_status: (vdev: VdpaDevice, status: number) => Promise<void>;
  readonly reset: (vdev: VdpaDevice) => Promise<void>;
  /** (optional; later than 6.1) A reset for front-ends of before. @param flags VDPA_RESET_F_CLEAN_MAP: mappings go too */
  readonly compat_reset?: (vdev: VdpaDevice, flags: number) => Promise<void>;
  /** (optional) */
  readonly suspend?: (vdev: VdpaDevice) => Promise<void>;
  /** (optional; later than 6.1) */
  readonly resume?: (vdev: VdpaDevice) => Promise<void>;
  readonly get_config_size: (vdev: VdpaDevice) => number;
  readonly get_config: (vdev: VdpaDevice, offset: number, len: number) => Uint8Array;
  readonly set_config: (vdev: VdpaDevice, offset: number, bytes: Uint8Array) => Promise<void>;
  /** (optional) */
  readonly get_generation?: (vdev: VdpaDevice) => number;
  /** (optional) */
  readonly get_iova_range?: (vdev: VdpaDevice) => VdpaIovaRange;
  /** (optional) The whole new table of an address space. Excludes dma_map. */
  readonly set_map?: (vdev: VdpaDevice, asid: number, iotlb: VhostIotlb) => Promise<void>;
  /** (optional; needs dma_unmap) */
  readonly dma_map?: (vdev: VdpaDevice, asid: number, iova: bigint, size: bigint, pa: bigint, perm: number, opaque: unknown) => Promise<void>;
  /** (optional; needs dma_map) */
  readonly dma_unmap?: (vdev: VdpaDevice, asid: number, iova: bigint, size: bigint) => Promise<void>;
  /** (optional; later than 6.1) Back to the first mapping: the address space goes away. */
  readonly reset_map?: (vdev: VdpaDevice, asid: number) => Promise<void>;
  /** (optional) */
  readonly set_group_asid?: (vdev: VdpaDevice, group: number, asid: number) => Promise<void>;
  /** (optional) DMA device of one queue. */
  readonly get_vq_dma_dev?: (vdev: VdpaDevice, idx: number) => Device;
  /** (optional) */
  readonly bind_mm?: (vdev: VdpaDevice, mm: MmStruct) => Promise<void>;
  readonly unbind_mm?: (vdev: VdpaDevice) => Promise<void>;
  /** (optional) Last reference gone. */
  readonly free?: (vdev: VdpaDevice) => Atomic;
}

/** `struct vdpa_device` */
export interface VdpaDevice {
  readonly dev: Device;
  /** Device that does the DMA. */
  readonly dma_dev: Device;
  /** Who translates the addresses of its DMA: the platform's IOMMU, or the device, whose parent has map operations then. */
  readonly dma_type: 'platform' | 'device';
  readonly config: VdpaConfigOps;
  readonly cf_lock: RwSemaphore;
  readonly index: number;
  features_valid: boolean;
  readonly use_va: boolean;
  readonly nvqs: number;
  readonly ngroups: number;
  readonly nas: number;
  mdev: VdpaMgmtDev | null;
  /** Bus drivers the parent supports. */
  readonly models: ReadonlySet<VdpaModel>;
  /** The parent's own. */
  readonly priv: unknown;
  /** `vdpa_set_features`, inline in Linux and so no symbol there: through the lock, marks features valid. */
  readonly set_features: (features: bigint) => Promise<void>;
  /** `vdpa_reset`, likewise: features are no longer valid. @param flags VDPA_RESET_F_*, for parents with `compat_reset`; 0 when absent */
  readonly reset: (flags?: number) => Promise<void>;
}

/** What a parent gives to make a device: `__vdpa_alloc_device`. */
export interface VdpaDeviceInit {
  /** Parent in sysfs; null puts it at /sys/devices. */
  readonly parent: Device | null;
  /** Null: the vDPA device itself, whose parent gives it a DMA API. */
  readonly dma_dev: Device | null;
  readonly config: VdpaConfigOps;
  readonly ngroups: number;
  readonly nas: number;
  /** Absent: `vdpa<index>`. */
  readonly name?: string;
  readonly use_va?: boolean;
  /** Absent: all three. */
  readonly models?: readonly string[];
  readonly priv: unknown;
}

/** `struct vdpa_driver`: a bus driver. */
export interface VdpaDriver {
  readonly name: string;
  readonly owner: KModule;
  /** The model it needs of a parent. */
  readonly model: VdpaModel;
  readonly probe: (vdev: VdpaDevice) => Promise<void>;
  readonly remove?: (vdev: VdpaDevice) => Promise<void>;
}

/** `struct vdpa_dev_set_config`: what `vdpa dev add` may ask for. */
export interface VdpaDevSetConfig {
  readonly device_features: bigint;
  readonly net: { readonly mac: Uint8Array; readonly mtu: number; readonly max_vq_pairs: number };
  /** Bit per VDPA_ATTR_* given. */
  readonly mask: bigint;
}

/** `struct vdpa_mgmtdev_ops` */
export interface VdpaMgmtDevOps {
  readonly dev_add: (mdev: VdpaMgmtDev, name: string, config: VdpaDevSetConfig) => Promise<void>;
  readonly dev_del: (mdev: VdpaMgmtDev, vdev: VdpaDevice) => Promise<void>;
  /** (optional; later than 6.1) Change a device's address. */
  readonly dev_set_attr?: (mdev: VdpaMgmtDev, vdev: VdpaDevice, config: VdpaDevSetConfig) => Promise<void>;
}

/** `struct vdpa_mgmt_dev` */
export interface VdpaMgmtDev {
  readonly device: Device;
  readonly ops: VdpaMgmtDevOps;
  /** virtio ids it can make. */
  readonly id_table: readonly number[];
  /** Bit per VDPA_ATTR_* it takes. */
  readonly config_attr_mask: bigint;
  readonly supported_features: bigint;
  readonly max_supported_vqs: number;
  readonly priv: unknown;
}

export interface VdpaSymbols {
  /** @throws EINVAL without ops, with half a map pair, with use_va but no mapping ops, for an unknown model */
  __vdpa_alloc_device: (init: VdpaDeviceInit) => Promise<VdpaDevice>;
  /** For devices without management. @throws EEXIST */
  vdpa_register_device: (vdev: VdpaDevice, nvqs: number) => Promise<void>;
  vdpa_unregister_device: (vdev: VdpaDevice) => Promise<void>;
  /** From dev_add, with the management lock held. @throws EINVAL without mdev or lock, EEXIST */
  _vdpa_register_device: (vdev: VdpaDevice, nvqs: number) => Promise<void>;
  _vdpa_unregister_device: (vdev: VdpaDevice) => Promise<void>;
  __vdpa_register_driver: (drv: VdpaDriver) => Promise<void>;
  vdpa_unregister_driver: (drv: VdpaDriver) => Promise<void>;
  vdpa_mgmtdev_register: (mdev: VdpaMgmtDev) => Promise<void>;
  /** Deletes its devices first. */
  vdpa_mgmtdev_unregister: (mdev: VdpaMgmtDev) => Promise<void>;
  /** The vDPA device around a bus device. */
  dev_to_vdpa: (dev: Device) => VdpaDevice;
  vdpa_get_drvdata: (vdev: VdpaDevice) => unknown;
  vdpa_set_drvdata: (vdev: VdpaDevice, data: unknown) => Atomic;
  vdpa_get_config: (vdev: VdpaDevice, offset: number, len: number) => Promise<Uint8Array>;
  vdpa_set_config: (vdev: VdpaDevice, offset: number, bytes: Uint8Array) => Promise<void>;
  vdpa_set_status: (vdev: VdpaDevice, status: number) => Promise<void>;
  /** Through the lock, marks features valid. */
  vdpa_set_features: (vdev: VdpaDevice, features: bigint) => Promise<void>;
  /** Through the lock, features are no longer valid. @param flags VDPA_RESET_F_*, for parents with `compat_reset`; 0 when absent */
  vdpa_reset: (vdev: VdpaDevice, flags?: number) => Promise<void>;
  /** Drop the device when allocation is not followed by registration. */
  vdpa_put_device: (vdev: VdpaDevice) => Atomic;
  /** Management devices, newest last, with their devices, for `graph` and leak reports. */
  vdpa_mgmtdevs: () => readonly VdpaMgmtDev[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VdpaSymbols {}
}
