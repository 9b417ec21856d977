/** vDPA simulator of a block device. What other modules see of it: types and symbols, no values. */

/** Symbols of `vdpa_sim_blk`. */
export interface VdpaSimBlkSymbols {
  /** Whether the module is in use. */
  vdpa_sim_blk_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VdpaSimBlkSymbols {}
}
