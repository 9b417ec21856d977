import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createMachine, mappedRegion, PhysicalMemory, wasmRegion } from '@vdpalab/machine';
import { createAllocator } from './allocator.ts';
import type { PageRun } from './header.ts';
import { PAGE } from './testing/kernel.ts';

function allocatorOf(pages: number) {
  const ram = new PhysicalMemory([wasmRegion(0, pages * PAGE)]);
  return { ram, allocator: createAllocator(ram) };
}

test('runs are contiguous, zeroed, never page 0, and the same for the same requests', () => {
  const { ram, allocator } = allocatorOf(16);
  const [a, b] = [allocator.alloc(2), allocator.alloc(3)];
  expect([a, b]).toEqual([{ pa: PAGE, pages: 2 }, { pa: 3 * PAGE, pages: 3 }]);
  ram.view(a.pa, 2 * PAGE).fill(0xff);
  allocator.free(a);
  const again = allocator.alloc(1);
  expect(again.pa).toBe(a.pa);
  expect(ram.view(again.pa, PAGE).every((byte) => byte === 0)).toBe(true);
});

test('no contiguous run is ENOMEM although enough pages are free; scattered memory is found', () => {
  const { allocator } = allocatorOf(9);
  const singles = Array.from({ length: 8 }, () => allocator.alloc(1));
  for (const run of singles.filter((_, i) => i % 2 === 0)) allocator.free(run);
  expect(allocator.freePages()).toBe(4);
  expect(() => allocator.alloc(2)).toThrow(expect.objectContaining({ errno: 'ENOMEM', rule: 'mm.alloc.contiguous' }));
  expect(() => allocator.allocScattered(5)).toThrow(expect.objectContaining({ errno: 'ENOMEM', rule: 'mm.alloc.free' }));
  expect(allocator.freePages()).toBe(4);
  expect(allocator.allocScattered(4).map((run) => run.pages)).toEqual([1, 1, 1, 1]);
});

test('misuse is a bug of the lab', () => {
  const { allocator } = allocatorOf(8);
  const run = allocator.alloc(2);
  allocator.free(run);
  expect(() => allocator.free(run)).toThrow('double free');
  expect(() => allocator.free({ pa: 0, pages: 1 })).toThrow('not allocatable');
  expect(() => allocator.free({ pa: 100, pages: 1 })).toThrow('not allocatable');
  expect(() => allocator.free({ pa: 7 * PAGE, pages: 2 })).toThrow('not allocatable');
  for (const pages of [0, -1, 1.5]) expect(() => allocator.alloc(pages)).toThrow(`allocation of ${pages} pages`);
});

test('a run never crosses regions, and memory of others is not handed out', () => {
  const ram = new PhysicalMemory([
    wasmRegion(0, 4 * PAGE), wasmRegion(4 * PAGE, 4 * PAGE), mappedRegion(16 * PAGE, PAGE, new ArrayBuffer(PAGE)),
  ]);
  const allocator = createAllocator(ram);
  expect(allocator.freePages()).toBe(7);
  expect(allocator.alloc(4)).toEqual({ pa: 4 * PAGE, pages: 4 });
  expect(() => allocator.alloc(4)).toThrow(expect.objectContaining({ errno: 'ENOMEM' }));
});

test('whatever is allocated and freed, runs do not overlap and all pages come back as one run', () => {
  const command = fc.oneof(
    fc.record({ kind: fc.constant('alloc' as const), n: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ kind: fc.constant('free' as const), n: fc.nat(50) }),
    fc.record({ kind: fc.constant('half' as const), n: fc.nat(50) }),
  );
  fc.assert(fc.property(fc.array(command, { maxLength: 80 }), (commands) => {
    const { ram, allocator } = allocatorOf(65);
    const held: PageRun[] = [];
    const used = new Set<number>();
    const each = (run: PageRun, visit: (page: number) => void): void => {
      for (let i = 0; i < run.pages; i++) visit(run.pa / PAGE + i);
    };
    for (const { kind, n } of commands) {
      if (kind === 'alloc') {
        let run: PageRun;
        try {
          run = allocator.alloc(n);
        } catch {
          continue; // no run that long: the count below still has to be right
        }
        const bytes = ram.view(run.pa, run.pages * PAGE);
        expect(bytes.every((byte) => byte === 0)).toBe(true);
        bytes.fill(1);
        each(run, (page) => {
          expect(used.has(page)).toBe(false);
          used.add(page);
        });
        held.push(run);
      } else if (held.length > 0) {
        const [run] = held.splice(n % held.length, 1) as [PageRun];
        const pages = kind === 'half' ? Math.ceil(run.pages / 2) : run.pages;
        const freed = { pa: run.pa, pages };
        allocator.free(freed);
        each(freed, (page) => used.delete(page));
        if (pages < run.pages) held.push({ pa: run.pa + pages * PAGE, pages: run.pages - pages });
      }
      expect(allocator.freePages()).toBe(64 - used.size);
    }
    for (const run of held) allocator.free(run);
    expect(allocator.alloc(64)).toEqual({ pa: PAGE, pages: 64 });
  }), { numRuns: 60 });
});

test('a large run costs no more than a small one, and single pages stay cheap among many holes', () => {
  const pages = 1 << 18; // 1 GiB, never touched
  const { ram } = createMachine({ seed: 1, ramBytes: pages * PAGE, iommu: false, cmdline: '', release: '', consoleSink: () => undefined });
  const allocator = createAllocator(ram);
  const run = allocator.alloc(65_536);
  const singles = Array.from({ length: 10_000 }, () => allocator.alloc(1));
  for (const single of singles.filter((_, i) => i % 2 === 0)) allocator.free(single);
  expect(allocator.alloc(65_536).pages).toBe(65_536);
  expect(allocator.alloc(1).pa).toBe(singles[0]?.pa);
  allocator.free(run);
  expect(allocator.freePages()).toBe(pages - 1 - 65_536 - 5_001);
});
