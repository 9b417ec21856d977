/**
 * Mediated devices: devices that a driver makes up, one for each UUID that is written to a file of its parent.
 *
 * Mirrors `include/linux/mdev.h` (Linux 6.1), and the same file as it was proposed in 2016 with
 * `Documentation/vfio-mediated-device.txt`. One engine serves both surfaces: {@link MdevDriver} and
 * {@link MdevSymbols.mdev_register_parent} are today's, {@link MdevBusDriver}, {@link ParentOps} and
 * {@link MdevSymbols.mdev_register_device} those of 2016. On the latter stand the classes of an RFC of 2019, by which virtio and
 * vhost drivers were to find devices of their own: {@link MdevBusDriver.id_table}, {@link VirtioMdevDeviceOps}.
 */
import type { Atomic, KModule } from '@vdpalab/abi';
import type { Attribute, AttributeGroup, Device, DeviceDriver } from '@vdpalab/driver-core';
import type { Process } from '@vdpalab/fs';
import type { VmArea } from '@vdpalab/mm';
import type { VirtioMdevDeviceOps } from './virtio-mdev-ops.ts';

export type { VirtioMdevCallback, VirtioMdevDeviceOps } from './virtio-mdev-ops.ts';

/** Attributes as text; a named group makes a sub-directory. */
export type TextGroup<T> = Pick<AttributeGroup<T>, 'name' | 'attrs'>;

/** `struct mdev_type`: a kind of device that a parent can make; of one parent, which the core notes in it. */
export interface MdevType {
  /** The part of the directory's name after the driver's: `DRIVER-NAME`. */
  readonly sysfs_name: string;
  /** For people; today `name` shows `sysfs_name` when absent. */
  readonly pretty_name?: string;
  parent: MdevParent | null;
}

/** `struct mdev_parent`: the caller's, empty until it is registered. */
export interface MdevParent {
  /** The physical device; null while not registered. */
  dev: Device | null;
  /** Today's; null for a parent of 2016. */
  mdev_driver: MdevDriver | null;
  /** Of 2016; null for a parent of today. */
  ops: ParentOps | null;
  types: readonly MdevType[];
}

/** `struct mdev_device` */
export interface MdevDevice {
  readonly dev: Device;
  /** In small letters, which is also the device's name. */
  readonly uuid: string;
  readonly type: MdevType;
  readonly parent: MdevParent & { readonly dev: Device };
  /** `mdev_get_drvdata`, `mdev_set_drvdata`: the parent's own, apart from `dev_get_drvdata`, which a bus driver has. */
  driver_data: unknown;
  /** `mdev_set_class`: which bus drivers may take it, MDEV_CLASS_ID_*; a device of VFIO's unless its parent says otherwise in `create`. */
  class_id: number;
  /** `mdev_set_virtio_ops`, `mdev_set_vhost_ops`: what drivers of these classes are given; null for a device of VFIO's. */
  device_ops: VirtioMdevDeviceOps | null;
  /** `mdev_set_iommu_device`: whose DMA its DMA is; null when it has its own, or none. */
  iommu_device: Device | null;
}

/** `struct mdev_driver` of today: it belongs to a parent, and gets that parent's devices and no others. */
export interface MdevDriver {
  /** What `device_api` shows: VFIO_DEVICE_API_*_STRING. */
  readonly device_api: string;
  /** Devices of all types together; counts only without `get_available`. */
  readonly max_instances?: number;
  readonly probe: (mdev: MdevDevice) => Promise<void>;
  readonly remove: (mdev: MdevDevice) => Promise<void>;
  /** How many more of this type could be made. */
  readonly get_available?: (type: MdevType) => number;
  /** Text of `description`, newline included; absent: no such file. */
  readonly show_description?: (type: MdevType) => string;
  /** (optional; 5.19 to 6.0) Further files of each type. */
  readonly types_attrs?: readonly Attribute<MdevType>[];
  /** `struct device_driver`, as far as the caller fills it in. */
  readonly driver: {
    readonly name: string;
    readonly owner: KModule;
    readonly dev_groups?: readonly AttributeGroup<Device>[];
  };
}

/** `struct mdev_driver` of 2016: a bus driver such as vfio_mdev, which takes the devices of every parent of 2016. */
export interface MdevBusDriver {
  readonly name: string;
  /** (2019) Classes of devices it takes, MDEV_CLASS_ID_*; VFIO's when absent. */
  readonly id_table?: readonly number[];
  readonly probe: (dev: Device) => Promise<void>;
  readonly remove: (dev: Device) => Promise<void>;
  /** `struct device_driver`, as far as the caller fills it in. */
  readonly driver?: { readonly groups?: readonly AttributeGroup<DeviceDriver>[]; readonly dev_groups?: readonly AttributeGroup<Device>[] };
}

