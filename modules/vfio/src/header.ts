/**
 * VFIO: devices in the hands of user space.
 *
 * Mirrors `include/linux/vfio.h` and `drivers/vfio/vfio.h` (Linux 6.1).
 */
import type { Atomic, KModule } from '@vdpalab/abi';
import type { Device, IommuGroup } from '@vdpalab/driver-core';
import type { File, Process } from '@vdpalab/fs';
import type { IommuDomain } from '@vdpalab/iommu';
import type { VmArea } from '@vdpalab/mm';
import type { Mutex } from '@vdpalab/sched';
import type { VfioIrqSet } from '@vdpalab/uapi';

/** `struct vfio_device_set`: devices that are reset together. */
export interface VfioDeviceSet {
  readonly lock: Mutex;
  readonly devices: readonly VfioDevice[];
}

/** `struct vfio_device` */
export interface VfioDevice {
  /** The bus's device. */
  readonly dev: Device;
  /** `vfio-dev/vfioN` below it; its last reference ends this object. */
  readonly device: Device;
  readonly ops: VfioDeviceOps;
  /** What the driver gave when it made the device. */
  readonly data: unknown;
  /** The N of vfioN. */
  readonly index: number;
  readonly open_count: number;
  readonly dev_set: VfioDeviceSet | null;
  /** The virtual machine that its group was told of, while it is open. */
  readonly kvm: unknown;
  /** Told of unmaps, for those that pin by page numbers; others have `ops.dma_unmap`. */
  readonly notifier: VfioUnmapNotifier | null;
  /** Set before it is registered, by drivers that migrate: VFIO_MIGRATION_* and how. */
  migration_flags: number;
  mig_ops: VfioMigrationOps | null;
  log_ops: VfioLogOps | null;
}

/** `struct vfio_device_ops`: what the driver answers. Absent ones give EINVAL. */
export interface VfioDeviceOps {
  readonly name: string;
  readonly init?: (vdev: VfioDevice) => Promise<void>;
  readonly release?: (vdev: VfioDevice) => Atomic;
  /** First open. @throws what GET_DEVICE_FD then fails with */
  readonly open_device?: (vdev: VfioDevice) => Promise<void>;
  /** (optional) One open file at a time, as drivers could have it before 5.15: a second GET_DEVICE_FD is EBUSY. */
  readonly exclusive?: boolean;
  /** Last close. */
  readonly close_device?: (vdev: VfioDevice) => Promise<void>;
  readonly read?: (vdev: VfioDevice, len: number, pos: number, proc: Process) => Promise<Uint8Array>;
  readonly write?: (vdev: VfioDevice, bytes: Uint8Array, pos: number, proc: Process) => Promise<number>;
  readonly ioctl?: (vdev: VfioDevice, cmd: number, arg: number, proc: Process) => Promise<number>;
  readonly mmap?: (vdev: VfioDevice, vma: VmArea, proc: Process) => Promise<void>;
  /**
   * The driver wants to leave; ask user space to close.
   *
   * @param count times it was asked before
   * @returns false when nobody can be asked, and asking again is of no use
   */
  readonly request?: (vdev: VfioDevice, count: number) => boolean;
  /** Whether a name with options means this device; its bus name when absent. @throws EINVAL EACCES */
  readonly match?: (vdev: VfioDevice, name: string) => boolean;
  /** A range that the driver may have pinned is about to be unmapped: unpin it before this returns. @param iova, length bytes */
  readonly dma_unmap?: (vdev: VfioDevice, iova: number, length: number) => Promise<void>;
  /** VFIO_DEVICE_FEATURE, as far as VFIO itself does not answer it. @param arg address of the feature's data @param argsz their bytes @throws ENOTTY */
  readonly device_feature?: (vdev: VfioDevice, flags: number, arg: number, argsz: number, proc: Process) => Promise<number>;
}

/** `struct vfio_migration_ops` */
export interface VfioMigrationOps {
  /**
   * Go to a state, through all on the way.
   *
   * @param proc who gets the descriptor for the device's data
   * @returns the descriptor, or -1 when this transition has none
   */
  readonly migration_set_state: (vdev: VfioDevice, state: number, proc: Process) => Promise<number>;
  readonly migration_get_state: (vdev: VfioDevice) => Promise<number>;
}

