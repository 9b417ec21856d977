/** VFIO PCI - User Level meta-driver. What other modules see of it: types and symbols, no values. */

/** Symbols of `vfio_pci`. */
export interface VfioPciSymbols {
  /** Whether the module is in use. */
  vfio_pci_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VfioPciSymbols {}
}
