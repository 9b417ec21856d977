/**
 * Netlink attributes as bytes: `net/netlink.h` and `lib/nlattr.c` (Linux 6.1). Pure; both ends of a socket use it.
 *
 * An attribute is a header of 4 bytes (length with the header, type), its payload, and padding to the next multiple of 4.
 * Integers are in the byte order of x86-64 and arm64.
 */
import { NLA_ALIGN, NLA_F_NESTED, NLA_HDRLEN, NLA_TYPE_MASK } from './netlink.ts';

/** Bytes an attribute's payload may have: its length field has 16 bits. */
export const NLA_PAYLOAD_MAX = 0xffff - NLA_HDRLEN;

/** An attribute that was read. */
export interface NlaView {
  /** Number without the flags. */
  readonly type: number;
  /** NLA_F_NESTED was set. */
  readonly nested: boolean;
  /** A view, no copy. */
  readonly payload: Uint8Array;
  /** Offset of its header in the bytes that were read. */
  readonly offset: number;
}

/** Attributes in their order, and how many bytes at the end were none. */
export interface NlaList {
  readonly attrs: readonly NlaView[];
  readonly leftover: number;
}

/** Split bytes into attributes: `nla_for_each_attr`. */
export function nlaList(bytes: Uint8Array): NlaList {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const attrs: NlaView[] = [];
  let at = 0;
  while (bytes.length - at >= NLA_HDRLEN) {
    const length = view.getUint16(at, true);
    if (length < NLA_HDRLEN || length > bytes.length - at) break;
    const type = view.getUint16(at + 2, true);
    attrs.push({
      type: type & NLA_TYPE_MASK & 0xffff,
      nested: (type & NLA_F_NESTED) !== 0,
      payload: bytes.subarray(at + NLA_HDRLEN, at + length),
      offset: at,
    });
    at = Math.min(at + NLA_ALIGN(length), bytes.length);
  }
  return { attrs, leftover: bytes.length - at };
}

/** Writes attributes one after the other, nests included: `nla_put*`. */
export class NlaBuilder {
  #bytes = new Uint8Array(256);
  #length = 0;

  /** Bytes so far, padding included; a mark for {@link trim}. */
  get length(): number {
    return this.#length;
  }

  /** What was written, as a copy. */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  /** Bytes that are no attribute: a family's own header. Padded. */
  raw(bytes: Uint8Array): undefined {
    const at = this.#reserve(NLA_ALIGN(bytes.length));
    this.#bytes.set(bytes, at);
  }

  /** @throws RangeError for a payload above {@link NLA_PAYLOAD_MAX} bytes */
  put(type: number, payload: Uint8Array): undefined {
    if (payload.length > NLA_PAYLOAD_MAX) throw new RangeError(`attribute ${type}: ${payload.length} bytes`);
    const at = this.#header(type, NLA_HDRLEN + payload.length);
    this.#bytes.set(payload, at + NLA_HDRLEN);
  }

  putU8(type: number, value: number): undefined {
    return this.put(type, Uint8Array.of(value));
  }

  putU16(type: number, value: number): undefined {
    return this.put(type, Uint8Array.of(value, value >>> 8));
  }

  putU32(type: number, value: number): undefined {
    return this.put(type, Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24));
  }

  /** @param _pad unused: machines that read unaligned words need no padding attribute (`nla_need_padding_for_64bit`) */
  putU64(type: number, value: bigint, _pad = 0): undefined {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    return this.put(type, bytes);
  }

  /** With the terminating zero. */
  putString(type: number, value: string): undefined {
    const text = utf8Encode(value);
    const bytes = new Uint8Array(text.length + 1);
    bytes.set(text);
    return this.put(type, bytes);
  }

  putFlag(type: number): undefined {
    return this.put(type, new Uint8Array(0));
  }

  /** @param type put NLA_F_NESTED into it where the interface does. @returns what {@link nestEnd} takes */
  nestStart(type: number): number {
    return this.#header(type, NLA_HDRLEN);
  }

  /** @throws RangeError when the nest has become too long for its length field */
  nestEnd(start: number): undefined {
    const length = this.#length - start;
    if (length > 0xffff) throw new RangeError(`a nest of ${length} bytes`);
    this.#view().setUint16(start, length, true);
  }

  /** Forget what was written after a mark. */
  trim(mark: number): undefined {
    this.#bytes.fill(0, mark, this.#length);
    this.#length = mark;
  }

  #header(type: number, length: number): number {
    const at = this.#reserve(NLA_ALIGN(length));
    const view = this.#view();
    view.setUint16(at, length, true);
    view.setUint16(at + 2, type, true);
    return at;
  }

  #reserve(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return at;
  }

  #view(): DataView {
    return new DataView(this.#bytes.buffer);
  }
}

