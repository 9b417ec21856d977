/** The bus `mdev` and its drivers. Mirrors `drivers/vfio/mdev/mdev_driver.c` (Linux 6.1 and 4.10). */
import { KernelError } from '@vdpalab/abi';
import type { KernelSymbols, KModule } from '@vdpalab/abi';
import type { BusType, Device, DeviceDriver } from '@vdpalab/driver-core';
import type { MdevBusDriver, MdevDevice, MdevDriver, MdevSymbols } from './header.ts';

/** A driver of one of both surfaces. */
type Registered =
  | { readonly surface: 'today'; readonly drv: MdevDriver }
  | { readonly surface: '2016'; readonly drv: MdevBusDriver; readonly owner: KModule };

/** What drivers need. */
export type DriversKernel = Pick<KernelSymbols, 'driver_register' | 'driver_unregister' | 'try_module_get' | 'module_put'>;

/** The bus, and who is on it. */
export interface MdevBus extends Pick<MdevSymbols, 'mdev_register_driver' | 'mdev_unregister_driver'> {
  readonly bus: BusType;
  /** A driver of today as the driver core knows it; undefined when it is not registered. */
  readonly driverOf: (drv: MdevDriver) => DeviceDriver | undefined;
}

/** Make the bus of one kernel. */
export function createBus(k: DriversKernel, mdevOf: (dev: Device) => MdevDevice): MdevBus {
  const drivers = new Map<DeviceDriver, Registered>();

  const registered = (dev: Device): Registered => drivers.get(dev.driver!)!; // a device that is probed has a driver of ours
  const find = (drv: MdevDriver | MdevBusDriver): DeviceDriver | undefined => [...drivers].find(([, entry]) => entry.drv === drv)?.[0];

  const bus: BusType = {
    name: 'mdev',
    // A driver of today gets its devices from its parent alone.
    match: (dev, driver) => drivers.get(driver)?.surface === '2016' && mdevOf(dev).parent.ops !== null,
    async probe(dev) {
      const entry = registered(dev);
      if (entry.surface === 'today') return entry.drv.probe(mdevOf(dev));
      if (!k.try_module_get(entry.owner)) throw new KernelError('ENODEV', 'mdev.probe.owner', `${dev.name}: module ${entry.owner.name} is going`);
      try {
        await entry.drv.probe(dev);
      } catch (error) {
        k.module_put(entry.owner);
        throw error;
      }
    },
    async remove(dev) {
      const entry = registered(dev);
      if (entry.surface === 'today') return entry.drv.remove(mdevOf(dev));
      try {
        await entry.drv.remove(dev);
      } finally {
        k.module_put(entry.owner);
      }
    },
  };

  function entryOf(drv: MdevDriver | MdevBusDriver, owner: KModule | undefined): readonly [DeviceDriver, Registered] {
    if ('name' in drv) {
      if (owner === undefined) throw new KernelError('EINVAL', 'mdev.driver.owner', `driver ${drv.name}: no owner`);
      return [{ ...drv.driver, name: drv.name, bus, owner }, { surface: '2016', drv, owner }];
    }
    if (typeof drv.device_api !== 'string') throw new KernelError('EINVAL', 'mdev.driver.device-api', `driver ${drv.driver.name}: no device_api`);
    return [{ ...drv.driver, bus }, { surface: 'today', drv }];
  }

  return {
    bus,
    driverOf: find,
    async mdev_register_driver(drv, owner) {
      const [driver, entry] = entryOf(drv, owner);
      drivers.set(driver, entry);
      try {
        await k.driver_register(driver);
      } catch (error) {
        drivers.delete(driver);
        throw error;
      }
    },
    async mdev_unregister_driver(drv) {
      const driver = find(drv);
      if (driver === undefined) throw new Error('mdev_unregister_driver: the driver is not registered');
      await k.driver_unregister(driver);
      drivers.delete(driver);
    },
  };
}
