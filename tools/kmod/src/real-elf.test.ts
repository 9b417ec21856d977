/** What the host's kmod and ours make of files that are damaged. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readModule, writeModule } from './elf/index.ts';
import { present, RealTree } from './real-kmod.ts';
import { treeModule } from './tree.ts';

const sample = (bits: 32 | 64, little: boolean): Uint8Array => writeModule(treeModule('any.ko', {
  modinfo: [['license', 'GPL'], ['alias', 'a-b']], exports: [{ name: 'f', crc: 0x1234, gpl: true, namespace: 'NS' }, { name: 'g', crc: 7, gpl: false, namespace: '' }],
  needs: [{ name: 'h', weak: false, crc: 0xdead_beef }, { name: 'w', weak: true, crc: 3 }],
}), { package: null }, { bits, little, machine: 62 });

const format = fc.record({ bits: fc.constantFrom(32 as const, 64 as const), little: fc.boolean() });
/** Bytes changed at places counted from the front, the header, or from the back, the section headers. */
const damage = fc.array(fc.tuple(fc.oneof(fc.nat(64), fc.nat(4000).map((n) => -n - 1)), fc.constantFrom(0, 1, 0x7f, 0xff)), { maxLength: 3 });

function damaged({ bits, little }: { bits: 32 | 64; little: boolean }, changes: readonly (readonly [number, number])[], length: number): Uint8Array {
  const bytes = Uint8Array.from(sample(bits, little));
  for (const [at, value] of changes) bytes[at < 0 ? bytes.length + at : at] = value;
  return bytes.subarray(0, length);
}

test('reading a damaged file gives a module or an errno, and ends', () => {
  fc.assert(fc.property(format, damage, fc.oneof(fc.constant(1e6), fc.nat(5000)), (to, changes, length) => {
    const read = readModule(damaged(to, changes, length));
    expect(typeof read === 'string' ? read : 'a module').toMatch(/^(ENOEXEC|EINVAL|a module)$/);
  }), { numRuns: 2000 });
});

describe.runIf(present)('like kmod 30, over damaged files', () => {
  let real: RealTree;
  beforeAll(() => {
    real = new RealTree({ modules: [], builtin: [], order: null });
  });
  afterAll(() => real.close());

  test('cut anywhere', { timeout: 60_000 }, async () => {
    await fc.assert(fc.asyncProperty(format, fc.nat(4500), async (to, length) => {
      real.sys.files.set(`${real.root}/any.ko`, damaged(to, [], length));
      real.write();
      for (const line of ['modinfo @/any.ko', 'modprobe --show-exports @/any.ko']) expect({ length, ...await real.ours(line) }).toEqual({ length, ...real.real(line) });
    }), { numRuns: 40 });
  });

  test('with bytes of the header changed', { timeout: 60_000 }, async () => {
    await fc.assert(fc.asyncProperty(format, fc.nat(63), fc.constantFrom(0, 1, 3, 0x7f, 0xff), async (to, at, value) => {
      real.sys.files.set(`${real.root}/any.ko`, damaged(to, [[at, value]], 1e6));
      real.write();
      for (const line of ['modinfo @/any.ko', 'modprobe --show-exports @/any.ko', 'modprobe --dump-modversions @/any.ko']) {
        const theirs = real.real(line);
        if (theirs.status >= 0) expect({ at, value, line, ...await real.ours(line) }).toEqual({ at, value, line, ...theirs }); // it may die of an assertion
      }
    }), { numRuns: 100, examples: [[{ bits: 32, little: true }, 32, 0]] });
  });
});
