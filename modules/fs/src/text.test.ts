import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeText, encodeText } from './text.ts';

test('any bytes survive being read as text and written again', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    expect([...encodeText(decodeText(bytes))]).toEqual([...bytes]);
  }));
});

test('text is UTF-8', () => {
  const utf8 = (text: string): number[] =>
    [...encodeURIComponent(text).matchAll(/%(..)|(.)/g)].map(([, hex, char]) => (hex ? parseInt(hex, 16) : (char as string).charCodeAt(0)));
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (text) => {
    expect([...encodeText(text)]).toEqual(utf8(text));
    expect(decodeText(Uint8Array.from(utf8(text)))).toBe(text);
  }));
});

test('bytes that are no UTF-8 become lone surrogates', () => {
  expect(decodeText(Uint8Array.of(0x61, 0xff, 0xc0, 0x80))).toBe('a\udcff\udcc0\udc80');
});
