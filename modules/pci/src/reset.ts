/** Function level reset. Mirrors `drivers/pci/pci.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import {
  PCI_COMMAND, PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, PCI_EXP_DEVSTA,
  PCI_EXP_DEVSTA_TRPND, PCI_SRIOV_BAR, PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_VFE, PCI_SRIOV_NUM_VF, PCI_SRIOV_SYS_PGSIZE,
  PCI_STD_HEADER_SIZEOF,
} from '@vdpalab/uapi';
import { writeBar } from './bar.ts';
import type { PciFunction } from './function.ts';
import { isAssigned } from './ioresource.ts';
import { restoreMsix } from './msix.ts';
import type { Kernel } from './world.ts';

/** Longest wait for a function to come back, in milliseconds; `PCIE_RESET_READY_POLL_MS`. */
const READY_MS = 60_000;

/** Whether the function can reset by itself. @see `pcie_reset_flr` */
export function hasFlr({ config, pcieCap }: PciFunction): boolean {
  return pcieCap !== 0 && (config.read(pcieCap + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR) !== 0;
}

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

/** Reset a function and bring its configuration back. @throws ENOTTY @see `pci_reset_function` */
export async function resetFunction(k: Kernel, fn: PciFunction): Promise<void> {
  const { config } = fn;
  const header = Array.from({ length: PCI_STD_HEADER_SIZEOF / 4 }, (_, i) => config.read(4 * i, 4));
  await flr(k, fn);
  // From the end, so that addresses are back before decoding is.
  for (let i = header.length - 1; i >= 0; i--) {
    if (config.read(4 * i, 4) !== header[i]) config.write(4 * i, 4, header[i]!);
  }
  await restoreSriov(k, fn);
  restoreMsix(k, fn);
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
