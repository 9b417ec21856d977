import {
  MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, PROT_READ,
} from '@vdpalab/uapi';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TASK_SIZE } from './address-space.ts';
import type { VmArea } from './header.ts';
import { ANON, bootMm, PAGE, RW } from './testing/kernel.ts';

const refused = (errno: string, rule: string) => expect.objectContaining({ errno, rule: `mm.${rule}` });

test('areas are placed from the top downwards, and fill the highest hole that fits', async () => {
  const { k, mm, anon } = await bootMm();
  const [a, b, c] = [anon(PAGE), anon(2 * PAGE), anon(1)];
  expect([a, b, c].map((at) => at - a)).toEqual([0, -2 * PAGE, -3 * PAGE]);
  k.mm_unmap(mm, b, 2 * PAGE);
  expect(anon(3 * PAGE)).toBe(c - 3 * PAGE);
  expect(anon(PAGE)).toBe(b + PAGE);
  expect(mm.areas.map((area) => area.start)).toEqual([...mm.areas.map((area) => area.start)].sort((x, y) => x - y));
});

test('a hint is taken when it is free, rounded up to a page', async () => {
  const { k, mm } = await bootMm();
  const map = (addr: number): number => k.mm_map(mm, addr, PAGE, RW, ANON, 0, true).start;
  expect(map(0x10_0001)).toBe(0x10_1000);
  expect(map(0x10_1000)).not.toBe(0x10_1000);
  expect(map(TASK_SIZE)).toBeLessThan(TASK_SIZE);
});

test('MAP_FIXED replaces what is there, MAP_FIXED_NOREPLACE does not', async () => {
  const { k, mm } = await bootMm();
  const map = (addr: number, pages: number, flags: number) => k.mm_map(mm, addr, pages * PAGE, RW, ANON | flags, 0, true);
  map(0x10_0000, 4, MAP_FIXED);
  mm.write(0x10_0000, new Uint8Array(4 * PAGE).fill(1));
  map(0x10_1000, 1, MAP_FIXED);
  expect([0, 1, 2].map((page) => mm.read(0x10_0000 + page * PAGE, 1)[0])).toEqual([1, 0, 1]);
  expect(mm.areas).toHaveLength(3);
  expect(() => map(0x10_3000, 2, MAP_FIXED_NOREPLACE)).toThrow(refused('EEXIST', 'map.noreplace'));
  expect(map(0x10_4000, 2, MAP_FIXED_NOREPLACE).start).toBe(0x10_4000);
});

test.each<[string, number, number, number, boolean, string, string]>([
  ['length 0', 0, 0, ANON, true, 'EINVAL', 'map.length'],
  ['a negative length', 0, -1, ANON, true, 'EINVAL', 'map.length'],
  ['more than there is of addresses', 0, 2 ** 50, ANON, true, 'ENOMEM', 'map.length'],
  ['more than there is below the base', 0, TASK_SIZE, ANON, false, 'ENOMEM', 'map.space'],
  ['more than there is of memory', 0, 1000 * PAGE, ANON, true, 'ENOMEM', 'alloc.free'],
  ['neither shared nor private', 0, PAGE, MAP_ANONYMOUS, true, 'EINVAL', 'map.type'],
  ['anonymous memory with MAP_SHARED_VALIDATE', 0, PAGE, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, true, 'EINVAL', 'map.type'],
  ['a fixed address off a page', 100, PAGE, ANON | MAP_FIXED, true, 'EINVAL', 'map.fixed'],
  ['a fixed address beyond user space', TASK_SIZE, PAGE, ANON | MAP_FIXED, true, 'ENOMEM', 'map.fixed'],
])('mapping %s is refused and changes nothing', async (_what, addr, len, flags, anonymous, errno, rule) => {
  const { k, mm } = await bootMm();
  const free = k.nr_free_pages();
  expect(() => k.mm_map(mm, addr, len, RW, flags, 0, anonymous)).toThrow(refused(errno, rule));
  expect(mm.areas).toEqual([]);
  expect(k.nr_free_pages()).toBe(free);
});

