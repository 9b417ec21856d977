/** core driver for VFIO based PCI devices. What other modules see of it: types and symbols, no values. */

/** Symbols of `vfio_pci_core`. */
export interface VfioPciCoreSymbols {
  /** Whether the module is in use. */
  vfio_pci_core_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VfioPciCoreSymbols {}
}
