/** virtio devices on PCI. What other modules see of it: types and symbols, no values. */

/** Symbols of `virtio_pci`. */
export interface VirtioPciSymbols {
  /** Whether the module is in use. */
  virtio_pci_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VirtioPciSymbols {}
}
