import { expect, test } from 'vitest';
import { ForeignMemory } from './foreign.ts';
import { FOREIGN_BASE, PAGE_SIZE } from './memory-map.ts';
import { PhysicalMemory, pcRegions, wasmRegion } from './ram.ts';

const MIB = 2 ** 20;

test('foreign memory lies beside low RAM, in the same WebAssembly memory, and is RAM once attached', () => {
  const ram = new PhysicalMemory(pcRegions(64 * MIB, true));
  const low = ram.regions[0];
  const place = new ForeignMemory(ram).place(2 * MIB);
  expect(place.buffer).toBe(low?.buffer);
  expect(ram.find(FOREIGN_BASE + place.byteOffset, 1)).toBeNull();
  const region = place.attach();
  expect(region).toMatchObject({ kind: 'mapped', size: 2 * MIB, base: FOREIGN_BASE + place.byteOffset });
  expect(region.memory).toBe(low?.memory);
  new Uint8Array(place.buffer, place.byteOffset)[5] = 7;
  expect(ram.view(region.base + 5, 1)[0]).toBe(7);
  const { generation } = ram;
  place.free();
  place.free();
  expect(ram.generation).toBe(generation + 1);
  expect(ram.regions).toEqual([low]);
});

test('places do not overlap, join again when they are freed, and start where alignment asks', () => {
  const ram = new PhysicalMemory(pcRegions(64 * MIB, true));
  const foreign = new ForeignMemory(ram);
  const places = [1, 3, 2].map((pages) => foreign.place(pages * PAGE_SIZE));
  const [a, b, c] = places.map((p) => p.byteOffset) as [number, number, number];
  expect([b - a, c - b]).toEqual([PAGE_SIZE, 3 * PAGE_SIZE]);
  places[0]?.free();
  places[2]?.free();
  places[1]?.free();
  expect(foreign.place(6 * PAGE_SIZE).byteOffset).toBe(a);
  const huge = foreign.place(2 * MIB, 2 * MIB, 64 * 1024);
  expect(huge.byteOffset % (2 * MIB)).toBe(64 * 1024);
});

test('when there is no room beside RAM, another WebAssembly memory is made', () => {
  const ram = new PhysicalMemory([wasmRegion(0, MIB)]);
  const foreign = new ForeignMemory(ram);
  const first = foreign.place(3 * 1024 * MIB);
  const second = foreign.place(2 * 1024 * MIB);
  expect(first.buffer).not.toBe(ram.regions[0]?.buffer);
  expect(second.buffer).not.toBe(first.buffer);
  first.attach();
  expect(second.attach().base).toBeGreaterThan(FOREIGN_BASE + 2 ** 32);
  expect(() => foreign.place(PAGE_SIZE + 1)).toThrow(RangeError);
  expect(() => foreign.place(2 ** 32 + PAGE_SIZE)).toThrow(RangeError);
});

test('memory in a buffer of its own gets addresses too', () => {
  const ram = new PhysicalMemory([wasmRegion(0, MIB)]);
  const place = new ForeignMemory(ram).around(new ArrayBuffer(PAGE_SIZE), PAGE_SIZE);
  expect(place.attach().memory).toBeNull();
  place.free();
  expect(ram.regions).toHaveLength(1);
});
