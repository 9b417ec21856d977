/** Pages written. Mirrors `vfio_iommu_type1_dirty_pages` in `drivers/vfio/vfio_iommu_type1.c` (Linux 6.1). */
import type { Process } from '@vdpalab/fs';
import type { MmStruct } from '@vdpalab/mm';
import {
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP, VFIO_IOMMU_DIRTY_PAGES_FLAG_START, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP, vfio_iommu_type1_dirty_bitmap,
  vfio_iommu_type1_dirty_bitmap_get,
} from '@vdpalab/uapi';
import type { VfioBitmap } from '@vdpalab/uapi';
import { PAGE, type VfioDma } from './dma.ts';
import type { VfioIommu } from './iommu.ts';
import { hex, refuse } from './refuse.ts';

const { size: MIN } = vfio_iommu_type1_dirty_bitmap;
const FLAGS = VFIO_IOMMU_DIRTY_PAGES_FLAG_START | VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP | VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
const EVERYWHERE = 1n << 64n;
/** `DIRTY_BITMAP_SIZE_MAX`: bits of INT_MAX pages, in bytes. */
export const DIRTY_BITMAP_SIZE_MAX = 1n << 28n;

/** `DIRTY_BITMAP_BYTES`: whole 64-bit words. */
export function bitmapBytes(pages: bigint): bigint {
  return ((pages + 63n) / 64n) * 8n;
}

/** @throws EINVAL for a bitmap that does not hold a bit for each page @see `verify_bitmap_size` */
export function checkBitmap(size: bigint, bitmap: VfioBitmap): void {
  if (bitmap.pgsize === 0n) refuse('EINVAL', 'dirty.bitmap', 'a page size of 0');
  const pages = size / (bitmap.pgsize & -bitmap.pgsize);
  if (pages === 0n || bitmap.size === 0n || bitmap.size > DIRTY_BITMAP_SIZE_MAX || bitmap.size < bitmapBytes(pages)) {
    refuse('EINVAL', 'dirty.bitmap', `a bitmap of ${bitmap.size} bytes for ${pages} pages`);
  }
}

/** Give a mapping its bits, those of pinned pages set. */
export function startBitmap(dma: VfioDma): void {
  dma.bitmap = new Uint8Array(Number(bitmapBytes(dma.size / PAGE)));
  markPinned(dma);
}

/** @param page index in the mapping */
export function markPage(dma: VfioDma, page: number): void {
  if (dma.bitmap !== null) dma.bitmap[page >> 3]! |= 1 << (page & 7); // inside: a page of the mapping
}

/** Every page of the mapping. */
export function markAll(dma: VfioDma): void {
  const { bitmap, pages } = dma;
  if (bitmap === null) return;
  bitmap.fill(0xff, 0, pages >> 3);
  for (let page = pages & ~7; page < pages; page++) markPage(dma, page);
}

function markPinned(dma: VfioDma): void {
  for (const page of dma.pins.keys()) markPage(dma, page);
}

/** Put a mapping's bits into the user's bitmap, whose first bit is `base`. @throws EFAULT @see `update_user_bitmap` */
export function reportDirty(iommu: VfioIommu, dma: VfioDma, mm: MmStruct, data: bigint, base: bigint): void {
  if (iommu.writesAnywhere && dma.backing !== null) markAll(dma);
  const bits = dma.bitmap;
  if (bits === null) throw new Error(`vfio: ${hex(dma.iova)} has no bits while dirty pages are tracked`);
  const first = Number((dma.iova - base) / PAGE);
  const shift = first % 64;
  const at = Number(data) + ((first - shift) / 64) * 8;
  const out = new Uint8Array(Number(bitmapBytes(BigInt(dma.pages + shift))));
  for (let page = 0; page < dma.pages; page++) {
    if ((bits[page >> 3]! & (1 << (page & 7))) !== 0) out[(page + shift) >> 3]! |= 1 << ((page + shift) & 7); // inside both
  }
  if (shift > 0) {
    const before = mm.read(at, 8); // bits of the mapping in front, which share the word
    for (let i = 0; i < shift; i++) out[i >> 3]! |= before[i >> 3]! & (1 << (i & 7)); // inside both: shift is below 64
  }
  mm.write(at, out);
}

