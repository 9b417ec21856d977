import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigImage } from './config-image.ts';
import { ConfigSpace } from './config-space.ts';

describe('ConfigSpace', () => {
  it('changes writable bits only, and clears what ones clear', () => {
    const image = new ConfigImage().put(0x04, 2, 0x8000, 0x0007).put(0x06, 2, 0xf000).clearedByOnes(0x06, 2, 0xf000);
    const space = new ConfigSpace(image.build(256));
    space.write(0x04, 4, 0x3000_ffff);
    expect(space.read(0x04, 4)).toBe(0xc000_8007);
  });

  it('reads zero beyond what is described and all ones beyond the space', () => {
    const conventional = new ConfigSpace(new ConfigImage().build(256));
    const express = new ConfigSpace(new ConfigImage().build());
    expect([conventional.read(0xfc, 4), conventional.read(0x100, 4), conventional.read(0x100, 1)]).toEqual([0, 0xffff_ffff, 0xff]);
    expect([express.read(0x100, 4), express.read(0xffe, 2)]).toEqual([0, 0]);
    express.write(0xffc, 4, 1);
    expect(express.read(0xffc, 4)).toBe(0);
  });

  it('tells who watches a byte, after the write and not for others', () => {
    const space = new ConfigSpace(new ConfigImage().put(0x40, 4, 0, 0xffff_ffff).build(256));
    const heard: number[] = [];
    space.onWrite(0x41, 2, () => void heard.push(space.get(0x40, 4)) as undefined);
    space.write(0x40, 1, 1);
    space.write(0x43, 1, 1);
    expect(heard).toEqual([]);
    space.write(0x42, 2, 0x0505);
    space.write(0x40, 4, 7);
    expect(heard).toEqual([0x0505_0001, 7]);
    space.set(0x40, 4, 8);
    space.reset();
    expect(heard.length).toBe(2);
    expect(space.get(0x40, 4)).toBe(0);
  });

  it('writes in any widths as it would byte by byte', () => {
    const access = fc.record({ at: fc.nat(15), size: fc.constantFrom(1, 2, 4), value: fc.integer() });
    fc.assert(fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.array(access), (mask, writes) => {
      const image = new ConfigImage();
      mask.forEach((m, i) => image.put(0x50 + i, 1, 0xa5, m));
      const [whole, split] = [new ConfigSpace(image.build(256)), new ConfigSpace(image.build(256))];
      for (const { at, size, value } of writes) {
        const where = 0x50 + at - (at % size);
        whole.write(where, size as 1 | 2 | 4, value >>> 0);
        for (let i = 0; i < size; i++) split.write(where + i, 1, (value >>> (8 * i)) & 0xff);
      }
      expect(whole.bytes).toEqual(split.bytes);
    }));
  });
});

describe('ConfigImage', () => {
  it('links capabilities and extended capabilities in the order they are added', () => {
    const image = new ConfigImage();
    expect([image.capability(0x09, 14), image.capability(0x10, 4), image.capability(0x11, 12)]).toEqual([0x40, 0x50, 0x54]);
    expect([image.extended(0x0d, 1, 8), image.extended(0x10, 1, 0x40), image.extended(0x0e, 1, 8)]).toEqual([0x100, 0x108, 0x148]);
    const space = new ConfigSpace(image.build());
    expect(space.read(0x34, 1)).toBe(0x40);
    expect(space.read(0x06, 2)).toBe(0x10);
    expect([space.read(0x40, 2), space.read(0x50, 2), space.read(0x54, 2)]).toEqual([0x5009, 0x5410, 0x0011]);
    expect([0x100, 0x108, 0x148].map((at) => space.read(at, 4))).toEqual([0x1081_000d, 0x1481_0010, 0x0001_000e]);
  });

  it('refuses a capability that does not fit', () => {
    const image = new ConfigImage();
    image.capability(0x09, 190);
    expect(() => image.capability(0x10, 4)).toThrow(RangeError);
    image.extended(0x0b, 1, 0xf00 - 4);
    expect(() => image.extended(0x0d, 1, 8)).toThrow(RangeError);
  });
});
