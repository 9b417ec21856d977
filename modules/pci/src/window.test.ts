import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AddressWindow } from './window.ts';

describe('an address window', () => {
  it('hands out the lowest aligned range and keeps what is claimed', () => {
    const window = new AddressWindow(0x1000, 0x9000);
    expect(window.claim(0x2000, 0x1000)).toBe(true);
    expect(window.alloc(0x1000, 0x1000)).toBe(0x1000);
    expect(window.alloc(0x4000, 0x4000)).toBe(0x4000);
    expect(window.alloc(0x1000, 0x1000)).toBe(0x3000);
    expect(window.alloc(0x4000, 0x4000)).toBe(0);
  });

  it('refuses what is taken or outside', () => {
    const window = new AddressWindow(0x1000, 0x4000);
    expect(window.claim(0x2000, 0x1000)).toBe(true);
    expect(window.claim(0x2000, 0x1000)).toBe(false);
    expect(window.claim(0x1000, 0x1001)).toBe(false);
    expect(window.claim(0, 0x2000)).toBe(false);
    expect(window.claim(0x4000, 0x2000)).toBe(false);
  });

  it('gives a range again after it was released', () => {
    const window = new AddressWindow(0x1000, 0x1000);
    expect(window.alloc(0x1000, 0x1000)).toBe(0x1000);
    window.release(0x1000);
    expect(window.alloc(0x1000, 0x1000)).toBe(0x1000);
  });

  it('never hands out overlapping ranges', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 4, max: 12 }), { maxLength: 30 }), (orders) => {
      const window = new AddressWindow(0x100, 0x4000);
      const got = orders.map((order) => ({ size: 2 ** order, at: window.alloc(2 ** order, 2 ** order) })).filter(({ at }) => at > 0);
      const sorted = got.toSorted((a, b) => a.at - b.at);
      expect(sorted.every(({ at, size }, i) => at % size === 0 && at + size <= (sorted[i + 1]?.at ?? 0x4100))).toBe(true);
    }));
  });
});
