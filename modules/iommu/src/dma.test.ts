import { errnoOfSync } from '@vdpalab/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bootIommu } from './testing/kernel.ts';

describe('the DMA API behind an IOMMU', () => {
  it('hands out addresses from the top of the first 4 GiB down', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    k.dma_set_mask_and_coherent(dev, 2 ** 48 - 1);
    const first = k.dma_map_single(dev, 0x5123, 16, 'DMA_TO_DEVICE');
    const second = k.dma_map_single(dev, 0x6000, 8192, 'DMA_TO_DEVICE');
    expect([first, second]).toEqual([0xffff_f123, 0xffff_c000]);
  });

  it('maps two buffers of one page at two addresses, each for its own direction', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    const run = k.alloc_pages(1);
    const out = k.dma_map_single(dev, run.pa, 64, 'DMA_TO_DEVICE');
    const back = k.dma_map_single(dev, run.pa + 64, 64, 'DMA_FROM_DEVICE');
    expect(out - (out % 4096)).not.toBe(back - (back % 4096));
    expect(back % 4096).toBe(64);
    const port = kernel.hw.dmaPort(0x100);
    k.phys_view(run.pa, 1)[0] = 42;
    const got = new Uint8Array(1);
    expect([port.read(out, 1, got), got[0], port.write(out, Uint8Array.of(1)), port.write(back, Uint8Array.of(7)), port.read(back, 1, got)])
      .toEqual([true, 42, false, true, false]);
    expect(k.phys_view(run.pa + 64, 1)[0]).toBe(7);
    k.dma_unmap_single(dev, out, 64, 'DMA_TO_DEVICE');
    expect(port.read(out, 1, got)).toBe(false);
    expect(port.write(back, Uint8Array.of(8))).toBe(true);
    k.dma_unmap_single(dev, back, 64, 'DMA_FROM_DEVICE');
    expect(kernel.hw.iommu!.tables()[0]!.mappedPages).toBe(0);
  });

  it('gives coherent memory that both sides read and write, and takes it all back', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    const free = k.nr_free_pages();
    const mem = k.dma_alloc_coherent(dev, 5000);
    expect([mem.size, mem.run.pages, k.nr_free_pages()]).toEqual([5000, 2, free - 2]);
    const port = kernel.hw.dmaPort(0x100);
    const got = new Uint8Array(1);
    expect([port.write(mem.dma + 4999, Uint8Array.of(9)), port.read(mem.dma + 4999, 1, got), got[0]]).toEqual([true, true, 9]);
    expect(k.dma_mappings(dev)).toMatchObject([{ dma: mem.dma, size: 5000, coherent: true }]);
    expect(k.iommu_leftovers()).toContain('a: 1 DMA mappings');
    k.dma_free_coherent(dev, mem);
    expect([k.nr_free_pages(), k.dma_mappings(dev)]).toEqual([free, []]);
    expect(k.iommu_leftovers()).toEqual([]);
  });

  it('keeps below the device\'s mask, and off the windows of devices', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    k.dma_set_mask_and_coherent(dev, 0xff_ffff);
    expect(k.dma_map_single(dev, 0x5000, 4096, 'DMA_TO_DEVICE')).toBe(0xff_f000);
    expect(errnoOfSync(() => k.dma_set_mask_and_coherent(dev, 0xffff))).toBe('EIO');
    k.dma_set_mask_and_coherent(dev, 0xffff_ffff);
    // 17 MiB fill what is above the interrupt window; the next one goes below it.
    const big = k.dma_map_single(dev, 0, 0x100_0000, 'DMA_TO_DEVICE');
    const next = k.dma_map_single(dev, 0, 0x100_0000, 'DMA_TO_DEVICE');
    expect([big, next < 0xfee0_0000]).toEqual([0xff00_0000, true]);
  });

  it('goes above 4 GiB when the first is full and the device reaches it', async () => {
    const kernel = await bootIommu({ iommuBits: 34 });
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    k.dma_set_mask_and_coherent(dev, 2 ** 40 - 1);
    const wide = 0x8000_0000;
    const got = [1, 2, 3].map(() => k.dma_map_single(dev, 0, wide, 'DMA_TO_DEVICE'));
    expect(got).toEqual([0x3_8000_0000, 0x3_0000_0000, 0x2_8000_0000]);
  });

  it('says when it has no room, and keeps nothing', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    k.dma_set_mask_and_coherent(dev, 0xff_ffff);
    const pages = k.nr_free_pages();
    expect(errnoOfSync(() => k.dma_map_single(dev, 0, 0x200_0000, 'DMA_TO_DEVICE'))).toBe('ENOMEM');
    k.dma_map_single(dev, 0, 0x80_0000, 'DMA_TO_DEVICE');
    expect(errnoOfSync(() => k.dma_alloc_coherent(dev, 0x80_0000))).toBe('ENOMEM');
    expect(errnoOfSync(() => k.dma_alloc_coherent(dev, 2 ** 40))).toBe('ENOMEM');
    expect([k.nr_free_pages(), k.dma_mappings(dev).length]).toEqual([pages, 1]);
  });

  it('keeps no address when the table refuses', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    const { table } = k.iommu_group_get(dev)!.default_domain!;
    table!.map(0xffff_f000, 0, 4096, 3);
    expect(errnoOfSync(() => k.dma_map_single(dev, 0, 16, 'DMA_TO_DEVICE'))).toBe('EEXIST');
    table!.unmap(0xffff_f000, 4096);
    expect([k.dma_map_single(dev, 0, 16, 'DMA_TO_DEVICE'), k.dma_mappings(dev).length]).toEqual([0xffff_f000, 1]);
  });

  it('calls a driver\'s mistakes by their name', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    const dma = k.dma_map_single(dev, 0x5000, 64, 'DMA_TO_DEVICE');
    expect(() => k.dma_unmap_single(dev, dma, 32, 'DMA_TO_DEVICE')).toThrow('a: frees a mapping it has not');
    expect(() => k.dma_unmap_single(dev, dma + 1, 64, 'DMA_TO_DEVICE')).toThrow('DMA-API');
    expect(() => k.dma_map_single(dev, 0x5000, 0, 'DMA_TO_DEVICE')).toThrow('0 bytes');
    k.dma_unmap_single(dev, dma, 64, 'DMA_TO_DEVICE');
    expect(() => k.dma_unmap_single(dev, dma, 64, 'DMA_TO_DEVICE')).toThrow('has not');
    const plain = await kernel.run(async () => k.device_initialize({ name: 'plain' }));
    expect(() => k.dma_map_single(plain, 0, 1, 'DMA_TO_DEVICE')).toThrow('without a DMA mask');
    expect(k.dma_mappings(plain)).toEqual([]);
    expect(() => k.iommu_probe_device(dev, 1, null)).toThrow('probed twice');
  });

  it('never lets two live mappings share a page of addresses', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    const { table } = k.iommu_group_get(dev)!.default_domain!;
    const step = fc.oneof(
      fc.record({ pa: fc.integer({ min: 0, max: 1 << 20 }), size: fc.integer({ min: 1, max: 20_000 }) }),
      fc.record({ drop: fc.nat() }),
    );
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const live: { dma: number; pa: number; size: number }[] = [];
      for (const s of steps) {
        if ('drop' in s) {
          const [one] = live.splice(s.drop % Math.max(1, live.length), 1);
          if (one !== undefined) k.dma_unmap_single(dev, one.dma, one.size, 'DMA_BIDIRECTIONAL');
        } else {
          live.push({ ...s, dma: k.dma_map_single(dev, s.pa, s.size, 'DMA_BIDIRECTIONAL') });
        }
      }
      const right = live.every(({ dma, pa, size }) => table!.lookup(dma)?.pa === pa && table!.lookup(dma + size - 1)?.pa === pa + size - 1);
      const pages = live.reduce((sum, { pa, size }) => sum + Math.ceil(((pa % 4096) + size) / 4096), 0);
      const counted = table!.mappedPages;
      for (const { dma, size } of live) k.dma_unmap_single(dev, dma, size, 'DMA_BIDIRECTIONAL');
      expect([right, counted, table!.mappedPages]).toEqual([true, pages, 0]);
    }), { numRuns: 60 });
  });
});

