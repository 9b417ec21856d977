/** The bus `mdev` and its drivers. Mirrors `drivers/vfio/mdev/mdev_driver.c` (Linux 6.1 and 4.10). */
import { DriverTable, KernelError } from '@vdpalab/abi';
import type { KernelSymbols, KModule } from '@vdpalab/abi';
import type { BusType, Device, DeviceDriver } from '@vdpalab/driver-core';
import { MDEV_CLASS_ID_VFIO } from '@vdpalab/uapi';
import type { MdevBusDriver, MdevDevice, MdevDriver, MdevSymbols } from './header.ts';

/** A driver of one of both surfaces; only one of 2016 has its name on the outside. */
type AnyDriver = MdevDriver | MdevBusDriver;

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
  const drivers = new DriverTable<AnyDriver, DeviceDriver>(k);

  const bus: BusType = {
    name: 'mdev',
    match(dev, driver) {
      const drv = drivers.of(driver);
      if (!('name' in drv)) return false; // one of today gets its devices from its parent alone
      const { parent, class_id } = mdevOf(dev);
      return parent.ops !== null && (drv.id_table ?? [MDEV_CLASS_ID_VFIO]).includes(class_id);
    },
    async probe(dev) {
      const driver = dev.driver!; // a device that is probed has a driver
      const drv = drivers.of(driver);
      if (!('name' in drv)) return drv.probe(mdevOf(dev));
      if (!k.try_module_get(driver.owner)) throw new KernelError('ENODEV', 'mdev.probe.owner', `${dev.name}: module ${driver.owner?.name} is going`);
      try {
        await drv.probe(dev);
      } catch (error) {
        k.module_put(driver.owner);
        throw error;
      }
    },
    async remove(dev) {
      const driver = dev.driver!; // so has one that is removed
      const drv = drivers.of(driver);
      if (!('name' in drv)) return drv.remove(mdevOf(dev));
      try {
        await drv.remove(dev);
      } finally {
        k.module_put(driver.owner);
      }
    },
  };

  function coreOf(drv: AnyDriver, owner: KModule | undefined): DeviceDriver {
    if ('name' in drv) {
      if (owner === undefined) throw new KernelError('EINVAL', 'mdev.driver.owner', `driver ${drv.name}: no owner`);
      return { ...drv.driver, name: drv.name, bus, owner };
    }
    if (typeof drv.device_api !== 'string') throw new KernelError('EINVAL', 'mdev.driver.device-api', `driver ${drv.driver.name}: no device_api`);
    return { ...drv.driver, bus };
  }

  return {
    bus,
    driverOf: (drv) => drivers.find(drv),
    mdev_register_driver: async (drv, owner) => drivers.register(drv, coreOf(drv, owner)),
    mdev_unregister_driver: (drv) => drivers.unregister(drv),
  };
}
