import { expect, test } from 'vitest';
import { bootSched } from './testing/kernel.ts';

test('works run in the order they were queued, one at a time, each once however often it is queued', async () => {
  const { k, inTask } = await bootSched();
  const wq = k.alloc_workqueue('wq');
  const log: string[] = [];
  const works = ['a', 'b', 'c'].map((name) => k.INIT_WORK(name, async () => {
    log.push(`+${name}`);
    await k.msleep(1);
    log.push(`-${name}`);
  }));
  await inTask(async () => {
    expect(works.map((work) => k.queue_work(wq, work))).toEqual([true, true, true]);
    expect(works.map((work) => k.queue_work(wq, work))).toEqual([false, false, false]);
    await k.destroy_workqueue(wq);
  });
  expect(log).toEqual(['+a', '-a', '+b', '-b', '+c', '-c']);
  expect(k.sched_leftovers()).toEqual([]);
});

test('a work queued from atomic context runs as a kernel thread, and an idle queue has no task', async () => {
  const { k, run, sched } = await bootSched();
  let ran: string | null = null;
  const work = k.INIT_WORK('w', async () => {
    await k.msleep(1);
    ran = k.current_task().name;
  });
  k.mod_timer('irq', 10, () => void k.queue_work(k.system_wq, work));
  expect(await run()).toEqual({ kind: 'idle' });
  expect(ran).toBe('kworker/events');
  expect(sched.tasks()).toEqual([]);
});

test('a work that runs may queue itself again, and flush waits for what was asked until now', async () => {
  const { k, inTask } = await bootSched();
  let runs = 0;
  const work = k.INIT_WORK('again', async () => {
    runs++;
    await k.msleep(1);
    if (runs < 3) k.queue_work(k.system_wq, work);
  });
  const seen: number[] = [];
  await inTask(async () => {
    k.queue_work(k.system_wq, work);
    await k.flush_work(work);
    seen.push(runs);
    await k.flush_work(work);
    await k.flush_work(work);
    await k.flush_work(work);
  });
  expect(seen[0]).toBeLessThanOrEqual(2);
  expect(runs).toBe(3);
});

test('cancelling unqueues a waiting work, or waits for the run under way and keeps it from queueing itself', async () => {
  const { k, inTask } = await bootSched();
  const log: string[] = [];
  const blocker = k.INIT_WORK('blocker', async () => {
    log.push('start');
    await k.msleep(5);
    log.push(`requeue ${k.queue_work(k.system_wq, blocker)}`);
  });
  const never = k.INIT_WORK('never', async () => void log.push('never'));
  await inTask(async () => {
    k.queue_work(k.system_wq, blocker);
    k.queue_work(k.system_wq, never);
    await k.msleep(1);
    expect(await k.cancel_work_sync(never)).toBe(true);
    expect(await k.cancel_work_sync(never)).toBe(false);
    expect(await k.cancel_work_sync(blocker)).toBe(false);
    log.push('cancelled');
  });
  expect(log).toEqual(['start', 'requeue false', 'cancelled']);
  expect(k.sched_leftovers()).toEqual([]);
});

test('a work that throws does not take the others with it', async () => {
  const { k, inTask, sched } = await bootSched();
  const failures: unknown[] = [];
  let other = false;
  await inTask(async () => {
    k.queue_work(k.system_wq, k.INIT_WORK('bad', async () => { throw new Error('oops'); }));
    k.queue_work(k.system_wq, k.INIT_WORK('good', async () => { other = true; }));
    const [worker] = sched.tasks().filter((t) => t.name === 'kworker/events');
    await k.msleep(1);
    failures.push(worker?.failure);
  });
  expect(other).toBe(true);
  expect(failures).toEqual([new Error('oops')]);
});

test('misuse is a bug of the lab', async () => {
  const { k, inTask } = await bootSched();
  const wq = k.alloc_workqueue('wq');
  const work = k.INIT_WORK('w', async () => {});
  expect(k.sched_leftovers()).toEqual(['workqueue wq is not destroyed']);
  await inTask(() => k.destroy_workqueue(wq));
  await expect(inTask(async () => { k.queue_work(wq, work); })).rejects.toThrow('workqueue wq is destroyed');
  await expect(inTask(() => k.destroy_workqueue(k.system_wq))).rejects.toThrow("the kernel's own");
  let failure: unknown;
  const self = k.INIT_WORK('self', async () => {
    await k.flush_work(self).catch((error: unknown) => { failure = error; });
  });
  await inTask(async () => {
    k.queue_work(k.system_wq, self);
    await k.msleep(1);
  });
  expect(String(failure)).toContain('waits for its own worker');
});
