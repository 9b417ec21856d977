import { covers, errnoOfSync } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { faultLine } from './fault.ts';
import { bootIommu } from './testing/kernel.ts';

describe('an unmanaged domain', () => {
  it('maps pages, tells where they are, and unmaps over holes', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    const domain = k.iommu_domain_alloc(dev);
    expect(domain).toMatchObject({ type: 'unmanaged', aperture_end: 2 ** 48 - 1, force_aperture: true, mapped: 0 });
    k.iommu_map(domain, 0x10_0000, 0x5000, 0x3000, 3 | 4);
    expect([domain.mapped, k.iommu_iova_to_phys(domain, 0x10_1234), k.iommu_iova_to_phys(domain, 0x10_3000)]).toEqual([0x3000, 0x6234, null]);
    expect(errnoOfSync(() => k.iommu_map(domain, 0x10_2000, 0x5000, 0x2000, 3))).toBe('EEXIST');
    expect([k.iommu_unmap(domain, 0x10_1000, 0x1000), k.iommu_unmap(domain, 0x10_0000, 0x10000)]).toEqual([0x1000, 0x2000]);
    expect(k.iommu_leftovers()).toEqual(['an unmanaged iommu domain: 0 bytes mapped, 0 groups attached']);
    k.iommu_map(domain, 0, 0, 0x1000, 1);
    k.iommu_domain_free(domain);
    expect(kernel.hw.iommu!.tables()).toHaveLength(1);
    expect(() => k.iommu_domain_free(domain)).toThrow('after it was freed');
  });

  it('refuses what is not page-aligned, has no permission, or is out of reach', async () => {
    const kernel = await bootIommu({ iommuBits: 39 });
    const { k } = kernel;
    const domain = k.iommu_domain_alloc(await kernel.device('a', 0x100));
    const map = (iova: number, pa: number, size: number, prot: number): string => errnoOfSync(() => k.iommu_map(domain, iova, pa, size, prot));
    expect([map(1, 0, 4096, 3), map(0, 1, 4096, 3), map(0, 0, 1, 3), map(0, 0, 0, 3), map(0, 0, 4096, 4), map(2 ** 39 - 4096, 0, 8192, 3)])
      .toEqual(['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 'EFAULT']);
    expect([k.iommu_unmap(domain, 1, 4096), domain.mapped]).toEqual([0, 0]);
  });

  it('is attached to a group that has no other', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const a = await kernel.device('a', 0x100);
    const domain = k.iommu_domain_alloc(a);
    const other = k.iommu_domain_alloc(a);
    k.iommu_attach_device(domain, a);
    expect(errnoOfSync(() => k.iommu_attach_device(other, a))).toBe('EBUSY');
    expect(errnoOfSync(() => k.iommu_attach_group(other, k.iommu_group_get(a)!))).toBe('EBUSY');
    expect(() => k.iommu_domain_free(domain)).toThrow('while 1 groups use it');
    k.iommu_detach_device(other, a); // not attached: nothing to do
    expect(k.iommu_group_get(a)!.domain).toBe(domain);
    k.iommu_detach_device(domain, a);
    expect(k.iommu_group_get(a)!.domain).toBe(k.iommu_group_get(a)!.default_domain);
    await kernel.device('b', 0x101, a);
    expect(errnoOfSync(() => k.iommu_attach_device(domain, a))).toBe('EINVAL');
    k.iommu_attach_group(domain, k.iommu_group_get(a)!);
    expect(k.iommu_group_get(a)!.domain).toBe(domain);
  });

  it('is left behind by a device that goes', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    const group = k.iommu_group_get(dev)!;
    const domain = k.iommu_domain_alloc(dev);
    k.iommu_attach_device(domain, dev);
    await kernel.remove(dev);
    k.iommu_detach_device(domain, dev);
    k.iommu_detach_group(domain, group);
    expect(errnoOfSync(() => k.iommu_attach_device(domain, dev))).toBe('ENODEV');
    k.iommu_domain_free(domain);
    expect(kernel.hw.iommu!.tables()).toEqual([]);
  });

  it('cannot be used in place of the fixed ones', async () => {
    const kernel = await bootIommu({ cmdline: 'iommu=pt' });
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    const identity = k.iommu_group_get(dev)!.domain!;
    expect(errnoOfSync(() => k.iommu_map(identity, 0, 0, 4096, 3))).toBe('EINVAL');
    expect([k.iommu_unmap(identity, 0, 4096), k.iommu_iova_to_phys(identity, 77), identity.mapped]).toEqual([0, 77, 0]);
  });
});

describe('requests of devices', () => {
  it('reach what their own tag is mapped to, and fault without a tag the platform knows', async () => {
    covers('1.9.1');
    const kernel = await bootIommu();
    const { k } = kernel;
    const parent = await kernel.device('parent', 0x700);
    const adi = await kernel.device('adi', 0x700, null, 5);
    const other = await kernel.device('other', 0x701);
    const run = k.alloc_pages(3);
    [parent, adi, other].forEach((dev, i) => {
      const domain = k.iommu_domain_alloc(dev);
      k.iommu_map(domain, 0x4000, run.pa + 4096 * i, 4096, 3);
      k.iommu_attach_device(domain, dev);
    });
    const ports = [kernel.hw.dmaPort(0x700), kernel.hw.dmaPort(0x700, 5), kernel.hw.dmaPort(0x701)];
    ports.forEach((port, i) => expect(port.write(0x4000, Uint8Array.of(i + 1))).toBe(true));
    expect([0, 1, 2].map((i) => k.phys_view(run.pa + 4096 * i, 1)[0])).toEqual([1, 2, 3]);
    expect(kernel.hw.dmaPort(0x702).write(0x4000, Uint8Array.of(9))).toBe(false);
    expect(kernel.hw.dmaPort(0x700, 6).write(0x4000, Uint8Array.of(9))).toBe(false);
    expect(k.iommu_faults().map(({ rid, pasid, reason }) => [rid, pasid, reason])).toEqual([[0x702, null, 'no-entry'], [0x700, 6, 'no-entry']]);
  });

  it('that are refused are logged as the Intel driver does', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x73a);
    const dma = k.dma_map_single(dev, 0x5000, 4096, 'DMA_TO_DEVICE');
    kernel.dmesg();
    kernel.hw.dmaPort(0x73a).write(dma + 8, Uint8Array.of(1));
    kernel.hw.dmaPort(0x73a).read(0x1234_5678, 4, new Uint8Array(4));
    await kernel.settle();
    const faults = k.iommu_faults();
    expect(kernel.dmesg()).toEqual(faults.map(faultLine));
    expect(faults.map(({ reason, write }) => [reason, write])).toEqual([['permission', true], ['not-present', false]]);
  });
});
