/** What the driver core keeps of devices, buses, drivers and classes: `struct device_private` and its like. */
import { UndoStack } from '@vdpalab/abi';
import type { DirNode } from '@vdpalab/fs';
import { SysfsFiles } from './files.ts';
import type { BusNotifier, BusType, Class, Device, DeviceDriver } from './header.ts';
import type { Kernel } from './kernel.ts';
import { KList } from './klist.ts';
import type { ModuleDirs } from './module-sysfs.ts';
import { Steps } from './steps.ts';
import { chomp } from './streq.ts';
import type { Uevents } from './uevent.ts';

/** The fields of a device, all writable: only the core writes the read-only ones. */
export type DeviceRecord = { -readonly [K in keyof Device]: Device[K] };

/** `struct device_private` */
export class DeviceState {
  readonly dev: DeviceRecord;
  readonly files: SysfsFiles;
  /** What device_add did. */
  readonly steps = new Steps();
  /** What a bound driver made in sysfs. */
  readonly driverSteps = new Steps();
  readonly children = new Set<Device>();
  /** `devres_head` */
  readonly devres = new UndoStack();

  constructor(k: Kernel, dev: DeviceRecord) {
    this.dev = dev;
    this.files = new SysfsFiles(k, dev.name);
  }
}

/** `struct subsys_private` of a bus. */
export class BusState {
  readonly bus: BusType;
  readonly files: SysfsFiles;
  readonly steps = new Steps();
  readonly devices: KList<Device>;
  /** Devices by name, a newline at its end left out. Names are different but for that. */
  readonly #byName = new Map<string, Set<Device>>();
  readonly drivers: KList<DeviceDriver>;
  readonly notifiers = new Set<BusNotifier>();
  autoprobe = true;
  /** Where its devices without a parent go; /sys/devices when null. */
  root: DirNode | null = null;
  readonly dir: DirNode;
  readonly devicesDir: DirNode;
  readonly driversDir: DirNode;

  constructor(k: Kernel, bus: BusType, dir: DirNode) {
    this.bus = bus;
    this.dir = dir;
    this.files = new SysfsFiles(k, `bus ${bus.name}`);
    this.devices = new KList(k, `devices of bus ${bus.name}`);
    this.drivers = new KList(k, `drivers of bus ${bus.name}`);
    this.devicesDir = k.kernfs_create_dir(dir, 'devices');
    this.driversDir = k.kernfs_create_dir(dir, 'drivers');
  }

  add(dev: Device): void {
    this.devices.add(dev);
    const name = chomp(dev.name);
    this.#byName.set(name, (this.#byName.get(name) ?? new Set()).add(dev));
  }

  del(dev: Device): void {
    this.devices.del(dev);
    const name = chomp(dev.name);
    const same = this.#byName.get(name);
    if (same?.delete(dev) === true && same.size === 0) this.#byName.delete(name);
  }

  /** The oldest device of that name, which has no newline at its end. */
  find(name: string): Device | null {
    const [oldest] = this.#byName.get(name) ?? [];
    return oldest ?? null;
  }
}

/** `struct driver_private` */
export class DriverState {
  readonly drv: DeviceDriver;
  readonly dir: DirNode;
  readonly files: SysfsFiles;
  readonly steps = new Steps();
  readonly devices: KList<Device>;

  constructor(k: Kernel, drv: DeviceDriver, dir: DirNode) {
    this.drv = drv;
    this.dir = dir;
    this.files = new SysfsFiles(k, `driver ${drv.name}`);
    this.devices = new KList(k, `devices of driver ${drv.name}`);
  }
}

/** A directory named after a class under a parent that is in no class: `struct class_dir`. */
export interface GlueDir {
  readonly dir: DirNode;
  users: number;
}

/** `struct subsys_private` of a class. */
export class ClassState {
  readonly cls: Class;
  readonly dir: DirNode;
  readonly files: SysfsFiles;
  readonly devices = new Set<Device>();
  readonly glue = new Map<DirNode, GlueDir>();

  constructor(k: Kernel, cls: Class, dir: DirNode) {
    this.cls = cls;
    this.dir = dir;
    this.files = new SysfsFiles(k, `class ${cls.name}`);
  }
}

/** Directories of the core. */
export interface Dirs {
  readonly devices: DirNode;
  readonly bus: DirNode;
  readonly class: DirNode;
  readonly kernel: DirNode;
  readonly module: DirNode;
  /** /sys/dev/char and /sys/dev/block */
  readonly devChar: DirNode;
  readonly devBlock: DirNode;
}

/** Everything the driver core of one kernel knows. */
export interface Core {
  readonly k: Kernel;
  readonly dirs: Dirs;
  readonly uevents: Uevents;
  readonly moduleDirs: ModuleDirs;
  /** Devices that have a reference. */
  readonly devices: Map<Device, DeviceState>;
  /** Those in sysfs, in the order of device_add. */
  readonly added: Set<Device>;
  readonly buses: Map<BusType, BusState>;
  readonly drivers: Map<DeviceDriver, DriverState>;
  readonly classes: Map<Class, ClassState>;
  /** See deferred.ts. */
  readonly deferred: { add: (dev: Device) => undefined; del: (dev: Device) => undefined; trigger: () => undefined; triggers: () => number };
}

/** @throws Error (a lab bug) for a device that was never initialised, or is released */
export function deviceState(core: Core, dev: Device): DeviceState {
  const state = core.devices.get(dev);
  if (state === undefined) throw new Error(`device ${dev.name}: not made by device_initialize, or released already`);
  return state;
}

/** @throws Error (a lab bug) for a bus that is not registered */
export function busState(core: Core, bus: BusType): BusState {
  const state = core.buses.get(bus);
  if (state === undefined) throw new Error(`bus ${bus.name}: not registered`);
  return state;
}

/** @throws Error (a lab bug) for a driver that is not registered */
export function driverState(core: Core, drv: DeviceDriver): DriverState {
  const state = core.drivers.get(drv);
  if (state === undefined) throw new Error(`driver ${drv.name}: not registered`);
  return state;
}

/** Path of a directory as uevents name it: without `/sys`. */
export function devpath(core: Core, dir: DirNode): string {
  return core.k.kernfs_path(dir).replace(/^\/sys/, '');
}
