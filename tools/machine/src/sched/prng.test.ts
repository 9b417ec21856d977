import { describe, expect, it } from 'vitest';
import { sfc32 } from './prng.ts';

describe('sfc32', () => {
  it('gives the numbers a C implementation gives', () => {
    const stream = sfc32(1, 1);
    expect([stream.next(), stream.next(), stream.next()]).toEqual([4_114_208_188, 1_734_779_857, 162_665_512]);
  });

  it('tells seeds and streams apart', () => {
    const first = [[1, 1], [1, 2], [2, 1], [2 ** 32 + 1, 1], [-1, 1]].map(([seed, s]) => sfc32(seed!, s!).next());
    expect(new Set(first).size).toBe(5);
  });

  it('spreads evenly over a small range and never leaves it', () => {
    const stream = sfc32(7, 1);
    const counts = [0, 0, 0, 0, 0];
    for (let i = 0; i < 50_000; i++) counts[stream.below(5)]!++;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400);
    expect(counts).toHaveLength(5);
  });
});
