import { covers } from '@vdpalab/testing';
import { expect, it } from 'vitest';
import { fakeKernel } from './fake-host.ts';
import { kernelTaintLetters, moduleTaintLetters, TAINT, TAINT_LETTERS } from './taint.ts';

it('every taint has its bit and letter for the kernel, and some show on a module', () => {
  covers('2.14.15');
  expect(Object.values(TAINT)).toEqual([...TAINT_LETTERS].map((_, bit) => bit));
  expect(kernelTaintLetters(0)).toBe(`G${' '.repeat(18)}`);
  expect(kernelTaintLetters(2 ** 19 - 1)).toBe('PFSRMBUDAWCIOELKXTN');
  expect(moduleTaintLetters(2 ** 19 - 1)).toBe('PFCOEKXTN');
  expect(moduleTaintLetters((1 << TAINT.OOT_MODULE) | (1 << TAINT.UNSIGNED_MODULE) | (1 << TAINT.FORCED_MODULE))).toBe('FOE');
});

it('a taint from outside module loading adds up', () => {
  const { loader, host } = fakeKernel();
  loader.addTaint(TAINT.WARN);
  loader.addTaint(TAINT.DIE);
  expect(loader.tainted()).toBe(512 + 128);
  expect(host.log).toEqual([]);
});
