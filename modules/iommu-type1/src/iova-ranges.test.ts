import { expect, test } from 'vitest';
import { isUsable, usableRanges } from './iova-ranges.ts';

const r = (start: number, end: number) => ({ start: BigInt(start), end: BigInt(end) });

test('holes are taken out of an aperture, at its ends and in the middle, overlapping or not', () => {
  expect(usableRanges(r(0, 99), [])).toEqual([r(0, 99)]);
  expect(usableRanges(r(0, 99), [r(40, 49)])).toEqual([r(0, 39), r(50, 99)]);
  expect(usableRanges(r(0, 99), [r(0, 9), r(90, 200), r(45, 60), r(40, 49)])).toEqual([r(10, 39), r(61, 89)]);
  expect(usableRanges(r(0, 99), [r(0, 99)])).toEqual([]);
  expect(usableRanges(r(0, 99), [r(200, 300)])).toEqual([r(0, 99)]);
});

test('a range is usable inside one of them, and everywhere when there are none', () => {
  const ranges = [r(0, 39), r(50, 99)];
  expect([isUsable(ranges, 0n, 39n), isUsable(ranges, 30n, 55n), isUsable(ranges, 40n, 45n), isUsable([], 0n, 1n << 63n)]).toEqual([true, false, false, true]);
});
