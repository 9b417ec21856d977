import fc from 'fast-check';
import { expect, test } from 'vitest';
import { iovaDomains } from './iova-domain.ts';

const { init_iova_domain, alloc_iova, free_iova, put_iova_domain } = iovaDomains;
const TOP = Number.MAX_SAFE_INTEGER;

test('hands out granules from the top, aligned to their size, and takes them back', () => {
  const iovad = init_iova_domain(1, 0);
  expect([alloc_iova(iovad, 4096, TOP), alloc_iova(iovad, 100, TOP), alloc_iova(iovad, 4096, 0xffff)]).toEqual([0xffff_f000, 0xffff_ef80, 0xf000]);
  expect(iovad.used).toBe(8292);
  free_iova(iovad, 0xffff_f000);
  free_iova(iovad, 0xffff_f000); // nothing is there
  expect([iovad.used, alloc_iova(iovad, 4096, TOP)]).toEqual([4196, 0xffff_f000]);
  put_iova_domain(iovad);
});

test('says when there is no room, and uses what was freed in another size', () => {
  const iovad = init_iova_domain(1, 2 ** 31);
  const halves = [alloc_iova(iovad, 2 ** 30, TOP), alloc_iova(iovad, 2 ** 30, TOP)];
  expect([halves, alloc_iova(iovad, 1, TOP)]).toEqual([[0xc000_0000, 0x8000_0000], null]);
  free_iova(iovad, 0x8000_0000);
  free_iova(iovad, 0xc000_0000);
  expect([iovad.used, alloc_iova(iovad, 2 ** 31, TOP)]).toEqual([0, 0x8000_0000]);
});

test('never lets two ranges overlap, and counts what is out', () => {
  const step = fc.oneof(fc.record({ size: fc.integer({ min: 1, max: 5000 }) }), fc.record({ drop: fc.nat() }));
  fc.assert(fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
    const iovad = init_iova_domain(1, 0);
    const out = new Map<number, number>();
    for (const s of steps) {
      if ('drop' in s) {
        const at = [...out.keys()][s.drop % Math.max(1, out.size)];
        if (at === undefined) continue;
        free_iova(iovad, at);
        out.delete(at);
      } else {
        out.set(alloc_iova(iovad, s.size, TOP)!, s.size);
      }
    }
    const ranges = [...out].sort(([a], [b]) => a - b);
    const apart = ranges.every(([at, size], i) => i === ranges.length - 1 || at + size <= ranges[i + 1]![0]);
    expect([apart, iovad.used >= ranges.reduce((sum, [, size]) => sum + size, 0)]).toEqual([true, true]);
  }), { numRuns: 100 });
});
