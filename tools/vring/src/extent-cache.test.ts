import { EFAULT, EINVAL, EPERM, VHOST_ACCESS_RO, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { ExtentCache, RegionTranslate, ringMemory } from './index.ts';
import type { Extent, Translate } from './index.ts';

const GIB4 = 0x1_0000_0000;
const memory = ringMemory(new SharedArrayBuffer(0x10000));

function counted(translate: RegionTranslate) {
  const calls: number[] = [];
  const counting: Translate = {
    get generation() {
      return translate.generation;
    },
    lookup(lo, hi, len, write, out) {
      calls.push(hi * GIB4 + lo);
      return translate.lookup(lo, hi, len, write, out);
    },
  };
  return { cache: new ExtentCache(counting), calls };
}

test('looks an extent up once and then serves all of it', () => {
  const { cache, calls } = counted(new RegionTranslate([{ base: 0x1000, memory, size: 0x2000, offset: 0x100 }]));
  expect(cache.reach(0x1800, 0, 16, VHOST_ACCESS_RO)).toBe(16);
  expect(cache.at).toBe(0x900);
  expect(cache.reach(0x1000, 0, 0x10000, VHOST_ACCESS_WO)).toBe(0x2000);
  expect(cache.reach(0x2fff, 0, 16, VHOST_ACCESS_RO)).toBe(1);
  expect(cache.at).toBe(0x20ff);
  expect(calls).toEqual([0x1800]);
});

test('serves both sides of a 4 GiB boundary, a lookup each', () => {
  const { cache, calls } = counted(new RegionTranslate([{ base: GIB4 - 0x100, memory, size: 0x200 }]));
  expect(cache.reach(0xffff_ff80, 0, 0x100, VHOST_ACCESS_RO)).toBe(0x80);
  expect(cache.at).toBe(0x80);
  expect(cache.reach(0, 1, 0x80, VHOST_ACCESS_RO)).toBe(0x80);
  expect(cache.at).toBe(0x100);
  expect(cache.reach(0x7f, 1, 0x100, VHOST_ACCESS_RO)).toBe(0x81);
  expect(calls).toEqual([GIB4 - 0x80, GIB4]);
});

test('takes addresses as signed or unsigned halves', () => {
  const { cache } = counted(new RegionTranslate([{ base: 0xfffffff0, memory, size: 16 }]));
  expect(cache.reach(0xfffffff8 | 0, 0, 4, VHOST_ACCESS_RO)).toBe(4);
  expect(cache.at).toBe(8);
});

test('looks up anew when the generation changes, when dropped and for another access', () => {
  const translate = new RegionTranslate([{ base: 0, memory, perm: VHOST_ACCESS_RO }]);
  const { cache, calls } = counted(translate);
  cache.reach(0, 0, 1, VHOST_ACCESS_RO);
  expect(cache.reach(0, 0, 1, VHOST_ACCESS_WO)).toBe(0);
  expect(cache.error).toBe(EPERM);
  cache.reach(0, 0, 1, VHOST_ACCESS_RO);
  cache.drop();
  cache.reach(0, 0, 1, VHOST_ACCESS_RO);
  translate.setRegions([]);
  expect(cache.reach(0, 0, 1, VHOST_ACCESS_RO)).toBe(0);
  expect([cache.error, calls.length]).toEqual([EINVAL, 5]);
});

test('covers a range only when one extent does', () => {
  const { cache } = counted(new RegionTranslate([{ base: 0, memory, size: 0x100 }, { base: 0x100, memory, size: 0x100, offset: 0x400 }]));
  expect(cache.cover(0xf0, 0, 0x10, VHOST_ACCESS_RO)).toBe(true);
  expect(cache.cover(0xf0, 0, 0x11, VHOST_ACCESS_RO)).toBe(false);
  expect(cache.cover(0x100, 0, 0x100, VHOST_ACCESS_RO)).toBe(true);
  expect(cache.cover(0x100, 0, 0x8000_0000, VHOST_ACCESS_RO)).toBe(false);
});

test('reports a refusal that cover met without a second lookup, once', () => {
  const { cache, calls } = counted(new RegionTranslate([]));
  expect(cache.cover(0x100, 0, 1, VHOST_ACCESS_RO)).toBe(false);
  expect(cache.reach(0x100, 0, 1, VHOST_ACCESS_RO)).toBe(0);
  expect([cache.error, calls.length]).toEqual([EINVAL, 1]);
  cache.reach(0x100, 0, 1, VHOST_ACCESS_RO);
  expect(calls.length).toBe(2);
  cache.hold();
  cache.reach(0x100, 0, 1, VHOST_ACCESS_RO);
  expect(calls.length).toBe(2);
  cache.hold();
  cache.settle();
  cache.reach(0x100, 0, 1, VHOST_ACCESS_RO);
  expect(calls.length).toBe(3);
});

test('does not believe an extent that lies', () => {
  const lying = (lie: Partial<Extent>) => new ExtentCache({
    generation: 0,
    lookup: (_lo, _hi, _len, _write, out) => {
      Object.assign(out, { baseLo: 0, baseHi: 0, length: 0x80, perm: VHOST_ACCESS_RO, memory, offset: 0, ...lie });
      return 0;
    },
  });
  expect(lying({}).reach(0x7f, 0, 1, VHOST_ACCESS_RO)).toBe(1);
  const lies: Partial<Extent>[] = [
    { memory: null }, { offset: -1 }, { offset: 0xff81 }, { baseLo: 0x80 }, { baseHi: 1 }, { length: 0x7f }, { length: 0x10001 },
  ];
  for (const lie of lies) {
    const cache = lying(lie);
    expect([cache.reach(0x7f, 0, 1, VHOST_ACCESS_RO), cache.error]).toEqual([0, EFAULT]);
  }
  const readOnly = lying({});
  expect([readOnly.reach(0, 0, 1, VHOST_ACCESS_WO), readOnly.error]).toEqual([0, EPERM]);
});
