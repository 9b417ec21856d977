/**
 * The driver core: devices, buses, drivers, classes, binding, uevents.
 *
 * Mirrors `include/linux/{device,device/bus,device/driver,device/class,kobject,cdev}.h` (Linux 6.1).
 */
import type { Atomic, KModule } from '@vdpalab/abi';
import type { DirNode, FileOperations, Process } from '@vdpalab/fs';
import type { VmArea } from '@vdpalab/mm';
import type { Mutex, Workqueue } from '@vdpalab/sched';

/** Filled in by the `iommu` header. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface IommuGroup {}

/** What the DMA API keeps of a device; filled in by the `iommu` header. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface DeviceDma {}

/** An attribute of a device, a driver or a bus. */
export interface Attribute<T> {
  readonly name: string;
  /** Permission bits. */
  readonly mode: number;
  /** @returns text, newline included */
  readonly show?: (of: T) => Promise<string>;
  readonly store?: (of: T, text: string) => Promise<void>;
  /** Absent, or true to be shown. */
  readonly is_visible?: (of: T) => boolean;
}

/** A binary attribute, such as PCI's `config`. */
export interface BinAttribute<T> {
  readonly name: string;
  readonly mode: number;
  readonly size: (of: T) => number;
  readonly read?: (of: T, pos: number, len: number) => Promise<Uint8Array>;
  readonly write?: (of: T, pos: number, bytes: Uint8Array) => Promise<number>;
  /** Fill in the area's backing; absent: ENODEV. */
  readonly mmap?: (of: T, vma: VmArea, proc: Process) => Promise<void>;
  readonly is_visible?: (of: T) => boolean;
}

/** `struct attribute_group`: a named group makes a sub-directory. */
export interface AttributeGroup<T> {
  readonly name?: string;
  readonly attrs?: readonly Attribute<T>[];
  readonly bin_attrs?: readonly BinAttribute<T>[];
}

/** `struct device`. Made by {@link DriverCoreSymbols.device_initialize} around the caller's object. */
export interface Device {
  /** Name under the parent: `dev_name`. */
  name: string;
  parent: Device | null;
  bus: BusType | null;
  class: Class | null;
  /** `dev_t`; set it before device_add to get /dev and /sys/dev/char entries. */
  devt: { readonly major: number; readonly minor: number } | null;
  /** Name and mode of the /dev node when `devt` is set; the device's name and 0600 when absent. */
  devnode?: { readonly name: string; readonly mode: number };
  readonly groups?: readonly AttributeGroup<Device>[];
  /** Bound driver. */
  driver: DeviceDriver | null;
  driver_data: unknown;
  /** 'driver_override' text; null when unset. */
  driver_override: string | null;
  /** Directory in sysfs; null before device_add and after device_del. */
  sd: DirNode | null;
  /** `device_lock` */
  readonly lock: Mutex;
  /** Runs when the last reference goes. */
  readonly release: (dev: Device) => Atomic;
  /** Extra KEY=value lines of this device's uevents. */
  readonly uevent?: (dev: Device) => readonly string[];
  iommu_group: IommuGroup | null;
  dma: DeviceDma | null;
  readonly refcount: number;
  /** A word such as `network` that dev_info puts before the name comes from driver or bus. */
  readonly dead: boolean;
}

/** What a caller gives to make a device. */
export interface DeviceInit {
  readonly name: string;
  readonly parent?: Device | null;
  readonly bus?: BusType | null;
  readonly class?: Class | null;
  readonly groups?: readonly AttributeGroup<Device>[];
  readonly release?: (dev: Device) => Atomic;
  readonly uevent?: (dev: Device) => readonly string[];
  readonly devt?: { readonly major: number; readonly minor: number };
  readonly devnode?: { readonly name: string; readonly mode: number };
}

/** `struct bus_type` */
export interface BusType {
  readonly name: string;
  /** Whether the driver can take the device; absent: every driver can. `driver_override` is the bus's business. */
  readonly match?: (dev: Device, drv: DeviceDriver) => boolean;
  readonly probe?: (dev: Device) => Promise<void>;
  readonly remove?: (dev: Device) => Promise<void>;
  readonly uevent?: (dev: Device) => readonly string[];
  /** Before probe: claims the DMA default domain. @throws EBUSY when the group is owned by user space */
  readonly dma_configure?: (dev: Device) => Promise<void>;
  readonly dma_cleanup?: (dev: Device) => Promise<void>;
  /** How many virtual functions a device has; 0 when absent. */
  readonly num_vf?: (dev: Device) => number;
  readonly bus_groups?: readonly AttributeGroup<BusType>[];
  readonly dev_groups?: readonly AttributeGroup<Device>[];
  readonly drv_groups?: readonly AttributeGroup<DeviceDriver>[];
  /** Writable `uevent`, `driver_override` handled by the core when set: shows "(null)" when unset. */
  readonly driver_override?: boolean;
}

