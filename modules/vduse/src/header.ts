/** vDPA device in user space. What other modules see of it: types and symbols, no values. */

/** Symbols of `vduse`. */
export interface VduseSymbols {
  /** Whether the module is in use. */
  vduse_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VduseSymbols {}
}
