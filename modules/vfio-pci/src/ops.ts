/** What the driver answers: all of it is the core's. Mirrors `vfio_pci_ops` in `drivers/vfio/pci/vfio_pci.c` (Linux 6.1). */
import type { VfioDeviceOps } from '@vdpalab/vfio';
import type { VfioPciCoreSymbols } from '@vdpalab/vfio-pci-core';

/** What it takes. */
export type OpsSymbols = Omit<VfioPciCoreSymbols,
  'vfio_pci_core_set_params' | 'vfio_pci_core_register_device' | 'vfio_pci_core_unregister_device' | 'vfio_pci_core_disable'
  | 'vfio_pci_core_register_dev_region' | 'vfio_pci_core_sriov_configure'>;

/** Make the table. */
export function deviceOps(k: OpsSymbols): VfioDeviceOps {
  return {
    name: 'vfio-pci',
    init: (vdev) => k.vfio_pci_core_init_dev(vdev),
    release: (vdev) => k.vfio_pci_core_release_dev(vdev),
    async open_device(vdev) {
      await k.vfio_pci_core_enable(vdev);
      k.vfio_pci_core_finish_enable(vdev);
    },
    close_device: (vdev) => k.vfio_pci_core_close_device(vdev),
    ioctl: (vdev, cmd, arg, proc) => k.vfio_pci_core_ioctl(vdev, cmd, arg, proc),
    device_feature: (vdev, flags, arg, argsz, proc) => k.vfio_pci_core_ioctl_feature(vdev, flags, arg, argsz, proc),
    read: (vdev, len, pos, proc) => k.vfio_pci_core_read(vdev, len, pos, proc),
    write: (vdev, bytes, pos, proc) => k.vfio_pci_core_write(vdev, bytes, pos, proc),
    mmap: (vdev, vma) => k.vfio_pci_core_mmap(vdev, vma),
    request: (vdev, count) => k.vfio_pci_core_request(vdev, count),
    match: (vdev, name) => k.vfio_pci_core_match(vdev, name),
  };
}
