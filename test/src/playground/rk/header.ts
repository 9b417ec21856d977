/** What the rk modules export, for their types. */
export interface RkSymbols {
  /** 42. */
  rk_value: () => number;
  /** Not GPL-only. */
  rk_plain: () => number;
  /** In the namespace RK_NS. */
  rk_ns_value: () => number;
  /** Exported by nobody. */
  rk_nowhere: () => number;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends RkSymbols {}
}
