/** The ioctls of a device. Mirrors `vfio_pci_core_ioctl` in `drivers/vfio/pci/vfio_pci_core.c` (Linux 6.1). */
import type { Process } from '@vdpalab/fs';
import type { PciDev } from '@vdpalab/pci';
import {
  VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_IOEVENTFD,
  VFIO_DEVICE_PCI_HOT_RESET, VFIO_DEVICE_RESET, VFIO_DEVICE_SET_IRQS,
} from '@vdpalab/uapi';
import type { VfioPci } from './device.ts';
import { getInfo, getRegionInfo } from './info.ts';
import { setIoeventfd } from './ioeventfd.ts';
import { getIrqInfo, setIrqs } from './irqs.ts';
import { refuse } from './refuse.ts';
import { hotReset, hotResetInfo, resetDevice } from './reset.ts';

/** Answer one. @throws ENOTTY for an unknown command, and each its own */
export async function ioctl(v: VfioPci, cmd: number, arg: number, proc: Process, find: (pdev: PciDev) => VfioPci | null): Promise<number> {
  switch (cmd) {
    case VFIO_DEVICE_GET_INFO: return getInfo(v, arg, proc);
    case VFIO_DEVICE_GET_REGION_INFO: return getRegionInfo(v, arg, proc);
    case VFIO_DEVICE_GET_IRQ_INFO: return getIrqInfo(v, arg, proc);
    case VFIO_DEVICE_SET_IRQS: return await setIrqs(v, arg, proc);
    case VFIO_DEVICE_RESET: return await resetDevice(v);
    case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: return hotResetInfo(v, arg, proc);
    case VFIO_DEVICE_PCI_HOT_RESET: return await hotReset(v, arg, proc, find);
    case VFIO_DEVICE_IOEVENTFD: return await setIoeventfd(v, arg, proc);
    default: return refuse('ENOTTY', 'ioctl', `command 0x${cmd.toString(16)} is none of a PCI device's`);
  }
}
