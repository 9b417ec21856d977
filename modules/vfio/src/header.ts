/** VFIO - User Level meta-driver. What other modules see of it: types and symbols, no values. */

/** Symbols of `vfio`. */
export interface VfioSymbols {
  /** Whether the module is in use. */
  vfio_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VfioSymbols {}
}
