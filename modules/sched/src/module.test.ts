import { expect, test } from 'vitest';
import sched from './module.ts';
import { bootSched } from './testing/kernel.ts';

test('every declared export is given, and nothing is held after boot', async () => {
  const { k } = await bootSched();
  for (const name of [...sched.exports, ...sched.exportsGpl]) expect(k, name).toHaveProperty(name);
  expect(k.sched_leftovers()).toEqual([]);
});

test('each complete() lets one waiter through, before or after it waits', async () => {
  const { k, task, run } = await bootSched();
  const done = k.init_completion('reset');
  const log: string[] = [];
  k.complete(done);
  for (const name of ['a', 'b']) {
    task(name, async () => {
      await k.wait_for_completion(done);
      log.push(name);
    });
  }
  expect(await run()).toMatchObject({ kind: 'blocked', tasks: [{ wait: { what: 'completion reset' } }] });
  expect(log).toHaveLength(1);
  k.complete(done);
  await run();
  expect([...log].sort()).toEqual(['a', 'b']);
  expect(done.done).toBe(0);
});

test('timers fire in atomic context at their time, once, and not after a cancel', async () => {
  const { k, inTask, sched } = await bootSched();
  const fired: string[] = [];
  await inTask(async () => {
    k.mod_timer('b', 2_000, () => void fired.push(`b ${sched.now} ${sched.atomic}`));
    k.mod_timer('a', 1_000, () => void fired.push(`a ${sched.now} ${sched.atomic}`));
    const off = k.mod_timer('off', 1_500, () => void fired.push('off'));
    expect(k.sched_leftovers()).toContain('timer off is armed');
    expect([off.pending, off.cancel(), off.pending, off.cancel()]).toEqual([true, true, false, false]);
    await k.msleep(1);
  });
  expect(fired).toEqual(['a 1000 true', 'b 2000 true']);
  expect(k.ktime_get()).toBe(1_000_000);
  expect(k.sched_leftovers()).toEqual([]);
});

test('a kernel thread belongs to no process and can be waited for', async () => {
  const { k, inTask, sched } = await bootSched();
  const log: unknown[] = [];
  await inTask(async () => {
    const me = sched.current;
    if (me !== null) me.process = 'somebody';
    const thread = k.kthread_run('kthread', async () => {
      log.push(k.current_task().process);
      await k.msleep(1);
    });
    expect(k.sched_leftovers()).toEqual(['kernel thread kthread runs']);
    await k.kthread_join(thread);
    log.push(thread.state);
  });
  expect(log).toEqual([null, 'done']);
  expect(() => k.current_task()).toThrow('outside a task');
});

test('a loop on cpu_relax lets device work run', async () => {
  const { k, inTask, sched } = await bootSched();
  let register = 0;
  const device = { name: 'device', pending: false, cause: 0, run: (): undefined => void (register = 1) };
  await inTask(async () => {
    sched.raise(device);
    while (register === 0) await k.cpu_relax();
  });
  expect(register).toBe(1);
});
