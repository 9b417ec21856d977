/** Core driver for mediated device. What other modules see of it: types and symbols, no values. */

/** Symbols of `mdev_core`. */
export interface MdevCoreSymbols {
  /** Whether the module is in use. */
  mdev_core_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends MdevCoreSymbols {}
}
