import { expect, test } from 'vitest';
import { bootSched } from './testing/kernel.ts';

test('one task at a time is inside, whatever the seed', async () => {
  const orders = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    const { k, task, run } = await bootSched(seed);
    const lock = k.mutex_init('m');
    const order: string[] = [];
    let inside = 0;
    for (const name of ['a', 'b', 'c']) {
      task(name, async () => {
        await k.mutex_lock(lock);
        expect(++inside).toBe(1);
        order.push(name);
        await k.cond_resched();
        inside--;
        k.mutex_unlock(lock);
      });
    }
    expect(await run()).toEqual({ kind: 'idle' });
    expect(lock.owner).toBeNull();
    orders.add(order.join(''));
  }
  expect(orders.size).toBeGreaterThan(1);
});

test('a cycle of owners is a deadlock that names mutexes and tasks', async () => {
  const { k, task, run } = await bootSched();
  const [a, b] = [k.mutex_init('a'), k.mutex_init('b')];
  for (const [name, first, second] of [['one', a, b], ['two', b, a]] as const) {
    task(name, async () => {
      await k.mutex_lock(first);
      await k.msleep(1);
      await k.mutex_lock(second);
    });
  }
  const result = await run();
  expect(result.kind).toBe('deadlock');
  const waits = result.kind === 'deadlock' ? result.cycle.map((t) => `${t.name}: ${t.wait?.what}`).sort() : [];
  expect(waits).toEqual(['one: mutex b held by two', 'two: mutex a held by one']);
  expect(k.sched_leftovers()).toContain('mutex a held by one');
});

test('who waits for a lock sleeps in the function that takes it, as far as the caller says which', async () => {
  const { k, task, run } = await bootSched();
  const [lock, sem] = [k.mutex_init('device_lock vdpa0'), k.init_rwsem('vdpa_dev_lock')];
  task('holder', async () => {
    await k.mutex_lock(lock);
    await k.down_write(sem);
    await k.msleep(1);
    expect([...lock.queue.waiters, ...sem.queue.waiters].map(({ name, wait }) => [name, wait?.wchan]).toSorted()).toEqual([
      ['del', 'device_del'], ['show', 'vdpa_nl_cmd_dev_get_doit'], ['add', 'vdpa_mgmtdev_register'], ['other', undefined],
    ].toSorted());
    k.up_write(sem);
    k.mutex_unlock(lock);
  });
  const after = (body: () => Promise<void>) => async () => {
    await k.msleep(0.5);
    await body();
  };
  task('del', after(async () => { await k.mutex_lock(lock, 'device_del'); k.mutex_unlock(lock); }));
  task('show', after(async () => { await k.down_read(sem, 'vdpa_nl_cmd_dev_get_doit'); k.up_read(sem); }));
  task('add', after(async () => { await k.down_write(sem, 'vdpa_mgmtdev_register'); k.up_write(sem); }));
  task('other', after(async () => { await k.mutex_lock(lock); k.mutex_unlock(lock); }));
  expect(await run()).toEqual({ kind: 'idle' });
});

test('recursive locking and unlocking by another task are bugs of the lab', async () => {
  const { k, inTask, task, run } = await bootSched();
  const lock = k.mutex_init('m');
  await expect(inTask(async () => {
    await k.mutex_lock(lock);
    await k.mutex_lock(lock);
  })).rejects.toThrow('recursive locking');
  await expect(inTask(async () => { k.mutex_unlock(lock); })).rejects.toThrow('test unlocks it, test holds it');
  const free = k.mutex_init('free');
  task('x', async () => { k.mutex_unlock(free); });
  await expect(run()).rejects.toThrow('nobody holds it');
  await expect(k.mutex_lock(free)).rejects.toThrow('outside a task');
});

test('trylock takes a free mutex and leaves a held one', async () => {
  const { k, inTask, task } = await bootSched();
  const lock = k.mutex_init('m');
  let other: boolean | null = null;
  await inTask(async () => {
    expect(k.mutex_trylock(lock)).toBe(true);
    task('other', async () => { other = k.mutex_trylock(lock); });
    await k.msleep(1);
    k.mutex_unlock(lock);
  });
  expect(other).toBe(false);
  expect(k.sched_leftovers()).toEqual([]);
});
