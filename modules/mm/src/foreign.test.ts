import { PROT_NONE, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { FakeOutside } from './testing/foreign-memory.ts';
import { bootMm, PAGE, RW } from './testing/kernel.ts';

const VA = 0x7f00_0000_0000;
const GIB = 0x4000_0000;

async function boot(size = 16 * PAGE, at = VA) {
  const kernel = await bootMm();
  const outside = new FakeOutside(at, size);
  const before = kernel.k.mm_leftovers();
  return { ...kernel, outside, before, foreign: kernel.k.mm_foreign(outside) };
}

test('user memory of a process outside is read and written, and a hole is EFAULT', async () => {
  const { foreign, outside } = await boot();
  outside.area(VA, 2 * PAGE, RW);
  outside.area(VA + 2 * PAGE, PAGE, PROT_READ);
  foreign.write(VA + PAGE - 1, Uint8Array.of(1, 2, 3));
  expect([...foreign.read(VA + PAGE - 1, 3)]).toEqual([1, 2, 3]);
  foreign.store(VA, 4, 0x8765_4321);
  expect([foreign.load(VA, 4), foreign.load(VA, 2), foreign.load(VA + 3, 1)]).toEqual([0x8765_4321, 0x4321, 0x87]);
  expect(foreign.read(VA + 8 * PAGE, 0)).toEqual(new Uint8Array(0));
  expect(foreign.view(VA, 1)).toBeNull();
  for (const [va, len] of [[VA + 3 * PAGE - 1, 2], [0, 1], [-1, 1], [Number.MAX_SAFE_INTEGER, 4]] as const) {
    expect(() => foreign.read(va, len)).toThrow(expect.objectContaining({ errno: 'EFAULT', rule: 'mm.access.read' }));
  }
  expect(() => foreign.write(VA + 2 * PAGE, Uint8Array.of(1))).toThrow(expect.objectContaining({ errno: 'EFAULT', rule: 'mm.access.write' }));
  expect(foreign.areas.map(({ start, end, prot }) => [start, end, prot])).toEqual([[VA, VA + 2 * PAGE, RW], [VA + 2 * PAGE, VA + 3 * PAGE, PROT_READ]]);
});

test('pinned pages are RAM, one region for an area, until the last pin goes', async () => {
  const { k, hw, foreign, outside, before } = await boot();
  outside.area(VA, 8 * PAGE, RW);
  const [first] = k.pin_user_pages(foreign, VA + PAGE + 10, PAGE, true);
  const [second] = k.pin_user_pages(foreign, VA + 4 * PAGE, PAGE, false);
  expect(first).toEqual({ pa: expect.any(Number), pages: 2 });
  expect(second).toEqual({ pa: first!.pa + 3 * PAGE, pages: 1 });
  expect(foreign.translate(VA + PAGE + 5, true)).toBe(first!.pa + 5);
  const region = hw.ram.find(first!.pa, 1);
  expect([region?.kind, region?.size, outside.regions.length]).toEqual(['remote', 8 * PAGE, 1]);
  expect(k.mm_leftovers().join()).toContain('are pinned');
  k.unpin_user_pages([first!], true);
  expect(hw.ram.find(second!.pa, PAGE)).toBe(region);
  k.unpin_user_pages([second!], false);
  expect(hw.ram.find(second!.pa, PAGE)).toBeNull();
  expect(() => foreign.translate(VA + PAGE, true)).toThrow(expect.objectContaining({ errno: 'EFAULT' }));
  // The mirror serves again, at the same place.
  expect(k.pin_user_pages(foreign, VA + PAGE, PAGE, true)).toEqual([{ pa: first!.pa, pages: 1 }]);
  k.unpin_user_pages([{ pa: first!.pa, pages: 1 }], false);
  k.mmput(foreign);
  expect([outside.regions.length, outside.closed]).toEqual([0, true]);
  expect(k.mm_leftovers()).toEqual(before);
});

test('pages pinned by a device stay until it lets go of them, though the process has gone', async () => {
  const { k, hw, foreign, outside, before } = await boot();
  outside.area(VA, PAGE, RW);
  const runs = k.pin_user_pages(foreign, VA, PAGE, true);
  k.mmget(foreign);
  k.mmput(foreign);
  k.mmput(foreign);
  expect([outside.closed, hw.ram.find(runs[0]!.pa, PAGE)?.kind]).toEqual([false, 'remote']);
  k.unpin_user_pages(runs, true);
  expect([outside.closed, hw.ram.find(runs[0]!.pa, PAGE)]).toEqual([true, null]);
  expect(k.mm_leftovers()).toEqual(before);
  expect(() => k.mmput(foreign)).toThrow('it is gone');
});

test.each<[string, number, boolean]>([
  ['a hole', -1, true],
  ['no access', PROT_NONE, false],
  ['only write access, when the device reads', PROT_WRITE, false],
  ['only read access, when the device writes', PROT_READ, true],
])('%s in the range is EFAULT and pins nothing', async (_what, prot, write) => {
  const { k, foreign, outside } = await boot();
  outside.area(VA, PAGE, RW);
  if (prot >= 0) outside.area(VA + PAGE, PAGE, prot);
  outside.area(VA + 2 * PAGE, PAGE, RW);
  const before = k.mm_leftovers();
  expect(() => k.pin_user_pages(foreign, VA, 3 * PAGE, write)).toThrow(expect.objectContaining({ errno: 'EFAULT', rule: 'mm.pin.page' }));
  expect([k.mm_leftovers(), outside.regions.length]).toEqual([before, 0]);
});

test('areas apart, and an area across 1 GiB, are regions of their own', async () => {
  const at = GIB - 2 * PAGE;
  const { k, foreign, outside } = await boot(16 * PAGE, at);
  outside.area(at, 4 * PAGE, RW);
  outside.area(at + 4 * PAGE, PAGE, RW, 'file');
  const runs = k.pin_user_pages(foreign, at, 5 * PAGE, true);
  expect(runs.map(({ pages }) => pages)).toEqual([2, 2, 1]);
  expect(outside.regions.map(({ size }) => size / PAGE)).toEqual([2, 2, 1]);
  k.unpin_user_pages(runs, false);
});

test('what is mapped anew at an address is not what was pinned there', async () => {
  const { k, hw, foreign, outside } = await boot();
  outside.mapped = true;
  outside.area(VA, PAGE, RW, 'one file');
  const old = k.pin_user_pages(foreign, VA, PAGE, true);
  outside.unmap(VA);
  outside.area(VA, PAGE, RW, 'another');
  const next = k.pin_user_pages(foreign, VA, PAGE, true);
  expect(next[0]!.pa).not.toBe(old[0]!.pa);
  expect(hw.ram.find(next[0]!.pa, 1)?.kind).toBe('mapped');
  k.unpin_user_pages(old, false);
  expect(outside.regions.length).toBe(1); // a mapping is let go of at once
  k.unpin_user_pages(next, false);
  expect(outside.regions.length).toBe(0);
});

test('a region the host cannot make is ENOMEM, and nothing stays', async () => {
  const { k, foreign, outside } = await boot();
  outside.area(VA, PAGE, RW);
  outside.area(VA + PAGE, PAGE, RW, 'file');
  const { region } = outside;
  outside.region = (base, va, size) => {
    if (va > VA) throw new RangeError('Array buffer allocation failed');
    return region(base, va, size);
  };
  const before = k.mm_leftovers();
  expect(() => k.pin_user_pages(foreign, VA, 2 * PAGE, true)).toThrow(expect.objectContaining({ errno: 'ENOMEM', rule: 'mm.pin.region' }));
  expect(k.mm_leftovers()).toEqual(before);
});

test('a space of another kernel is a bug', async () => {
  const { foreign } = await boot();
  const { k } = await boot();
  expect(() => k.mmput({ ...foreign, id: 99 })).toThrow('not of this kernel');
});
