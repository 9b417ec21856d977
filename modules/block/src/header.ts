/** Block devices: disks, requests, /dev nodes. What other modules see of it: types and symbols, no values. */

/** Symbols of `block`. */
export interface BlockSymbols {
  /** Whether the module is in use. */
  block_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends BlockSymbols {}
}
