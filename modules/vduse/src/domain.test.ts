import type { KernelSymbols } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { DmaDirection } from '@vdpalab/iommu';
import { createMachine } from '@vdpalab/machine';
import { bootBuiltins } from '@vdpalab/testing';
import { MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE, VHOST_ACCESS_RO, VHOST_ACCESS_RW } from '@vdpalab/uapi';
import type {} from '@vdpalab/vhost-iotlb';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Domain, VDUSE_BOUNCE_SIZE } from './domain.ts';

const PAGE = 4096;
const RW = PROT_READ | PROT_WRITE;
/** Only its name is looked at. */
const dev = { name: 'd' } as Device;

async function boot(maxEntries = 2048, ramBytes = 16 * 1024 * 1024) {
  const { machine } = createMachine({ seed: 1, ramBytes, iommu: false, cmdline: '', release: '6.1.0', consoleSink: () => undefined });
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'iommu', 'vhost-iotlb'], { machine });
  const { k } = kernel;
  return { kernel, k, domain: new Domain(k, maxEntries) };
}

/** What the process sees at an IOVA of the bounce buffer, through a mapping of the domain's file. */
function seen(k: KernelSymbols, domain: Domain): { read: (iova: number, len: number) => Uint8Array; write: (iova: number, bytes: Uint8Array) => void; close: () => void } {
  const mm = k.mm_alloc();
  const entry = domain.find(0n, BigInt(VDUSE_BOUNCE_SIZE - 1));
  if (entry === null) throw new Error('no bounce buffer');
  const area = k.mm_map(mm, 0, VDUSE_BOUNCE_SIZE, RW, MAP_SHARED, 0, false);
  area.backing = entry.opaque.source.backing(0, VDUSE_BOUNCE_SIZE);
  return {
    read: (iova, len) => mm.read(area.start + iova, len),
    write: (iova, bytes) => void mm.write(area.start + iova, bytes),
    close: () => void k.mmput(mm),
  };
}

test('what a driver maps is copied to pages that the process sees, and back when it is unmapped', async () => {
  const { kernel, k, domain } = await boot();
  const run = k.alloc_pages(2);
  const memory = k.phys_view(run.pa, 2 * PAGE);
  memory.fill(1);
  const out = domain.dmaOps.map_page(dev, run.pa + 100, 5000, 'DMA_TO_DEVICE');
  const into = domain.dmaOps.map_page(dev, run.pa + 100, 5000, 'DMA_FROM_DEVICE');
  const process = seen(k, domain);
  expect(process.read(out, 5000)).toEqual(new Uint8Array(5000).fill(1));
  expect(process.read(into, 5000)).toEqual(new Uint8Array(5000)); // not copied, and not another driver's either
  process.write(out, Uint8Array.of(9));
  process.write(into + 4999, Uint8Array.of(7));
  expect(memory[100 + 4999]).toBe(1); // only once it is unmapped
  domain.dmaOps.unmap_page(dev, into, 5000, 'DMA_FROM_DEVICE');
  expect(memory[100 + 4999]).toBe(7);
  domain.dmaOps.unmap_page(dev, out, 5000, 'DMA_TO_DEVICE');
  expect(memory[100]).toBe(0); // what came back from the device; the 9 never does
  expect([memory[99], memory[5100]]).toEqual([1, 1]);

  expect(() => process.read(VDUSE_BOUNCE_SIZE - PAGE * 100, 1)).toThrow(expect.objectContaining({ errno: 'EFAULT' })); // never mapped
  process.close();
  k.free_pages(run);
  domain.clear();
  domain.put();
  expect(kernel.leftovers()).toEqual([]);
});

test('any sequence of mappings gives each its own pages and its own bytes', async () => {
  const { kernel, k, domain } = await boot();
  const run = k.alloc_pages(64);
  const directions: readonly DmaDirection[] = ['DMA_TO_DEVICE', 'DMA_FROM_DEVICE', 'DMA_BIDIRECTIONAL'];
  fc.assert(fc.property(fc.array(fc.record({
    at: fc.nat(15), offset: fc.nat(PAGE - 1), size: fc.integer({ min: 1, max: 3 * PAGE }), dir: fc.constantFrom(...directions), fill: fc.integer({ min: 1, max: 255 }), answer: fc.integer({ min: 1, max: 255 }),
  }), { minLength: 1, maxLength: 12 }), (maps) => {
    // Each on four pages of its own, so that what one brings back is not another's.
    const live = maps.map((m, n) => ({ ...m, pa: run.pa + 4 * PAGE * n + m.offset % PAGE })).map((m) => {
      k.phys_view(m.pa, m.size).fill(m.fill);
      return { ...m, iova: domain.dmaOps.map_page(dev, m.pa, m.size, m.dir) };
    });
    const process = seen(k, domain);
    for (const m of live) {
      if (m.dir !== 'DMA_FROM_DEVICE') expect(process.read(m.iova, m.size).every((b) => b === m.fill)).toBe(true);
      process.write(m.iova, new Uint8Array(m.size).fill(m.answer));
    }
    for (const m of live) domain.dmaOps.unmap_page(dev, m.iova, m.size, m.dir);
    for (const m of live) {
      const wanted = m.dir === 'DMA_TO_DEVICE' ? m.fill : m.answer;
      expect(k.phys_view(m.pa, m.size).every((b) => b === wanted)).toBe(true);
    }
    process.close();
  }), { numRuns: 40 });
  k.free_pages(run);
  domain.clear();
  domain.put();
  expect(kernel.leftovers()).toEqual([]);
});

