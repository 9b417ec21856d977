/** VFIO_IOMMU_GET_INFO. Mirrors `vfio_iommu_type1_get_info` in `drivers/vfio/vfio_iommu_type1.c` (Linux 6.1). */
import type { Process } from '@vdpalab/fs';
import {
  VFIO_IOMMU_INFO_CAPS, VFIO_IOMMU_INFO_PGSIZES, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION,
  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, vfio_iommu_type1_info, vfio_iommu_type1_info_cap_iova_range, vfio_iommu_type1_info_cap_migration,
  vfio_iommu_type1_info_dma_avail, vfio_iova_range,
} from '@vdpalab/uapi';
import type { VfioInfoCap } from '@vdpalab/vfio';
import { DIRTY_BITMAP_SIZE_MAX } from './dirty.ts';
import type { VfioIommu } from './iommu.ts';
import { refuse } from './refuse.ts';

/** Bytes up to `iova_pgsizes`, and up to `cap_offset`. */
const MIN = vfio_iommu_type1_info.offsetof('cap_offset');
const WITH_CAPS = MIN + 4;
const { size: HEAD } = vfio_iommu_type1_info;

/** @throws EFAULT; EINVAL for a short argument */
export async function getInfo(iommu: VfioIommu, arg: number, { mm }: Process): Promise<number> {
  const wanted = new DataView(mm.read(arg, MIN).slice().buffer).getUint32(0, true);
  if (wanted < MIN) refuse('EINVAL', 'args', `iommu_type1_info: argsz ${wanted}, at least ${MIN}`);
  const { caps, pgsizes } = await iommu.locked(() => ({ caps: capabilities(iommu), pgsizes: iommu.pgsizes }));
  const fits = wanted >= HEAD + caps.buf.length;
  if (fits) {
    iommu.k.vfio_info_cap_shift(caps, HEAD);
    mm.write(arg + HEAD, caps.buf);
  }
  const info = vfio_iommu_type1_info.encode({
    argsz: fits ? wanted : HEAD + caps.buf.length, flags: VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS, iova_pgsizes: pgsizes, cap_offset: fits ? HEAD : 0,
  });
  mm.write(arg, info.subarray(0, wanted >= WITH_CAPS ? WITH_CAPS : MIN));
  return 0;
}

function capabilities(iommu: VfioIommu): VfioInfoCap {
  const caps: VfioInfoCap = { buf: new Uint8Array(0) };
  const add = (bytes: Uint8Array): undefined => iommu.k.vfio_info_add_capability(caps, bytes);
  add(vfio_iommu_type1_info_cap_migration.encode({
    header: { id: VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, version: 1, next: 0 }, flags: 0, pgsize_bitmap: BigInt(iommu.pgsize), max_dirty_bitmap_size: DIRTY_BITMAP_SIZE_MAX,
  }));
  add(vfio_iommu_type1_info_dma_avail.encode({ header: { id: VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, version: 1, next: 0 }, avail: iommu.avail }));
  if (iommu.ranges.length > 0) {
    const { size } = vfio_iommu_type1_info_cap_iova_range;
    const bytes = new Uint8Array(size + iommu.ranges.length * vfio_iova_range.size);
    bytes.set(vfio_iommu_type1_info_cap_iova_range.encode({
      header: { id: VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, version: 1, next: 0 }, nr_iovas: iommu.ranges.length,
    }));
    iommu.ranges.forEach((range, i) => bytes.set(vfio_iova_range.encode(range), size + i * vfio_iova_range.size));
    add(bytes);
  }
  return caps;
}
