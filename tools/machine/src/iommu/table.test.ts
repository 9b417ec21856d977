import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Radix } from './radix.ts';
import { RadixTable } from './table.ts';

const PAGE = 4096;
const LARGE = 512 * PAGE;
const HUGE = 512 * LARGE;
const APERTURE_END = 2 ** 48 - 1;

/** One page in a plain map: what the table must agree with. */
interface ModelPage {
  readonly pa: number;
  readonly prot: number;
}

function newTable(): RadixTable {
  return new RadixTable(1, APERTURE_END);
}

function lookupPage(table: RadixTable, iova: number): ModelPage | null {
  const hit = table.lookup(iova);
  return hit === null ? null : { pa: hit.pa, prot: hit.prot };
}

/** Bases that make leaves of every size, neighbours of them, and the ends of the aperture. */
const base = fc.constantFrom(
  0, LARGE, HUGE, 2 ** 32 - LARGE, 2 ** 39 - LARGE, 2 ** 40 + HUGE, 2 ** 48 - 4 * LARGE,
);
const pageNumber = fc.integer({ min: 0, max: 1100 });
const range = fc.record({
  base,
  page: fc.oneof(pageNumber, fc.constantFrom(0, 512, 1024)),
  pages: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(512, 1024)),
});
const step = fc.oneof(
  fc.record({
    op: fc.constant('map' as const), range,
    // Aligned to a large page or not, below and above 4 GiB.
    pa: fc.constantFrom(0, PAGE, LARGE * 3, 2 ** 32 - LARGE, 2 ** 45, 2 ** 45 + PAGE * 7),
    prot: fc.integer({ min: 1, max: 3 }),
  }),
  fc.record({ op: fc.constant('unmap' as const), range }),
  fc.record({ op: fc.constant('device' as const), range }),
);

