/** vDPA simulator of a network device. What other modules see of it: types and symbols, no values. */

/** Symbols of `vdpa_sim_net`. */
export interface VdpaSimNetSymbols {
  /** Whether the module is in use. */
  vdpa_sim_net_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VdpaSimNetSymbols {}
}
