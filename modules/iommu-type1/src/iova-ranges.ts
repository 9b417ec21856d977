/** Addresses that can be mapped. Mirrors `vfio_iommu_aper_resize` and `vfio_iommu_resv_exclude` in `drivers/vfio/vfio_iommu_type1.c` (Linux 6.1). */

/** Both ends included. */
export interface IovaRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** Take holes out of an aperture. @param holes in any order; they may overlap */
export function usableRanges(aperture: IovaRange, holes: readonly IovaRange[]): readonly IovaRange[] {
  let ranges: IovaRange[] = [aperture];
  for (const hole of holes) {
    ranges = ranges.flatMap(({ start, end }) => {
      if (hole.end < start || hole.start > end) return [{ start, end }];
      const left = hole.start > start ? [{ start, end: hole.start - 1n }] : [];
      const right = hole.end < end ? [{ start: hole.end + 1n, end }] : [];
      return [...left, ...right];
    });
  }
  return ranges;
}

/** Whether a range lies inside one of the usable ones. No usable ones stand for all addresses: nothing translates. @see `vfio_iommu_iova_dma_valid` */
export function isUsable(ranges: readonly IovaRange[], start: bigint, end: bigint): boolean {
  return ranges.length === 0 || ranges.some((range) => start >= range.start && end <= range.end);
}
