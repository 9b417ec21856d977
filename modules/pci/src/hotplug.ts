/** Buses at boot and later: find, assign, add; remove. Mirrors `drivers/pci/{probe,remove,pci-sysfs}.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import { assignResources } from './assign.ts';
import { addFunction, removeFunction, startFunction } from './device.ts';
import { openDecoders } from './enable.ts';
import type { PciBus, PciFunction } from './function.ts';
import { scanBus } from './scan.ts';
import { forgetVf } from './sriov.ts';
import type { PciRoot, PciWorld } from './world.ts';

const KERN_WARNING = 4;

/** Add what is on the root bus at boot, and below it; firmware has been there before. @see `pci_host_probe` */
export async function scanAtBoot(world: PciWorld, root: PciRoot): Promise<void> {
  const found = await scanBus(world, root.host, root.bus);
  assignResources(world, root);
  for (const fn of found) openDecoders(fn);
  await addFound(world, found);
}

/** Add what is new on a bus and below it. @see `pci_rescan_bus` */
async function rescan(world: PciWorld, root: PciRoot, bus: PciBus): Promise<void> {
  const found = await scanBus(world, root.host, bus);
  assignResources(world, root);
  await addFound(world, found);
}

async function addFound(world: PciWorld, found: readonly PciFunction[]): Promise<void> {
  const added: PciFunction[] = [];
  for (const fn of found) {
    try {
      await addFunction(world, fn);
      added.push(fn);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      world.k._printk(KERN_WARNING, `pci ${fn.name}: cannot be added: ${error.message}`);
    }
  }
  for (const fn of added) await startFunction(world, fn);
}

/** As {@link rescan}, one at a time. */
export async function rescanLocked(world: PciWorld, root: PciRoot, bus: PciBus): Promise<void> {
  await world.k.mutex_lock(world.rescanRemove, 'pci_lock_rescan_remove');
  try {
    await rescan(world, root, bus);
  } finally {
    world.k.mutex_unlock(world.rescanRemove);
  }
}

/** Remove a function by hand; nothing when it is gone. @see `pci_stop_and_remove_bus_device_locked` */
export async function removeLocked(world: PciWorld, fn: PciFunction): Promise<void> {
  await world.k.mutex_lock(world.rescanRemove, 'pci_lock_rescan_remove');
  try {
    if (world.functions.at(fn.bus, fn.devfn) !== fn) return;
    if (fn.physfn !== null) forgetVf(world, fn);
    await removeFunction(world, fn);
  } finally {
    world.k.mutex_unlock(world.rescanRemove);
  }
}
