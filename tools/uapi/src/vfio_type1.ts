/** `linux/vfio.h` (Linux 6.1): ioctls of a container with a type 1 IOMMU. */
import { _IO } from './ioctl.ts';
import { defineStruct, u32, u64 } from './struct.ts';
import { VFIO_BASE, VFIO_TYPE, vfio_info_cap_header } from './vfio.ts';
import type { ValueOf } from './struct.ts';

// Information.
export const VFIO_IOMMU_INFO_PGSIZES = 1 << 0;
export const VFIO_IOMMU_INFO_CAPS = 1 << 1;
export const VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE = 1;
export const VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION = 2;
export const VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL = 3;
export const VFIO_IOMMU_GET_INFO = _IO(VFIO_TYPE, VFIO_BASE + 12);

// Mappings.
export const VFIO_DMA_MAP_FLAG_READ = 1 << 0;
export const VFIO_DMA_MAP_FLAG_WRITE = 1 << 1;
export const VFIO_DMA_MAP_FLAG_VADDR = 1 << 2;
export const VFIO_IOMMU_MAP_DMA = _IO(VFIO_TYPE, VFIO_BASE + 13);
export const VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP = 1 << 0;
export const VFIO_DMA_UNMAP_FLAG_ALL = 1 << 1;
export const VFIO_DMA_UNMAP_FLAG_VADDR = 1 << 2;
export const VFIO_IOMMU_UNMAP_DMA = _IO(VFIO_TYPE, VFIO_BASE + 14);

// Other IOMMU models only.
export const VFIO_IOMMU_ENABLE = _IO(VFIO_TYPE, VFIO_BASE + 15);
export const VFIO_IOMMU_DISABLE = _IO(VFIO_TYPE, VFIO_BASE + 16);

// Dirty page tracking.
export const VFIO_IOMMU_DIRTY_PAGES_FLAG_START = 1 << 0;
export const VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP = 1 << 1;
export const VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP = 1 << 2;
export const VFIO_IOMMU_DIRTY_PAGES = _IO(VFIO_TYPE, VFIO_BASE + 17);

/** `struct vfio_iommu_type1_info`: argument of VFIO_IOMMU_GET_INFO; `iova_pgsizes` has a bit for each page size. */
export const vfio_iommu_type1_info = defineStruct('vfio_iommu_type1_info', {
  argsz: u32,
  flags: u32,
  iova_pgsizes: u64,
  cap_offset: u32,
});
/** A `struct vfio_iommu_type1_info` as a plain object. */
export type VfioIommuType1Info = ValueOf<typeof vfio_iommu_type1_info>;

/** `struct vfio_iova_range`: usable IOVAs, both ends included. */
export const vfio_iova_range = defineStruct('vfio_iova_range', {
  start: u64,
  end: u64,
});
/** A `struct vfio_iova_range` as a plain object. */
export type VfioIovaRange = ValueOf<typeof vfio_iova_range>;

/** `struct vfio_iommu_type1_info_cap_iova_range`: head of the capability; `nr_iovas` ranges follow. */
export const vfio_iommu_type1_info_cap_iova_range = defineStruct('vfio_iommu_type1_info_cap_iova_range', {
  header: vfio_info_cap_header,
  nr_iovas: u32,
  reserved: u32,
}, { align: 8 });
/** A `struct vfio_iommu_type1_info_cap_iova_range` as a plain object. */
export type VfioIommuType1InfoCapIovaRange = ValueOf<typeof vfio_iommu_type1_info_cap_iova_range>;

/** `struct vfio_iommu_type1_info_cap_migration`: what dirty page tracking can do. */
export const vfio_iommu_type1_info_cap_migration = defineStruct('vfio_iommu_type1_info_cap_migration', {
  header: vfio_info_cap_header,
  flags: u32,
  pgsize_bitmap: u64,
  max_dirty_bitmap_size: u64,
});
/** A `struct vfio_iommu_type1_info_cap_migration` as a plain object. */
export type VfioIommuType1InfoCapMigration = ValueOf<typeof vfio_iommu_type1_info_cap_migration>;

/** `struct vfio_iommu_type1_info_dma_avail`: how many more mappings fit. */
export const vfio_iommu_type1_info_dma_avail = defineStruct('vfio_iommu_type1_info_dma_avail', {
  header: vfio_info_cap_header,
  avail: u32,
});
/** A `struct vfio_iommu_type1_info_dma_avail` as a plain object. */
export type VfioIommuType1InfoDmaAvail = ValueOf<typeof vfio_iommu_type1_info_dma_avail>;

/** `struct vfio_iommu_type1_dma_map`: argument of VFIO_IOMMU_MAP_DMA. */
export const vfio_iommu_type1_dma_map = defineStruct('vfio_iommu_type1_dma_map', {
  argsz: u32,
  flags: u32,
  vaddr: u64,
  iova: u64,
  size: u64,
});
/** A `struct vfio_iommu_type1_dma_map` as a plain object. */
export type VfioIommuType1DmaMap = ValueOf<typeof vfio_iommu_type1_dma_map>;

/** `struct vfio_bitmap`: a user bitmap: page size and size in bytes, address. */
export const vfio_bitmap = defineStruct('vfio_bitmap', {
  pgsize: u64,
  size: u64,
  data: u64,
});
/** A `struct vfio_bitmap` as a plain object. */
export type VfioBitmap = ValueOf<typeof vfio_bitmap>;

/**
 * `struct vfio_iommu_type1_dma_unmap`: head of the argument of VFIO_IOMMU_UNMAP_DMA.
 *
 * A struct vfio_bitmap may follow.
 */
export const vfio_iommu_type1_dma_unmap = defineStruct('vfio_iommu_type1_dma_unmap', {
  argsz: u32,
  flags: u32,
  iova: u64,
  size: u64,
});
/** A `struct vfio_iommu_type1_dma_unmap` as a plain object. */
export type VfioIommuType1DmaUnmap = ValueOf<typeof vfio_iommu_type1_dma_unmap>;

/**
 * `struct vfio_iommu_type1_dirty_bitmap`: head of the argument of VFIO_IOMMU_DIRTY_PAGES.
 *
 * Data by the flags follow.
 */
export const vfio_iommu_type1_dirty_bitmap = defineStruct('vfio_iommu_type1_dirty_bitmap', {
  argsz: u32,
  flags: u32,
});
/** A `struct vfio_iommu_type1_dirty_bitmap` as a plain object. */
export type VfioIommuType1DirtyBitmap = ValueOf<typeof vfio_iommu_type1_dirty_bitmap>;

/** `struct vfio_iommu_type1_dirty_bitmap_get`: data of VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP. */
export const vfio_iommu_type1_dirty_bitmap_get = defineStruct('vfio_iommu_type1_dirty_bitmap_get', {
  iova: u64,
  size: u64,
  bitmap: vfio_bitmap,
});
/** A `struct vfio_iommu_type1_dirty_bitmap_get` as a plain object. */
export type VfioIommuType1DirtyBitmapGet = ValueOf<typeof vfio_iommu_type1_dirty_bitmap_get>;
