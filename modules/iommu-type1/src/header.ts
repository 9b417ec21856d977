/** Type1 IOMMU driver for VFIO. What other modules see of it: types and symbols, no values. */

/** Symbols of `iommu_type1`. */
export interface IommuType1Symbols {
  /** Whether the module is in use. */
  iommu_type1_loaded: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends IommuType1Symbols {}
}