test('coherent memory is the same pages on both sides, above the bounce buffer', async () => {
  const { kernel, k, domain } = await boot();
  const run = k.alloc_pages(1);
  const iova = domain.dmaOps.map_coherent?.(dev, run.pa, PAGE) ?? -1;
  expect(iova).toBeGreaterThanOrEqual(VDUSE_BOUNCE_SIZE);
  const found = domain.find(BigInt(iova), BigInt(iova));
  expect(found).toMatchObject({ start: BigInt(iova), last: BigInt(iova + PAGE - 1), perm: VHOST_ACCESS_RW, opaque: { offset: BigInt(iova) } });
  const backing = found?.opaque.source.backing(iova, PAGE);
  expect(backing?.kind === 'fault' ? backing.fault(iova / PAGE) : null).toBe(run.pa);
  domain.dmaOps.unmap_coherent?.(dev, iova, PAGE);
  expect(domain.find(BigInt(iova), BigInt(iova))).toBeNull();
  k.free_pages(run);
  domain.clear();
  domain.put();
  expect(kernel.leftovers()).toEqual([]);
});

test('a mapping that finds no room leaves nothing', async () => {
  const { kernel, k, domain } = await boot(1);
  expect(() => domain.dmaOps.map_page(dev, 0, VDUSE_BOUNCE_SIZE + PAGE, 'DMA_TO_DEVICE')).toThrow(expect.objectContaining({ errno: 'ENOMEM', rule: 'vduse.dma.iova' }));
  expect(() => domain.dmaOps.map_coherent?.(dev, 0, PAGE)).toThrow(expect.objectContaining({ errno: 'ENOMEM', rule: 'vduse.dma.iotlb' })); // one entry, the bounce buffer's
  const all = k.alloc_pages(k.nr_free_pages() > 4096 ? 4096 : 1);
  const rest: ReturnType<typeof k.alloc_pages>[] = [];
  try {
    for (;;) rest.push(k.alloc_pages(1));
  } catch {
    // nothing is left
  }
  expect(() => domain.dmaOps.map_page(dev, 0, PAGE, 'DMA_TO_DEVICE')).toThrow(expect.objectContaining({ errno: 'ENOMEM' }));
  for (const run of [all, ...rest]) k.free_pages(run);
  const iova = domain.dmaOps.map_page(dev, 0, PAGE, 'DMA_TO_DEVICE');
  expect(iova).toBe(VDUSE_BOUNCE_SIZE - PAGE); // the highest place: the failed ones hold none
  domain.clear();
  domain.put();
  expect(kernel.leftovers()).toEqual([]);
});

test('user memory takes the place of the bounce pages with what is in them, and gives it back', async () => {
  const { kernel, k, domain } = await boot(2048, 2 * VDUSE_BOUNCE_SIZE);
  const run = k.alloc_pages(1);
  k.phys_view(run.pa, PAGE).fill(3);
  const iova = domain.dmaOps.map_page(dev, run.pa, PAGE, 'DMA_TO_DEVICE');
  const process = seen(k, domain);
  const mm = k.mm_alloc();
  const area = k.mm_map(mm, 0, VDUSE_BOUNCE_SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS, 0, true);
  const runs = k.pin_user_pages(mm, area.start, VDUSE_BOUNCE_SIZE, true);
  domain.bounce.useMemory(runs.flatMap((r) => Array.from({ length: r.pages }, (_, n) => r.pa + n * PAGE)));
  expect(mm.read(area.start + iova, 1)).toEqual(Uint8Array.of(3));
  mm.write(area.start + iova, Uint8Array.of(4));
  expect(process.read(iova, 1)).toEqual(Uint8Array.of(4)); // one page, seen twice
  const second = domain.dmaOps.map_page(dev, run.pa, PAGE, 'DMA_TO_DEVICE');
  expect(mm.read(area.start + second, 1)).toEqual(Uint8Array.of(3)); // new ones come from there, too
  domain.bounce.leaveMemory();
  k.unpin_user_pages(runs, true);
  k.mmput(mm);
  expect([process.read(iova, 1), process.read(second, 1)]).toEqual([Uint8Array.of(4), Uint8Array.of(3)]);
  process.close();
  k.free_pages(run);
  domain.clear();
  domain.put();
  expect(kernel.leftovers()).toEqual([]);
});

test('memory of a front-end stays until the last file of it is closed, and is all or nothing', async () => {
  const { kernel, k, domain } = await boot(2);
  const mm = k.mm_alloc();
  const area = k.mm_map(mm, 0, 3 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, 0, true);
  const table = k.vhost_iotlb_alloc(0, 0);
  const add = (start: bigint, offset: number, perm: number): void =>
    void k.vhost_iotlb_add_range_ctx(table, start, start + BigInt(PAGE) - 1n, BigInt(area.start + offset), perm, area);
  add(0x1000n, 0, VHOST_ACCESS_RW);
  add(0x5000n, PAGE, VHOST_ACCESS_RO);
  domain.setMap(table);
  mm.write(area.start + PAGE, Uint8Array.of(42));
  const file = domain.find(0x5000n, 0x5000n)?.opaque.source;
  file?.get(); // a descriptor was handed out
  add(0x9000n, 2 * PAGE, VHOST_ACCESS_RW);
  expect(() => domain.setMap(table)).toThrow(expect.objectContaining({ errno: 'ENOSPC' })); // three entries of two
  expect(domain.find(0n, (1n << 64n) - 1n)).toBeNull();
  k.mmput(mm); // the front-end is gone
  const backing = file?.backing(0, PAGE);
  const [run] = backing?.kind === 'pages' ? backing.runs : [];
  expect(run === undefined ? null : k.phys_view(run.pa, 1)).toEqual(Uint8Array.of(42));
  file?.put();
  k.vhost_iotlb_free(table);
  domain.clear();
  domain.put();
  expect(kernel.leftovers()).toEqual([]);
});
