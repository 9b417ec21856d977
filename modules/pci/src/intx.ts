/** The mask of a function's interrupt pin. Mirrors `drivers/pci/pci.c` (Linux 6.1), `pci_intx` and its like. */
import { PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, PCI_STATUS, PCI_STATUS_INTERRUPT } from '@vdpalab/uapi';
import type { PciFunction } from './function.ts';

/** Let the pin out, or not. @see `pci_intx` */
export function setIntx({ config }: PciFunction, on: boolean): undefined {
  const before = config.read(PCI_COMMAND, 2);
  const after = on ? before & ~PCI_COMMAND_INTX_DISABLE : before | PCI_COMMAND_INTX_DISABLE;
  if (after !== before) config.write(PCI_COMMAND, 2, after);
}

/** Whether the mask can be set and cleared. @see `pci_intx_mask_supported` */
export function intxMaskSupported({ config }: PciFunction): boolean {
  const before = config.read(PCI_COMMAND, 2);
  config.write(PCI_COMMAND, 2, before ^ PCI_COMMAND_INTX_DISABLE);
  const toggled = config.read(PCI_COMMAND, 2);
  if (toggled === before) return false;
  config.write(PCI_COMMAND, 2, before);
  return ((before ^ toggled) & ~PCI_COMMAND_INTX_DISABLE) === 0;
}

/** Set the mask when the pin is asserted, or clear it when it is not. @returns whether it was so @see `pci_check_and_set_intx_mask` */
export function checkAndSetIntx(fn: PciFunction, mask: boolean): boolean {
  const asserted = (fn.config.read(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT) !== 0;
  if (asserted !== mask) return false;
  setIntx(fn, !mask);
  return true;
}
