/** Bus addresses that are never translated. Mirrors `iommu_get_group_resv_regions` in `drivers/iommu/iommu.c` (Linux 6.1). */
import type { Group } from './group.ts';
import type { IommuResvRegion } from './header.ts';

/** The interrupt window: what every group of an Intel IOMMU keeps free. */
export const MSI_REGION: IommuResvRegion = { start: 0xfee0_0000, length: 0x10_0000, type: 'msi' };

/** What must not be mapped for a group; nothing when no hardware is behind it. */
export function resvRegions(group: Group): readonly IommuResvRegion[] {
  return group.name === null ? [MSI_REGION] : [];
}