/** `struct device_driver` */
export interface DeviceDriver {
  readonly name: string;
  readonly bus: BusType;
  readonly owner: KModule | null;
  readonly probe?: (dev: Device) => Promise<void>;
  readonly remove?: (dev: Device) => Promise<void>;
  readonly groups?: readonly AttributeGroup<DeviceDriver>[];
  /** Attributes of a device while this driver has it: made after probe, gone before remove. */
  readonly dev_groups?: readonly AttributeGroup<Device>[];
  /** No bind and unbind files. */
  readonly suppress_bind_attrs?: boolean;
}

/** What a bus tells its notifiers of a device: `BUS_NOTIFY_*`. */
export type BusNotify =
  | 'ADD_DEVICE' | 'DEL_DEVICE' | 'REMOVED_DEVICE' | 'BIND_DRIVER' | 'BOUND_DRIVER' | 'UNBIND_DRIVER' | 'UNBOUND_DRIVER'
  | 'DRIVER_NOT_BOUND';

/** A notifier of a bus; may sleep. */
export type BusNotifier = (action: BusNotify, dev: Device) => Promise<void>;

/** `struct miscdevice` */
export interface MiscDevice {
  readonly minor: number;
  readonly name: string;
  /** Path of its node below /dev. */
  readonly nodename: string;
  /** Permission bits of the node. */
  readonly mode: number;
  /** Its owner is held while a file is open. */
  readonly fops: FileOperations;
}

/** `struct class` */
export interface Class {
  readonly name: string;
  readonly dev_groups?: readonly AttributeGroup<Device>[];
  readonly dev_uevent?: (dev: Device) => readonly string[];
  readonly class_groups?: readonly AttributeGroup<Class>[];
}

/** What sysfs shows of a work queue. */
export interface WorkqueueTraits {
  /** `WQ_UNBOUND`: its workers run on any processor. */
  readonly unbound: boolean;
  /** Works that may run at once. */
  readonly max_active: number;
  /** Priority of its workers, -20 to 19. */
  readonly nice: number;
}

/** A uevent as sent: `add@/devices/vdpa0` and its environment, in Linux's order. */
export interface Uevent {
  readonly action: 'add' | 'remove' | 'change' | 'move' | 'online' | 'offline' | 'bind' | 'unbind';
  /** Without `/sys`. */
  readonly devpath: string;
  readonly env: readonly string[];
  readonly seqnum: number;
}

/** A device or another object that owns a sysfs directory and sends uevents. */
export interface Kobject {
  readonly sd: DirNode;
  readonly subsystem: string | null;
}

/** `struct ida`: small numbers, handed out lowest first. */
export interface Ida {
  /** Numbers taken now. */
  readonly size: number;
}

export interface DriverCoreSymbols {
  ida_init: () => Ida;
  /** @returns the lowest free number. @throws ENOSPC when all up to `max` are taken */
  ida_alloc_max: (ida: Ida, max: number) => number;
  ida_free: (ida: Ida, n: number) => Atomic;

  bus_register: (bus: BusType) => Promise<void>;
  bus_unregister: (bus: BusType) => Promise<void>;
  /** Devices on the bus, oldest first. */
  bus_devices: (bus: BusType) => readonly Device[];
  bus_drivers: (bus: BusType) => readonly DeviceDriver[];
  /** The registered bus of that name. */
  find_bus: (name: string) => BusType | null;
  bus_find_device_by_name: (bus: BusType, name: string) => Device | null;
  /** Be told of the bus's devices from now on, in the order of registration. */
  bus_register_notifier: (bus: BusType, notifier: BusNotifier) => Atomic;
  bus_unregister_notifier: (bus: BusType, notifier: BusNotifier) => Atomic;
  /** Probe every device of the bus that has no driver. */
  bus_rescan_devices: (bus: BusType) => Promise<void>;

