import { KernelError } from '@vdpalab/abi';
import { expect, test } from 'vitest';
import { errnoOf, errnoOfSync } from './errno.ts';

const refuse = (): never => {
  throw new KernelError('EBUSY', 'test.busy', 'busy');
};
const crash = (): never => {
  throw new TypeError('a defect');
};

test('a refusal is named by its errno, and success is ok', async () => {
  expect(await errnoOf(async () => refuse())).toBe('EBUSY');
  expect(await errnoOf(refuse)).toBe('EBUSY');
  expect(await errnoOf(async () => 1)).toBe('ok');
  expect(errnoOfSync(refuse)).toBe('EBUSY');
  expect(errnoOfSync(() => 1)).toBe('ok');
});

test('a defect is no errno', async () => {
  await expect(errnoOf(crash)).rejects.toThrow(TypeError);
  expect(() => errnoOfSync(crash)).toThrow(TypeError);
});