/** A range whose DMA writes are logged. */
export interface VfioLogRange {
  readonly iova: bigint;
  /** Bytes. */
  readonly length: bigint;
}

/** `struct vfio_log_ops`: a device that logs its DMA writes. */
export interface VfioLogOps {
  /** @param pageSize bytes wanted. @returns bytes a bit stands for */
  readonly log_start: (vdev: VfioDevice, ranges: readonly VfioLogRange[], pageSize: bigint) => Promise<bigint>;
  readonly log_stop: (vdev: VfioDevice) => Promise<void>;
  /** Say what was written in a range, and forget it. @param set marks `length` bytes from `iova` on as written */
  readonly log_read_and_clear: (vdev: VfioDevice, iova: bigint, length: bigint, set: (iova: bigint, length: bigint) => Atomic) => Promise<void>;
}

/** `enum vfio_group_type` */
export type VfioGroupType = 'VFIO_IOMMU' | 'VFIO_EMULATED_IOMMU' | 'VFIO_NO_IOMMU';

/** `struct vfio_iommu_driver_ops`: a backend that keeps a container's mappings. `data` is what its open gave. */
export interface VfioIommuDriverOps {
  readonly name: string;
  readonly owner: KModule | null;
  /** @param arg of VFIO_SET_IOMMU. @throws EINVAL EPERM */
  readonly open: (arg: number) => Promise<unknown>;
  readonly release: (data: unknown) => Promise<void>;
  /** @param data null for VFIO_CHECK_EXTENSION before there is any. @throws ENOTTY for an unknown command */
  readonly ioctl: (data: unknown, cmd: number, arg: number, proc: Process) => Promise<number>;
  readonly attach_group: (data: unknown, group: IommuGroup, type: VfioGroupType) => Promise<void>;
  readonly detach_group: (data: unknown, group: IommuGroup) => Promise<void>;
  /** Pin `npage` pages from `iova` on. @returns the physical address of each. @throws EACCES EBUSY EINVAL EPERM; nothing is pinned then */
  readonly pin_pages?: (data: unknown, group: IommuGroup, iova: number, npage: number, prot: number) => Promise<readonly number[]>;
  /** @throws EINVAL at the first page that is not pinned */
  readonly unpin_pages?: (data: unknown, iova: number, npage: number) => Promise<void>;
  /** A device that wants to hear of unmaps is open from now on. */
  readonly register_device?: (data: unknown, vdev: VfioDevice) => Atomic;
  readonly unregister_device?: (data: unknown, vdev: VfioDevice) => Atomic;
  /** Read or write memory of the user by bus address. @param bytes written from, or into */
  readonly dma_rw?: (data: unknown, iova: number, bytes: Uint8Array, write: boolean) => Promise<void>;
  readonly group_iommu_domain?: (data: unknown, group: IommuGroup) => IommuDomain;
  /** The container's file was closed. */
  readonly notify?: (data: unknown, event: 'VFIO_IOMMU_CONTAINER_CLOSE') => Promise<void>;
}

/** `struct vfio_info_cap`: capabilities that go behind an info struct. */
export interface VfioInfoCap {
  /** The capabilities so far; `next` counts from the start of this. */
  buf: Uint8Array;
}

/** Told of unmaps of a device that pins by page numbers, as before Linux 6.0. @param iova, size bytes */
export type VfioUnmapNotifier = (iova: number, size: number) => Promise<void>;

