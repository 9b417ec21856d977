/** Buses. Mirrors `drivers/base/bus.c` (Linux 6.1). */
import { KernelError, foldError, isKernelError } from '@vdpalab/abi';
import { busFindDeviceByName } from './bus-device.ts';
import { deviceAttach } from './dd.ts';
import { createDirectory } from './directory.ts';
import type { BusType, Device } from './header.ts';
import { BusState, busState, devpath } from './state.ts';
import type { Core } from './state.ts';
import { synthUevent } from './uevent.ts';

/** Make /sys/bus/NAME and announce it. @throws EEXIST */
export async function busRegister(core: Core, bus: BusType): Promise<void> {
  const dir = createDirectory(core, core.dirs.bus, bus.name);
  try {
    const state = new BusState(core.k, bus, dir);
    const path = devpath(core, dir);
    core.buses.set(bus, state);
    core.uevents.send(path, 'bus', 'add');
    const { files } = state;
    files.file(dir, 'uevent', 0o200, {
      store: async (text) => synthUevent(core.k, path, text, (action, env) => core.uevents.send(path, 'bus', action, env)),
    });
    files.file(dir, 'drivers_probe', 0o200, { store: (text) => driversProbeStore(core, bus, text) });
    files.file(dir, 'drivers_autoprobe', 0o644, {
      show: async () => (state.autoprobe ? '1\n' : '0\n'),
      store: async (text) => {
        state.autoprobe = !text.startsWith('0');
      },
    });
    files.groups(dir, bus.bus_groups, bus);
  } catch (error) {
    if (core.buses.delete(bus)) core.uevents.send(devpath(core, dir), 'bus', 'remove');
    core.k.kernfs_remove(dir);
    throw error;
  }
}

/** Take a bus away. @throws Error (a lab bug) while it has devices or drivers */
export async function busUnregister(core: Core, bus: BusType): Promise<void> {
  const state = busState(core, bus);
  const { devices, drivers, files, dir } = state;
  if (devices.size + drivers.size > 0) {
    throw new Error(`bus ${bus.name}: unregistered with ${devices.size} devices and ${drivers.size} drivers`);
  }
  files.removeAll();
  await files.drain();
  core.buses.delete(bus);
  core.uevents.send(devpath(core, dir), 'bus', 'remove');
  core.k.kernfs_remove(dir);
}

/** Probe every device of the bus that has no driver. @throws what refused before a probe, and ends the walk */
export async function busRescanDevices(core: Core, bus: BusType): Promise<void> {
  await busState(core, bus).devices.walk(async (dev) => {
    await rescan(core, dev);
    return false;
  });
}

async function rescan(core: Core, dev: Device): Promise<void> {
  if (dev.driver === null) await deviceAttach(core, dev);
}

/** A write to `drivers_probe`: no error when no driver takes the device. */
async function driversProbeStore(core: Core, bus: BusType, text: string): Promise<void> {
  const dev = busFindDeviceByName(core, bus, text);
  if (dev === null) throw new KernelError('ENODEV', 'bus.drivers_probe.device', `bus ${bus.name}: no device "${text}"`);
  try {
    await rescan(core, dev);
  } catch (error) {
    if (!isKernelError(error)) throw error;
    throw foldError('EINVAL', 'bus.drivers_probe.refused', `${dev.name}: ${error.message}`, error);
  }
}
