/** How a function can be reset, and the sysfs file `reset_method`. Mirrors `drivers/pci/{pci,pci-sysfs}.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Attribute, Device } from '@vdpalab/driver-core';
import {
  PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, PCI_CAP_ID_PM, PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR, PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET, PCI_PM_CTRL_STATE_MASK,
} from '@vdpalab/uapi';
import { findCapability } from './capability.ts';
import type { PciFunction } from './function.ts';
import type { FunctionTable, Kernel, PciWorld } from './world.ts';

/** Ways Linux knows, best first; `pci_reset_fn_methods`. */
const KNOWN = ['device_specific', 'acpi', 'flr', 'af_flr', 'pm', 'bus'] as const;
/** Ways functions here can have. */
export type ResetMethod = 'flr' | 'pm' | 'bus';

/** Value of the power state field that is D3hot. */
const D3HOT = 3;

/** Whether the function can reset by itself. @see `pcie_reset_flr` */
export function hasFlr({ config, pcieCap }: PciFunction): boolean {
  return pcieCap !== 0 && (config.read(pcieCap + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR) !== 0;
}

/** What the hardware can do. @see `pci_init_reset_methods` */
export function supportedMethods(functions: FunctionTable, fn: PciFunction): ResetMethod[] {
  const all: ResetMethod[] = [];
  if (hasFlr(fn)) all.push('flr');
  if (losesStateInD3(fn)) all.push('pm');
  if (aloneOnItsBus(functions, fn)) all.push('bus');
  return all;
}

/** @see `pci_pm_reset` */
function losesStateInD3({ config }: PciFunction): boolean {
  const pos = findCapability(config, PCI_CAP_ID_PM);
  return pos !== 0 && (config.read(pos + PCI_PM_CTRL, 2) & PCI_PM_CTRL_NO_SOFT_RESET) === 0;
}

/** @see `pci_parent_bus_reset` */
function aloneOnItsBus(functions: FunctionTable, fn: PciFunction): boolean {
  if (fn.pciBus.self === null || fn.subordinate !== null || fn.is_virtfn) return false;
  return functions.list().every((one) => one === fn || one.pciBus !== fn.pciBus);
}

/** Ways the function is reset, in this order. */
export function resetMethods(functions: FunctionTable, fn: PciFunction): readonly ResetMethod[] {
  return fn.resetMethods ?? supportedMethods(functions, fn);
}

/** To D3hot and back, which loses the function's state. @see `pci_pm_reset` */
export async function pmReset(k: Kernel, { config }: PciFunction): Promise<void> {
  const at = findCapability(config, PCI_CAP_ID_PM) + PCI_PM_CTRL;
  const awake = config.read(at, 2) & ~PCI_PM_CTRL_STATE_MASK;
  config.write(at, 2, awake | D3HOT);
  await k.msleep(10);
  config.write(at, 2, awake);
  await k.msleep(10);
}

/** Through the bridge above. @see `pci_reset_secondary_bus` */
export async function secondaryBusReset(k: Kernel, { config }: PciFunction): Promise<void> {
  const control = config.read(PCI_BRIDGE_CONTROL, 2);
  config.write(PCI_BRIDGE_CONTROL, 2, control | PCI_BRIDGE_CTL_BUS_RESET);
  await k.msleep(2);
  config.write(PCI_BRIDGE_CONTROL, 2, control & ~PCI_BRIDGE_CTL_BUS_RESET);
  await k.msleep(1000);
}

/** The file; shown where there is a way at all. */
export function resetMethodAttribute({ k, functions }: Pick<PciWorld, 'k' | 'functions'>): Attribute<Device> {
  return {
    name: 'reset_method', mode: 0o644,
    is_visible: (dev) => supportedMethods(functions, functions.of(dev)).length > 0,
    async show(dev) {
      const methods = resetMethods(functions, functions.of(dev));
      return methods.length === 0 ? '' : `${methods.join(' ')}\n`;
    },
    store: async (dev, text) => storeMethods(k, functions, functions.of(dev), text),
  };
}

/** @throws EINVAL for a way that nobody knows, or that the function has not @see `reset_method_store` */
function storeMethods(k: Kernel, functions: FunctionTable, fn: PciFunction, text: string): undefined {
  const words = text.trim();
  if (words === '') {
    fn.resetMethods = [];
    k.dev_warn(fn.dev, 'All device reset methods disabled by user');
    return;
  }
  if (words === 'default') {
    fn.resetMethods = null;
    return;
  }
  const supported = supportedMethods(functions, fn);
  const chosen: ResetMethod[] = [];
  for (const word of words.split(' ').filter((one) => one !== '')) {
    if (!KNOWN.some((known) => known === word)) {
      k.dev_err(fn.dev, `Invalid reset method '${word}'`);
      throw new KernelError('EINVAL', 'pci.reset-method.unknown', `${fn.name}: nobody knows a reset called ${word}`);
    }
    const found = supported.find((one) => one === word);
    if (found === undefined) {
      k.dev_err(fn.dev, `Unsupported reset method '${word}'`);
      throw new KernelError('EINVAL', 'pci.reset-method.unsupported', `${fn.name}: can be reset by ${supported.join(', ')}, not by ${word}`);
    }
    chosen.push(found);
  }
  fn.resetMethods = chosen;
}