/** Attributes by number; of several with one number the last counts. */
export class NlaTable {
  readonly #payloads = new Map<number, Uint8Array>();

  constructor(attrs: readonly NlaView[]) {
    for (const attr of attrs) this.#payloads.set(attr.type, attr.payload);
  }

  has(type: number): boolean {
    return this.#payloads.has(type);
  }

  /** @throws RangeError for an attribute that is not there */
  bytes(type: number): Uint8Array {
    const payload = this.#payloads.get(type);
    if (payload === undefined) throw new RangeError(`attribute ${type} is not there`);
    return payload;
  }

  u8(type: number): number {
    return this.#view(type).getUint8(0);
  }

  u16(type: number): number {
    return this.#view(type).getUint16(0, true);
  }

  u32(type: number): number {
    return this.#view(type).getUint32(0, true);
  }

  u64(type: number): bigint {
    return this.#view(type).getBigUint64(0, true);
  }

  /** Up to the first zero. */
  string(type: number): string {
    const bytes = this.bytes(type);
    const end = bytes.indexOf(0);
    return utf8Decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /** The attributes inside a nest. */
  nest(type: number): NlaTable {
    return new NlaTable(nlaList(this.bytes(type)).attrs);
  }

  /** The attributes inside a nest in their order: an array. */
  list(type: number): readonly NlaView[] {
    return nlaList(this.bytes(type)).attrs;
  }

  #view(type: number): DataView {
    const bytes = this.bytes(type);
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}

/** Text as bytes; U+DC80..U+DCFF stand for the bytes 0x80..0xff that were no UTF-8. */
export function utf8Encode(text: string): Uint8Array<ArrayBuffer> {
  const out: number[] = [];
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    if (code >= 0xdc80 && code <= 0xdcff) out.push(code & 0xff);
    else if (code < 0x80) out.push(code);
    else {
      const more = code < 0x800 ? 1 : code < 0x1_0000 ? 2 : 3;
      out.push(((0xff00 >> (more + 1)) & 0xff) | (code >> (6 * more)));
      for (let i = more - 1; i >= 0; i--) out.push(0x80 | ((code >> (6 * i)) & 0x3f));
    }
  }
  return Uint8Array.from(out);
}

/** Bytes as text; a byte that is no UTF-8 becomes U+DC00 plus the byte, so that nothing is lost. */
export function utf8Decode(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at] ?? 0;
    const more = first < 0x80 ? 0 : first >= 0xf0 && first < 0xf5 ? 3 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xc2 && first < 0xe0 ? 1 : -1;
    const tail = more < 0 ? [] : [...bytes.subarray(at + 1, at + 1 + more)];
    const code = tail.reduce((sum, byte) => (sum << 6) | (byte & 0x3f), more > 0 ? first & (0x3f >> more) : first);
    const least = [0, 0x80, 0x800, 0x1_0000][more] ?? Infinity;
    const good = tail.length === more && tail.every((byte) => (byte & 0xc0) === 0x80) && code >= least && code <= 0x10_ffff
      && (code < 0xd800 || code > 0xdfff);
    text += String.fromCodePoint(good ? code : 0xdc00 | first);
    at += good ? more + 1 : 1;
  }
  return text;
}
