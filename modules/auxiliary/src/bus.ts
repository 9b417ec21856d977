/** The bus type. Mirrors `drivers/base/auxiliary.c` (Linux 6.1). */
import type { BusType, Device, DeviceDriver } from '@vdpalab/driver-core';
import type { AuxiliaryDevice, AuxiliaryDeviceId, AuxiliaryDriver } from './header.ts';

/** Module and part, without the number: what ids and aliases name. */
export const partName = (dev: Device): string => dev.name.slice(0, dev.name.lastIndexOf('.'));

/** The first id that names the device. @see `auxiliary_match_id` */
function matchId(dev: Device, drv: AuxiliaryDriver): AuxiliaryDeviceId | undefined {
  return drv.id_table.find((id) => id.name === partName(dev));
}

/** The bus, over the devices and drivers the module keeps. */
export function auxiliaryBus(of: (dev: Device) => AuxiliaryDevice, driverOf: (drv: DeviceDriver) => AuxiliaryDriver): BusType {
  return {
    name: 'auxiliary',
    match: (dev, drv) => matchId(dev, driverOf(drv)) !== undefined,
    uevent: (dev) => [`MODALIAS=auxiliary:${partName(dev)}`],
    async probe(dev) {
      const drv = driverOf(dev.driver!); // a device that is probed has a driver
      await drv.probe(of(dev), matchId(dev, drv)!); // it has been matched
    },
    async remove(dev) {
      await driverOf(dev.driver!).remove?.(of(dev));
    },
  };
}