describe('the DMA API without an IOMMU', () => {
  it('gives physical addresses, one as often as it is mapped', async () => {
    const kernel = await bootIommu({ iommu: false });
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    expect([k.dma_map_single(dev, 0x5123, 16, 'DMA_TO_DEVICE'), k.dma_map_single(dev, 0x5123, 32, 'DMA_TO_DEVICE')]).toEqual([0x5123, 0x5123]);
    k.dma_map_single(dev, 0x5123, 32, 'DMA_TO_DEVICE');
    expect(k.dma_mappings(dev)).toHaveLength(3);
    k.dma_unmap_single(dev, 0x5123, 32, 'DMA_TO_DEVICE');
    k.dma_unmap_single(dev, 0x5123, 16, 'DMA_TO_DEVICE');
    expect(() => k.dma_unmap_single(dev, 0x5123, 16, 'DMA_TO_DEVICE')).toThrow('has not');
    k.dma_unmap_single(dev, 0x5123, 32, 'DMA_TO_DEVICE');
    expect(k.iommu_leftovers()).toEqual([]);
  });

  it('refuses a mask that does not reach all memory, and addresses beyond it', async () => {
    const kernel = await bootIommu({ iommu: false, ramBytes: 64 << 20 });
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    expect(errnoOfSync(() => k.dma_set_mask_and_coherent(dev, 0xff_ffff))).toBe('EIO');
    expect(errnoOfSync(() => k.dma_map_single(dev, 0xffff_fff8, 16, 'DMA_TO_DEVICE'))).toBe('ENOMEM');
    const mem = k.dma_alloc_coherent(dev, 100);
    expect(mem.dma).toBe(mem.run.pa);
    k.dma_free_coherent(dev, mem);
  });
});
