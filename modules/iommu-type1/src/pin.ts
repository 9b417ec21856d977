/** Pages pinned by drivers that translate themselves. Mirrors `vfio_iommu_type1_pin_pages` and its like in `drivers/vfio/vfio_iommu_type1.c` (Linux 6.1). */
import type { IommuGroup } from '@vdpalab/driver-core';
import { IOMMU_READ, IOMMU_WRITE } from '@vdpalab/uapi';
import { charge } from './backing.ts';
import { markPage } from './dirty.ts';
import { PAGE, PAGE_SIZE, type VfioDma } from './dma.ts';
import type { VfioIommu } from './iommu.ts';
import { hex, refuse } from './refuse.ts';

/** Pin consecutive pages. @throws EACCES EBUSY EINVAL EPERM EFAULT ENOMEM; nothing more is pinned then @returns their physical addresses */
export async function pinPages(iommu: VfioIommu, group: IommuGroup, iova: number, npage: number, prot: number): Promise<readonly number[]> {
  if (!iommu.v2) refuse('EACCES', 'pin.v1', 'a container of VFIO_TYPE1_IOMMU pins nothing for drivers');
  return await iommu.locked(() => {
    if (iommu.vaddrInvalid > 0) refuse('EBUSY', 'attach.vaddr', `${iommu.vaddrInvalid} mappings wait for a new user address`);
    if (iommu.devices.size === 0) refuse('EINVAL', 'pin.notifier', 'no device would hear of an unmap');
    const pages: number[] = [];
    try {
      for (let i = 0; i < npage; i++) pages.push(pinOne(iommu, BigInt(iova) + BigInt(i) * PAGE, prot));
    } catch (error) {
      for (let i = 0; i < pages.length; i++) unpinOne(iommu, BigInt(iova) + BigInt(i) * PAGE);
      throw error;
    }
    const attached = iommu.groups.find((one) => one.group === group);
    if (attached !== undefined) attached.pinnedOnly = true;
    return pages;
  });
}

function pinOne(iommu: VfioIommu, iova: bigint, prot: number): number {
  const dma = find(iommu, iova);
  if ((dma.prot & prot) !== prot) refuse('EPERM', 'pin.prot', `${hex(iova)} is mapped for ${dma.prot}, pinned for ${prot}`);
  const page = dma.pageOf(iova);
  const pinned = dma.pins.get(page);
  if (pinned !== undefined) {
    pinned.refs++;
    return pinned.pa;
  }
  const { k } = iommu;
  const runs = k.pin_user_pages(dma.owner.mm, dma.vaddr + page * PAGE_SIZE, PAGE_SIZE, (dma.prot & IOMMU_WRITE) !== 0);
  const pa = runs[0]!.pa; // one page, one run
  dma.pins.set(page, { pa, refs: 1 });
  try {
    charge(k, dma, 'vfio_pin_page_external');
  } catch (error) {
    dma.pins.delete(page);
    k.unpin_user_pages(runs, false);
    throw error;
  }
  markPage(dma, page);
  return pa;
}

/** @throws EINVAL at the first page that is not pinned */
export async function unpinPages(iommu: VfioIommu, iova: number, npage: number): Promise<void> {
  await iommu.locked(() => {
    for (let i = 0; i < npage; i++) unpinOne(iommu, BigInt(iova) + BigInt(i) * PAGE);
  });
}

function unpinOne(iommu: VfioIommu, iova: bigint): void {
  const dma = find(iommu, iova);
  const page = dma.pageOf(iova);
  const pinned = dma.pins.get(page);
  if (pinned === undefined) return refuse('EINVAL', 'unpin.none', `${hex(iova)} is not pinned`);
  if (--pinned.refs > 0) return;
  dma.pins.delete(page);
  iommu.k.unpin_user_pages([{ pa: pinned.pa, pages: 1 }], (dma.prot & IOMMU_WRITE) !== 0);
  charge(iommu.k, dma, 'vfio_unpin_page_external');
}

function find(iommu: VfioIommu, iova: bigint): VfioDma {
  return iommu.list.first(iova, 1n) ?? refuse('EINVAL', 'pin.unmapped', `nothing is mapped at ${hex(iova)}`);
}

/** Read or write the user's memory by bus address; nothing is pinned. @throws EINVAL EPERM EBUSY EFAULT @see `vfio_iommu_type1_dma_rw` */
export async function dmaRw(iommu: VfioIommu, iova: number, bytes: Uint8Array, write: boolean): Promise<void> {
  await iommu.locked(() => {
    if (iommu.vaddrInvalid > 0) refuse('EBUSY', 'attach.vaddr', `${iommu.vaddrInvalid} mappings wait for a new user address`);
    for (let done = 0; done < bytes.length;) {
      const at = BigInt(iova + done);
      const dma = find(iommu, at);
      if ((write && (dma.prot & IOMMU_WRITE) === 0) || (dma.prot & IOMMU_READ) === 0) {
        refuse('EPERM', 'pin.prot', `${hex(at)} is mapped for ${dma.prot}`);
      }
      const offset = Number(at - dma.iova);
      const part = bytes.subarray(done, done + Math.min(bytes.length - done, Number(dma.size) - offset));
      const { mm } = dma.owner;
      if (write) mm.write(dma.vaddr + offset, part);
      else part.set(mm.read(dma.vaddr + offset, part.length));
      if (write) for (let page = dma.pageOf(at); page <= dma.pageOf(at + BigInt(part.length - 1)); page++) markPage(dma, page);
      done += part.length;
    }
  });
}