/** VFIO_IOMMU_DIRTY_PAGES. @throws EACCES for a container of version 1; EFAULT EINVAL */
export async function dirtyPages(iommu: VfioIommu, arg: number, proc: Process): Promise<number> {
  if (!iommu.v2) refuse('EACCES', 'dirty.v1', 'a container of VFIO_TYPE1_IOMMU tracks nothing');
  const { argsz, flags } = vfio_iommu_type1_dirty_bitmap.decode(proc.mm.read(arg, MIN));
  if (argsz < MIN || (flags & ~FLAGS) !== 0) refuse('EINVAL', 'args', `dirty_bitmap: argsz ${argsz}, flags 0x${flags.toString(16)}`);
  switch (flags) {
    case VFIO_IOMMU_DIRTY_PAGES_FLAG_START: return await iommu.locked(() => start(iommu));
    case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP: return await iommu.locked(() => stop(iommu));
    case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP: return await getBitmap(iommu, argsz, arg, proc);
    default: return refuse('EINVAL', 'dirty.flags', `flags 0x${flags.toString(16)}: one of START, STOP and GET_BITMAP`);
  }
}

function start(iommu: VfioIommu): number {
  if (iommu.dirtyTracking) return 0;
  for (const dma of iommu.list.overlapping(0n, EVERYWHERE)) startBitmap(dma);
  iommu.dirtyTracking = true;
  return 0;
}

function stop(iommu: VfioIommu): number {
  iommu.dirtyTracking = false;
  for (const dma of iommu.list.overlapping(0n, EVERYWHERE)) dma.bitmap = null;
  return 0;
}

async function getBitmap(iommu: VfioIommu, argsz: number, arg: number, { mm }: Process): Promise<number> {
  const { size: need } = vfio_iommu_type1_dirty_bitmap_get;
  if (argsz - MIN < need) refuse('EINVAL', 'args', `dirty_bitmap: argsz ${argsz}, at least ${MIN + need} with the range`);
  const { iova, size, bitmap } = vfio_iommu_type1_dirty_bitmap_get.decode(mm.read(arg + MIN, need));
  if (iova + size >= EVERYWHERE) refuse('EINVAL', 'range', `${hex(iova)}+${hex(size)} wraps`);
  checkBitmap(size, bitmap);
  return await iommu.locked(() => {
    if (bitmap.pgsize !== BigInt(iommu.pgsize)) refuse('EINVAL', 'dirty.page-size', `pages of ${bitmap.pgsize}, tracked in ${iommu.pgsize}`);
    if (iova % PAGE !== 0n || size === 0n || size % PAGE !== 0n) refuse('EINVAL', 'align', `${hex(iova)}+${hex(size)} is not in whole pages`);
    if (!iommu.dirtyTracking) refuse('EINVAL', 'dirty.off', 'VFIO_IOMMU_DIRTY_PAGES_FLAG_START comes first');
    checkWhole(iommu, iova, size);
    for (const dma of iommu.list.overlapping(iova, iova + size)) {
      reportDirty(iommu, dma, mm, bitmap.data, iova);
      dma.bitmap?.fill(0);
      markPinned(dma);
    }
    return 0;
  });
}

/** @throws EINVAL when an end of the range cuts a mapping */
export function checkWhole({ list }: VfioIommu, iova: bigint, size: bigint): void {
  const first = list.first(iova, 1n);
  if (first !== null && first.iova !== iova) refuse('EINVAL', 'cut', `${hex(iova)} is inside the mapping at ${hex(first.iova)}`);
  const last = list.first(iova + size - 1n, 1n);
  if (last !== null && last.iova + last.size !== iova + size) refuse('EINVAL', 'cut', `${hex(iova + size)} is inside the mapping at ${hex(last.iova)}`);
}
