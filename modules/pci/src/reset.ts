/** Reset of a function and of a bus. Mirrors `drivers/pci/pci.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import {
  PCI_COMMAND, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, PCI_EXP_DEVSTA,
  PCI_EXP_DEVSTA_TRPND, PCI_SRIOV_BAR, PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_VFE, PCI_SRIOV_NUM_VF, PCI_SRIOV_SYS_PGSIZE,
  PCI_STD_HEADER_SIZEOF,
} from '@vdpalab/uapi';
import { writeBar } from './bar.ts';
import type { PciFunction } from './function.ts';
import type { PciSavedState } from './header.ts';
import { isAssigned } from './ioresource.ts';
import { restoreMsix } from './msix.ts';
import { hasFlr, pmReset, resetMethods, secondaryBusReset } from './reset-methods.ts';
import type { FunctionTable, Kernel } from './world.ts';

/** Longest wait for a function to come back, in milliseconds; `PCIE_RESET_READY_POLL_MS`. */
const READY_MS = 60_000;

/**
 * Reset the function; its registers are then as at power-on.
 *
 * @throws ENOTTY when it cannot, or does not come back
 * @see `pcie_flr`, `pci_dev_wait`
 */
export async function flr(k: Kernel, fn: PciFunction): Promise<void> {
  if (!hasFlr(fn)) throw new KernelError('ENOTTY', 'pci.flr.absent', `${fn.name}: no function level reset`);
  const { config, pcieCap } = fn;
  if (!await waitForPending(k, fn)) {
    k.dev_err(fn.dev, 'timed out waiting for pending transaction; performing function level reset anyway');
  }
  const control = config.read(pcieCap + PCI_EXP_DEVCTL, 2);
  config.write(pcieCap + PCI_EXP_DEVCTL, 2, control | PCI_EXP_DEVCTL_BCR_FLR);
  await k.msleep(100);
  for (let delay = 1; config.read(PCI_COMMAND, 4) === 0xffff_ffff; delay *= 2) {
    if (delay > READY_MS) {
      k.dev_warn(fn.dev, `not ready ${delay - 1}ms after FLR; giving up`);
      throw new KernelError('ENOTTY', 'pci.flr.lost', `${fn.name}: does not answer ${delay - 1} ms after its reset`);
    }
    await k.msleep(delay);
  }
}

/** Reset a function the best way it has; its registers are then as at power-on. @throws ENOTTY when it has none @see `__pci_reset_function_locked` */
export async function resetLocked(k: Kernel, functions: FunctionTable, fn: PciFunction): Promise<void> {
  switch (resetMethods(functions, fn)[0]) {
    case 'pm': return await pmReset(k, fn);
    case 'bus': return await secondaryBusReset(k, fn.pciBus.self!); // a function on a root bus has no such way
    case 'flr': return await flr(k, fn);
    default: throw new KernelError('ENOTTY', 'pci.reset.absent', `${fn.name}: no way to reset it`);
  }
}

/** Reset a function and bring its configuration back. @throws ENOTTY @see `pci_reset_function` */
export async function resetFunction(k: Kernel, functions: FunctionTable, fn: PciFunction): Promise<void> {
  const state = readState(fn);
  await resetLocked(k, functions, fn);
  await restoreState(k, fn, state);
}

/** The same, where nobody has the device lock. @throws EAGAIN when somebody has it; ENOTTY @see `pci_try_reset_function` */
export async function tryResetFunction(k: Kernel, functions: FunctionTable, fn: PciFunction): Promise<void> {
  if (!k.mutex_trylock(fn.dev.lock)) throw new KernelError('EAGAIN', 'pci.reset.locked', `${fn.name}: its device lock is taken`);
  try {
    await resetFunction(k, functions, fn);
  } finally {
    k.device_unlock(fn.dev);
  }
}

