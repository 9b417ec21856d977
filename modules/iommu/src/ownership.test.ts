import { covers, errnoOfSync } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { bootIommu } from './testing/kernel.ts';
import type { IommuKernel } from './testing/kernel.ts';

/** Whether a device's write to an address arrives. */
function writes(kernel: IommuKernel, rid: number, iova: number): boolean {
  return kernel.hw.dmaPort(rid).write(iova, Uint8Array.of(7));
}

describe('ownership of a group', () => {
  it('is shared by host drivers and refused to user space meanwhile', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const a = await kernel.device('a', 0x100);
    const b = await kernel.device('b', 0x101, a);
    const group = k.iommu_group_get(a)!;
    k.iommu_device_use_default_domain(a);
    k.iommu_device_use_default_domain(b);
    expect([group.owner_cnt, k.iommu_group_dma_owner_claimed(group)]).toEqual([2, true]);
    expect(errnoOfSync(() => k.iommu_group_claim_dma_owner(group, 'vfio'))).toBe('EPERM');
    k.iommu_device_unuse_default_domain(a);
    expect(errnoOfSync(() => k.iommu_group_claim_dma_owner(group, 'vfio'))).toBe('EPERM');
    expect(k.iommu_leftovers()).toEqual(['iommu group 0: claimed by 1 host drivers']);
    k.iommu_device_unuse_default_domain(b);
    expect(errnoOfSync(() => k.iommu_group_claim_dma_owner(group, 'vfio'))).toBe('ok');
  });

  it('is exclusive to user space, and keeps host drivers away', async () => {
    covers('F20');
    const kernel = await bootIommu();
    const { k } = kernel;
    const a = await kernel.device('a', 0x100);
    const b = await kernel.device('b', 0x101, a);
    const group = k.iommu_group_get(a)!;
    // One function on a host driver: the group is not viable until that is gone.
    k.iommu_device_use_default_domain(b);
    expect(errnoOfSync(() => k.iommu_group_claim_dma_owner(group, 'vfio'))).toBe('EPERM');
    k.iommu_device_unuse_default_domain(b);
    k.iommu_group_claim_dma_owner(group, 'vfio');
    expect([group.owner, group.owner_cnt]).toEqual(['vfio', 1]);
    expect(errnoOfSync(() => k.iommu_group_claim_dma_owner(group, 'other'))).toBe('EPERM');
    expect(errnoOfSync(() => k.iommu_device_use_default_domain(b))).toBe('EBUSY');
    expect(k.iommu_leftovers()).toEqual(['iommu group 0: owned by user space']);
    k.iommu_group_release_dma_owner(group);
    expect(errnoOfSync(() => k.iommu_device_use_default_domain(b))).toBe('ok');
  });

  it('is lent by a driver that leaves the DMA to user space, and comes back when it is let go', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const a = await kernel.device('a', 0x100);
    const b = await kernel.device('b', 0x101, a);
    const group = k.iommu_group_get(a)!;
    k.iommu_device_lend_dma(a); // it has no claim
    for (const dev of [a, b]) k.iommu_device_use_default_domain(dev);
    k.iommu_device_lend_dma(a);
    expect(group.owner_cnt).toBe(1);
    expect(errnoOfSync(() => k.iommu_group_claim_dma_owner(group, 'vfio'))).toBe('EPERM'); // b is not lent
    k.iommu_device_lend_dma(b);
    k.iommu_group_claim_dma_owner(group, 'vfio');
    k.iommu_device_reclaim_dma(a);
    expect([group.owner, group.owner_cnt]).toEqual(['vfio', 1]);
    k.iommu_device_unuse_default_domain(a); // its driver may go meanwhile
    k.iommu_device_reclaim_dma(b);
    k.iommu_group_release_dma_owner(group);
    expect([group.owner, group.owner_cnt]).toEqual([null, 1]);
    k.iommu_device_unuse_default_domain(b);
    expect(k.iommu_leftovers()).toEqual([]);
  });

  it('of one device is asked again for a second claim that is not lent', async () => {
    const { k, device } = await bootIommu();
    const dev = await device('a', 0x100);
    k.iommu_device_use_default_domain(dev);
    k.iommu_device_lend_dma(dev);
    k.iommu_device_use_default_domain(dev);
    expect(errnoOfSync(() => k.iommu_group_claim_dma_owner(k.iommu_group_get(dev)!, 'vfio'))).toBe('EPERM');
  });

  it('puts a wall in front of memory until a domain is attached, and again after', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    const group = k.iommu_group_get(dev)!;
    const run = k.alloc_pages(1);
    const dma = k.dma_map_single(dev, run.pa, 4096, 'DMA_FROM_DEVICE');
    expect(writes(kernel, 0x100, dma)).toBe(true);

    k.iommu_group_claim_dma_owner(group, 'vfio');
    expect(group.domain!.type).toBe('blocked');
    expect(writes(kernel, 0x100, dma)).toBe(false);
    expect(k.iommu_faults().at(-1)).toMatchObject({ rid: 0x100, iova: dma, write: true, reason: 'blocked' });

    const domain = k.iommu_domain_alloc(dev);
    k.iommu_attach_group(domain, group);
    expect(errnoOfSync(() => k.iommu_group_claim_dma_owner(group, 'other'))).toBe('EPERM');
    k.iommu_map(domain, 0x7000, run.pa, 4096, 3);
    expect([writes(kernel, 0x100, 0x7000), writes(kernel, 0x100, dma)]).toEqual([true, false]);

    k.iommu_detach_group(domain, group);
    expect([group.domain!.type, writes(kernel, 0x100, 0x7000)]).toEqual(['blocked', false]);
    k.iommu_group_release_dma_owner(group);
    expect([group.domain!.type, writes(kernel, 0x100, dma)]).toEqual(['DMA', true]);
    k.iommu_domain_free(domain);
    k.dma_unmap_single(dev, dma, 4096, 'DMA_FROM_DEVICE');
    k.free_pages(run);
    expect(k.iommu_leftovers()).toEqual([]);
  });

  it('is refused while the group is on another than its default domain', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    const group = k.iommu_group_get(dev)!;
    const domain = k.iommu_domain_alloc(dev);
    k.iommu_attach_device(domain, dev);
    expect(errnoOfSync(() => k.iommu_group_claim_dma_owner(group, 'vfio'))).toBe('EBUSY');
    k.iommu_detach_device(domain, dev);
    expect(errnoOfSync(() => k.iommu_group_claim_dma_owner(group, 'vfio'))).toBe('ok');
  });

  it('keeps a second host driver away while the first one\'s user has attached a domain', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    k.iommu_device_use_default_domain(dev);
    const domain = k.iommu_domain_alloc(dev);
    k.iommu_attach_device(domain, dev);
    expect(errnoOfSync(() => k.iommu_device_use_default_domain(dev))).toBe('EBUSY');
    k.iommu_detach_device(domain, dev);
    expect(errnoOfSync(() => k.iommu_device_use_default_domain(dev))).toBe('ok');
  });

  it('is never given back twice', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    const group = k.iommu_group_get(dev)!;
    expect(() => k.iommu_device_unuse_default_domain(dev)).toThrow('has not');
    expect(() => k.iommu_group_release_dma_owner(group)).toThrow('nobody owns');
    expect(() => k.iommu_group_claim_dma_owner(group, null)).toThrow('for nobody');
    await kernel.remove(dev);
    expect(() => k.iommu_group_dma_owner_claimed(group)).toThrow('gone');
  });
});
