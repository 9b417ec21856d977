/** VFIO_IOMMU_MAP_DMA. Mirrors `vfio_dma_do_map` in `drivers/vfio/vfio_iommu_type1.c` (Linux 6.1). */
import type { Process } from '@vdpalab/fs';
import {
  IOMMU_READ, IOMMU_WRITE, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_VADDR, VFIO_DMA_MAP_FLAG_WRITE, vfio_iommu_type1_dma_map,
} from '@vdpalab/uapi';
import type { VfioIommuType1DmaMap } from '@vdpalab/uapi';
import { mapAll } from './backing.ts';
import { startBitmap } from './dirty.ts';
import { ownerOf, PAGE, VfioDma, type Owner } from './dma.ts';
import type { VfioIommu } from './iommu.ts';
import { isUsable } from './iova-ranges.ts';
import { hex, refuse } from './refuse.ts';

const { size: MIN } = vfio_iommu_type1_dma_map;
const FLAGS = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE | VFIO_DMA_MAP_FLAG_VADDR;
const U64 = 1n << 64n;

/** Map user memory. @throws EFAULT EINVAL EEXIST ENOENT ENOSPC ENOMEM */
export async function mapDma(iommu: VfioIommu, arg: number, proc: Process): Promise<number> {
  const map = vfio_iommu_type1_dma_map.decode(proc.mm.read(arg, MIN));
  const { argsz, flags } = map;
  if (argsz < MIN || (flags & ~FLAGS) !== 0) refuse('EINVAL', 'args', `dma_map: argsz ${argsz}, flags 0x${flags.toString(16)}`);
  const prot = ((flags & VFIO_DMA_MAP_FLAG_READ) === 0 ? 0 : IOMMU_READ) | ((flags & VFIO_DMA_MAP_FLAG_WRITE) === 0 ? 0 : IOMMU_WRITE);
  const setVaddr = (flags & VFIO_DMA_MAP_FLAG_VADDR) !== 0;
  if ((prot !== 0) === setVaddr) refuse('EINVAL', 'map.prot', `flags 0x${flags.toString(16)}: READ and WRITE, or VADDR`);
  await iommu.locked(() => {
    checkShape(map);
    const found = iommu.list.first(map.iova, map.size);
    const owner = ownerOf(iommu.k, proc);
    if (setVaddr) newVaddr(iommu, map, found, owner);
    else if (found !== null) refuse('EEXIST', 'map.overlap', `${hex(map.iova)}+${hex(map.size)} overlaps ${hex(found.iova)}+${hex(found.size)}`);
    else addMapping(iommu, map, prot, owner);
  });
  return 0;
}

function checkShape({ iova, vaddr, size }: VfioIommuType1DmaMap): void {
  if (size === 0n || (size | iova | vaddr) % PAGE !== 0n) refuse('EINVAL', 'align', `${hex(iova)}+${hex(size)} of ${hex(vaddr)} is not in whole pages`);
  if (iova + size > U64 || vaddr + size > U64) refuse('EINVAL', 'range', `${hex(iova)}+${hex(size)} of ${hex(vaddr)} wraps`);
}

function addMapping(iommu: VfioIommu, { iova, vaddr, size }: VfioIommuType1DmaMap, prot: number, owner: Owner): void {
  if (iommu.avail === 0) refuse('ENOSPC', 'map.entries', `${iommu.list.size} mappings, as many as dma_entry_limit said`);
  if (!isUsable(iommu.ranges, iova, iova + size - 1n)) refuse('EINVAL', 'map.iova', `${hex(iova)}+${hex(size)} is not inside a usable range`);
  const dma = new VfioDma(iova, size, prot, Number(vaddr), owner);
  if (iommu.domain !== null) mapAll(iommu, iommu.domain, dma);
  if (iommu.dirtyTracking) startBitmap(dma);
  iommu.list.insert(dma);
  iommu.avail--;
}

/** The memory of a mapping has moved, to another address or process. @throws ENOENT EINVAL ENOMEM */
function newVaddr(iommu: VfioIommu, { iova, vaddr, size }: VfioIommuType1DmaMap, dma: VfioDma | null, owner: Owner): void {
  if (dma === null) return refuse('ENOENT', 'map.vaddr', `nothing is mapped at ${hex(iova)}`);
  if (!dma.vaddrInvalid || dma.iova !== iova || dma.size !== size) {
    return refuse('EINVAL', 'map.vaddr-whole', `${hex(iova)}+${hex(size)} is no mapping whose user address was taken away`);
  }
  if (owner.mm !== dma.owner.mm) {
    iommu.k.account_locked_vm(owner.mm, dma.charged, owner.memlock);
    iommu.k.account_locked_vm(dma.owner.mm, -dma.charged, dma.owner.memlock);
    dma.owner = owner;
  }
  dma.vaddr = Number(vaddr);
  dma.vaddrInvalid = false;
  iommu.vaddrInvalid--;
}
