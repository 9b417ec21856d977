import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Copier, copyInside, copyModuleBytes, ringMemory } from './index.ts';
import type { RingMemory, WasmMemory } from './index.ts';

interface WasmApi {
  readonly Memory: new (descriptor: object) => WasmMemory;
  readonly validate: (bytes: Uint8Array) => boolean;
}
const { Memory, validate } = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;

const SIZE = 65536;
const MEMORIES: Record<string, () => RingMemory> = {
  'shared WebAssembly memory': () => ringMemory(new Memory({ initial: 1, maximum: 1, shared: true })),
  'plain WebAssembly memory': () => ringMemory(new Memory({ initial: 1 })),
  SharedArrayBuffer: () => ringMemory(new SharedArrayBuffer(SIZE)),
  ArrayBuffer: () => ringMemory(new ArrayBuffer(SIZE)),
  'a part of a buffer': () => {
    const buffer = new SharedArrayBuffer(SIZE + 64);
    return {
      memory: null, buffer, byteOffset: 64,
      u8: new Uint8Array(buffer, 64, SIZE), u16: new Uint16Array(buffer, 64, SIZE / 2), u32: new Uint32Array(buffer, 64, SIZE / 4), remote: null,
    };
  },
};

function fill(memory: RingMemory): undefined {
  for (let i = 0; i < SIZE; i++) memory.u8[i] = (i * 7 + (i >> 8)) & 0xff;
}

test('the copy modules are valid and under 100 bytes', () => {
  for (const shared of [true, false]) {
    expect(copyModuleBytes(shared).length).toBeLessThan(100);
    expect(validate(copyModuleBytes(shared))).toBe(true);
  }
});

test('a memory of 4 GiB is seen whole, in every width', () => {
  const { u8, u16, u32 } = ringMemory(new Memory({ initial: 65536, maximum: 65536, shared: true }));
  expect([u8.length, u16.length, u32.length]).toEqual([2 ** 32, 2 ** 31, 2 ** 30]);
});

describe.each(Object.keys(MEMORIES))('in %s', (name) => {
  const range = fc.record({
    to: fc.nat(SIZE - 9000), from: fc.nat(SIZE - 9000),
    length: fc.oneof(fc.nat(80), fc.nat(9000)),
  });

  test('a copy moves exactly its bytes, overlapping or not', () => {
    const memory = MEMORIES[name]();
    const copier = new Copier();
    fc.assert(
      fc.property(range, ({ to, from, length }) => {
        fill(memory);
        const expected = Uint8Array.from(memory.u8);
        if (to + length > from && from + length > to) return; // overlap is for copyInside
        expected.copyWithin(to, from, from + length);
        copier.copy(memory, to, memory, from, length);
        expect(Buffer.compare(expected, memory.u8)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test('copyInside counts from the start of the buffer and allows overlap', () => {
    const memory = MEMORIES[name]();
    fill(memory);
    const all = new Uint8Array(memory.buffer);
    const expected = Uint8Array.from(all).copyWithin(100, 50, 350);
    copyInside(memory)(100, 50, 300);
    expect(Buffer.compare(expected, all)).toBe(0);
  });

  test('a copy from another memory moves exactly its bytes', () => {
    const other = ringMemory(new SharedArrayBuffer(SIZE));
    const memory = MEMORIES[name]();
    const copier = new Copier();
    fc.assert(
      fc.property(range, ({ to, from, length }) => {
        fill(other);
        memory.u8.fill(0xee);
        const expected = Uint8Array.from(memory.u8);
        expected.set(other.u8.slice(from, from + length), to);
        copier.copy(memory, to, other, from, length);
        expect(Buffer.compare(expected, memory.u8)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});

test('a memory that only looks like WebAssembly is copied by views', () => {
  const buffer = new SharedArrayBuffer(SIZE);
  const memory: RingMemory = { ...ringMemory(buffer), memory: { buffer } };
  memory.u8[3] = 9;
  copyInside(memory)(1000, 3, 100);
  expect(memory.u8[1000]).toBe(9);
});
