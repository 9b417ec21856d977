import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReceiveFilter } from './receive-filter.ts';

const OWN = Uint8Array.of(0x52, 0x54, 0, 0, 0, 1);
const OTHER = Uint8Array.of(0x52, 0x54, 0, 0, 0, 2);
const GROUP = Uint8Array.of(1, 0, 0x5e, 0, 0, 1);
const ALL = new Uint8Array(6).fill(0xff);
const [PROMISC, ALLMULTI, ALLUNI, NOMULTI, NOUNI, NOBCAST] = [0, 1, 2, 3, 4, 5];

/** A frame to an address, with a VLAN tag perhaps. */
function frame(to: Uint8Array, vid?: number): Uint8Array {
  return Uint8Array.of(...to, 2, 0, 0, 0, 0, 9, ...(vid === undefined ? [8, 0] : [0x81, 0, 0xe0 | (vid >> 8), vid & 0xff, 8, 0]), 0, 0);
}

/** Argument of VIRTIO_NET_CTRL_MAC_TABLE_SET. */
function tables(unicast: readonly Uint8Array[], multicast: readonly Uint8Array[]): Uint8Array {
  const bytes = [unicast, multicast].flatMap((list) => [list.length & 0xff, list.length >> 8, 0, 0, ...list.flatMap((mac) => [...mac])]);
  return Uint8Array.from(bytes);
}

/** Which of own, other, group and broadcast come in. */
function taken(filter: ReceiveFilter): boolean[] {
  return [OWN, OTHER, GROUP, ALL].map((to) => filter.accepts(OWN, frame(to), 0));
}

describe('what comes in', () => {
  it('is everything, until a driver ends that; then what is for the address and for all', () => {
    const filter = new ReceiveFilter();
    expect(taken(filter)).toEqual([true, true, true, true]);
    filter.setMode(PROMISC, false);
    expect(taken(filter)).toEqual([true, false, false, true]);
    filter.reset();
    expect(taken(filter)).toEqual([true, true, true, true]);
  });

  it('follows the modes, of which those that forbid win', () => {
    const filter = new ReceiveFilter();
    filter.setMode(PROMISC, false);
    for (const [mode, expected] of [
      [ALLMULTI, [true, false, true, true]], [ALLUNI, [true, true, true, true]], [NOMULTI, [true, true, false, true]],
      [NOUNI, [false, false, false, true]], [NOBCAST, [false, false, false, false]],
    ] as const) {
      expect(filter.setMode(mode, true)).toBe(true);
      expect(taken(filter)).toEqual(expected);
    }
    expect(filter.setMode(6, true)).toBe(false);
  });

  it('follows the tables; one that is too long lets everything of its kind in', () => {
    const filter = new ReceiveFilter();
    filter.setMode(PROMISC, false);
    expect(filter.setTables(tables([OTHER], [GROUP]))).toBe(true);
    expect(taken(filter)).toEqual([true, true, true, true]);
    expect(filter.setTables(tables([], []))).toBe(true);
    expect(taken(filter)).toEqual([true, false, false, true]);
    expect(filter.setTables(tables(Array.from({ length: 65 }, () => OWN), []))).toBe(true);
    expect(taken(filter)).toEqual([true, true, false, true]);
  });

  it('keeps the tables when their bytes are not what their counts say', () => {
    const filter = new ReceiveFilter();
    filter.setMode(PROMISC, false);
    const good = tables([OTHER], []);
    filter.setTables(good);
    for (let n = 0; n < good.length; n++) expect(filter.setTables(good.subarray(0, n))).toBe(false);
    expect(filter.setTables(Uint8Array.of(...good, 0))).toBe(false);
    expect(filter.setTables(new Uint8Array(12).fill(0xff))).toBe(false);
    expect(taken(filter)).toEqual([true, true, false, true]);
  });

  it('is of the VLANs that were added, where they are looked at', () => {
    const filter = new ReceiveFilter();
    filter.setMode(PROMISC, false);
    const of = (vid: number): boolean => filter.accepts(OWN, frame(OWN, vid), 0);
    expect(of(5)).toBe(true);
    filter.filtersVlans = true;
    expect([of(5), filter.setVlan(5, true), of(5), of(6), filter.accepts(OWN, frame(OWN), 0)]).toEqual([false, true, true, false, true]);
    filter.setVlan(5, false);
    expect([of(5), filter.setVlan(4096, true)]).toEqual([false, false]);
  });

  it('never breaks on the bytes of a driver', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const filter = new ReceiveFilter();
      filter.setMode(PROMISC, false);
      filter.setTables(bytes);
      expect(filter.accepts(OWN, frame(OWN), 0)).toBe(true);
    }));
  });
});
