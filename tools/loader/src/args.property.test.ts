/** Parameters against an oracle of its own: the kernel's rules as loops over characters, with 64-bit words that wrap. */
import { param, readParam, type ParamSpec } from '@vdpalab/abi';
import { covers } from '@vdpalab/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitArgs } from './args.ts';
import { fakeKernel, toy } from './fake-host.ts';

const WORD = 1n << 64n;

/** `_kstrtoull` with base 0. */
function kstrtoull(text: string): bigint | 'EINVAL' | 'ERANGE' {
  let at = 0;
  const char = (offset = 0): string => text[at + offset] ?? '\0';
  const digit = (c: string): number => '0123456789abcdef'.indexOf(c.toLowerCase());
  let base = 10;
  if (char() === '0') {
    const hex = digit(char(2));
    base = (char(1) === 'x' || char(1) === 'X') && hex >= 0 && char(2) !== '\0' ? 16 : 8;
    if (base === 16) at += 2;
  }
  let value = 0n;
  let overflow = false;
  let read = 0;
  for (; at < text.length; at++, read++) {
    const d = digit(char());
    if (d < 0 || d >= base) break;
    value = value * BigInt(base) + BigInt(d);
    if (value >= WORD) overflow = true;
  }
  if (overflow) return 'ERANGE';
  if (read === 0) return 'EINVAL';
  if (char() === '\n') at++;
  return at === text.length ? value : 'EINVAL';
}

type Kind = 'byte' | 'short' | 'ushort' | 'int' | 'uint' | 'hexint' | 'long' | 'ulong' | 'ullong';
const BITS: Readonly<Record<Kind, readonly [bits: bigint, signed: boolean]>> = {
  byte: [8n, false], short: [16n, true], ushort: [16n, false], int: [32n, true], uint: [32n, false], hexint: [32n, false],
  long: [64n, true], ulong: [64n, false], ullong: [64n, false],
};

/** What a parameter of the kind makes of a text. */
function oracle(kind: Kind, text: string): bigint | 'EINVAL' | 'ERANGE' {
  const [bits, signed] = BITS[kind];
  const negative = signed && text.startsWith('-');
  const body = negative ? text.slice(1) : text.startsWith('+') ? text.slice(1) : text;
  const size = kstrtoull(body);
  if (typeof size === 'string') return size;
  if (signed && (negative ? size > WORD / 2n : size >= WORD / 2n)) return 'ERANGE';
  const value = negative ? -size : size;
  const wrapped = signed ? BigInt.asIntN(Number(bits), value) : BigInt.asUintN(Number(bits), value);
  return wrapped === value ? value : 'ERANGE';
}

const SPECS: Readonly<Record<Kind, ParamSpec<number> | ParamSpec<bigint>>> = {
  byte: param.byte(0), short: param.short(0), ushort: param.ushort(0), int: param.int(0), uint: param.uint(0), hexint: param.hexint(0),
  long: param.long(0n), ulong: param.ulong(0n), ullong: param.ullong(0n),
};
const KINDS = Object.keys(SPECS) as Kind[];

/** Numbers near the limits, in every base, with and without rubbish around them. */
const nearLimits = fc.tuple(
  fc.constantFrom('', '-', '+', '--', '+-'), fc.constantFrom('', '0x', '0X', '0', '00'),
  fc.tuple(fc.constantFrom(7n, 8n, 15n, 16n, 31n, 32n, 63n, 64n, 65n), fc.bigInt({ min: -2n, max: 2n })).map(([bits, off]) => (1n << bits) + off),
  fc.constantFrom(10, 16, 8), fc.constantFrom('', '\n', '\n\n', ' ', 'z', '9'),
).map(([sign, prefix, value, base, tail]) => `${sign}${prefix}${value.toString(base)}${tail}`);
const numberText = fc.oneof(nearLimits, fc.string({ unit: fc.constantFrom(...'0123789afxX+-\n _g') , maxLength: 24 }));

describe('an integer parameter', () => {
  it('reads and refuses as the kernel\'s loops do', () => {
    covers('2.14.12');
    fc.assert(fc.property(fc.constantFrom(...KINDS), numberText, (kind, text) => {
      const got = readParam(SPECS[kind] as ParamSpec<number | bigint>, text);
      const want = oracle(kind, text);
      expect(got.ok ? BigInt(got.value) : got.errno).toBe(want);
    }), { numRuns: 3000 });
  });

  it('shows what reads back as the same value', () => {
    fc.assert(fc.property(fc.constantFrom(...KINDS), numberText, (kind, text) => {
      const spec = SPECS[kind] as ParamSpec<number | bigint>;
      const got = readParam(spec, text);
      if (got.ok) expect(readParam(spec, `${spec.show(got.value)}\n`)).toEqual(got);
    }));
  });
});

describe('an array parameter', () => {
  it('stores the elements before the first bad one', () => {
    covers('2.14.12');
    const element = fc.oneof(fc.integer({ min: -99, max: 99 }).map(String), fc.constantFrom('', 'x', '4294967296'));
    fc.assert(fc.property(fc.array(element, { minLength: 1, maxLength: 7 }), fc.integer({ min: 1, max: 5 }), (texts, max) => {
      const got = readParam(param.array(param.int(0), max, []), texts.join(','));
      const good: number[] = [];
      let bad: string | null = null;
      for (const text of texts) {
        if (bad !== null) break;
        const value = good.length === max ? 'EINVAL' : oracle('int', text);
        if (typeof value === 'string') bad = value;
        else good.push(Number(value));
      }
      if (bad === null) expect(got).toEqual({ ok: true, value: good });
      else expect(got).toMatchObject({ ok: false, errno: bad, stored: { value: good } });
    }));
  });
});

