/** What the kernel asks of an open device, and what drivers add to it. Mirrors `drivers/vfio/pci/vfio_pci_core.c` (Linux 6.1). */
import { VFIO_PCI_NUM_REGIONS } from '@vdpalab/uapi';
import type { VfioPci } from './device.ts';
import type { VfioPciRegion } from './header.ts';

const KERN_NOTICE = 5;

/** Ask user space to close the device. @returns false when it gave no eventfd for that @see `vfio_pci_core_request` */
export function request(v: VfioPci, count: number): boolean {
  const { k } = v;
  if (v.reqTrigger === null) {
    if (count === 0) k.dev_warn(v.pdev.dev, 'No device request channel registered, blocked until released by user');
    return false;
  }
  if (count % 10 === 0) k._printk(KERN_NOTICE, `vfio-pci ${v.name}: Relaying device request to user (#${count})`);
  k.eventfd_signal(v.reqTrigger, 1);
  return true;
}

/** @returns its index @see `vfio_pci_core_register_dev_region` */
export function addRegion(v: VfioPci, region: VfioPciRegion): number {
  return VFIO_PCI_NUM_REGIONS + v.regions.push(region) - 1;
}
