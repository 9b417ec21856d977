/**
 * A modern virtio PCI function's registers.
 *
 * Mirrors `include/linux/virtio_pci_modern.h` (Linux 6.1). Where Linux fills a structure of the caller's,
 * `vp_modern_probe` returns it.
 */
import type { Atomic } from '@vdpalab/abi';
import type { IoMem, PciDev } from '@vdpalab/pci';

/** A queue's doorbell: `vp_modern_map_vq_notify`. */
export interface VpNotify {
  readonly mem: IoMem;
  /** Bytes into `mem`. */
  readonly offset: number;
  /** Physical address. */
  readonly pa: number;
}

/** `struct virtio_pci_modern_device` */
export interface VirtioPciModernDevice {
  readonly pci_dev: PciDev;
  readonly common: IoMem;
  /** Device configuration; `null` when the function has none. */
  readonly device: IoMem | null;
  readonly isr: IoMem;
  /** All doorbells, when they fit into a page; else each is mapped when it is asked for, and the caller unmaps it. */
  readonly notify_base: IoMem | null;
  /** Bytes of `notify_base`. */
  readonly notify_len: number;
  /** Offset of the notification capability, for doorbells mapped one by one; 0 otherwise. */
  readonly notify_map_cap: number;
  /** Bytes between doorbells. */
  readonly notify_offset_multiplier: number;
  /** Bytes of `device`, at most a page. */
  readonly device_len: number;
  /** BARs in use, bit per BAR. */
  readonly modern_bars: number;
  readonly id: { readonly device: number; readonly vendor: number };
}

export interface VirtioPciModernDevSymbols {
  /**
   * Find, reserve and map a modern function's structures; nothing is held when it throws.
   *
   * @throws ENODEV when it is no virtio function, or has no common configuration: leave it to the legacy driver
   * @throws EINVAL when a structure is missing, too short, misaligned or outside its BAR
   * @throws EBUSY when a BAR is taken
   */
  vp_modern_probe: (pdev: PciDev) => VirtioPciModernDevice;
  /** Unmap and give the BARs back. */
  vp_modern_remove: (mdev: VirtioPciModernDevice) => Atomic;
  vp_modern_get_features: (mdev: VirtioPciModernDevice) => bigint;
  vp_modern_get_driver_features: (mdev: VirtioPciModernDevice) => bigint;
  vp_modern_set_features: (mdev: VirtioPciModernDevice, features: bigint) => Atomic;
  vp_modern_generation: (mdev: VirtioPciModernDevice) => number;
  vp_modern_get_status: (mdev: VirtioPciModernDevice) => number;
  vp_modern_set_status: (mdev: VirtioPciModernDevice, status: number) => Atomic;
  /** @returns the vector the device took, VIRTIO_MSI_NO_VECTOR when none */
  vp_modern_queue_vector: (mdev: VirtioPciModernDevice, index: number, vector: number) => number;
  vp_modern_config_vector: (mdev: VirtioPciModernDevice, vector: number) => number;
  /** Bus addresses of the three areas. */
  vp_modern_queue_address: (mdev: VirtioPciModernDevice, index: number, desc: bigint, driver: bigint, device: bigint) => Atomic;
  vp_modern_set_queue_enable: (mdev: VirtioPciModernDevice, index: number, enable: boolean) => Atomic;
  vp_modern_get_queue_enable: (mdev: VirtioPciModernDevice, index: number) => boolean;
  /** @param size descriptors */
  vp_modern_set_queue_size: (mdev: VirtioPciModernDevice, index: number, size: number) => Atomic;
  /** @returns descriptors; 0 for a queue that is not there */
  vp_modern_get_queue_size: (mdev: VirtioPciModernDevice, index: number) => number;
  vp_modern_get_num_queues: (mdev: VirtioPciModernDevice) => number;
  /** Whether a queue's reset is still going on. */
  vp_modern_get_queue_reset: (mdev: VirtioPciModernDevice, index: number) => boolean;
  /** Reset one queue, and wait until the device says that it is done. */
  vp_modern_set_queue_reset: (mdev: VirtioPciModernDevice, index: number) => Promise<void>;
  /** A queue's doorbell; `null` when its place is not inside the notification structure, which is logged. */
  vp_modern_map_vq_notify: (mdev: VirtioPciModernDevice, index: number) => VpNotify | null;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VirtioPciModernDevSymbols {}
}