/** The header as it is now. @see `pci_save_state` */
export function readState({ config }: PciFunction): PciSavedState {
  return { header: Array.from({ length: PCI_STD_HEADER_SIZEOF / 4 }, (_, i) => config.read(4 * i, 4)) };
}

/** Write a header again, and what the kernel knows of MSI-X and SR-IOV. @see `pci_restore_state` */
export async function restoreState(k: Kernel, fn: PciFunction, { header }: PciSavedState): Promise<void> {
  const { config } = fn;
  // From the end, so that addresses are back before decoding is.
  for (let i = header.length - 1; i >= 0; i--) {
    if (config.read(4 * i, 4) !== header[i]) config.write(4 * i, 4, header[i]!);
  }
  await restoreSriov(k, fn);
  restoreMsix(k, fn);
}

/** What is behind the bridge above a function. @throws ENOTTY when there is no bridge @see `pci_probe_reset_bus` */
export function resetScope(functions: FunctionTable, fn: PciFunction): readonly PciFunction[] {
  const { number, busnEnd, self } = fn.pciBus;
  if (self === null) throw new KernelError('ENOTTY', 'pci.reset-bus.root', `${fn.name}: no bridge above it can reset its bus`);
  return functions.list().filter(({ bus }) => bus >= number && bus <= busnEnd);
}

/**
 * Reset a bus through the bridge above, and bring the configuration of its functions back.
 *
 * @throws ENOTTY when there is no bridge; EAGAIN when a function's device lock is taken
 * @see `pci_try_reset_bus`, `pci_reset_secondary_bus`
 */
export async function resetBus(k: Kernel, functions: FunctionTable, fn: PciFunction): Promise<void> {
  const scope = resetScope(functions, fn);
  const bridge = fn.pciBus.self!; // resetScope has looked
  const locked: PciFunction[] = [];
  try {
    for (const one of scope) {
      if (!k.mutex_trylock(one.dev.lock)) throw new KernelError('EAGAIN', 'pci.reset.locked', `${one.name}: its device lock is taken`);
      locked.push(one);
    }
    const states = scope.map((one) => [one, readState(one)] as const);
    await secondaryBusReset(k, bridge);
    // Physical functions first: they have the virtual ones.
    const physical = states.filter(([one]) => !one.is_virtfn);
    for (const [one, state] of [...physical, ...states.filter(([one]) => one.is_virtfn)]) await restoreState(k, one, state);
  } finally {
    for (const one of locked.toReversed()) k.device_unlock(one.dev);
  }
}

/** @see drivers/pci/iov.c `sriov_restore_state` */
async function restoreSriov(k: Kernel, { config, sriov }: PciFunction): Promise<void> {
  if (sriov === null || (config.read(sriov.pos + PCI_SRIOV_CTRL, 2) & PCI_SRIOV_CTRL_VFE) !== 0) return;
  sriov.resource.forEach((res, bar) => {
    if (isAssigned(res)) writeBar(config, sriov.pos + PCI_SRIOV_BAR + 4 * bar, res);
  });
  config.write(sriov.pos + PCI_SRIOV_SYS_PGSIZE, 4, sriov.pageSize);
  config.write(sriov.pos + PCI_SRIOV_NUM_VF, 2, sriov.numVfs);
  config.write(sriov.pos + PCI_SRIOV_CTRL, 2, sriov.ctrl);
  if ((sriov.ctrl & PCI_SRIOV_CTRL_VFE) !== 0) await k.msleep(100);
}

/** @see `pci_wait_for_pending_transaction` */
async function waitForPending(k: Kernel, { config, pcieCap }: PciFunction): Promise<boolean> {
  for (let i = 0; i < 4; i++) {
    if (i > 0) await k.msleep(2 ** (i - 1) * 100);
    if ((config.read(pcieCap + PCI_EXP_DEVSTA, 2) & PCI_EXP_DEVSTA_TRPND) === 0) return true;
  }
  return false;
}
