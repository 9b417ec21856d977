/** Drivers. Mirrors `drivers/base/driver.c` and the driver half of `drivers/base/bus.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import { busFindDeviceByName } from './bus-device.ts';
import { deviceDriverAttach, deviceReleaseDriver, driverAttach, driverDetach, driverMatchDevice } from './dd.ts';
import { getDevice, putDevice } from './device.ts';
import { createDirectory } from './directory.ts';
import type { Device, DeviceDriver } from './header.ts';
import { KERN } from './kernel.ts';
import { DriverState, devpath, driverState } from './state.ts';
import type { BusState, Core } from './state.ts';
import { synthUevent } from './uevent.ts';

/**
 * Put a driver on its bus; it takes every free device that matches.
 *
 * @throws EINVAL when the bus is not registered; EBUSY when the bus has a driver of that name
 */
export async function driverRegister(core: Core, drv: DeviceDriver): Promise<void> {
  const { k } = core;
  const bus = core.buses.get(drv.bus);
  if (bus === undefined) {
    k._printk(KERN.err, `Driver '${drv.name}' was unable to register with bus_type '${drv.bus.name}' because the bus was not initialized.`);
    throw new KernelError('EINVAL', 'driver.register.bus', `driver ${drv.name}: bus ${drv.bus.name} is not registered`);
  }
  if ((drv.bus.probe && drv.probe) || (drv.bus.remove && drv.remove)) {
    k._printk(KERN.warning, `Driver '${drv.name}' needs updating - please use bus_type methods`);
  }
  if (bus.drivers.items().some((other) => other.name === drv.name)) {
    k._printk(KERN.err, `Error: Driver '${drv.name}' is already registered, aborting...`);
    throw new KernelError('EBUSY', 'driver.register.name', `driver ${drv.name}: bus ${drv.bus.name} has one of that name`);
  }
  await busAddDriver(core, bus, drv);
  core.uevents.send(devpath(core, driverState(core, drv).dir), 'drivers', 'add');
}

/** Take a driver away; its devices are unbound first, the last one bound first. */
export async function driverUnregister(core: Core, drv: DeviceDriver): Promise<void> {
  const { steps, dir } = driverState(core, drv);
  await steps.undo('files');
  await steps.undo('bus');
  await driverDetach(core, drv);
  await steps.undo('module');
  core.uevents.send(devpath(core, dir), 'drivers', 'remove');
  await steps.undo('kobject');
}

/** What fails leaves nothing behind. */
async function busAddDriver(core: Core, bus: BusState, drv: DeviceDriver): Promise<void> {
  const state = new DriverState(core.k, drv, createDirectory(core, bus.driversDir, drv.name));
  const { steps, files, dir } = state;
  core.drivers.set(drv, state);
  steps.did('kobject', () => {
    core.drivers.delete(drv);
    core.k.kernfs_remove(dir);
  });
  try {
    bus.drivers.add(drv);
    steps.did('bus', () => bus.drivers.remove(drv));
    if (bus.autoprobe) await driverAttach(core, drv);
    steps.did('module', core.moduleDirs.addDriver(drv, dir));
    steps.did('files', async () => {
      files.removeAll();
      await files.drain();
    });
    addFiles(core, state);
  } catch (error) {
    await steps.undo('files');
    await steps.undo('bus');
    await driverDetach(core, drv);
    await steps.undoAll();
    throw error;
  }
}

function addFiles(core: Core, { drv, dir, files }: DriverState): void {
  const path = devpath(core, dir);
  files.file(dir, 'uevent', 0o200, {
    store: async (text) => synthUevent(core.k, path, text, (action, env) => core.uevents.send(path, 'drivers', action, env)),
  });
  files.groups(dir, drv.bus.drv_groups, drv);
  if (drv.suppress_bind_attrs !== true) {
    files.file(dir, 'unbind', 0o200, { store: (text) => unbindStore(core, drv, text) });
    files.file(dir, 'bind', 0o200, { store: (text) => bindStore(core, drv, text) });
  }
  files.groups(dir, drv.groups, drv);
}

async function bindStore(core: Core, drv: DeviceDriver, text: string): Promise<void> {
  await withDevice(core, drv, text, async (dev) => {
    if (!driverMatchDevice(drv, dev)) throw noDevice('bind', drv, `${dev.name} does not match`);
    await deviceDriverAttach(core, drv, dev);
  });
}

async function unbindStore(core: Core, drv: DeviceDriver, text: string): Promise<void> {
  await withDevice(core, drv, text, async (dev) => {
    if (dev.driver !== drv) throw noDevice('unbind', drv, `${dev.name} is bound to ${dev.driver?.name ?? 'no driver'}`);
    await deviceReleaseDriver(core, dev);
  });
}

/** Run `body` with the device a write names, and a reference to it. @throws ENODEV */
async function withDevice(core: Core, drv: DeviceDriver, text: string, body: (dev: Device) => Promise<void>): Promise<void> {
  const dev = busFindDeviceByName(core, drv.bus, text);
  if (dev === null) throw noDevice('name', drv, `bus ${drv.bus.name} has no device "${text}"`);
  getDevice(core, dev);
  try {
    await body(dev);
  } finally {
    putDevice(core, dev);
  }
}

function noDevice(condition: string, drv: DeviceDriver, text: string): KernelError {
  return new KernelError('ENODEV', `driver.${condition}.device`, `driver ${drv.name}: ${text}`);
}
