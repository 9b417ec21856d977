/** Functions in sysfs and on the bus. Mirrors `drivers/pci/{bus,probe,remove}.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import { ERRNO } from '@vdpalab/uapi';
import { releaseResources } from './assign.ts';
import type { PciFunction } from './function.ts';
import type { PciWorld } from './world.ts';

/**
 * Put a function in sysfs, not yet for drivers; one that cannot be added is forgotten.
 *
 * @see `pci_device_add`
 */
export async function addFunction(world: PciWorld, fn: PciFunction): Promise<void> {
  world.functions.add(fn);
  try {
    await world.k.device_add(fn.dev);
  } catch (error) {
    forget(world, fn);
    throw error;
  }
}

/** Let drivers have it. @see `pci_bus_add_device` */
export async function startFunction({ k }: PciWorld, fn: PciFunction): Promise<void> {
  fn.matchDriver = true;
  try {
    await k.device_attach(fn.dev);
  } catch (error) {
    if (!isKernelError(error)) throw error;
    if (error.errno !== 'EPROBE_DEFER') k.dev_warn(fn.dev, `device attach failed (${-ERRNO[error.errno]})`);
  }
}

/**
 * Take a function away with all that is behind it: first every driver leaves, last one first, then the devices go.
 *
 * A PF whose driver left its VFs enabled leaves them behind.
 *
 * @see `pci_stop_and_remove_bus_device`
 */
export async function removeFunction(world: PciWorld, fn: PciFunction): Promise<void> {
  await stop(world, fn);
  await remove(world, fn);
}

async function stop(world: PciWorld, fn: PciFunction): Promise<void> {
  for (const child of behind(world, fn).toReversed()) {
    if (world.functions.at(child.bus, child.devfn) === child) await stop(world, child); // a PF's driver may take its VFs away
  }
  if (fn.dev.sd === null) return;
  await world.k.device_release_driver(fn.dev);
  fn.matchDriver = false;
}

async function remove(world: PciWorld, fn: PciFunction): Promise<void> {
  for (const child of behind(world, fn)) await remove(world, child);
  if (fn.dev.sd !== null) await world.k.device_del(fn.dev);
  forget(world, fn);
}

/** What is on the bus behind a bridge: functions, and VFs that their PF's driver left. */
function behind({ functions }: PciWorld, { subordinate }: PciFunction): PciFunction[] {
  if (subordinate === null) return [];
  return [...subordinate.devices, ...functions.list().filter((one) => one.is_virtfn && one.pciBus === subordinate)];
}

function forget(world: PciWorld, fn: PciFunction): undefined {
  const { devices } = fn.pciBus;
  const at = devices.indexOf(fn);
  if (at >= 0) devices.splice(at, 1);
  if (world.root !== null) releaseResources(world.root, fn);
  world.functions.remove(fn);
  world.k.put_device(fn.dev);
}
