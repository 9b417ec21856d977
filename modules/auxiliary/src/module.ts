/** The auxiliary bus. Mirrors `drivers/base/auxiliary.c` (Linux 6.1). */
import { defineModule, DriverTable, isKernelError, KernelError } from '@vdpalab/abi';
import type { Device, DeviceDriver } from '@vdpalab/driver-core';
import { ERRNO } from '@vdpalab/uapi';
import { auxiliaryBus } from './bus.ts';
import type { AuxiliaryDevice, AuxiliaryDriver } from './header.ts';

export default defineModule({
  name: 'auxiliary',
  license: 'GPL v2',
  description: 'Auxiliary Bus',
  author: 'David Ertman <david.m.ertman@intel.com>',
  builtin: true,
  imports: [
    'bus_register', 'bus_unregister', 'bus_devices', 'driver_register', 'driver_unregister', 'device_initialize', 'device_add', 'device_del', 'get_device',
    'put_device', 'dev_err',
  ],
  exportsGpl: [
    'auxiliary_device_init', '__auxiliary_device_add', 'auxiliary_device_delete', 'auxiliary_device_uninit', 'auxiliary_find_device',
    '__auxiliary_driver_register', 'auxiliary_driver_unregister', 'to_auxiliary_dev',
  ],

  async module_init(k, { undo }) {
    const devices = new Map<Device, AuxiliaryDevice>();
    const drivers = new DriverTable<AuxiliaryDriver, DeviceDriver>(k);

    const of = (dev: Device): AuxiliaryDevice => {
      const auxdev = devices.get(dev);
      if (auxdev === undefined) throw new Error(`${dev.name} is no auxiliary device`);
      return auxdev;
    };

    const bus = auxiliaryBus(of, (drv) => drivers.of(drv));
    await k.bus_register(bus);
    undo.push('bus auxiliary', () => k.bus_unregister(bus));

    return {
      ksymtab: {
        auxiliary_device_init({ parent, name, id, container, groups, release }) {
          if (name === '') throw new KernelError('EINVAL', 'auxiliary.init.name', `auxiliary device ${id} of ${parent.name}: no name`);
          const dev = k.device_initialize({
            name: `${name}.${id}`, // until it is added
            parent,
            bus,
            ...(groups === undefined ? {} : { groups }),
            release: (self) => {
              devices.delete(self);
              return release(auxdev);
            },
          });
          const auxdev = { dev, name, id, container };
          devices.set(dev, auxdev);
          return auxdev;
        },

        async __auxiliary_device_add(auxdev, modname) {
          const { dev, name, id } = auxdev;
          if (modname === '') throw new KernelError('EINVAL', 'auxiliary.add.modname', `auxiliary device ${name}.${id}: no module name`);
          dev.name = `${modname}.${name}.${id}`;
          try {
            await k.device_add(dev);
          } catch (error) {
            if (isKernelError(error)) k.dev_err(dev, `adding auxiliary device failed!: -${ERRNO[error.errno]}`);
            throw error;
          }
        },
        auxiliary_device_delete: ({ dev }) => k.device_del(dev),
        auxiliary_device_uninit: ({ dev }) => k.put_device(dev),

        async __auxiliary_driver_register(drv) {
          const name = drv.name === undefined ? drv.owner.name : `${drv.owner.name}.${drv.name}`;
          if (drv.id_table.length === 0) throw new KernelError('EINVAL', 'auxiliary.driver.id-table', `auxiliary driver ${name}: no ids`);
          await drivers.register(drv, { name, bus, owner: drv.owner });
        },
        auxiliary_driver_unregister: (drv) => drivers.unregister(drv),

        auxiliary_find_device(start, match) {
          const all = k.bus_devices(bus);
          const found = all.slice(start === null ? 0 : all.indexOf(start) + 1).find((dev) => match(of(dev)));
          return found === undefined ? null : of(k.get_device(found));
        },
        to_auxiliary_dev: of,
      },
      module_exit: null,
    };
  },
});
