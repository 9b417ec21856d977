/** Devices with a character device behind them. Mirrors `cdev_device_add` in `fs/char_dev.c` (Linux 6.1). */
import type { KModule } from '@vdpalab/abi';
import type { FileOperations } from '@vdpalab/fs';
import { deviceAdd, deviceDel, getDevice, putDevice } from './device.ts';
import type { Device } from './header.ts';
import type { Core } from './state.ts';

/** Add the character device and the device; what fails leaves nothing behind. Without a devt, the device alone. */
export async function cdevDeviceAdd(core: Core, dev: Device, ops: FileOperations, owner: KModule | null, data: unknown): Promise<void> {
  const { devt } = dev;
  if (devt === null) return await deviceAdd(core, dev);
  core.k.cdev_add(devt.major, devt.minor, holding(core, dev, ops), owner, data);
  try {
    await deviceAdd(core, dev);
  } catch (error) {
    core.k.cdev_del(devt.major, devt.minor);
    throw error;
  }
}

/** Delete both; open files live on, and keep the device from being released. */
export async function cdevDeviceDel(core: Core, dev: Device): Promise<void> {
  const { devt } = dev;
  await deviceDel(core, dev);
  if (devt !== null) core.k.cdev_del(devt.major, devt.minor);
}

/** `cdev_set_parent`: every open file holds the device. */
function holding(core: Core, dev: Device, ops: FileOperations): FileOperations {
  return {
    ...ops,
    open: async (file, proc) => {
      getDevice(core, dev);
      try {
        await ops.open?.(file, proc);
      } catch (error) {
        putDevice(core, dev);
        throw error;
      }
    },
    release: async (file) => {
      try {
        await ops.release?.(file);
      } finally {
        putDevice(core, dev);
      }
    },
  };
}