/** One of `supported_config` (later `supported_type_groups`): a type, by its group's name, and its files. */
export interface MdevTypeGroup {
  readonly name: string;
  /** `device_api` and `available_instances` must be among them; `name` and `description` may be. */
  readonly attrs: readonly Attribute<MdevType>[];
}

/** `struct parent_ops` of 2016 (later `mdev_parent_ops`): what a vendor's driver does for its mediated devices. */
export interface ParentOps {
  readonly owner: KModule;
  readonly dev_attr_groups?: readonly TextGroup<Device>[];
  readonly mdev_attr_groups?: readonly AttributeGroup<Device>[];
  readonly supported_config: readonly MdevTypeGroup[];
  /** Take what one device needs. @throws the errno of the write to `create` */
  readonly create: (type: MdevType, mdev: MdevDevice) => Promise<void>;
  /** Give it back. @throws to refuse, when the device is in use and cannot be unplugged; not heard when the parent goes */
  readonly remove: (mdev: MdevDevice) => Promise<void>;
  readonly open?: (mdev: MdevDevice) => Promise<void>;
  readonly close?: (mdev: MdevDevice) => Promise<void>;
  /** @param pos in the device's file: a region's offset and an address in it */
  readonly read?: (mdev: MdevDevice, len: number, pos: number) => Promise<Uint8Array>;
  readonly write?: (mdev: MdevDevice, bytes: Uint8Array, pos: number) => Promise<number>;
  readonly ioctl?: (mdev: MdevDevice, cmd: number, arg: number, proc: Process) => Promise<number>;
  readonly mmap?: (mdev: MdevDevice, vma: VmArea, proc: Process) => Promise<void>;
  /** User memory goes: unpin what is pinned of it before returning. @param iova bytes @param length bytes */
  readonly notifier?: (mdev: MdevDevice, action: 'VFIO_IOMMU_NOTIFY_DMA_UNMAP', iova: number, length: number) => Promise<void>;
}

export interface MdevSymbols {
  /**
   * Put a driver on the bus `mdev`: today's with one argument, of 2016 with its owner, who is held while a device is bound.
   *
   * @throws EINVAL for one of today without `device_api`, and one of 2016 without an owner; EBUSY for a name that is taken
   */
  mdev_register_driver: (drv: MdevDriver | MdevBusDriver, owner?: KModule) => Promise<void>;
  /** Unbinds its devices first. */
  mdev_unregister_driver: (drv: MdevDriver | MdevBusDriver) => Promise<void>;
  /**
   * Today's: make a device a parent of mediated devices. What fails leaves nothing behind.
   *
   * @param nr_types how many of `types` are meant
   * @throws EINVAL for a driver that is not registered; ENOMEM when the device is a parent; EEXIST for a type named twice
   */
  mdev_register_parent: (parent: MdevParent, dev: Device, mdev_driver: MdevDriver, types: readonly MdevType[], nr_types: number) => Promise<void>;
  /** Removes all its devices, waiting for their users. */
  mdev_unregister_parent: (parent: MdevParent) => Promise<void>;
  /**
   * Of 2016: make a device a parent.
   *
   * @throws EINVAL without create, remove, types, or without a type's `device_api` or `available_instances`; EEXIST when it is one
   */
  mdev_register_device: (dev: Device, ops: ParentOps) => Promise<void>;
  mdev_unregister_device: (dev: Device) => Promise<void>;
  /** The mediated device around a bus device; null for a device of another bus. */
  mdev_from_dev: (dev: Device) => MdevDevice | null;
  mdev_get_drvdata: (mdev: MdevDevice) => unknown;
  mdev_set_drvdata: (mdev: MdevDevice, data: unknown) => Atomic;

  /** Of 2019, from a parent's `create`: which bus drivers may take the device. @param id MDEV_CLASS_ID_* */
  mdev_set_class: (mdev: MdevDevice, id: number) => Atomic;
  /** Make it one of MDEV_CLASS_ID_VIRTIO. */
  mdev_set_virtio_ops: (mdev: MdevDevice, ops: VirtioMdevDeviceOps) => Atomic;
  /** @throws Error (a driver's mistake) for a device of another class */
  mdev_get_virtio_ops: (mdev: MdevDevice) => VirtioMdevDeviceOps;
  /** Make it one of MDEV_CLASS_ID_VHOST. */
  mdev_set_vhost_ops: (mdev: MdevDevice, ops: VirtioMdevDeviceOps) => Atomic;
  /** @throws Error (a driver's mistake) for a device of another class */
  mdev_get_vhost_ops: (mdev: MdevDevice) => VirtioMdevDeviceOps;
  /** Linux 5.1 to 5.16: the physical device does its DMA. */
  mdev_set_iommu_device: (mdev: MdevDevice, iommu_device: Device | null) => Atomic;
  mdev_get_iommu_device: (mdev: MdevDevice) => Device | null;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends MdevSymbols {}
}
