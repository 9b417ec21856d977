import { errnoOfSync } from '@vdpalab/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IdaState } from './ida.ts';

test('gives the lowest free number, as a plain search does', () => {
  fc.assert(fc.property(fc.array(fc.nat(40)), (steps) => {
    const ida = new IdaState();
    const taken = new Set<number>();
    for (const step of steps) {
      if (taken.has(step)) {
        taken.delete(step);
        ida.free(step);
        continue;
      }
      let lowest = 0;
      while (taken.has(lowest)) lowest++;
      taken.add(lowest);
      expect(ida.alloc(1000)).toBe(lowest);
    }
    expect(ida.size).toBe(taken.size);
  }));
});

test('is full at its limit, and knows what was not taken', () => {
  const ida = new IdaState();
  expect([ida.alloc(1), ida.alloc(1)]).toEqual([0, 1]);
  expect(errnoOfSync(() => ida.alloc(1))).toBe('ENOSPC');
  ida.free(0);
  expect(ida.alloc(1)).toBe(0);
  expect(() => ida.free(7)).toThrow('not taken');
});
