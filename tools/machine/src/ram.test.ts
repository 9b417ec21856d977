import { describe, expect, it } from 'vitest';
import { HIGH_RAM_BASE, LOW_RAM_END } from './memory-map.ts';
import { PhysicalMemory, mappedRegion, pcRegions, remoteRegion, wasmRegion } from './ram.ts';

const GIB = 0x4000_0000;

describe('pcRegions', () => {
  it('is one region up to 3 GiB', () => {
    expect(pcRegions(256 * 4096).map((r) => [r.base, r.size])).toEqual([[0, 256 * 4096]]);
  });

  it('goes on at 4 GiB, in regions of at most 4 GiB', () => {
    expect(pcRegions(9 * GIB).map((r) => [r.base, r.size])).toEqual([
      [0, LOW_RAM_END], [HIGH_RAM_BASE, 4 * GIB], [HIGH_RAM_BASE + 4 * GIB, 2 * GIB],
    ]);
  });

  it('refuses sizes that are not whole pages', () => {
    for (const bytes of [0, 100, -4096, 4096.5]) expect(() => pcRegions(bytes)).toThrow(RangeError);
  });
});

describe('a wasm region', () => {
  it('is shared, has its maximum size from the start, and views of every width over the same bytes', () => {
    const region = wasmRegion(0, 3 * 4096);
    expect(region.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(region.buffer.byteLength).toBe(0x1_0000);
    expect(() => (region.memory as unknown as { grow: (n: number) => number }).grow(1)).toThrow(RangeError);
    expect([region.u8.length, region.u16.length, region.u32.length]).toEqual([12288, 6144, 3072]);
    region.u32[1] = 0x0403_0201;
    expect([...region.u8.subarray(4, 8)]).toEqual([1, 2, 3, 4]);
    expect(region.u16[3]).toBe(0x0403);
  });

  it('of 4 GiB can be written at its end', () => {
    const region = wasmRegion(0, 4 * GIB);
    region.u8[4 * GIB - 1] = 7;
    expect(region.u32[GIB - 1]).toBe(0x0700_0000);
  });

  it('refuses unaligned bases and sizes beyond 4 GiB', () => {
    expect(() => wasmRegion(1, 4096)).toThrow(RangeError);
    expect(() => wasmRegion(-4096, 4096)).toThrow(RangeError);
    expect(() => wasmRegion(0, 4 * GIB + 4096)).toThrow(RangeError);
  });
});

describe('PhysicalMemory', () => {
  it('finds the region that holds a whole range, and nothing for a range that leaves it', () => {
    const low = wasmRegion(0, 8192);
    const high = wasmRegion(8192, 4096);
    const ram = new PhysicalMemory([high, low]);
    expect(ram.regions).toEqual([low, high]);
    expect(ram.find(0, 8192)).toBe(low);
    expect(ram.find(8192, 4096)).toBe(high);
    expect(ram.find(8191, 1)).toBe(low);
    expect(ram.find(8191, 2)).toBeNull();
    expect(ram.find(12288, 1)).toBeNull();
    expect(ram.find(-1, 1)).toBeNull();
    expect(ram.find(0, -1)).toBeNull();
  });

  it('gives views without a copy, at any address of a mapped buffer', () => {
    const buffer = new SharedArrayBuffer(16384);
    const ram = new PhysicalMemory([mappedRegion(0x10_0000, 8192, buffer, 4096)]);
    ram.view(0x10_0010, 4)[0] = 9;
    expect(new Uint8Array(buffer)[4096 + 16]).toBe(9);
    expect(() => ram.view(0x10_1fff, 2)).toThrow(RangeError);
    expect(() => mappedRegion(0, 16384, buffer, 4096)).toThrow(RangeError);
    expect(() => mappedRegion(0, 4096, buffer, 2)).toThrow('not 4-byte aligned');
  });

  it('raises its generation and tells listeners when a region comes or goes, and forgets the one found last', () => {
    const ram = new PhysicalMemory([wasmRegion(0, 4096)]);
    const extra = wasmRegion(0x10_0000, 4096);
    const before = ram.generation;
    let told = 0;
    ram.onChange(() => void told++ as undefined);
    ram.attach(extra);
    expect(ram.find(0x10_0000, 1)).toBe(extra);
    ram.detach(extra);
    expect(ram.find(0x10_0000, 1)).toBeNull();
    expect([ram.generation, told]).toEqual([before + 2, 2]);
  });

  it('refuses overlaps and regions it does not have, and changes nothing then', () => {
    const ram = new PhysicalMemory([wasmRegion(0, 8192)]);
    const { generation } = ram;
    expect(() => ram.attach(wasmRegion(4096, 8192))).toThrow('overlaps');
    expect(() => ram.detach(wasmRegion(4096, 8192))).toThrow('not attached');
    expect([ram.generation, ram.regions.length]).toEqual([generation, 1]);
  });
});

it('a remote region has views of a mirror, and its owner behind it', () => {
  const owner = new Uint8Array(8192).fill(5);
  const region = remoteRegion(4096, 8192, (mirror) => ({
    pull: (offset, length) => void mirror.set(owner.subarray(offset, offset + length), offset) as undefined,
    push: (offset, length) => void owner.set(mirror.subarray(offset, offset + length), offset) as undefined,
  }));
  expect([region.kind, region.memory, region.u8[10]]).toEqual(['remote', null, 0]);
  region.remote?.pull(8, 4);
  expect([region.u8[7], region.u8[8], region.u8[11], region.u8[12]]).toEqual([0, 5, 5, 0]);
  region.u32[1024] = 0x0403_0201;
  region.remote?.push(4096, 2);
  expect([...owner.subarray(4096, 4099)]).toEqual([1, 2, 5]);
  expect(() => remoteRegion(1, 8192, () => region.remote!)).toThrow(RangeError);
});
