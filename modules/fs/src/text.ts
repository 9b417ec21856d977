/**
 * UTF-8, without the host's encoders.
 *
 * A byte that is no UTF-8 becomes the lone surrogate U+DC80 + (byte - 0x80) and turns back into that byte, so that
 * text read and written again is the same bytes.
 */

/** Bytes of `text`. */
export function encodeText(text: string): Uint8Array {
  const out: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const code = text.codePointAt(i) as number; // i is inside
    if (code < 0x80) {
      out.push(code);
    } else if (code < 0x800) {
      out.push(0xc0 | (code >> 6), 0x80 | (code & 0x3f));
    } else if (code >= 0xdc80 && code <= 0xdcff) {
      out.push(code & 0xff);
    } else if (code < 0x1_0000) {
      out.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    } else {
      out.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 0x3f), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
      i++;
    }
  }
  return Uint8Array.from(out);
}

/** Text of `bytes`. */
export function decodeText(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let i = 0; i < bytes.length;) {
    const [code, size] = codePoint(bytes, i);
    parts.push(String.fromCodePoint(code));
    i += size;
  }
  return parts.join('');
}

/** The code point at `i` and its bytes; a bad byte alone as a lone surrogate. */
function codePoint(bytes: Uint8Array, i: number): readonly [code: number, size: number] {
  const first = bytes[i] as number; // i is inside
  if (first < 0x80) return [first, 1];
  const size = first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xc2 && first < 0xe0 ? 2 : 0;
  if (size === 0 || i + size > bytes.length) return [0xdc00 | first, 1];
  let code = first & (0x7f >> size);
  for (let at = i + 1; at < i + size; at++) {
    const next = bytes[at] as number;
    if ((next & 0xc0) !== 0x80) return [0xdc00 | first, 1];
    code = (code << 6) | (next & 0x3f);
  }
  const least = size === 2 ? 0x80 : size === 3 ? 0x800 : 0x1_0000;
  const surrogate = code >= 0xd800 && code <= 0xdfff;
  return code < least || code > 0x10_ffff || surrogate ? [0xdc00 | first, 1] : [code, size];
}
