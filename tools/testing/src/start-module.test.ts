import { param } from '@vdpalab/abi';
import type { ThisModule } from '@vdpalab/abi';
import { expect, test } from 'vitest';
import { startModule, unused } from './start-module.ts';

const params = { max: param.int(3), name: param.charp('a') };

function toy(log: string[], fails = false) {
  return {
    name: 'toy',
    params,
    module_init: (k: { twice: (n: number) => number }, mod: ThisModule<typeof params>) => {
      mod.undo.push('first', () => void log.push('undo first'));
      mod.undo.push('second', () => void log.push('undo second'));
      if (fails) throw new Error('no');
      return { ksymtab: { quad: () => k.twice(k.twice(mod.params.max)) }, module_exit: () => void log.push('exit') };
    },
  };
}

test('a module started by hand gets its symbols and parameters, and leaves as the loader would make it', async () => {
  const log: string[] = [];
  const running = await startModule(toy(log), { twice: (n) => 2 * n }, { max: 5 });
  expect(running.ksymtab.quad()).toBe(20);
  expect(running.held()).toEqual(['first', 'second']);
  await running.exit();
  expect(log).toEqual(['exit', 'undo second', 'undo first']);
  expect(running.held()).toEqual([]);
});

test('parameters not named keep their defaults', async () => {
  const running = await startModule(toy([]), { twice: (n) => 2 * n });
  expect(running.ksymtab.quad()).toBe(12);
});

test('a failing init gives back what it took', async () => {
  const log: string[] = [];
  await expect(startModule(toy(log, true), { twice: unused('twice') })).rejects.toThrow('no');
  expect(log).toEqual(['undo second', 'undo first']);
});

test('an unused symbol throws when it is called or looked into', () => {
  const twice: { (n: number): number; readonly limit: number } = unused('twice');
  expect(() => twice(1)).toThrow('twice was not meant to be used here');
  expect(() => twice.limit).toThrow('twice was not meant to be used here');
});
