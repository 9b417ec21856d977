/** The function comes into user space's hands, and back. Mirrors `drivers/vfio/pci/vfio_pci_core.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import {
  PCI_CAP_ID_MSIX, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, PCI_MSIX_ENTRY_SIZE, PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_QSIZE, PCI_MSIX_TABLE,
  PCI_MSIX_TABLE_BIR, PCI_MSIX_TABLE_OFFSET,
} from '@vdpalab/uapi';
import { VirtualConfig } from './config.ts';
import type { VfioPci } from './device.ts';
import { dropIoeventfds } from './ioeventfd.ts';
import { disableIrqs, dropTriggers } from './irqs.ts';
import { probeMmaps } from './mmap.ts';
import { tokenUsers } from './token.ts';

/** First open. @throws EAGAIN while the function's device lock is taken; EINVAL @see `vfio_pci_core_enable` */
export async function enable(v: VfioPci, noIntxMask: boolean): Promise<void> {
  const { k, pdev } = v;
  k.pci_clear_master(pdev);
  k.pci_enable_device(pdev);
  try {
    v.resetWorks = await resets(v);
    k.pci_save_state(pdev);
    v.savedState = k.pci_store_saved_state(pdev);
    v.pci23 = !noIntxMask && k.pci_intx_mask_supported(pdev);
    if (v.pci23) k.pci_intx(pdev, true);
    v.virqDisabled = false;
    v.config = new VirtualConfig(k, pdev, pdev.irq === 0);
    findMsix(v);
  } catch (error) {
    v.config = null;
    k.pci_disable_device(pdev);
    throw error;
  }
}

/** Whether it can be reset, by doing so. @throws EAGAIN */
async function resets({ k, pdev }: VfioPci): Promise<boolean> {
  try {
    await k.pci_try_reset_function(pdev);
    return true;
  } catch (error) {
    if (!isKernelError(error) || error.errno === 'EAGAIN') throw error;
    return false;
  }
}

function findMsix(v: VfioPci): void {
  const { k, pdev } = v;
  const pos = k.pci_find_capability(pdev, PCI_CAP_ID_MSIX);
  v.msixBar = -1;
  if (pos === 0) return;
  const table = k.pci_read_config_dword(pdev, pos + PCI_MSIX_TABLE);
  v.msixBar = table & PCI_MSIX_TABLE_BIR;
  v.msixOffset = (table & PCI_MSIX_TABLE_OFFSET) >>> 0;
  v.msixSize = ((k.pci_read_config_word(pdev, pos + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE) + 1) * PCI_MSIX_ENTRY_SIZE;
}

/** @see `vfio_pci_core_finish_enable` */
export function finishEnable(v: VfioPci): void {
  probeMmaps(v);
  tokenUsers(v, 1);
}

/** Last close: nothing of the user's stays in the function. @see `vfio_pci_core_disable` */
export async function disable(v: VfioPci): Promise<void> {
  const { k, pdev } = v;
  k.pci_clear_master(pdev);
  await disableIrqs(v);
  await dropIoeventfds(v);
  v.virqDisabled = false;
  v.asleep = false;
  for (const { ops } of v.regions.splice(0)) ops.release?.();
  v.config = null;
  v.barmap.forEach((mem, bar) => {
    if (mem === null) return;
    k.pci_iounmap(pdev, mem);
    k.pci_release_selected_regions(pdev, 1 << bar);
    v.barmap[bar] = null;
  });
  k.pci_load_saved_state(pdev, v.savedState);
  v.savedState = null;
  // No interrupt may come in the middle of the reset.
  k.pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
  if (v.resetWorks && k.pci_dev_trylock(pdev)) {
    try {
      await k.__pci_reset_function_locked(pdev);
    } catch (error) {
      if (!isKernelError(error)) throw error;
    } finally {
      k.pci_dev_unlock(pdev);
    }
  }
  await k.pci_restore_state(pdev);
  k.pci_disable_device(pdev);
}

/** @see `vfio_pci_core_close_device` */
export async function closeDevice(v: VfioPci): Promise<void> {
  tokenUsers(v, -1);
  await disable(v);
  await dropTriggers(v);
}
