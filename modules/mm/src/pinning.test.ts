import { MAP_FIXED, MAP_SHARED, PROT_NONE, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { mappedRegion } from '@vdpalab/machine';
import type { MmStruct } from './header.ts';
import { ANON, bootMm, PAGE, RW } from './testing/kernel.ts';

const efault = expect.objectContaining({ errno: 'EFAULT', rule: 'mm.pin.page' });

test('pinning gives the whole pages of a range, in as few runs as they lie in', async () => {
  const { k, mm, anon } = await bootMm();
  const at = anon(4 * PAGE);
  const pa = mm.translate(at, true);
  expect(k.pin_user_pages(mm, at + 100, 2 * PAGE, true)).toEqual([{ pa, pages: 3 }]);
  expect(k.pin_user_pages(mm, at + PAGE, PAGE, false)).toEqual([{ pa: pa + PAGE, pages: 1 }]);
  expect(k.pin_user_pages(mm, at, 0, true)).toEqual([]);
  expect(k.mm_leftovers()).toContain(`pages 0x${pa.toString(16)}-0x${(pa + 3 * PAGE - 1).toString(16)} are pinned`);
  k.unpin_user_pages([{ pa: pa + PAGE, pages: 1 }], false);
  k.unpin_user_pages([{ pa, pages: 3 }], true);
  expect(k.mm_leftovers().join()).not.toContain('pinned');
});

test('areas that touch in memory are one run, those apart are several', async () => {
  const { k, mm } = await bootMm();
  const run = k.alloc_pages(4);
  const map = (va: number, page: number): void => {
    const area = k.mm_map(mm, va, PAGE, RW, MAP_SHARED | MAP_FIXED, 0, false);
    area.backing = { kind: 'pages', runs: [{ pa: run.pa + page * PAGE, pages: 1 }] };
  };
  map(0x10_0000, 0);
  map(0x10_1000, 1);
  map(0x10_2000, 3);
  const pinned = k.pin_user_pages(mm, 0x10_0000, 3 * PAGE, true);
  expect(pinned).toEqual([{ pa: run.pa, pages: 2 }, { pa: run.pa + 3 * PAGE, pages: 1 }]);
  expect(() => k.free_pages(run)).toThrow('pinned');
  k.unpin_user_pages(pinned, false);
  k.free_pages(run);
});

test.each<[string, number, number, boolean]>([
  ['a hole', 0x10_3000, RW, true],
  ['no read access', 0x10_0000, PROT_NONE, false],
  ['only write access, when the device reads', 0x10_0000, PROT_WRITE, false],
  ['only read access, when the device writes', 0x10_0000, PROT_READ, true],
])('%s in the range is EFAULT and pins nothing', async (_what, at, prot, write) => {
  const { k, mm } = await bootMm();
  k.mm_map(mm, 0x10_1000, 2 * PAGE, RW, ANON | MAP_FIXED, 0, true);
  k.mm_map(mm, at, PAGE, prot, ANON | MAP_FIXED, 0, true);
  if (at === 0x10_3000) k.mm_unmap(mm, at, PAGE);
  const before = k.mm_leftovers();
  expect(() => k.pin_user_pages(mm, 0x10_0000 + (at === 0x10_0000 ? 0 : PAGE), 3 * PAGE, write)).toThrow(efault);
  expect(k.mm_leftovers()).toEqual(before);
});

test('registers, empty areas and addresses that are none cannot be pinned', async () => {
  const { k, mm } = await bootMm();
  const area = k.mm_map(mm, 0x10_0000, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, 0, false);
  const pin = () => k.pin_user_pages(mm, 0x10_0000, 2 * PAGE, true);
  expect(pin).toThrow(efault);
  area.backing = { kind: 'io', pa: 0xe000_0000, size: 2 * PAGE };
  expect(pin).toThrow(efault);
  area.backing = { kind: 'pages', runs: [{ pa: PAGE, pages: 1 }] };
  expect(pin).toThrow(efault);
  area.backing = { kind: 'pages', runs: [{ pa: 2 ** 40, pages: 2 }] };
  expect(pin).toThrow(efault);
  for (const [va, len] of [[-1, PAGE], [0x10_0000, -1], [Number.NaN, 1], [2 ** 60, PAGE]] as const) {
    expect(() => k.pin_user_pages(mm, va, len, true)).toThrow(efault);
  }
});

test('pinned pages outlive their area, hold their contents, and are freed with the last pin', async () => {
  const { k, hw, mm, anon } = await bootMm();
  const free = k.nr_free_pages();
  const at = anon(4 * PAGE);
  mm.write(at, new Uint8Array(4 * PAGE).fill(7));
  const first = k.pin_user_pages(mm, at + PAGE, 2 * PAGE, true);
  const second = k.pin_user_pages(mm, at + 2 * PAGE, PAGE, true);
  k.mm_unmap(mm, at, 4 * PAGE);
  expect(k.nr_free_pages()).toBe(free - 2);
  const run = first[0] ?? { pa: 0, pages: 0 };
  expect(hw.ram.view(run.pa, 2 * PAGE).every((byte) => byte === 7)).toBe(true);
  anon(6 * PAGE); // does not get them
  k.unpin_user_pages(first, true);
  expect(k.nr_free_pages()).toBe(free - 6 - 1);
  k.unpin_user_pages(second, true);
  expect(k.nr_free_pages()).toBe(free - 6);
});

test('unpinning what is not pinned is a bug of the lab, and unpins nothing', async () => {
  const { k, mm, anon } = await bootMm();
  const runs = k.pin_user_pages(mm, anon(2 * PAGE), PAGE, true);
  const [run] = runs;
  if (run === undefined) throw new Error('nothing pinned');
  expect(() => k.unpin_user_pages([{ pa: run.pa, pages: 2 }], false)).toThrow('it is not pinned');
  expect(() => k.unpin_user_pages([run, run], false)).toThrow('twice in one call');
  expect(() => k.unpin_user_pages([{ pa: 2 ** 40, pages: 1 }], false)).toThrow('not in one RAM region');
});

test('an address space made elsewhere is pinned through its own areas', async () => {
  const { k, hw } = await bootMm();
  const base = 2 ** 36;
  hw.ram.attach(mappedRegion(base, 4 * PAGE, new ArrayBuffer(4 * PAGE)));
  const none = (): never => { throw new Error('not used'); };
  const foreign: MmStruct = {
    id: 99, locked_vm: 0, pinned_vm: 0, areas: [], read: none, write: none, view: none, translate: none, load: none, store: none,
  };
  const area = { start: 0x5000, end: 0x9000, prot: RW, flags: MAP_SHARED, pgoff: 0, mm: foreign, close: null };
  const other: MmStruct = { ...foreign, areas: [{ ...area, backing: { kind: 'pages', runs: [{ pa: base, pages: 4 }] } }] };
  const pinned = k.pin_user_pages(other, 0x6000, 2 * PAGE, true);
  expect(pinned).toEqual([{ pa: base + PAGE, pages: 2 }]);
  k.unpin_user_pages(pinned, true);
  expect(() => k.mm_unmap(other, 0x5000, PAGE)).toThrow('not an address space of this kernel');
});

test('locked pages count against the limit', async () => {
  const { k, mm } = await bootMm();
  k.account_locked_vm(mm, 3, 4 * PAGE);
  expect(() => k.account_locked_vm(mm, 2, 4 * PAGE)).toThrow(expect.objectContaining({ errno: 'ENOMEM', rule: 'mm.locked.limit' }));
  expect(mm.locked_vm).toBe(3);
  k.account_locked_vm(mm, 1000, Infinity);
  k.account_locked_vm(mm, -1003, 0);
  expect(mm.locked_vm).toBe(0);
  expect(() => k.account_locked_vm(mm, -1, Infinity)).toThrow('given back');
});

test('pinning many pages is quick', async () => {
  const { k, mm, anon } = await bootMm(65_536 + 1);
  const at = anon(65_536 * PAGE);
  const runs = k.pin_user_pages(mm, at, 65_536 * PAGE, true);
  expect(runs).toHaveLength(1);
  k.unpin_user_pages(runs, true);
});
