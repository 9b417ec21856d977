import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DmaList, type Range } from './dma-list.ts';

const range = (iova: number, size: number): Range => ({ iova: BigInt(iova), size: BigInt(size) });

test('finds what an array would, whatever is put in and taken out', () => {
  const step = fc.record({ iova: fc.integer({ min: 0, max: 2000 }), size: fc.integer({ min: 1, max: 20 }), remove: fc.boolean() });
  fc.assert(fc.property(fc.array(step, { maxLength: 600 }), (steps) => {
    const list = new DmaList<Range>();
    let model: Range[] = [];
    for (const { iova, size, remove } of steps) {
      const one = range(iova, size);
      const hit = model.find((r) => r.iova < one.iova + one.size && one.iova < r.iova + r.size) ?? null;
      expect(list.first(one.iova, one.size)).toBe(hit);
      if (hit === null) {
        list.insert(one);
        model = [...model, one].sort((a, b) => Number(a.iova - b.iova));
      } else if (remove) {
        list.remove(hit);
        model = model.filter((r) => r !== hit);
      }
    }
    expect([...list.overlapping(0n, 1n << 64n)]).toEqual(model);
    expect(list.size).toBe(model.length);
  }), { numRuns: 200 });
});

test('splits and empties its leaves without losing anything', () => {
  const list = new DmaList<Range>();
  const all = Array.from({ length: 2000 }, (_, i) => range(((i * 7919) % 2000) * 10, 10));
  for (const one of all) list.insert(one);
  expect([...list.overlapping(0n, 1n << 64n)].map(({ iova }) => Number(iova))).toEqual(Array.from({ length: 2000 }, (_, i) => i * 10));
  for (const one of all) list.remove(one);
  expect([list.size, list.atOrAfter(0n)]).toEqual([0, null]);
});

test('refuses what overlaps, and to remove what is not there', () => {
  const list = new DmaList<Range>();
  list.insert(range(10, 10));
  expect(() => list.insert(range(19, 1))).toThrow('overlaps');
  expect(() => list.remove(range(10, 10))).toThrow('is not a range of the list');
});
