/** Devices on a bus. Mirrors `bus_add_device` and its like in `drivers/base/bus.c` (Linux 6.1). */
import type { DirNode } from '@vdpalab/fs';
import { deviceInitialProbe } from './dd.ts';
import type { BusNotify, BusType, Device } from './header.ts';
import { overrideAttribute } from './override.ts';
import { busState } from './state.ts';
import type { Core, DeviceState } from './state.ts';
import { chomp } from './streq.ts';

/** Put a device on its bus; the step `bus` takes it off, still bound. */
export function busAddDevice(core: Core, state: DeviceState, dir: DirNode, bus: BusType): void {
  const { dev, files } = state;
  const { k } = core;
  const owner = busState(core, bus);
  const undo: (() => void)[] = [];
  const undoAll = (): void => undo.toReversed().forEach((step) => step());
  try {
    undo.push(() => owner.del(dev));
    const own = bus.driver_override === true ? [{ attrs: [overrideAttribute] }] : [];
    undo.push(files.groups(dir, [...own, ...(bus.dev_groups ?? [])], dev));
    k.kernfs_create_link(owner.devicesDir, dev.name, dir);
    undo.push(() => void k.kernfs_remove_by_name(owner.devicesDir, dev.name));
    k.kernfs_create_link(dir, 'subsystem', owner.dir);
    undo.push(() => void k.kernfs_remove_by_name(dir, 'subsystem'));
  } catch (error) {
    undoAll();
    throw error;
  }
  owner.add(dev);
  state.steps.did('bus', undoAll);
}

/** Let a new device find a driver, unless the bus leaves that to the user. */
export async function busProbeDevice(core: Core, dev: Device): Promise<void> {
  if (dev.bus !== null && busState(core, dev.bus).autoprobe) await deviceInitialProbe(core, dev);
}

/** Tell the notifiers of the device's bus. */
export async function busNotify(core: Core, dev: Device, action: BusNotify): Promise<void> {
  if (dev.bus === null) return;
  for (const notify of [...busState(core, dev.bus).notifiers]) await notify(action, dev);
}

/** The device of that name on the bus; a newline at the end of the name does not count. */
export function busFindDeviceByName(core: Core, bus: BusType, name: string): Device | null {
  return busState(core, bus).find(chomp(name));
}