describe('text parameters', () => {
  it('take as many bytes as there is room for', () => {
    covers('2.14.12');
    fc.assert(fc.property(fc.integer({ min: 1, max: 12 }), fc.string({ unit: fc.constantFrom('a', ' ', '\n'), maxLength: 14 }), (size, text) => {
      const got = readParam(param.string(size, ''), text);
      expect(got.ok ? got.value : got.errno).toBe(text.length < size ? text : 'ENOSPC');
    }));
    for (const [length, result] of [[1024, 'ok'], [1025, 'ENOSPC']] as const) {
      const got = readParam(param.charp(null), 'c'.repeat(length));
      expect(got.ok ? 'ok' : got.errno).toBe(result);
    }
  });

  it('of truth look at the first letter, and at the second behind an o', () => {
    covers('2.14.12');
    const truth = (text: string): boolean | 'EINVAL' => {
      const first = text.slice(0, 1).toLowerCase();
      if (['y', 't', '1'].includes(first)) return true;
      if (['n', 'f', '0'].includes(first)) return false;
      const second = text.slice(1, 2).toLowerCase();
      if (first === 'o' && second === 'n') return true;
      return first === 'o' && second === 'f' ? false : 'EINVAL';
    };
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'yYtT1nNfF0oO2x\n'), maxLength: 4 }), (text) => {
      const want = truth(text);
      for (const [spec, map] of [[param.bool(false), (v: boolean) => v], [param.invbool(false), (v: boolean) => !v], [param.bint(0), Number]] as const) {
        const got = readParam(spec as ParamSpec<boolean | number>, text);
        expect(got.ok ? got.value : got.errno).toBe(want === 'EINVAL' ? want : map(want));
      }
    }));
  });
});

/** `next_arg` on a buffer of characters, NULs written where words end. */
function nextArgs(text: string): { name: string; value: string | null }[] {
  const buffer = [...text, '\0'];
  const isBlank = (c: string | undefined): boolean => c !== undefined && ' \t\n\v\f\r'.includes(c);
  const cString = (at: number): string => buffer.slice(at, buffer.indexOf('\0', at)).join('');
  const found: { name: string; value: string | null }[] = [];
  let args = 0;
  while (isBlank(buffer[args])) args++;
  while (buffer[args] !== '\0') {
    let inQuote = false;
    let quoted = false;
    if (buffer[args] === '"') {
      args++;
      inQuote = true;
      quoted = true;
    }
    let equals = 0;
    let i = 0;
    for (; buffer[args + i] !== '\0'; i++) {
      if (isBlank(buffer[args + i]) && !inQuote) break;
      if (equals === 0 && buffer[args + i] === '=') equals = i;
      if (buffer[args + i] === '"') inQuote = !inQuote;
    }
    const start = args;
    let valueAt = -1;
    if (equals !== 0) {
      buffer[args + equals] = '\0';
      valueAt = args + equals + 1;
      if (buffer[valueAt] === '"') {
        valueAt++;
        if (buffer[args + i - 1] === '"') buffer[args + i - 1] = '\0';
      }
    }
    if (quoted && i > 0 && buffer[args + i - 1] === '"') buffer[args + i - 1] = '\0';
    if (buffer[args + i] === '\0') args += i;
    else {
      buffer[args + i] = '\0';
      args += i + 1;
    }
    while (isBlank(buffer[args])) args++;
    const word = { name: cString(start), value: valueAt < 0 ? null : cString(valueAt) };
    if (word.value === null && word.name === '--') return found;
    found.push(word);
  }
  return found;
}

describe('a parameter string', () => {
  it('falls into the words that the kernel\'s buffer falls into', () => {
    covers('2.14.12');
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom('a', 'b', '=', '"', ' ', '\t', '-', ','), maxLength: 20 }), (text) => {
      expect(splitArgs(text).args).toEqual(nextArgs(text));
    }), { numRuns: 4000 });
  });

  it('gives each parameter its last good value, refuses once for any bad one, and never minds a name nobody knows', async () => {
    covers('2.14.12');
    const word = fc.tuple(fc.constantFrom('a', 'b', 'zz', 'dyndbg', 'other.dyndbg', 'async_probe'), fc.constantFrom('1', '2', 'x', '99999999999'));
    await fc.assert(fc.asyncProperty(fc.array(word, { maxLength: 6 }), async (words) => {
      const { loader, host } = fakeKernel();
      const values: Record<string, unknown> = {};
      const image = toy('m', { params: { a: param.int(0), b: param.int(0) }, init: (_k, mod) => Object.assign(values, (mod as { params: object }).params) });
      const result = await loader.load(image, words.map(([n, v]) => `${n}=${v}`).join(' ')).then(() => 'ok', (e: { errno: string }) => e.errno);
      const bad = words.filter(([n, v]) => (n === 'a' || n === 'b') && typeof oracle('int', v) === 'string').map(([, v]) => oracle('int', v));
      expect(result).toBe(bad.at(-1) ?? 'ok');
      expect(host.log.filter((line) => line.includes('unknown parameter'))).toHaveLength(words.filter(([n]) => n === 'zz').length);
      if (result !== 'ok') expect(loader.residue()).toEqual([]);
      else for (const name of ['a', 'b']) expect(values[name]).toBe(Number(words.findLast(([n]) => n === name)?.[1] ?? 0));
    }));
  });
});
