/** What the parts of the module share: one kernel's PCI. */
import type { DriverTable, KernelSymbols, PciHost } from '@vdpalab/abi';
import type { BusType, Device, DeviceDriver } from '@vdpalab/driver-core';
import type { FsSymbols } from '@vdpalab/fs';
import type { IommuSymbols } from '@vdpalab/iommu';
import type { IrqSymbols } from '@vdpalab/irq';
import type { Mutex } from '@vdpalab/sched';
import type { PciBus, PciFunction } from './function.ts';
import type { PciDeviceId, PciDriver } from './header.ts';
import type { AddressWindow } from './window.ts';

/** Imported symbols. */
export const imports = [
  'machine', '_printk',
  'mutex_init', 'mutex_lock', 'mutex_trylock', 'mutex_unlock', 'msleep',
  'capable', 'kernfs_create_dir', 'kernfs_create_file', 'kernfs_create_link', 'kernfs_remove', 'kernfs_remove_by_name',
  'bus_register', 'bus_register_notifier', 'bus_devices',
  'device_initialize', 'device_add', 'device_del', 'put_device', 'device_attach', 'device_driver_attach',
  'device_release_driver', 'device_lock', 'device_unlock', 'dev_set_drvdata', 'dev_get_drvdata',
  'driver_register', 'driver_unregister', 'devm_add_action', 'kobject_uevent', 'dev_err', 'dev_warn', 'dev_info',
  'irq_alloc_msi', 'irq_free_msi',
  'iommu_present', 'iommu_probe_device', 'iommu_release_device', 'iommu_device_use_default_domain',
  'iommu_device_unuse_default_domain',
] as const satisfies readonly (keyof KernelSymbols | keyof FsSymbols | keyof IommuSymbols | keyof IrqSymbols)[];

/** The kernel as the PCI bus sees it. */
export type Kernel = Pick<KernelSymbols, (typeof imports)[number]>;

/** One kernel's PCI. */
export interface PciWorld {
  readonly k: Kernel;
  readonly bus: BusType;
  readonly functions: FunctionTable;
  readonly drivers: DriverTable<PciDriver, DeviceDriver>;
  /** Ids that drivers were taught. */
  readonly dynids: Map<PciDriver, PciDeviceId[]>;
  /** `pci_rescan_remove_lock` */
  readonly rescanRemove: Mutex;
  /** `null` when the machine has no PCI. */
  root: PciRoot | null;
}

/** The host bridge. */
export interface PciRoot {
  readonly host: PciHost;
  readonly bus: PciBus;
  /** `pci0000:00` */
  readonly dev: Device;
  readonly mem32: AddressWindow;
  readonly mem64: AddressWindow;
  /** I/O ports; bridges let all of them through. */
  readonly io: AddressWindow;
}

/** All functions, by device and by place. */
export class FunctionTable {
  private readonly byDevice = new Map<Device, PciFunction>();
  private readonly byRid = new Map<number, PciFunction>();
  private sorted: PciFunction[] | null = null;

  add(fn: PciFunction): undefined {
    this.byDevice.set(fn.dev, fn);
    this.byRid.set(fn.rid, fn);
    this.sorted = null;
  }

  remove(fn: PciFunction): undefined {
    this.byDevice.delete(fn.dev);
    this.byRid.delete(fn.rid);
    this.sorted = null;
  }

  /** @throws Error (a lab bug) when it is no PCI function's */
  of(dev: Device): PciFunction {
    const fn = this.byDevice.get(dev);
    if (fn === undefined) throw new Error(`${dev.name}: not a PCI function`);
    return fn;
  }

  at(bus: number, devfn: number): PciFunction | null {
    return this.byRid.get((bus << 8) | devfn) ?? null;
  }

  /** In bus order. */
  list(): readonly PciFunction[] {
    this.sorted ??= [...this.byRid.values()].toSorted((a, b) => a.rid - b.rid);
    return this.sorted;
  }
}
