/** vDPA parent on a plain virtio PCI function. What other modules see of it: types and symbols, no values. */

/** Symbols of `vp_vdpa`. */
export interface VpVdpaSymbols {
  /** Whether the module is in use. */
  vp_vdpa_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VpVdpaSymbols {}
}
