/** Access to the registers of a modern virtio PCI function. What other modules see of it: types and symbols, no values. */

/** Symbols of `virtio_pci_modern_dev`. */
export interface VirtioPciModernDevSymbols {
  /** Whether the module is in use. */
  virtio_pci_modern_dev_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VirtioPciModernDevSymbols {}
}
