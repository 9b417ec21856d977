import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NLA_F_NESTED } from './netlink.ts';
import { NLA_PAYLOAD_MAX, NlaBuilder, NlaTable, nlaList, utf8Decode, utf8Encode } from './nla.ts';

/** As hex, to compare with a capture. */
function hex(bytes: Uint8Array): string {
  return [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');
}

function build(fill: (b: NlaBuilder) => void): Uint8Array {
  const b = new NlaBuilder();
  fill(b);
  return b.bytes();
}

test('attributes are laid out as in a capture of a request for the family vdpa', () => {
  // iproute2 asks the controller: CTRL_ATTR_FAMILY_NAME (2) = "vdpa"
  expect(hex(build((b) => b.putString(2, 'vdpa')))).toBe('0900020076647061000000' + '00');
});

test('integers, flags, bytes and strings come back as they were put', () => {
  const table = new NlaTable(nlaList(build((b) => {
    b.putU8(1, 0xfe);
    b.putU16(2, 0xfedc);
    b.putU32(3, 0xfedc_ba98);
    b.putU64(4, 0xfedc_ba98_7654_3210n, 9);
    b.putFlag(5);
    b.put(6, Uint8Array.of(1, 2, 3));
    b.putString(7, 'zażółć');
  })).attrs);
  expect([table.u8(1), table.u16(2), table.u32(3), table.u64(4)]).toEqual([0xfe, 0xfedc, 0xfedc_ba98, 0xfedc_ba98_7654_3210n]);
  expect([table.has(5), table.has(8)]).toEqual([true, false]);
  expect([...table.bytes(6)]).toEqual([1, 2, 3]);
  expect(table.string(7)).toBe('zażółć');
  expect(() => table.u8(8)).toThrow('attribute 8 is not there');
});

test('a nest carries its length and its flag, and an array keeps its order', () => {
  const bytes = build((b) => {
    const outer = b.nestStart(1 | NLA_F_NESTED);
    for (const value of [7, 8]) {
      const inner = b.nestStart(value);
      b.putU32(1, value);
      b.nestEnd(inner);
    }
    b.nestEnd(outer);
    b.putU8(2, 1);
  });
  const { attrs, leftover } = nlaList(bytes);
  expect(attrs.map((a) => [a.type, a.nested, a.payload.length, a.offset])).toEqual([[1, true, 24, 0], [2, false, 1, 28]]);
  expect(leftover).toBe(0);
  const table = new NlaTable(attrs);
  expect(table.list(1).map((a) => a.type)).toEqual([7, 8]);
  expect(table.nest(1).nest(8).u32(1)).toBe(8);
});

test('trim forgets what came after the mark, a half-written nest too', () => {
  const b = new NlaBuilder();
  b.putU8(1, 1);
  const mark = b.length;
  b.nestStart(2);
  b.putString(3, 'gone');
  b.trim(mark);
  b.putFlag(4);
  expect(nlaList(b.bytes()).attrs.map((a) => a.type)).toEqual([1, 4]);
});

test('the last of two attributes of one number counts', () => {
  expect(new NlaTable(nlaList(build((b) => [b.putU8(1, 1), b.putU8(1, 2)])).attrs).u8(1)).toBe(2);
});

test('a length that is too small or too large ends the list and is reported', () => {
  expect(nlaList(Uint8Array.of(3, 0, 1, 0))).toEqual({ attrs: [], leftover: 4 });
  expect(nlaList(Uint8Array.of(9, 0, 1, 0, 0, 0, 0, 0))).toEqual({ attrs: [], leftover: 8 });
  expect(nlaList(Uint8Array.of(4, 0, 1, 0, 7, 7)).leftover).toBe(2);
  expect(nlaList(Uint8Array.of(5, 0, 1, 0, 7)).leftover).toBe(0); // the last padding may be absent
});

test('a payload or a nest too long for its length field is refused', () => {
  expect(() => build((b) => b.put(1, new Uint8Array(NLA_PAYLOAD_MAX + 1)))).toThrow(RangeError);
  expect(() => build((b) => {
    const nest = b.nestStart(1);
    b.put(2, new Uint8Array(NLA_PAYLOAD_MAX));
    b.nestEnd(nest);
  })).toThrow(RangeError);
});

test('any bytes split without reading past their end', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
    const { attrs, leftover } = nlaList(bytes);
    for (const a of attrs) expect(a.offset + 4 + a.payload.length).toBeLessThanOrEqual(bytes.length);
    expect(leftover).toBeGreaterThanOrEqual(0);
  }));
});

test('attributes that were built are the attributes that are read', () => {
  const attr = fc.record({ type: fc.integer({ min: 0, max: 0x3fff }), payload: fc.uint8Array({ maxLength: 300 }) });
  fc.assert(fc.property(fc.array(attr), (attrs) => {
    const { attrs: read, leftover } = nlaList(build((b) => attrs.forEach((a) => b.put(a.type, a.payload))));
    expect(read.map((a) => ({ type: a.type, payload: hex(a.payload) }))).toEqual(attrs.map((a) => ({ type: a.type, payload: hex(a.payload) })));
    expect(leftover).toBe(0);
  }));
});

test('text and any bytes survive the way there and back', () => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => utf8Decode(utf8Encode(text)) === text));
  fc.assert(fc.property(fc.uint8Array(), (bytes) => hex(utf8Encode(utf8Decode(bytes))) === hex(bytes)));
  expect(hex(utf8Encode('é€😀'))).toBe('c3a9e282acf09f9880');
});
