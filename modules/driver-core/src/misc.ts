/** Character devices that share major 10. Mirrors `drivers/char/misc.c` (Linux 6.1). */
import { cdevDeviceAdd, cdevDeviceDel } from './cdev-device.ts';
import { classRegister } from './class.ts';
import { deviceInitialize, putDevice } from './device.ts';
import type { Class, Device, DriverCoreSymbols } from './header.ts';
import type { Core } from './state.ts';

const MISC_MAJOR = 10;

/** The core's own class. */
export const MISC_CLASS: Class = Object.freeze({ name: 'misc' });

/** Make the misc devices of one kernel, and their class. */
export function createMisc(core: Core): Pick<DriverCoreSymbols, 'misc_register' | 'misc_deregister'> {
  classRegister(core, MISC_CLASS);
  return {
    async misc_register({ minor, name, nodename, mode, fops }): Promise<Device> {
      const dev = deviceInitialize(core, { name, class: MISC_CLASS, devt: { major: MISC_MAJOR, minor }, devnode: { name: nodename, mode } });
      try {
        await cdevDeviceAdd(core, dev, fops, null, null);
      } catch (error) {
        putDevice(core, dev);
        throw error;
      }
      return dev;
    },
    async misc_deregister(dev) {
      await cdevDeviceDel(core, dev);
      putDevice(core, dev);
    },
  };
}
