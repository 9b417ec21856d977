import { expect, test } from 'vitest';
import mmModule from './module.ts';
import { bootMm, PAGE } from './testing/kernel.ts';

test('every declared export is given', async () => {
  const { k } = await bootMm();
  for (const name of [...mmModule.exports, ...mmModule.exportsGpl]) expect(k, name).toHaveProperty(name);
});

test('what is held is listed with its owner', async () => {
  const { k, mm, hw } = await bootMm();
  k.alloc_pages(2);
  let run = { pa: 0, pages: 0 };
  hw.sched.spawn('modprobe', async () => { run = k.alloc_pages(1); });
  await hw.sched.run();
  expect(k.mm_leftovers()).toEqual(['mm 1: 1 users, 0 areas', 'pages 0x1000-0x2fff allocated by boot', 'pages 0x3000-0x3fff allocated by modprobe']);
  k.free_pages(run);
  k.mmput(mm);
  expect(k.mm_leftovers()).toEqual(['pages 0x1000-0x2fff allocated by boot']);
});

test('free_pages takes back exactly what alloc_pages gave', async () => {
  const { k } = await bootMm();
  const run = k.alloc_pages(2);
  expect(() => k.free_pages({ pa: run.pa, pages: 1 })).toThrow('alloc_pages gave no such run');
  expect(() => k.free_pages({ pa: run.pa + PAGE, pages: 1 })).toThrow('alloc_pages gave no such run');
  k.free_pages(run);
  expect(() => k.free_pages(run)).toThrow('alloc_pages gave no such run');
  expect(k.nr_free_pages()).toBe(256);
});
