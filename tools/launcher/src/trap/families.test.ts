import { __NR_ioctl } from '@vdpalab/uapi';
import { expect, it } from 'vitest';
import { rulesOf } from './families.ts';
import { familyNames, isFamilyName } from './family-names.ts';

it('makes one rule of what several kinds ask of a call', () => {
  const rules = rulesOf(familyNames);
  expect(new Set(rules.map(({ nr }) => nr)).size).toBe(rules.length);
  expect(rules.find(({ nr }) => nr === __NR_ioctl)?.when).toEqual([[{ arg: 1, in: [0x8933, 0x8910] }], [{ arg: 1, in: [0x3b6a] }]]);
  expect(rulesOf([])).toEqual([]);
});

it('knows the kinds by name', () => {
  expect([isFamilyName('vfio'), isFamilyName('all'), isFamilyName('')]).toEqual([true, false, false]);
});