describe('a table', () => {
  it('agrees with a map of pages after any sequence of map and unmap, the IOTLB included', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => {
        const table = newTable();
        const model = new Map<number, ModelPage>();
        for (const s of steps) {
          const iova = s.range.base + s.range.page * PAGE;
          const pages = Math.min(s.range.pages, (APERTURE_END + 1 - iova) / PAGE);
          const each = <T>(f: (page: number, i: number) => T): T[] =>
            Array.from({ length: pages }, (_, i) => f(iova + i * PAGE, i));
          if (s.op === 'map') {
            const taken = each((page) => model.has(page)).includes(true);
            if (taken) {
              expect(() => table.map(iova, s.pa, pages * PAGE, s.prot)).toThrow(
                expect.objectContaining({ errno: 'EEXIST' }),
              );
            } else {
              table.map(iova, s.pa, pages * PAGE, s.prot);
              each((page, i) => model.set(page, { pa: s.pa + i * PAGE, prot: s.prot }));
            }
          } else if (s.op === 'unmap') {
            const there = each((page) => model.delete(page)).filter(Boolean).length;
            expect(table.unmap(iova, pages * PAGE)).toBe(there * PAGE);
          }
          // Devices look through the IOTLB, the kernel does not: both must agree with the model.
          const wrong = each((page) => {
            const expected = model.get(page);
            const mapped = table.resolve(page >>> 0, Math.floor(page / 2 ** 32), 1);
            if (!mapped || expected === undefined) return mapped === (expected !== undefined) ? -1 : page;
            const pa = table.hitPa + (page - table.hitIova);
            return pa === expected.pa && table.hitProt === expected.prot ? -1 : page;
          });
          expect(wrong.filter((page) => page >= 0)).toEqual([]);
          expect(table.mappedPages).toBe(model.size);
        }
        const pages = [...model.keys()];
        expect(pages.map((page) => lookupPage(table, page))).toEqual([...model.values()]);
        for (const page of pages) table.unmap(page, PAGE);
        expect(table.mappedPages).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('finds a byte anywhere in a leaf of any size, with the bytes left to the end of the mapping', () => {
    const table = newTable();
    table.map(HUGE, 4 * HUGE, HUGE, 3);
    table.map(4 * HUGE, LARGE, LARGE, 1);
    table.map(8 * HUGE, PAGE, PAGE, 2);
    expect(table.lookup(HUGE + 12345)).toEqual({ pa: 4 * HUGE + 12345, prot: 3, length: HUGE - 12345 });
    expect(table.lookup(4 * HUGE + 5)).toEqual({ pa: LARGE + 5, prot: 1, length: LARGE - 5 });
    expect(table.lookup(8 * HUGE + 4095)).toEqual({ pa: PAGE + 4095, prot: 2, length: 1 });
    expect(table.lookup(8 * HUGE + 4096)).toBeNull();
    expect(table.lookup(-1)).toBeNull();
    expect(table.lookup(2 ** 48)).toBeNull();
    expect(table.lookup(0.5)).toBeNull();
  });

  it('joins neighbours that are contiguous and have the same permissions, and no others', () => {
    const table = newTable();
    table.map(0, 0x10_0000, 3 * PAGE, 3);
    table.map(3 * PAGE, 0x10_0000 + 3 * PAGE, PAGE, 3);
    table.map(4 * PAGE, 0x10_0000 + 4 * PAGE, PAGE, 1);
    table.map(5 * PAGE, 0x20_0000, PAGE, 1);
    expect(table.lookup(PAGE)?.length).toBe(3 * PAGE);
    expect(table.lookup(4 * PAGE)?.length).toBe(PAGE);
  });

  it('keeps what lies around a hole cut into a large leaf', () => {
    const table = newTable();
    table.map(0, HUGE, HUGE, 3);
    expect(table.unmap(LARGE + PAGE, PAGE)).toBe(PAGE);
    expect(table.lookup(LARGE)?.pa).toBe(HUGE + LARGE);
    expect(table.lookup(LARGE + PAGE)).toBeNull();
    expect(table.lookup(LARGE + 2 * PAGE)?.length).toBe(HUGE - LARGE - 2 * PAGE);
    expect(table.mappedPages).toBe(HUGE / PAGE - 1);
  });

  it('splits a large leaf that a range enters in the middle and leaves at its end', () => {
    const table = newTable();
    table.map(0, HUGE, 2 * LARGE, 3);
    expect(table.unmap(LARGE - PAGE, LARGE + PAGE)).toBe(LARGE + PAGE);
    expect(table.lookup(0)?.length).toBe(LARGE - PAGE);
    expect(table.mappedPages).toBe(511);
  });

  it('skips holes when it unmaps, also the whole aperture at once', () => {
    const table = newTable();
    table.map(0, 0, PAGE, 3);
    table.map(2 ** 47, 0, 2 * PAGE, 3);
    expect(table.unmap(0, 2 ** 48)).toBe(3 * PAGE);
    expect(table.unmap(0, 2 ** 48)).toBe(0);
    expect(table.mappedPages).toBe(0);
  });

  it('changes nothing when a page in the middle of a range is mapped', () => {
    const table = newTable();
    table.map(5 * PAGE, 0, PAGE, 3);
    expect(() => table.map(0, HUGE, 10 * PAGE, 3)).toThrow('0x5000 is mapped');
    expect(table.lookup(0)).toBeNull();
    expect(table.mappedPages).toBe(1);
  });

  it('refuses unaligned values, empty ranges, missing permissions and addresses beyond the aperture', () => {
    const table = new RadixTable(1, 2 ** 39 - 1);
    const refusal = (errno: string, rule: string): unknown => expect.objectContaining({ errno, rule });
    for (const [iova, pa, size] of [[1, 0, PAGE], [0, 1, PAGE], [0, 0, 1], [0, 0, 0], [-PAGE, 0, PAGE]]) {
      expect(() => table.map(iova!, pa!, size!, 3)).toThrow(refusal('EINVAL', 'iommu.map.unaligned'));
    }
    expect(() => table.map(0, 0, PAGE, 0)).toThrow(refusal('EINVAL', 'iommu.map.prot'));
    expect(() => table.map(2 ** 39 - PAGE, 0, 2 * PAGE, 3)).toThrow(refusal('EFAULT', 'iommu.map.aperture'));
    table.map(2 ** 39 - PAGE, 0, PAGE, 3);
    expect(() => table.unmap(1, PAGE)).toThrow(refusal('EINVAL', 'iommu.unmap.unaligned'));
    expect(table.mappedPages).toBe(1);
  });

  it('answers repeated lookups of small pages from the IOTLB, and of large ones without walking page by page', () => {
    const table = newTable();
    table.map(0, 0, 16 * PAGE, 3);
    for (let round = 0; round < 10; round++) {
      for (let page = 0; page < 16; page++) expect(table.resolve(page * PAGE, 0, 1)).toBe(true);
    }
    expect(table.walks).toBe(16);
    table.map(HUGE, 0, HUGE, 3);
    expect(table.resolve(HUGE + 5, 0, 1)).toBe(true);
    expect([table.hitIova, table.hitLength]).toEqual([HUGE, HUGE]);
  });

  it('stretches a hit over contiguous small pages as far as the device asks', () => {
    const table = newTable();
    table.map(PAGE, PAGE, 8 * PAGE, 3);
    expect(table.resolve(PAGE + 100, 0, 6000)).toBe(true);
    expect([table.hitIova, table.hitPa, table.hitLength]).toEqual([PAGE, PAGE, 2 * PAGE]);
  });
});

it('stretches a hit in a large page over the large pages that go on behind it', () => {
  const table = newTable();
  table.map(HUGE, 0, 5 * LARGE, 3);
  table.map(HUGE + 5 * LARGE, 7 * LARGE, LARGE, 3);
  expect(table.resolve(HUGE + LARGE + 5, 0, 1)).toBe(true);
  expect([table.hitIova, table.hitPa, table.hitLength]).toEqual([HUGE + LARGE, LARGE, 4 * LARGE]);
});

describe('the tree', () => {
  it('maps 1 GiB with one entry and gives all nodes back', () => {
    const radix = new Radix();
    const empty = radix.nodeCount;
    radix.map(HUGE, HUGE, HUGE, 3);
    expect(radix.nodeCount).toBe(empty + 1);
    radix.unmap(HUGE, HUGE);
    expect(radix.nodeCount).toBe(empty);
  });

  it('gives split nodes back too', () => {
    const radix = new Radix();
    const empty = radix.nodeCount;
    radix.map(0, 0, HUGE, 3);
    radix.unmap(PAGE, PAGE);
    expect(radix.nodeCount).toBe(empty + 3);
    radix.unmap(0, HUGE);
    expect(radix.nodeCount).toBe(empty);
  });

  it('grows past its first nodes', () => {
    const radix = new Radix();
    for (let i = 0; i < 64; i++) radix.map(i * HUGE, i * PAGE, PAGE, 3);
    for (let i = 0; i < 64; i++) {
      const iova = i * HUGE;
      expect(radix.find(iova >>> 0, Math.floor(iova / 2 ** 32))).toBe(true);
      expect(radix.targetLo).toBe(i * PAGE);
    }
    expect(radix.unmap(0, 64 * HUGE)).toBe(64 * PAGE);
  });
});
