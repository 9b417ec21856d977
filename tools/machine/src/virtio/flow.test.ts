import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flowHash } from './flow.ts';

/** A UDP frame over IPv4. */
function udp(source: number, destination: number, ports: readonly number[], fragment = 0): Uint8Array {
  const frame = new Uint8Array(64);
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45], 0);
  frame.set([fragment >>> 8, fragment & 0xff], 20);
  frame.set([64, 17], 22);
  frame.set([10, 0, 0, source, 10, 0, 0, destination], 26);
  frame.set(ports, 34);
  return frame;
}
const hash = (frame: Uint8Array): number => flowHash(frame, 0, frame.length);

describe('flowHash', () => {
  it('tells flows apart by addresses and ports', () => {
    const flows = [udp(1, 2, [0, 1, 0, 2]), udp(1, 3, [0, 1, 0, 2]), udp(1, 2, [0, 1, 0, 3]), udp(2, 2, [0, 1, 0, 2])];
    expect(new Set(flows.map(hash)).size).toBe(4);
  });

  it('keeps the fragments of a packet together: later ones have no ports', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 4, maxLength: 4 }), (a, b) => {
      expect(hash(udp(1, 2, [...a], 0x2000))).toBe(hash(udp(1, 2, [...b], 185)));
    }));
  });

  it('does not look at what differs within a flow', () => {
    const [a, b] = [udp(1, 2, [0, 1, 0, 2]), udp(1, 2, [0, 1, 0, 2])];
    b.set([9, 9, 9, 9], 16); // length and identification
    b.set([9, 9, 9, 9], 50); // payload
    expect(hash(a)).toBe(hash(b));
  });

  it('takes any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 14, maxLength: 80 }), (frame) => {
      const value = hash(frame);
      expect(Number.isInteger(value) && value >= 0).toBe(true);
    }));
  });
});
