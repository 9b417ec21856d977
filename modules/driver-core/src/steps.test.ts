import { expect, test } from 'vitest';
import { Steps, runAll } from './steps.ts';

test('steps are undone once, one by one or in reverse, and a failing undo keeps no other from running', async () => {
  const log: string[] = [];
  const steps = new Steps();
  for (const name of ['a', 'b', 'c', 'd']) {
    steps.did(name, async () => {
      log.push(name);
      if (name === 'c' || name === 'a') throw new Error(name);
    });
  }
  expect(() => steps.did('a', () => undefined)).toThrow('was done already');
  await steps.undo('b');
  await steps.undo('b');
  await steps.undo('nosuch');
  await expect(steps.undoAll()).rejects.toThrow('2 steps failed');
  expect([log, steps.size]).toEqual([['b', 'd', 'c', 'a'], 0]);
});

test('a single failure is thrown as it is', async () => {
  const error = new Error('one');
  await expect(runAll([() => undefined, () => Promise.reject(error)])).rejects.toBe(error);
});
