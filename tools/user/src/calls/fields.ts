/** The values and fields of a script of system calls. */
import * as uapi from '@vdpalab/uapi';

/** Bytes in front of a netlink attribute's payload. */
const { NLA_HDRLEN, NLA_ALIGN } = uapi;

/** A script that says what nobody can do. */
export class CallsError extends Error {
  constructor(what: string, of: string) {
    super(`${what}: ${of}`);
    this.name = 'CallsError';
  }
}

/** Integers of a script by name: its own, in lower case, and the headers' constants. */
export class Names {
  readonly vars: Map<string, bigint>;

  constructor(vars: ReadonlyMap<string, bigint> = new Map()) {
    this.vars = new Map(vars);
  }

  /** What `A+B-C|D` is. @returns 64 bits without sign. @throws CallsError */
  value(text: string): bigint {
    let sum = 0n;
    for (const [, op, word = ''] of text.matchAll(/([-+|]?)([^-+|]+)/g)) {
      const term = this.#term(word);
      sum = op === '-' ? sum - term : op === '|' ? sum | term : sum + term;
    }
    return BigInt.asUintN(64, sum);
  }

  /** The same where C has an `int`. */
  int(text: string): number {
    return Number(BigInt.asIntN(32, this.value(text)));
  }

  #term(word: string): bigint {
    if (/^\d/.test(word)) return BigInt(word);
    const value: unknown = this.vars.get(word) ?? (uapi as Readonly<Record<string, unknown>>)[word];
    if (typeof value !== 'number' && typeof value !== 'bigint') throw new CallsError('no such name', word);
    return BigInt(value);
  }
}

export const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** The number in these bytes, low byte first. */
export const number = (bytes: Uint8Array): bigint => bytes.reduceRight((n, byte) => (n << 8n) | BigInt(byte), 0n);

/** Fields one behind the other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The bytes of `8:V 16:V 32:V 64:V`, `s:TEXT`, `sN:TEXT`, `x:HEX`, `bN`, or `aTYPE:FIELD`. @throws CallsError */
export function field(text: string, names: Names): Uint8Array {
  const [, kind, size = '', rest = ''] = /^([a-z]?)([0-9a-fx]*):?(.*)$/.exec(text) ?? [];
  switch (kind) {
    case 'a': {
      const payload = field(rest, names);
      const attribute = new Uint8Array(NLA_ALIGN(NLA_HDRLEN + payload.length));
      attribute.set(uapi.nlattr.encode({ nla_len: NLA_HDRLEN + payload.length, nla_type: Number(size) }));
      attribute.set(payload, NLA_HDRLEN);
      return attribute;
    }
    case 'b': return new Uint8Array(Number(size));
    case 'x': return Uint8Array.from(rest.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
    case 's': {
      const bytes = new TextEncoder().encode(rest);
      const padded = new Uint8Array(size === '' ? bytes.length : Number(size));
      padded.set(bytes.subarray(0, padded.length));
      return padded;
    }
    default: {
      if (kind !== '' || !/^(8|16|32|64)$/.test(size)) throw new CallsError('no such field', text);
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, names.value(rest), true);
      return bytes.subarray(0, Number(size) / 8);
    }
  }
}

/** Fields as they are in these bytes: numbers of their width, anything else byte by byte. */
export function shown(fields: readonly string[], names: Names, bytes: Uint8Array): string {
  let at = 0;
  return fields.map((text) => {
    const { length } = field(text, names);
    const part = bytes.subarray(at, at += length);
    return /^\d/.test(text) ? `0x${number(part).toString(16)}` : hex(part);
  }).join(' ');
}
