import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { TestContext } from 'vitest';
import * as uapi from './index.ts';
import { headerProgram } from './libc-dev.program.ts';
import { ABSENT, HEADER_VERSION, MIRRORS, OWN, REGISTER_MASKS, UNION_MEMBERS } from './libc-dev.table.ts';
import { isStruct } from './struct.ts';
import { anyStruct } from './struct.arbitrary.ts';

const samples = fc.sample(anyStruct(fc, 'sample'), { numRuns: 60, seed: 61 }).map((struct, i) =>
  uapi.defineStruct(`sample_${i}`, struct.fields, { packed: struct.packed }),
);

/** Why the headers cannot be asked, if so. */
function unavailable(): string | undefined {
  const args = ['-E', '-dM', '-include', 'linux/version.h', '-x', 'c', '/dev/null'];
  const probe = spawnSync('gcc', args, { encoding: 'utf8' });
  if (probe.error !== undefined) return 'gcc is not installed';
  const code = Number(/LINUX_VERSION_CODE (\d+)/.exec(probe.stdout)?.[1]);
  if (probe.status !== 0 || Number.isNaN(code)) return 'the headers of linux-libc-dev are not installed';
  const version = `${code >> 16}.${(code >> 8) & 0xff}`;
  return version === HEADER_VERSION ? undefined : `the headers are of Linux ${version}, not ${HEADER_VERSION}`;
}

const reason = unavailable();
const required = process.env['VDPALAB_REQUIRE_REAL'] === '1';
const printed = new Map<string, string>();

/** Skips with the reason; fails instead where the real thing is required. */
function needsHeaders(context: TestContext): void {
  if (reason === undefined) return;
  if (required) throw new Error(reason);
  context.skip(reason);
}

beforeAll(() => {
  if (reason !== undefined) return;
  const directory = mkdtempSync(join(tmpdir(), 'vdpalab-uapi-'));
  try {
    const sources = headerProgram(samples);
    for (const [file, text] of sources) writeFileSync(join(directory, file), text);
    execFileSync('gcc', ['-std=gnu11', '-w', '-O0', '-o', 'ask', ...sources.keys()], { cwd: directory, stdio: 'pipe' });
    for (const line of execFileSync(join(directory, 'ask'), { encoding: 'utf8' }).split('\n')) {
      const [, key, value] = /^(\w+ \S+) ?(.*)$/.exec(line) ?? [];
      if (key !== undefined && value !== undefined) printed.set(key, value);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}, 120_000);

/** What our exports would print, in the words of the C program. */
function ours(exports: Readonly<Record<string, unknown>>): Map<string, string> {
  const absent = new Set(Object.values(ABSENT).flat());
  const lines = new Map<string, string>();
  for (const [name, value] of Object.entries(exports)) {
    if (absent.has(name) || typeof value === 'function') continue;
    if (isStruct(value)) {
      lines.set(`struct ${name}`, `${value.size} ${value.align}`);
      for (const [field, type] of Object.entries(value.fields)) {
        const key = `field ${name}.${field}`;
        const inC = printed.get(key)?.split(' ')[1];
        const size = UNION_MEMBERS.includes(`${name}.${field}`) ? inC : type.size;
        lines.set(key, `${value.offsets[field]} ${size}`);
      }
    } else if (typeof value === 'string') {
      lines.set(`text ${name}`, value);
    } else {
      lines.set(`const ${name}`, asInC(name, BigInt(value as number | bigint)));
    }
  }
  return lines;
}

/** Our value in C's type: C prints a mask with the top bit set as a negative `int`, we hold it unsigned. */
function asInC(name: string, value: bigint): string {
  const [size = '0', text = ''] = printed.get(`const ${name}`)?.split(' ') ?? [];
  const width = 8 * Number(size);
  const inC = BigInt(text === '' ? 0 : text);
  const same = REGISTER_MASKS.includes(name)
    ? BigInt.asUintN(32, inC) === value
    : value < 1n << BigInt(width) && BigInt.asUintN(width, inC) === BigInt.asUintN(width, value);
  return same ? `${size} ${text}` : `${size} ${value}`;
}

describe('the installed headers', () => {
  test.for(Object.keys(MIRRORS))('say the same as %s.ts', (name, context) => {
    needsHeaders(context);
    const expected = ours(MIRRORS[name]?.exports ?? {});
    const actual = new Map([...expected.keys()].map((key) => [key, printed.get(key)]));
    expect(expected).toEqual(actual);
  });

  test('do not have what is listed as absent', (context) => {
    needsHeaders(context);
    expect([...printed.keys()].filter((key) => key.startsWith('present '))).toEqual([]);
  });

  test('lay out sixty made-up structs as defineStruct does', (context) => {
    needsHeaders(context);
    for (const struct of samples) {
      expect(printed.get(`struct ${struct.name}`)).toBe(`${struct.size} ${struct.align}`);
      for (const [field, type] of Object.entries(struct.fields)) {
        const line = `${struct.offsets[field]} ${type.size}`;
        expect(printed.get(`field ${struct.name}.${field}`), `${struct.name}.${field}`).toBe(line);
      }
    }
  });
});

test('glibc says the same as strerror', (context) => {
  needsHeaders(context);
  const texts = [...printed].filter(([key]) => key.startsWith('strerror '));
  if (texts.length === 0) context.skip('the C library is not glibc');
  expect(texts.map(([key]) => uapi.strerror(Number(key.slice(9))))).toEqual(texts.map(([, text]) => text));
});

test('every export is either compared with a header or listed as our own', () => {
  const listed = [...Object.values(MIRRORS), ...OWN].flatMap((file) => Object.keys(file.exports));
  expect(new Set(listed)).toEqual(new Set(Object.keys(uapi)));
});

test('every name listed as absent is one that we export', () => {
  const listed = [...Object.values(ABSENT).flat(), ...REGISTER_MASKS];
  expect(listed.filter((name) => !(name in uapi))).toEqual([]);
});
