/** `include/linux/iommu.h` (Linux 6.1), kernel-internal: what a mapping permits. */

// The `prot` argument of iommu_map(), as masks.
export const IOMMU_READ = 1 << 0;
export const IOMMU_WRITE = 1 << 1;
export const IOMMU_CACHE = 1 << 2;
export const IOMMU_NOEXEC = 1 << 3;
export const IOMMU_MMIO = 1 << 4;
export const IOMMU_PRIV = 1 << 5;
