import { expect, test } from 'vitest';
import { bootSched } from './testing/kernel.ts';

test('a waiter goes on when its condition holds, and not at a wake-up that comes too early', async () => {
  const { k, task, run } = await bootSched();
  const wq = k.init_waitqueue_head('q');
  const log: string[] = [];
  let ready = false;
  task('waiter', async () => {
    await k.wait_event(wq, () => ready, 'something');
    log.push('woke');
  });
  task('early', async () => {
    await k.msleep(1);
    k.wake_up(wq);
    await k.msleep(1);
    log.push(`waiters ${wq.waiters.size}`);
    ready = true;
    k.wake_up(wq);
  });
  await run();
  expect(log).toEqual(['waiters 1', 'woke']);
  expect(wq.waiters.size).toBe(0);
});

test('a condition that holds already does not sleep', async () => {
  const { k, inTask, sched } = await bootSched();
  const before = sched.now;
  await inTask(() => k.wait_event(k.init_waitqueue_head('q'), () => true, 'nothing'));
  expect(sched.now).toBe(before);
});

test('watchers run at each wake-up, before tasks go on, and may take themselves off', async () => {
  const { k, inTask } = await bootSched();
  const wq = k.init_waitqueue_head('q');
  const log: string[] = [];
  const once = (): undefined => {
    log.push('once');
    wq.watchers.delete(once);
    wq.watchers.delete(third);
  };
  const always = (): undefined => void log.push('always');
  const third = (): undefined => void log.push('third');
  for (const watcher of [once, always, third]) wq.watchers.add(watcher);
  await inTask(async () => {
    k.wake_up(wq);
    k.wake_up(wq);
  });
  expect(log).toEqual(['once', 'always', 'always']);
});

test('a wait with a timeout ends at its virtual time, or before', async () => {
  const { k, inTask, task, sched } = await bootSched();
  const wq = k.init_waitqueue_head('q');
  expect(await inTask(() => k.wait_event_timeout(wq, () => false, 'never', 5_000))).toBe(false);
  expect(sched.now).toBe(5_000);
  let ready = false;
  task('waker', async () => {
    await k.msleep(1);
    ready = true;
    k.wake_up(wq);
  });
  expect(await inTask(() => k.wait_event_timeout(wq, () => ready, 'soon', 1e12))).toBe(true);
  expect(sched.now).toBe(1_005_000);
  expect(await inTask(() => k.wait_event_timeout(wq, () => false, 'never', 0))).toBe(false);
  expect(k.sched_leftovers()).toEqual([]);
});

test('sleeping in atomic context and outside a task throws', async () => {
  const { k, run } = await bootSched();
  const wq = k.init_waitqueue_head('q');
  await expect(k.wait_event(wq, () => false, 'x')).rejects.toThrow('outside a task');
  let thrown: unknown;
  k.mod_timer('t', 1, () => {
    k.wait_event(wq, () => false, 'x').catch((error: unknown) => { thrown = error; });
  });
  await run();
  expect(String(thrown)).toContain('scheduling while atomic');
});

test('who sleeps is reported, by the queue and by the scheduler', async () => {
  const { k, task, run } = await bootSched();
  const wq = k.init_waitqueue_head('vdpa0');
  task('sleeper', () => k.wait_event(wq, () => false, 'last close'));
  expect(await run()).toMatchObject({ kind: 'blocked', tasks: [{ name: 'sleeper', wait: { what: 'last close' } }] });
  expect(k.sched_leftovers()).toEqual(['wait queue vdpa0: sleeper waits']);
});
