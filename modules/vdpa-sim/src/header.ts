/** Core of the vDPA simulators. What other modules see of it: types and symbols, no values. */

/** Symbols of `vdpa_sim`. */
export interface VdpaSimSymbols {
  /** Whether the module is in use. */
  vdpa_sim_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VdpaSimSymbols {}
}