test('unmapping asks for pages', async () => {
  const { k, mm, anon } = await bootMm();
  const at = anon(PAGE);
  expect(() => k.mm_unmap(mm, at + 1, PAGE)).toThrow(refused('EINVAL', 'unmap.address'));
  expect(() => k.mm_unmap(mm, at, 0)).toThrow(refused('EINVAL', 'unmap.length'));
  expect(() => k.mm_unmap(mm, TASK_SIZE, PAGE)).toThrow(refused('EINVAL', 'unmap.length'));
  k.mm_unmap(mm, 0x10_0000, PAGE); // nothing there
  expect(mm.areas).toHaveLength(1);
});

test('a hole in an area leaves both sides with their pages, offsets and owner', async () => {
  const { k, mm } = await bootMm();
  const log: string[] = [];
  const run = k.alloc_pages(5);
  const area = k.mm_map(mm, 0x10_0000, 5 * PAGE, RW, MAP_SHARED | MAP_FIXED, 10, false);
  area.backing = { kind: 'pages', runs: [{ pa: run.pa, pages: 2 }, { pa: run.pa + 2 * PAGE, pages: 3 }] };
  area.close = (): undefined => void log.push('close');
  k.mm_unmap(mm, 0x10_1000, 2 * PAGE);
  expect(mm.areas.map(({ start, end, pgoff, backing }) => ({ start, end, pgoff, backing }))).toEqual([
    { start: 0x10_0000, end: 0x10_1000, pgoff: 10, backing: { kind: 'pages', runs: [{ pa: run.pa, pages: 1 }] } },
    { start: 0x10_3000, end: 0x10_5000, pgoff: 13, backing: { kind: 'pages', runs: [{ pa: run.pa + 3 * PAGE, pages: 2 }] } },
  ]);
  expect(mm.translate(0x10_4000, true)).toBe(run.pa + 4 * PAGE);
  k.mm_unmap(mm, 0x10_3000, PAGE);
  expect(mm.areas.at(-1)).toMatchObject({ start: 0x10_4000, pgoff: 14 });
  k.mm_unmap(mm, 0x10_0000, PAGE);
  expect(log).toEqual([]);
  k.mm_unmap(mm, 0x10_0000, 16 * PAGE);
  expect(log).toEqual(['close']);
  k.free_pages(run);
});

test('a device window keeps its place when it is cut', async () => {
  const { k, mm } = await bootMm();
  const area = k.mm_map(mm, 0x10_0000, 3 * PAGE, RW, MAP_SHARED | MAP_FIXED, 0, false);
  area.backing = { kind: 'io', pa: 0xe000_0000, size: 2 * PAGE };
  k.mm_unmap(mm, 0x10_0000, PAGE);
  expect(mm.areas[0]?.backing).toEqual({ kind: 'io', pa: 0xe000_1000, size: PAGE });
  expect(mm.translate(0x10_1004, false)).toBe(0xe000_1004);
  expect(() => mm.translate(0x10_2000, false)).toThrow(expect.objectContaining({ errno: 'EFAULT' })); // behind the window's end
});

test('the last user tears the address space down', async () => {
  const { k, mm, anon } = await bootMm();
  const free = k.nr_free_pages();
  const at = anon(3 * PAGE);
  k.mmget(mm);
  k.mmput(mm);
  expect(mm.read(at, 1)).toEqual(Uint8Array.of(0));
  k.mmput(mm);
  expect(() => mm.read(at, 1)).toThrow(expect.objectContaining({ errno: 'EFAULT' }));
  expect(k.nr_free_pages()).toBe(free);
  expect(k.mm_leftovers()).toEqual([]);
  expect(() => k.mmput(mm)).toThrow('it is gone');
  expect(() => k.mmget(mm)).toThrow('it is gone');
});

