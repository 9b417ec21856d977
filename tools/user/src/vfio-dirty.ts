/** Dirty pages of a type 1 container, which a process has as `fd`, as a VMM asks for them. */
import type { UserProcess } from '@vdpalab/lab';
import {
  MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP, VFIO_IOMMU_UNMAP_DMA, vfio_bitmap, vfio_iommu_type1_dirty_bitmap, vfio_iommu_type1_dirty_bitmap_get,
  vfio_iommu_type1_dma_unmap,
} from '@vdpalab/uapi';
import type { VfioBitmap } from '@vdpalab/uapi';
import { Scratch } from './scratch.ts';

const PAGE_SIZE = 4096;

/** VFIO_IOMMU_DIRTY_PAGES. @param flags VFIO_IOMMU_DIRTY_PAGES_FLAG_* @param get what follows, for a bitmap */
export async function dirtyPages(p: UserProcess, fd: number, flags: number, get: Uint8Array = new Uint8Array(0)): Promise<void> {
  const { size: head } = vfio_iommu_type1_dirty_bitmap;
  await call(p, fd, VFIO_IOMMU_DIRTY_PAGES, vfio_iommu_type1_dirty_bitmap.encode({ argsz: head + get.length, flags }), get);
}

/** Dirty pages of a range of whole mappings, a bit each. */
export async function dirtyBitmap(p: UserProcess, fd: number, iova: bigint, size: bigint): Promise<Uint8Array> {
  return (await withBitmap(p, size, (bitmap) => dirtyPages(p, fd, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP, vfio_iommu_type1_dirty_bitmap_get.encode({ iova, size, bitmap })))).bits;
}

/** Unmap, and get the dirty pages of what goes. @returns bytes unmapped, and a bit a page */
export async function unmapDirty(p: UserProcess, fd: number, iova: bigint, size: bigint): Promise<{ readonly unmapped: bigint; readonly bits: Uint8Array }> {
  const { size: head } = vfio_iommu_type1_dma_unmap;
  const { value, bits } = await withBitmap(p, size, (bitmap) => call(
    p, fd, VFIO_IOMMU_UNMAP_DMA,
    vfio_iommu_type1_dma_unmap.encode({ argsz: head + vfio_bitmap.size, flags: VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, iova, size }), vfio_bitmap.encode(bitmap),
  ));
  return { unmapped: vfio_iommu_type1_dma_unmap.decode(value).size, bits };
}

/** An ioctl whose argument is two structs, one behind the other. */
async function call(p: UserProcess, fd: number, cmd: number, head: Uint8Array, tail: Uint8Array): Promise<Uint8Array> {
  const scratch = await Scratch.create(p);
  try {
    return await scratch.ioctl(fd, cmd, Uint8Array.of(...head, ...tail));
  } finally {
    await scratch.free();
  }
}

/** With a bitmap in the process's memory. @returns what the call gave, and the bits, in whole bytes */
async function withBitmap<T>(p: UserProcess, size: bigint, body: (bitmap: VfioBitmap) => Promise<T>): Promise<{ readonly value: T; readonly bits: Uint8Array }> {
  const pages = Number(size) / PAGE_SIZE;
  const room = Math.ceil(pages / 64) * 8;
  const at = await p.mmap(room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  try {
    const value = await body({ pgsize: BigInt(PAGE_SIZE), size: BigInt(room), data: BigInt(at) });
    return { value, bits: p.proc.mm.read(at, Math.ceil(pages / 8)) };
  } finally {
    await p.munmap(at, room);
  }
}
