/** The platform IOMMU. */
export type { DeviceTlb, IommuEntry } from './entry.ts';
export { FAULTS_KEPT } from './faults.ts';
export { ADDRESS_BITS } from './radix.ts';
export { RadixTable } from './table.ts';
export { PlatformIommu, requester } from './unit.ts';
