/** Access to the registers of a legacy virtio PCI function. What other modules see of it: types and symbols, no values. */

/** Symbols of `virtio_pci_legacy_dev`. */
export interface VirtioPciLegacyDevSymbols {
  /** Whether the module is in use. */
  virtio_pci_legacy_dev_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VirtioPciLegacyDevSymbols {}
}
