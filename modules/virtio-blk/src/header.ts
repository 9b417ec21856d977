/** The virtio block driver. What other modules see of it: types and symbols, no values. */

/** Symbols of `virtio_blk`. */
export interface VirtioBlkSymbols {
  /** Whether the module is in use. */
  virtio_blk_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VirtioBlkSymbols {}
}
