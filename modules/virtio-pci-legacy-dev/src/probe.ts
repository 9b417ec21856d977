/** Taking BAR 0. Mirrors `vp_legacy_probe` in `drivers/virtio/virtio_pci_legacy_dev.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { IommuSymbols } from '@vdpalab/iommu';
import type { PciDev, PciSymbols } from '@vdpalab/pci';
import { VIRTIO_PCI_ABI_VERSION } from '@vdpalab/uapi';
import type { VirtioPciLegacyDevice } from './header.ts';

/** What probing takes. */
export type ProbeSymbols =
  & Pick<PciSymbols, 'pci_request_region' | 'pci_release_region' | 'pci_iomap' | 'pci_iounmap'>
  & Pick<IommuSymbols, 'dma_set_mask_and_coherent'> & Pick<DriverCoreSymbols, 'dev_err' | 'dev_warn'>;

/** Ids of legacy and transitional functions. */
const FIRST_ID = 0x1000;
const LAST_ID = 0x103f;
/** A ring's address is a page frame number of 32 bits. */
const DMA_BIT_MASK_44 = 2 ** 44 - 1;
const DMA_BIT_MASK_32 = 0xffff_ffff;

/** `vp_legacy_probe` */
export function probe(k: ProbeSymbols, pdev: PciDev): VirtioPciLegacyDevice {
  const { name } = pdev.dev;
  if (pdev.device < FIRST_ID || pdev.device > LAST_ID) {
    throw new KernelError('ENODEV', 'virtio_pci_legacy.probe.id', `${name}: device 0x${pdev.device.toString(16)} is not between 0x1000 and 0x103f`);
  }
  if (pdev.revision !== VIRTIO_PCI_ABI_VERSION) {
    const text = `virtio_pci: expected ABI version ${VIRTIO_PCI_ABI_VERSION}, got ${pdev.revision}`;
    k.dev_err(pdev.dev, text);
    throw new KernelError('ENODEV', 'virtio_pci_legacy.probe.revision', `${name}: ${text}`);
  }
  setMask(k, pdev);
  k.pci_request_region(pdev, 0, 'virtio-pci-legacy');
  try {
    const ioaddr = k.pci_iomap(pdev, 0);
    return { pci_dev: pdev, ioaddr, id: { device: pdev.subsystem_device, vendor: pdev.subsystem_vendor } };
  } catch (error) {
    k.pci_release_region(pdev, 0);
    throw error;
  }
}

/** `vp_legacy_remove` */
export function remove(k: ProbeSymbols, { pci_dev: pdev, ioaddr }: VirtioPciLegacyDevice): undefined {
  k.pci_iounmap(pdev, ioaddr);
  return k.pci_release_region(pdev, 0) as undefined;
}

/** Where rings may be; without a mask it goes on, as Linux does. */
function setMask(k: ProbeSymbols, pdev: PciDev): undefined {
  for (const mask of [DMA_BIT_MASK_44, DMA_BIT_MASK_32]) {
    try {
      k.dma_set_mask_and_coherent(pdev.dev, mask);
      return;
    } catch (error) {
      if (!isKernelError(error)) throw error;
    }
  }
  k.dev_warn(pdev.dev, 'Failed to enable 64-bit or 32-bit DMA.  Trying to continue, but this might not work.');
}
