import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IovaSpace } from './iova.ts';

const PAGES = 1 << 12;

/** Pages a request takes, and what its start must be a multiple of. */
function shape(pages: number): { size: number; align: number } {
  const align = 2 ** Math.ceil(Math.log2(pages));
  return { size: pages <= 32 ? align : pages, align };
}

describe('IOVA space', () => {
  it('hands out the top of what the limit allows first', () => {
    const space = new IovaSpace(PAGES);
    expect(space.alloc(1, PAGES - 1)).toBe(PAGES - 1);
    expect(space.alloc(1, PAGES - 1)).toBe(PAGES - 2);
    expect(space.alloc(1, 99)).toBe(99);
    expect(space.alloc(1, 99)).toBe(98);
  });

  it('aligns to the size rounded up to a power of two', () => {
    const space = new IovaSpace(PAGES);
    expect(space.alloc(3, PAGES - 1)).toBe(PAGES - 4);
    expect(space.alloc(100, PAGES - 1)).toBe(PAGES - 256);
    expect(space.alloc(1, PAGES - 1)).toBe(PAGES - 5);
  });

  it('gives the tail of a large range to others', () => {
    const space = new IovaSpace(256);
    expect(space.alloc(129, 255)).toBe(0);
    expect(space.alloc(64, 255)).toBe(192);
    expect(space.used).toBe(193);
  });

  it('reuses the range freed last, then older ones', () => {
    const space = new IovaSpace(PAGES);
    const a = space.alloc(1, PAGES - 1);
    const b = space.alloc(1, PAGES - 1);
    space.free(a, 1);
    space.free(b, 1);
    expect(space.alloc(1, PAGES - 1)).toBe(b);
    expect(space.alloc(1, PAGES - 1)).toBe(a);
  });

  it('does not reuse a freed range above the limit', () => {
    const space = new IovaSpace(PAGES);
    space.free(space.alloc(1, PAGES - 1), 1);
    expect(space.alloc(1, 10)).toBe(10);
  });

  it('joins freed ranges so that a large one fits again', () => {
    const space = new IovaSpace(256);
    const all = Array.from({ length: 256 }, () => space.alloc(1, 255));
    expect(space.alloc(1, 255)).toBe(-1);
    for (const page of all) space.free(page, 1);
    expect(space.alloc(256, 255)).toBe(0);
    expect(space.used).toBe(256);
  });

  it('never hands out a reserved range', () => {
    const space = new IovaSpace(64);
    space.reserve(0, 0);
    space.reserve(10, 40);
    const got = [];
    for (let page = space.alloc(1, 63); page >= 0; page = space.alloc(1, 63)) got.push(page);
    expect(got).toEqual([63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41,
      9, 8, 7, 6, 5, 4, 3, 2, 1]);
  });

  it('refuses to be given the same range twice', () => {
    const space = new IovaSpace(256);
    const page = space.alloc(64, 255);
    space.free(page, 64);
    expect(() => space.free(page, 64)).toThrow(/freed twice/);
  });

  it('finds the highest fit of a space of 2^36 pages', () => {
    const space = new IovaSpace(2 ** 36);
    expect(space.alloc(1, 2 ** 36 - 1)).toBe(2 ** 36 - 1);
    expect(space.alloc(1 << 18, 2 ** 36 - 1)).toBe(2 ** 36 - 2 ** 19);
    expect(space.alloc(1, 0xfffff)).toBe(0xfffff);
  });

  it('never overlaps, keeps to limits and alignment, and takes the highest aligned fit', () => {
    const request = fc.record({ pages: fc.integer({ min: 1, max: 80 }), limit: fc.integer({ min: 0, max: 511 }) });
    const step = fc.oneof(request, fc.record({ free: fc.nat() }));
    fc.assert(fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const space = new IovaSpace(512);
      const busy = new Array<boolean>(512).fill(false);
      const wrong: string[] = [];
      const kept = new Set<string>(); // ranges freed and perhaps at hand: they may come before the highest
      const live: { start: number; pages: number }[] = [];
      for (const s of steps) {
        if ('free' in s) {
          const one = live.splice(s.free % Math.max(live.length, 1), 1)[0];
          if (one === undefined) continue;
          space.free(one.start, one.pages);
          busy.fill(false, one.start, one.start + shape(one.pages).size);
          kept.add(`${one.start}/${shape(one.pages).size}`);
          continue;
        }
        const { size, align } = shape(s.pages);
        const isFree = (at: number, pages: number): boolean => !busy.slice(at, at + pages).includes(true);
        const start = space.alloc(s.pages, s.limit);
        const starts = Array.from({ length: 512 / align }, (_, i) => i * align);
        const fits = starts.filter((at) => at + size - 1 <= s.limit && isFree(at, size));
        const whole = fits.filter((at) => at + align - 1 <= s.limit && isFree(at, align));
        const highest = whole.at(-1) ?? fits.at(-1) ?? -1;
        const allowed = kept.size === 0 || start < 0 ? start === highest : fits.includes(start);
        if (!allowed) wrong.push(`${s.pages} pages up to ${s.limit}: ${start}, highest fit ${highest}`);
        if (start < 0) continue;
        busy.fill(true, start, start + size);
        live.push({ start, pages: s.pages });
      }
      expect(wrong).toEqual([]);
      expect(space.used).toBe(live.reduce((sum, one) => sum + shape(one.pages).size, 0));
    }));
  });
});
