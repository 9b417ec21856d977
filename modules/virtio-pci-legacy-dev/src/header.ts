/**
 * A legacy virtio PCI function's registers: virtio 0.9.5, in BAR 0.
 *
 * Mirrors `include/linux/virtio_pci_legacy.h` (Linux 6.1). Where Linux fills a structure of the caller's,
 * `vp_legacy_probe` returns it.
 */
import type { Atomic } from '@vdpalab/abi';
import type { IoMem, PciDev } from '@vdpalab/pci';

/** `struct virtio_pci_legacy_device` */
export interface VirtioPciLegacyDevice {
  readonly pci_dev: PciDev;
  /** BAR 0; the ISR byte is among its registers. */
  readonly ioaddr: IoMem;
  readonly id: { readonly device: number; readonly vendor: number };
}

export interface VirtioPciLegacyDevSymbols {
  /**
   * Reserve and map BAR 0; nothing is held when it throws.
   *
   * @throws ENODEV when it is no legacy or transitional function, or of another revision
   * @throws ENOMEM when BAR 0 is absent
   * @throws EBUSY when BAR 0 is taken
   */
  vp_legacy_probe: (pdev: PciDev) => VirtioPciLegacyDevice;
  vp_legacy_remove: (ldev: VirtioPciLegacyDevice) => Atomic;
  /** 32 bits. */
  vp_legacy_get_features: (ldev: VirtioPciLegacyDevice) => bigint;
  vp_legacy_get_driver_features: (ldev: VirtioPciLegacyDevice) => bigint;
  /** @param features below 2^32 */
  vp_legacy_set_features: (ldev: VirtioPciLegacyDevice, features: bigint) => Atomic;
  vp_legacy_get_status: (ldev: VirtioPciLegacyDevice) => number;
  vp_legacy_set_status: (ldev: VirtioPciLegacyDevice, status: number) => Atomic;
  /** @returns the vector the device took, VIRTIO_MSI_NO_VECTOR when none; only while MSI-X is on */
  vp_legacy_queue_vector: (ldev: VirtioPciLegacyDevice, index: number, vector: number) => number;
  vp_legacy_config_vector: (ldev: VirtioPciLegacyDevice, vector: number) => number;
  /** @param pfn page frame of the ring, 0 for none */
  vp_legacy_set_queue_address: (ldev: VirtioPciLegacyDevice, index: number, pfn: number) => Atomic;
  vp_legacy_get_queue_enable: (ldev: VirtioPciLegacyDevice, index: number) => boolean;
  /** @returns descriptors; 0 for a queue that is not there */
  vp_legacy_get_queue_size: (ldev: VirtioPciLegacyDevice, index: number) => number;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VirtioPciLegacyDevSymbols {}
}
