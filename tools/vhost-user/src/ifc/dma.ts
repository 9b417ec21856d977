/** What the function reaches besides its guest's memory. */
import { VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE } from '@vdpalab/uapi';
import type { VfioContainerFile } from '@vdpalab/user';

/** Flags of all its mappings. */
export const DMA_RW = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

/** A range of bus addresses. */
export interface DmaRange {
  readonly iova: bigint;
  /** Bytes. */
  readonly size: bigint;
}

/**
 * Map memory of the process above any guest's.
 *
 * @param places bus addresses to try: the second is for an IOMMU with fewer address bits
 */
export async function mapHigh(container: VfioContainerFile, places: readonly [bigint, bigint], va: bigint, size: bigint): Promise<DmaRange> {
  const [wide, narrow] = places;
  try {
    await container.mapDma(va, wide, size, DMA_RW);
    return { iova: wide, size };
  } catch {
    await container.mapDma(va, narrow, size, DMA_RW);
    return { iova: narrow, size };
  }
}
