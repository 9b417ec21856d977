/** Pinning a mapping's pages, charging for them, and mapping them in the domain. Mirrors `drivers/vfio/vfio_iommu_type1.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { IommuDomain } from '@vdpalab/iommu';
import type { MmStruct } from '@vdpalab/mm';
import { IOMMU_CACHE, IOMMU_WRITE } from '@vdpalab/uapi';
import { PAGE_SIZE, type Backing, type VfioDma } from './dma.ts';
import type { Kernel, VfioIommu } from './iommu.ts';

const KERN_WARNING = 4;

/**
 * Charge a mapping's owner for what is pinned of it now.
 *
 * @param where the function that Linux names in the log
 * @throws ENOMEM over RLIMIT_MEMLOCK
 */
export function charge(k: Kernel, dma: VfioDma, where: string): void {
  const more = dma.pinnedPages - dma.charged;
  const { mm, memlock } = dma.owner;
  try {
    k.account_locked_vm(mm, more, memlock);
  } catch (error) {
    if (isKernelError(error)) k._printk(KERN_WARNING, `${where}: RLIMIT_MEMLOCK (${memlock}) exceeded`);
    throw error;
  }
  dma.charged += more;
}

/** The physical addresses of a user range; memory is pinned, device registers are not. @throws EFAULT */
function find(k: Kernel, mm: MmStruct, va: number, size: number, write: boolean): Backing {
  const area = mm.areas.find(({ start, end, backing }) => backing.kind === 'io' && start <= va && va + size <= end);
  if (area?.backing.kind === 'io') return { pinned: false, runs: [{ pa: area.backing.pa + (va - area.start), pages: size / PAGE_SIZE }] };
  return { pinned: true, runs: k.pin_user_pages(mm, va, size, write) };
}

/**
 * Pin all of a mapping and map it.
 *
 * @throws EFAULT ENOMEM, and what the domain throws; nothing is pinned or mapped then
 * @see `vfio_pin_map_dma`
 */
export function mapAll(iommu: VfioIommu, domain: IommuDomain, dma: VfioDma): void {
  const { k } = iommu;
  const before = dma.backing;
  const backing = find(k, dma.owner.mm, dma.vaddr, Number(dma.size), (dma.prot & IOMMU_WRITE) !== 0);
  dma.backing = backing;
  let at = Number(dma.iova);
  try {
    charge(k, dma, 'vfio_pin_pages_remote');
    for (const { pa, pages } of backing.runs) {
      mapRun(iommu, domain, at, pa, pages * PAGE_SIZE, dma.prot);
      at += pages * PAGE_SIZE;
    }
  } catch (error) {
    if (at > Number(dma.iova)) k.iommu_unmap(domain, Number(dma.iova), at - Number(dma.iova));
    dma.backing = before;
    charge(k, dma, 'vfio_pin_map_dma');
    if (backing.pinned) k.unpin_user_pages(backing.runs, false);
    throw error;
  }
}

/** One run; page by page where large pages are switched off. */
function mapRun({ k, params }: VfioIommu, domain: IommuDomain, iova: number, pa: number, size: number, prot: number): void {
  const step = params.disable_hugepages ? PAGE_SIZE : size;
  let done = 0;
  try {
    for (; done < size; done += step) k.iommu_map(domain, iova + done, pa + done, step, prot | IOMMU_CACHE);
  } catch (error) {
    if (done > 0) k.iommu_unmap(domain, iova, done);
    throw error;
  }
}

/** Take a mapping out of the domain and unpin it; what drivers pinned stays. @see `vfio_unmap_unpin` */
export function unmapAll({ k }: VfioIommu, domain: IommuDomain, dma: VfioDma): void {
  const { backing } = dma;
  if (backing === null) return;
  k.iommu_unmap(domain, Number(dma.iova), Number(dma.size));
  dma.backing = null;
  if (backing.pinned) k.unpin_user_pages(backing.runs, (dma.prot & IOMMU_WRITE) !== 0);
  charge(k, dma, 'vfio_unmap_unpin');
}

/** End a mapping. @see `vfio_remove_dma` */
export function removeDma(iommu: VfioIommu, dma: VfioDma): void {
  if (iommu.domain !== null) unmapAll(iommu, iommu.domain, dma);
  if (dma.pins.size > 0) throw new Error(`vfio_remove_dma: ${dma.pins.size} pages of 0x${dma.iova.toString(16)} are pinned by drivers`);
  if (dma.vaddrInvalid) iommu.vaddrInvalid--;
  iommu.list.remove(dma);
  iommu.avail++;
}