  /** Make a device around `init`; refcount 1; not in sysfs yet. */
  device_initialize: (init: DeviceInit) => Device;
  /**
   * Put it in sysfs and on its bus, announce it, probe it. What fails leaves nothing behind.
   *
   * @throws EEXIST when the name is taken; probe errors do not fail it
   */
  device_add: (dev: Device) => Promise<void>;
  /** Unbind, announce, remove from sysfs; refcount is the caller's. */
  device_del: (dev: Device) => Promise<void>;
  /** device_initialize was done by the caller; add. */
  device_unregister: (dev: Device) => Promise<void>;
  /** Give a device of a class another name. @throws EEXIST */
  device_rename: (dev: Device, name: string) => Atomic;
  get_device: (dev: Device) => Device;
  put_device: (dev: Device) => Atomic;
  dev_name: (dev: Device) => string;
  dev_set_drvdata: (dev: Device, data: unknown) => Atomic;
  dev_get_drvdata: (dev: Device) => unknown;
  device_create_file: (dev: Device, attr: Attribute<Device>) => Atomic;
  device_remove_file: (dev: Device, name: string) => Atomic;
  /** Children in sysfs, oldest first. */
  device_children: (dev: Device) => readonly Device[];
  /** Bind to this driver only. @throws EBUSY ENODEV, or the probe's errno */
  device_driver_attach: (drv: DeviceDriver, dev: Device) => Promise<void>;
  /** Unbind from whatever has it. */
  device_release_driver: (dev: Device) => Promise<void>;
  /** Try every driver of the bus. @returns whether it is bound now */
  device_attach: (dev: Device) => Promise<boolean>;
  /** @param wchan Linux's function that takes it, as of `mutex_lock` */
  device_lock: (dev: Device, wchan?: string) => Promise<void>;
  device_unlock: (dev: Device) => Atomic;

  /** @throws EBUSY when the name is taken on the bus */
  driver_register: (drv: DeviceDriver) => Promise<void>;
  /** Unbinds all its devices first. */
  driver_unregister: (drv: DeviceDriver) => Promise<void>;
  driver_devices: (drv: DeviceDriver) => readonly Device[];

  class_register: (cls: Class) => Atomic;
  class_unregister: (cls: Class) => Atomic;

  /** `WQ_SYSFS`: show a work queue at /sys/devices/virtual/workqueue. @throws EEXIST */
  workqueue_sysfs_register: (wq: Workqueue, traits: WorkqueueTraits) => Promise<void>;
  /** Hide it again; nothing when it was not shown. */
  workqueue_sysfs_unregister: (wq: Workqueue) => Promise<void>;

  /** Add a device together with the character device behind its `devt`. */
  cdev_device_add: (dev: Device, ops: FileOperations, owner: KModule | null, private_data: unknown) => Promise<void>;
  cdev_device_del: (dev: Device) => Promise<void>;

  /** A character device with a fixed minor of major 10, in class `misc`. @throws EEXIST @param nodename its path below /dev */
  misc_register: (misc: MiscDevice) => Promise<Device>;
  misc_deregister: (dev: Device) => Promise<void>;

  /** Undo when the driver goes or its probe fails; run in reverse. */
  devm_add_action: (dev: Device, what: string, undo: () => Promise<void> | Atomic) => Atomic;

  kobject_uevent: (dev: Device, action: Uevent['action'], env?: readonly string[]) => Atomic;
  /** Send a uevent for something that is not a device: a module, a driver, a bus. */
  kobject_uevent_at: (devpath: string, subsystem: string, action: Uevent['action'], env?: readonly string[]) => Atomic;
  /** Be told of every uevent from now on. */
  uevent_listen: (listener: (event: Uevent) => Atomic) => Atomic;
  uevent_unlisten: (listener: (event: Uevent) => Atomic) => Atomic;

  /** Text up to the first newline; empty clears. @throws EINVAL for 4095 bytes or more */
  driver_set_override: (dev: Device, text: string) => Atomic;

  /** `dev_info` and friends: "DRIVER BDF: text". */
  dev_err: (dev: Device, text: string) => Atomic;
  dev_warn: (dev: Device, text: string) => Atomic;
  dev_notice: (dev: Device, text: string) => Atomic;
  dev_info: (dev: Device, text: string) => Atomic;

  /** Directories of the core: /sys/devices, /sys/bus, /sys/class, /sys/module, /sys/kernel. */
  devices_dir: DirNode;
  class_dir: DirNode;
  kernel_dir: DirNode;

  /** All devices there are, in the order of device_add. */
  all_devices: () => readonly Device[];
  /** Buses, drivers, devices, references and devres that remain beyond the built-ins' own. */
  driver_core_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends DriverCoreSymbols {}
}
