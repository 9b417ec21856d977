/** Writes to attributes of functions. Mirrors `drivers/pci/pci-sysfs.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import { CAP_SYS_ADMIN } from '@vdpalab/uapi';
import { disableDevice, enableDevice } from './enable.ts';
import type { PciBus, PciFunction } from './function.ts';
import { removeLocked, rescanLocked } from './hotplug.ts';
import { kstrtoul } from './kstrto.ts';
import { resetFunction } from './reset.ts';
import type { Kernel, PciWorld } from './world.ts';

const KERN_ALERT = 1;

/** @throws EPERM without CAP_SYS_ADMIN; EINVAL; EBUSY with a driver; EIO when it was off @see `enable_store` */
export async function storeEnable({ k }: PciWorld, fn: PciFunction, text: string): Promise<void> {
  needAdmin(k, fn.name, 'enable');
  const on = number(text, fn.name, 'enable') !== 0;
  await k.device_lock(fn.dev, 'enable_store');
  try {
    if (fn.dev.driver !== null) {
      throw new KernelError('EBUSY', 'pci.enable.bound', `${fn.name}: bound to ${fn.dev.driver.name}`);
    }
    if (on) enableDevice(k, fn);
    else if (fn.enableCnt > 0) disableDevice(k, fn);
    else throw new KernelError('EIO', 'pci.enable.off', `${fn.name}: not enabled`);
  } finally {
    k.device_unlock(fn.dev);
  }
}

/** There is one node, and a user may say that a function is on it. @throws EPERM without CAP_SYS_ADMIN; EINVAL @see `numa_node_store` */
export function storeNumaNode({ k }: PciWorld, fn: PciFunction, text: string): undefined {
  needAdmin(k, fn.name, 'numa_node');
  const node = text.trim();
  if (node !== '0' && node !== '-1') throw new KernelError('EINVAL', 'pci.numa-node', `${fn.name}: no node ${node}`);
  k._printk(KERN_ALERT, `pci ${fn.name}: [Firmware Bug]: Overriding NUMA node to ${node}.  Contact your vendor for updates.`);
  fn.numaNode = Number(node);
}

/** Allow or forbid MSI to future drivers. @throws EINVAL; EPERM without CAP_SYS_ADMIN @see `msi_bus_store` */
export function storeMsiBus({ k }: PciWorld, fn: PciFunction, text: string): undefined {
  const allowed = number(text, fn.name, 'msi_bus') !== 0;
  needAdmin(k, fn.name, 'msi_bus');
  fn.noMsi = !allowed;
  const whom = fn.subordinate === null ? 'future drivers' : 'future drivers of devices on this bus';
  k.dev_info(fn.dev, `MSI/MSI-X ${allowed ? 'allowed' : 'disallowed'} for ${whom}`);
}

/** @throws EINVAL @see `broken_parity_status_store` */
export function storeBrokenParity(fn: PciFunction, text: string): undefined {
  fn.brokenParity = number(text, fn.name, 'broken_parity_status') !== 0;
}

/** @throws EINVAL @see `d3cold_allowed_store` */
export function storeD3coldAllowed(fn: PciFunction, text: string): undefined {
  fn.d3coldAllowed = number(text, fn.name, 'd3cold_allowed') !== 0;
}

/** @throws EINVAL @see `remove_store` */
export async function storeRemove(world: PciWorld, fn: PciFunction, text: string): Promise<void> {
  if (number(text, fn.name, 'remove') !== 0) await removeLocked(world, fn);
}

/** @param bus `null` for all. @throws EINVAL @see `dev_rescan_store`, `rescan_store` */
export async function storeRescan(world: PciWorld, bus: PciBus | null, text: string): Promise<void> {
  if (number(text, 'pci', 'rescan') === 0 || world.root === null) return;
  await rescanLocked(world, world.root, bus ?? world.root.bus);
}

/** @throws EINVAL for anything but 1; ENOTTY when there is no way to reset @see `reset_store` */
export async function storeReset({ k, functions }: PciWorld, fn: PciFunction, text: string): Promise<void> {
  if (number(text, fn.name, 'reset') !== 1) throw new KernelError('EINVAL', 'pci.reset.value', `${fn.name}: reset takes 1`);
  await k.device_lock(fn.dev, 'reset_store');
  try {
    await resetFunction(k, functions, fn);
  } finally {
    k.device_unlock(fn.dev);
  }
}

function number(text: string, name: string, file: string): number {
  const value = kstrtoul(text, Number.MAX_SAFE_INTEGER);
  if (value === null) throw new KernelError('EINVAL', `pci.${file}.number`, `${name}: ${JSON.stringify(text)} is not a number`);
  return value;
}

function needAdmin(k: Kernel, name: string, file: string): undefined {
  if (!k.capable(CAP_SYS_ADMIN)) throw new KernelError('EPERM', `pci.${file}.cap`, `${name}: ${file} needs CAP_SYS_ADMIN`);
}