export interface VfioSymbols {
  /**
   * A device for `dev`; its driver then registers it. It ends with the last reference of `device`.
   *
   * @param data the driver's own
   */
  _vfio_alloc_device: (dev: Device, ops: VfioDeviceOps, data: unknown) => Promise<VfioDevice>;
  /** Reset it together with the others of this key; alone when never called. */
  vfio_assign_device_set: (vdev: VfioDevice, setId: unknown) => Atomic;
  /** @throws EINVAL without an IOMMU that keeps caches coherent; ENOSPC; EEXIST */
  vfio_register_group_dev: (vdev: VfioDevice) => Promise<void>;
  /** For a device whose driver translates addresses itself. */
  vfio_register_emulated_iommu_dev: (vdev: VfioDevice) => Promise<void>;
  /** Waits until nobody has it open. */
  vfio_unregister_group_dev: (vdev: VfioDevice) => Promise<void>;
  /** How often the devices of a set are open. */
  vfio_device_set_open_count: (set: VfioDeviceSet) => number;

  /** @throws EINVAL when it is registered already */
  vfio_register_iommu_driver: (ops: VfioIommuDriverOps) => Atomic;
  vfio_unregister_iommu_driver: (ops: VfioIommuDriverOps) => Atomic;

  /** The next state on the way. @throws EINVAL where no way leads, or one of the states is unknown to the device */
  vfio_mig_get_next_state: (vdev: VfioDevice, from: number, to: number) => number;

  /** The iommu group of an open group file; null for another file. */
  vfio_file_iommu_group: (file: File) => IommuGroup | null;
  vfio_file_is_group: (file: File) => boolean;
  vfio_file_enforced_coherent: (file: File) => boolean;
  /** Tell a group of the virtual machine that uses it. @param kvm null for none */
  vfio_file_set_kvm: (file: File, kvm: unknown) => Atomic;
  vfio_file_has_dev: (file: File, vdev: VfioDevice) => boolean;

  /** Append a capability of `size` bytes, header included. @returns its offset in `buf` */
  vfio_info_cap_add: (caps: VfioInfoCap, size: number, id: number, version: number) => number;
  /** Let `next` count from the start of an info struct of `offset` bytes. */
  vfio_info_cap_shift: (caps: VfioInfoCap, offset: number) => Atomic;
  /** Append a whole capability whose header has its id and version. */
  vfio_info_add_capability: (caps: VfioInfoCap, cap: Uint8Array) => Atomic;
  /** Check a struct vfio_irq_set. @returns bytes of data that follow. @throws EINVAL */
  vfio_set_irqs_validate_and_prepare: (hdr: VfioIrqSet, numIrqs: number, maxIrqType: number) => number;

  /** Pin consecutive pages of an open device's container. @returns the physical address of each. @throws EINVAL E2BIG ENOTTY, and the backend's */
  vfio_pin_pages: (vdev: VfioDevice, iova: number, npage: number, prot: number) => Promise<readonly number[]>;
  /** @throws EINVAL (a driver's mistake) for a page that is not pinned, where Linux only warns */
  vfio_unpin_pages: (vdev: VfioDevice, iova: number, npage: number) => Promise<void>;
  /** @throws EINVAL ENOTTY EPERM */
  vfio_dma_rw: (vdev: VfioDevice, iova: number, bytes: Uint8Array, write: boolean) => Promise<void>;

  /**
   * `vfio_pin_pages` of Linux 4.10 to 5.19: any pages, by number.
   *
   * @param phys_pfn filled with the page frame numbers
   * @returns pages pinned: all
   */
  vfio_pin_user_pfns: (dev: Device, user_pfn: readonly number[], npage: number, prot: number, phys_pfn: number[]) => Promise<number>;
  /** `vfio_unpin_pages` of Linux 4.10 to 5.19. @returns pages unpinned, fewer when one was not pinned */
  vfio_unpin_user_pfns: (dev: Device, user_pfn: readonly number[], npage: number) => Promise<number>;
  /** `vfio_register_notifier(VFIO_IOMMU_NOTIFY)` of Linux 4.10 to 5.19. @throws EINVAL when the device is not open; EBUSY */
  vfio_register_notifier: (dev: Device, notifier: VfioUnmapNotifier) => Atomic;
  /** @throws EINVAL when it is not registered */
  vfio_unregister_notifier: (dev: Device, notifier: VfioUnmapNotifier) => Atomic;

  /** Groups and devices that remain, for leak reports. */
  vfio_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VfioSymbols {}
}
