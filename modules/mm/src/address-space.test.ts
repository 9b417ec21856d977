import type { Atomic } from '@vdpalab/abi';
import { MAP_FIXED, MAP_SHARED, PROT_EXEC, PROT_NONE, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { ANON, bootMm, PAGE, RW } from './testing/kernel.ts';

const efault = (rule: string) => expect.objectContaining({ errno: 'EFAULT', rule: `mm.access.${rule}` });

/** An area of two pages whose physical pages lie apart, in the wrong order. */
async function withScattered() {
  const kernel = await bootMm();
  const { k, mm } = kernel;
  const run = k.alloc_pages(3);
  const area = k.mm_map(mm, 0x10_0000, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, 0, false);
  area.backing = { kind: 'pages', runs: [{ pa: run.pa + 2 * PAGE, pages: 1 }, { pa: run.pa, pages: 1 }] };
  return { ...kernel, run };
}

test('bytes are found across pages that lie apart', async () => {
  const { k, mm, run } = await withScattered();
  mm.write(0x10_0ffe, Uint8Array.of(1, 2, 3, 4));
  expect([...mm.read(0x10_0ffe, 4)]).toEqual([1, 2, 3, 4]);
  expect([...k.phys_view(run.pa, 2)]).toEqual([3, 4]);
  expect([...k.phys_view(run.pa + 3 * PAGE - 2, 2)]).toEqual([1, 2]);
  expect(mm.translate(0x10_1005, true)).toBe(run.pa + 5);
});

test('what is read is a copy, a view is not, and a view wants contiguous memory', async () => {
  const { mm, anon } = await bootMm();
  const at = anon(2 * PAGE);
  const copy = mm.read(at, 4);
  const view = mm.view(at + 4094, 4);
  mm.write(at + 4094, Uint8Array.of(9, 8, 7, 6));
  expect([...(view ?? [])]).toEqual([9, 8, 7, 6]);
  copy[0] = 5;
  expect(mm.load(at, 1)).toBe(0);
  expect(mm.view(at, 2 * PAGE + 1)).toBeNull();
  expect(mm.view(0x10_0000, 1)).toBeNull();
  const scattered = await withScattered();
  expect(scattered.mm.view(0x10_0fff, 2)).toBeNull();
  expect(scattered.mm.view(0x10_0fff, 1)).not.toBeNull();
});

test('a write that meets a page it may not write writes nothing', async () => {
  const { k, mm } = await bootMm();
  k.mm_map(mm, 0x10_0000, PAGE, RW, ANON | MAP_FIXED, 0, true);
  k.mm_map(mm, 0x10_1000, PAGE, PROT_READ, ANON | MAP_FIXED, 0, true);
  expect(() => mm.write(0x10_0ffc, new Uint8Array(8).fill(1))).toThrow(efault('write'));
  expect([...mm.read(0x10_0ffc, 8)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  expect(() => mm.read(0x10_1ffc, 8)).toThrow(efault('read'));
});

test.each([
  ['PROT_NONE', PROT_NONE, false, false],
  ['PROT_READ', PROT_READ, true, false],
  ['PROT_WRITE, which x86 cannot have without reading', PROT_WRITE, true, true],
  ['PROT_EXEC', PROT_EXEC, true, false],
])('%s decides what the CPU may', async (_what, prot, readable, writable) => {
  const { mm, anon } = await bootMm();
  const at = anon(PAGE, prot);
  const can = (access: () => unknown): boolean => {
    try {
      access();
      return true;
    } catch {
      return false;
    }
  };
  expect([can(() => mm.read(at, 1)), can(() => mm.load(at, 4)), can(() => mm.translate(at, false)), mm.view(at, 1) !== null])
    .toEqual([readable, readable, readable, readable]);
  expect([can(() => mm.write(at, Uint8Array.of(1))), can(() => mm.store(at, 2, 1)), can(() => mm.translate(at, true))])
    .toEqual([writable, writable, writable]);
});

test('loads and stores are little endian, of 1, 2 and 4 bytes, naturally aligned', async () => {
  const { mm, anon } = await bootMm();
  const at = anon(PAGE);
  mm.store(at, 4, 0x8070_6050);
  expect([mm.load(at, 4), mm.load(at, 2), mm.load(at + 2, 2), mm.load(at + 3, 1)]).toEqual([0x8070_6050, 0x6050, 0x8070, 0x80]);
  mm.store(at + 2, 2, 0x1_abcd);
  mm.store(at, 1, 0x1ff);
  expect([...mm.read(at, 4)]).toEqual([0xff, 0x60, 0xcd, 0xab]);
  expect(() => mm.load(at + 1, 2)).toThrow(efault('read'));
  expect(() => mm.store(at + 2, 4, 1)).toThrow(efault('write'));
});

test('addresses from user space may be anything', async () => {
  const { mm, anon } = await bootMm();
  anon(PAGE);
  for (const va of [0, -1, 2 ** 47, 2 ** 64, Number.NaN, Infinity]) {
    expect(() => mm.read(va, 4)).toThrow(efault('read'));
    expect(mm.view(va, 4)).toBeNull();
  }
  expect(() => mm.read(0, -1)).toThrow(efault('read'));
  expect(() => mm.read(0, Number.NaN)).toThrow(efault('read'));
  expect(mm.read(0, 0)).toEqual(new Uint8Array(0));
});

test('a device window is accessed through MMIO, in the widest aligned pieces', async () => {
  const { k, hw, mm } = await bootMm();
  const log: string[] = [];
  hw.addMmio(0xe000_0000, PAGE, {
    name: 'device',
    read: (offset, size) => {
      log.push(`r${size}@${offset}`);
      return 0x0403_0201;
    },
    write: (offset, size, value): Atomic => void log.push(`w${size}@${offset}=${value.toString(16)}`),
  });
  const area = k.mm_map(mm, 0x10_0000, PAGE, RW, MAP_SHARED | MAP_FIXED, 0, false);
  area.backing = { kind: 'io', pa: 0xe000_0000, size: PAGE };
  mm.store(0x10_0010, 4, 0xdead_beef);
  expect(mm.load(0x10_0010, 4)).toBe(0x0403_0201);
  mm.write(0x10_0001, Uint8Array.of(1, 2, 3, 0xf4, 5, 6, 7, 8));
  expect([...mm.read(0x10_0002, 3)]).toEqual([1, 2, 1]);
  expect(log).toEqual(['w4@16=deadbeef', 'r4@16', 'w1@1=1', 'w2@2=302', 'w4@4=70605f4', 'w1@8=8', 'r2@2', 'r1@4']);
  expect(mm.view(0x10_0000, 4)).toBeNull();
  expect(mm.translate(0x10_0004, true)).toBe(0xe000_0004);
});

test('pages that are no RAM fault', async () => {
  const { k, mm } = await bootMm();
  const area = k.mm_map(mm, 0x10_0000, PAGE, RW, MAP_SHARED | MAP_FIXED, 0, false);
  area.backing = { kind: 'pages', runs: [{ pa: 2 ** 40, pages: 1 }] };
  expect(() => mm.load(0x10_0000, 4)).toThrow(efault('read'));
  expect(() => mm.store(0x10_0000, 4, 1)).toThrow(efault('write'));
});
