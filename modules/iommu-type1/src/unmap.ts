/** VFIO_IOMMU_UNMAP_DMA. Mirrors `vfio_dma_do_unmap` in `drivers/vfio/vfio_iommu_type1.c` (Linux 6.1). */
import type { Process } from '@vdpalab/fs';
import {
  VFIO_DMA_UNMAP_FLAG_ALL, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, VFIO_DMA_UNMAP_FLAG_VADDR, vfio_bitmap, vfio_iommu_type1_dma_unmap,
} from '@vdpalab/uapi';
import type { VfioBitmap } from '@vdpalab/uapi';
import { removeDma } from './backing.ts';
import { checkBitmap, checkWhole, reportDirty } from './dirty.ts';
import { PAGE, type VfioDma } from './dma.ts';
import type { VfioIommu } from './iommu.ts';
import { hex, refuse } from './refuse.ts';

const { size: MIN } = vfio_iommu_type1_dma_unmap;
const FLAGS = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR;
const U64 = 1n << 64n;
/** Times that drivers are asked to unpin before the kernel gives up. */
const MAX_ROUNDS = 10;

/** What is to be unmapped. */
interface Unmap {
  readonly iova: bigint;
  readonly size: bigint;
  readonly all: boolean;
  readonly vaddr: boolean;
  readonly bitmap: VfioBitmap | null;
}

/** Unmap; the size in the argument becomes what was unmapped. @throws EFAULT EINVAL EBUSY */
export async function unmapDma(iommu: VfioIommu, arg: number, proc: Process): Promise<number> {
  const { argsz, flags, iova, size } = vfio_iommu_type1_dma_unmap.decode(proc.mm.read(arg, MIN));
  const has = (flag: number): boolean => (flags & flag) !== 0;
  if (argsz < MIN || (flags & ~FLAGS) !== 0) refuse('EINVAL', 'args', `dma_unmap: argsz ${argsz}, flags 0x${flags.toString(16)}`);
  const wantsBits = has(VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP);
  const unmap: Unmap = {
    iova, size, all: has(VFIO_DMA_UNMAP_FLAG_ALL), vaddr: has(VFIO_DMA_UNMAP_FLAG_VADDR), bitmap: wantsBits ? bitmapOf(argsz, arg, size, flags, proc) : null,
  };
  const unmapped = await iommu.locked(() => doUnmap(iommu, unmap, proc));
  proc.mm.write(arg, vfio_iommu_type1_dma_unmap.encode({ argsz, flags, iova, size: unmapped }));
  return 0;
}

function bitmapOf(argsz: number, arg: number, size: bigint, flags: number, { mm }: Process): VfioBitmap {
  if ((flags & (VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR)) !== 0) refuse('EINVAL', 'unmap.bitmap', 'a bitmap goes with neither ALL nor VADDR');
  if (argsz < MIN + vfio_bitmap.size) refuse('EINVAL', 'args', `dma_unmap: argsz ${argsz}, at least ${MIN + vfio_bitmap.size} with a bitmap`);
  const bitmap = vfio_bitmap.decode(mm.read(arg + MIN, vfio_bitmap.size));
  checkBitmap(size, bitmap);
  return bitmap;
}

/** @returns bytes unmapped */
async function doUnmap(iommu: VfioIommu, unmap: Unmap, proc: Process): Promise<bigint> {
  const { iova, bitmap, all } = unmap;
  if (unmap.vaddr && iommu.hasEmulated) refuse('EBUSY', 'unmap.vaddr', 'user addresses stay as they are while drivers may pin pages');
  if (iova % PAGE !== 0n) refuse('EINVAL', 'align', `${hex(iova)} is not the start of a page`);
  if (all && (iova !== 0n || unmap.size !== 0n)) refuse('EINVAL', 'unmap.all', 'ALL goes with address 0 and size 0');
  if (!all && (unmap.size === 0n || unmap.size % PAGE !== 0n)) refuse('EINVAL', 'align', `${hex(unmap.size)} bytes are not whole pages`);
  if (iova + unmap.size > U64) refuse('EINVAL', 'range', `${hex(iova)}+${hex(unmap.size)} wraps`);
  if (bitmap !== null && (!iommu.dirtyTracking || bitmap.pgsize !== BigInt(iommu.pgsize))) {
    refuse('EINVAL', 'dirty.off', `dirty pages are ${iommu.dirtyTracking ? `tracked in pages of ${iommu.pgsize}` : 'not tracked'}`);
  }
  const size = all ? U64 : unmap.size;
  if (iommu.v2 && !all) checkWhole(iommu, iova, size);
  if (unmap.vaddr) return takeVaddr(iommu, iova, size);

  let unmapped = 0n;
  for (;;) {
    const dma = next(iommu, iova, size);
    if (dma === null) return unmapped;
    if (dma.pins.size > 0) {
      await askToUnpin(iommu, dma);
      continue; // the list may have changed meanwhile
    }
    if (bitmap !== null) reportDirty(iommu, dma, proc.mm, bitmap.data, iova);
    unmapped += dma.size;
    removeDma(iommu, dma);
  }
}

/** The first mapping to go. In a container of version 1 one that begins before the range ends it. */
function next(iommu: VfioIommu, iova: bigint, size: bigint): VfioDma | null {
  const dma = iommu.list.first(iova, size);
  return dma !== null && !iommu.v2 && dma.iova < iova ? null : dma;
}

/** Drivers unpin what they pinned of a mapping; the lock is let go of meanwhile. @see `vfio_notify_dma_unmap` */
async function askToUnpin(iommu: VfioIommu, dma: VfioDma): Promise<void> {
  for (let round = 0; dma.pins.size > 0; round++) {
    if (round > MAX_ROUNDS) throw new Error(`kernel BUG: ${dma.pins.size} pages of ${hex(dma.iova)} stay pinned after ${MAX_ROUNDS} requests to unpin them`);
    iommu.k.mutex_unlock(iommu.lock);
    try {
      for (const vdev of iommu.devices) {
        await vdev.ops.dma_unmap?.(vdev, Number(dma.iova), Number(dma.size));
        await vdev.notifier?.(Number(dma.iova), Number(dma.size));
      }
    } finally {
      await iommu.k.mutex_lock(iommu.lock);
    }
  }
}

/** Take the user addresses of whole mappings away until new ones are set. @throws EINVAL when one is away already; then none is taken */
function takeVaddr(iommu: VfioIommu, iova: bigint, size: bigint): bigint {
  const taken = [...iommu.list.overlapping(iova, iova + size)];
  const away = taken.find(({ vaddrInvalid }) => vaddrInvalid);
  if (away !== undefined) refuse('EINVAL', 'unmap.vaddr-twice', `${hex(away.iova)}: its user address is taken away already`);
  for (const dma of taken) dma.vaddrInvalid = true;
  iommu.vaddrInvalid += taken.length;
  return taken.reduce((sum, dma) => sum + dma.size, 0n);
}
