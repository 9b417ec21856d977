import fc from 'fast-check';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { array, be16, bytes, defineStruct, s32, u16, u32, u64, u8, unionMember } from './struct.ts';
import { anyStruct } from './struct.arbitrary.ts';

/** `struct state { u8 ready; u16 idx; u64 addr; u32 num; }`: one hole of each kind. */
const state = defineStruct('state', { ready: u8, idx: u16, addr: u64, num: u32 });

describe('layout', () => {
  test('puts each field at the next multiple of its alignment and rounds the size up', () => {
    expect(state.offsets).toEqual({ ready: 0, idx: 2, addr: 8, num: 16 });
    expect([state.size, state.align]).toEqual([24, 8]);
  });

  test('leaves no holes in a packed struct', () => {
    const packed = defineStruct('packed', { ready: u8, idx: u16, addr: u64, num: u32 }, { packed: true });
    expect(packed.offsets).toEqual({ ready: 0, idx: 1, addr: 3, num: 11 });
    expect([packed.size, packed.align]).toEqual([15, 1]);
  });

  test('aligns a nested struct and an array as their largest member', () => {
    const outer = defineStruct('outer', { type: u32, states: array(state, 2), tail: u8 });
    expect(outer.offsets).toEqual({ type: 0, states: 8, tail: 56 });
    expect(outer.size).toBe(64);
  });

  test('gives a union member the size and alignment of the union', () => {
    const message = defineStruct('message', { type: u32, payload: unionMember(u16, 64, 8) });
    expect([message.offsetof('payload'), message.size]).toEqual([8, 72]);
    expect(() => unionMember(u64, 4)).toThrow(RangeError);
  });

  test('honours the alignment that a flexible array asks for', () => {
    expect(defineStruct('head', { n: u32 }, { align: 8 }).size).toBe(8);
  });

  test('of made-up structs keeps fields apart, in order and aligned', () => {
    fc.assert(
      fc.property(anyStruct(fc, 's'), ({ struct, packed }) => {
        let end = 0;
        for (const [name, type] of Object.entries(struct.fields)) {
          const at = struct.offsets[name] ?? -1;
          const align = packed ? 1 : type.align;
          expect(at % align).toBe(0);
          expect(at - end).toBeGreaterThanOrEqual(0);
          expect(at - end).toBeLessThan(align);
          end = at + type.size;
        }
        expect(struct.size % struct.align).toBe(0);
        expect(struct.size - end).toBeGreaterThanOrEqual(0);
        expect(struct.size - end).toBeLessThan(struct.align);
      }),
    );
  });
});

describe('values', () => {
  test('come back from a made-up struct as they went in', () => {
    fc.assert(
      fc.property(anyStruct(fc, 's'), ({ struct, value }) => {
        expect(struct.decode(struct.encode(value as never))).toEqual(value);
      }),
    );
  });

  test('touch no byte outside their fields, wherever the struct lies', () => {
    fc.assert(
      fc.property(anyStruct(fc, 's'), fc.nat(9), fc.nat(0xff), ({ struct, value }, at, filler) => {
        const memory = new Uint8Array(struct.size + 20).fill(filler);
        struct.write(new DataView(memory.buffer), at, value as never);
        const inside = new Set<number>();
        for (const [name, type] of Object.entries(struct.fields)) {
          for (let i = 0; i < type.size; i++) inside.add(at + (struct.offsets[name] ?? 0) + i);
        }
        expect(memory.every((byte, i) => inside.has(i) || byte === filler)).toBe(true);
        expect(struct.decode(memory, at)).toEqual(value);
      }),
    );
  });

  test('are little endian unless the type says otherwise', () => {
    const s = defineStruct('s', { le: u16, be: be16 });
    expect([...s.encode({ le: 0x0102, be: 0x0102 })]).toEqual([2, 1, 1, 2]);
  });

  test('that are left out are zero', () => {
    expect(state.decode(state.encode({ num: 7 }))).toEqual({ ready: 0, idx: 0, addr: 0n, num: 7 });
  });

  test('that do not fit are cut off as in C', () => {
    expect(state.decode(state.encode({ ready: 0x1ff, idx: -1, addr: 1n << 64n }))).toEqual({
      ready: 0xff,
      idx: 0xffff,
      addr: 0n,
      num: 0,
    });
  });

  test('have the types of their fields', () => {
    const s = defineStruct('s', { fd: s32, addr: u64, mac: bytes(6), inner: state, list: array(u16, 3) });
    const value = s.decode(s.encode());
    expectTypeOf(value.fd).toEqualTypeOf<number>();
    expectTypeOf(value.addr).toEqualTypeOf<bigint>();
    expectTypeOf(value.mac).toEqualTypeOf<Uint8Array>();
    expectTypeOf(value.inner.num).toEqualTypeOf<number>();
    expectTypeOf(value.list).toEqualTypeOf<readonly number[]>();
    expectTypeOf(s.offsetof).parameter(0).toEqualTypeOf<'fd' | 'addr' | 'mac' | 'inner' | 'list'>();
    expect(value.list).toEqual([0, 0, 0]);
  });
});

describe('bytes', () => {
  const s = defineStruct('s', { name: bytes(4), end: u8 });

  test('shorter than the field are filled with zeros', () => {
    const memory = new Uint8Array(5).fill(0xee);
    s.write(new DataView(memory.buffer), 0, { name: Uint8Array.of(1, 2), end: 3 });
    expect([...memory]).toEqual([1, 2, 0, 0, 3]);
  });

  test('longer than the field are refused', () => {
    expect(() => s.encode({ name: new Uint8Array(5) })).toThrow('5 bytes do not fit u8[4]');
  });

  test('are read as a copy', () => {
    const memory = s.encode({ name: Uint8Array.of(1, 2, 3, 4) });
    const { name } = s.decode(memory);
    memory.fill(9);
    expect([...name]).toEqual([1, 2, 3, 4]);
  });

  test('do not reach beyond the view they are in', () => {
    const inner = new DataView(new ArrayBuffer(64), 8, 5);
    expect(() => s.read(inner, 2)).toThrow(RangeError);
    expect(() => s.fields.name.read(inner, -1)).toThrow(RangeError);
  });
});

test('an array of another length is refused', () => {
  const s = defineStruct('s', { list: array(u16, 2) });
  expect(() => s.encode({ list: [1, 2, 3] })).toThrow('3 elements do not fit [2]');
});

test('too few bytes are refused with the struct named', () => {
  expect(() => state.decode(new Uint8Array(23))).toThrow('23 bytes are not a struct state of 24');
  expect(() => state.decode(new Uint8Array(24), 1)).toThrow('23 bytes are not a struct state of 24');
  expect(() => state.decode(new Uint8Array(24), -1)).toThrow(RangeError);
});
