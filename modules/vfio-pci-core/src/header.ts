/**
 * What VFIO drivers of PCI functions share.
 *
 * Mirrors `include/linux/vfio_pci_core.h` (Linux 6.1).
 */
import type { Process } from '@vdpalab/fs';
import type { VmArea } from '@vdpalab/mm';
import type { VfioDevice } from '@vdpalab/vfio';

/** `struct vfio_pci_regops`: a region beyond PCI's own. Offsets count from its start. */
export interface VfioPciRegops {
  readonly read?: (len: number, offset: number, proc: Process) => Promise<Uint8Array>;
  readonly write?: (bytes: Uint8Array, offset: number, proc: Process) => Promise<number>;
  readonly mmap?: (vma: VmArea) => Promise<void>;
  readonly release?: () => undefined;
}

/** `struct vfio_pci_region` */
export interface VfioPciRegion {
  readonly type: number;
  readonly subtype: number;
  readonly ops: VfioPciRegops;
  /** Bytes. */
  readonly size: number;
  /** VFIO_REGION_INFO_FLAG_* */
  readonly flags: number;
}

export interface VfioPciCoreSymbols {
  /** How all devices are treated. */
  vfio_pci_core_set_params: (nointxmask: boolean, disableVga: boolean, disableIdleD3: boolean) => undefined;
  /** For `ops.init`. */
  vfio_pci_core_init_dev: (vdev: VfioDevice) => Promise<void>;
  /** For `ops.release`. */
  vfio_pci_core_release_dev: (vdev: VfioDevice) => undefined;
  /** @throws EINVAL for a bridge; EBUSY with virtual functions on; what registering throws */
  vfio_pci_core_register_device: (vdev: VfioDevice) => Promise<void>;
  vfio_pci_core_unregister_device: (vdev: VfioDevice) => Promise<void>;
  /** The function is user space's: reset, its configuration read. @throws EAGAIN while its device lock is taken; EINVAL */
  vfio_pci_core_enable: (vdev: VfioDevice) => Promise<void>;
  /** The rest of it, which cannot fail. */
  vfio_pci_core_finish_enable: (vdev: VfioDevice) => undefined;
  vfio_pci_core_disable: (vdev: VfioDevice) => Promise<void>;
  vfio_pci_core_close_device: (vdev: VfioDevice) => Promise<void>;
  vfio_pci_core_ioctl: (vdev: VfioDevice, cmd: number, arg: number, proc: Process) => Promise<number>;
  vfio_pci_core_ioctl_feature: (vdev: VfioDevice, flags: number, arg: number, argsz: number, proc: Process) => Promise<number>;
  vfio_pci_core_read: (vdev: VfioDevice, len: number, pos: number, proc: Process) => Promise<Uint8Array>;
  vfio_pci_core_write: (vdev: VfioDevice, bytes: Uint8Array, pos: number, proc: Process) => Promise<number>;
  vfio_pci_core_mmap: (vdev: VfioDevice, vma: VmArea) => Promise<void>;
  vfio_pci_core_request: (vdev: VfioDevice, count: number) => boolean;
  vfio_pci_core_match: (vdev: VfioDevice, name: string) => boolean;
  /** A region beyond PCI's own, for an open device. @returns its index */
  vfio_pci_core_register_dev_region: (vdev: VfioDevice, region: VfioPciRegion) => number;
  /** @throws ENOENT EBUSY EOPNOTSUPP and what enabling throws @returns virtual functions that are on */
  vfio_pci_core_sriov_configure: (vdev: VfioDevice, numVfs: number) => Promise<number>;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VfioPciCoreSymbols {}
}
