import { expect, test } from 'vitest';
import fs from './module.ts';
import { bootFs } from './testing/kernel.ts';

test('every declared export is given, and nothing is held after boot', async () => {
  const { k, leftovers } = await bootFs();
  for (const name of [...fs.exports, ...fs.exportsGpl]) expect(k, name).toHaveProperty(name);
  expect(leftovers()).toEqual([]);
});