test('whatever is mapped and unmapped, each page is its owner\'s and none is lost', async () => {
  const command = fc.record({
    kind: fc.constantFrom('map' as const, 'unmap' as const), at: fc.nat(30), pages: fc.integer({ min: 1, max: 9 }),
  });
  await fc.assert(fc.asyncProperty(fc.array(command, { maxLength: 40 }), async (commands) => {
    const { k, mm } = await bootMm(129);
    const model = new Map<number, number>();
    const base = 0x10_0000;
    let tag = 0;
    for (const { kind, at, pages } of commands) {
      const start = base + at * PAGE;
      if (kind === 'map') {
        k.mm_map(mm, start, pages * PAGE, RW, ANON | MAP_FIXED, 0, true);
        for (let i = 0; i < pages; i++) {
          mm.store(start + i * PAGE, 4, ++tag);
          model.set(at + i, tag);
        }
      } else {
        k.mm_unmap(mm, start, pages * PAGE);
        for (let i = 0; i < pages; i++) model.delete(at + i);
      }
      expect(k.nr_free_pages()).toBe(128 - model.size);
    }
    for (let page = 0; page < 40; page++) {
      const value = model.get(page);
      if (value === undefined) expect(() => mm.load(base + page * PAGE, 4)).toThrow(expect.objectContaining({ errno: 'EFAULT' }));
      else expect(mm.load(base + page * PAGE, 4)).toBe(value);
    }
    const areas: readonly VmArea[] = mm.areas;
    areas.forEach((area, i) => expect(area.start).toBeGreaterThanOrEqual(areas[i - 1]?.end ?? 0));
    k.mmput(mm);
    expect(k.mm_leftovers()).toEqual([]);
    expect(k.nr_free_pages()).toBe(128);
  }), { numRuns: 40 });
});

test('a private mapping of nothing, and one without access, hold no byte', async () => {
  const { k, mm } = await bootMm();
  const area = k.mm_map(mm, 0, PAGE, PROT_READ, MAP_PRIVATE, 0, false);
  expect(area.backing).toEqual({ kind: 'none' });
  expect(() => mm.read(area.start, 1)).toThrow(expect.objectContaining({ errno: 'EFAULT' }));
  expect(mm.view(area.start, 1)).toBeNull();
  k.mm_unmap(mm, area.start, PAGE);
  const split = k.mm_map(mm, 0, 3 * PAGE, PROT_READ, MAP_PRIVATE, 0, false);
  k.mm_unmap(mm, split.start + PAGE, PAGE);
  expect(mm.areas).toHaveLength(2);
});

test('pages that a driver finds are asked for by their place in the file, and each access may find none', async () => {
  const { k, mm } = await bootMm();
  const run = k.alloc_pages(2);
  const asked: number[] = [];
  const area = k.mm_map(mm, 0, 4 * PAGE, RW, MAP_SHARED, 7, false);
  area.backing = {
    kind: 'fault',
    fault: (pgoff) => {
      asked.push(pgoff);
      return pgoff === 8 ? run.pa : pgoff === 9 ? run.pa + PAGE : null;
    },
  };
  mm.write(area.start + 2 * PAGE - 2, Uint8Array.of(1, 2, 3, 4)); // over the edge between the two
  expect([...k.phys_view(run.pa + PAGE - 2, 4)]).toEqual([1, 2, 3, 4]);
  expect(new Set(asked)).toEqual(new Set([8, 9]));
  expect(mm.translate(area.start + 2 * PAGE + 5, true)).toBe(run.pa + PAGE + 5);
  expect(mm.view(area.start + PAGE, PAGE)?.length).toBe(PAGE);
  expect(mm.view(area.start + PAGE, PAGE + 1)).toBeNull();
  expect(() => mm.read(area.start, 1)).toThrow(refused('EFAULT', 'access.read'));
  expect(() => mm.write(area.start + 3 * PAGE - 1, Uint8Array.of(1, 2))).toThrow(refused('EFAULT', 'access.write'));
  expect(() => k.pin_user_pages(mm, area.start + PAGE, PAGE, true)).toThrow(refused('EFAULT', 'pin.page'));

  k.mm_unmap(mm, area.start, PAGE); // what is left still starts at page 8 of the file
  expect(mm.translate(area.start, false)).toBe(run.pa);
  k.mm_unmap(mm, area.start, 3 * PAGE);
  k.free_pages(run);
});
