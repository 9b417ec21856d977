import { expect, test } from 'vitest';
import { bootSched } from './testing/kernel.ts';

test('readers share, a writer is alone, and a waiting writer keeps new readers out', async () => {
  const { k, task, run } = await bootSched();
  const sem = k.init_rwsem('s');
  const log: string[] = [];
  const at = async (ms: number, name: string, write: boolean): Promise<void> => {
    await k.msleep(ms);
    await (write ? k.down_write(sem) : k.down_read(sem));
    log.push(`+${name}`);
    await k.msleep(10);
    log.push(`-${name}`);
    if (write) k.up_write(sem);
    else k.up_read(sem);
  };
  task('r1', () => at(1, 'r1', false));
  task('r2', () => at(2, 'r2', false));
  task('w', () => at(3, 'w', true));
  task('r3', () => at(4, 'r3', false));
  await run();
  expect(log).toEqual(['+r1', '+r2', '-r1', '-r2', '+w', '-w', '+r3', '-r3']);
  expect(sem.writer).toBeNull();
  expect(sem.readers.size).toBe(0);
  expect(k.sched_leftovers()).toEqual([]);
});

test('a waiter names who holds it', async () => {
  const { k, task, run } = await bootSched();
  const sem = k.init_rwsem('s');
  task('holder', async () => {
    await k.down_read(sem);
    await k.wait_event(k.init_waitqueue_head('q'), () => false, 'for ever');
  });
  task('writer', async () => {
    await k.msleep(1);
    await k.down_write(sem);
  });
  const result = await run();
  expect(result.kind === 'blocked' && result.tasks.map((t) => t.wait?.what)).toContain('rwsem s (write) held by holder');
  expect(k.sched_leftovers()).toContain('rwsem s held by holder');
});

test('misuse is a bug of the lab', async () => {
  const { k, inTask } = await bootSched();
  const sem = k.init_rwsem('s');
  await expect(inTask(async () => { k.up_read(sem); })).rejects.toThrow('is no reader');
  await expect(inTask(async () => { k.up_write(sem); })).rejects.toThrow('no writer holds it');
  await expect(inTask(async () => {
    await k.down_write(sem);
    await k.down_read(sem);
  })).rejects.toThrow('recursive locking');
});
