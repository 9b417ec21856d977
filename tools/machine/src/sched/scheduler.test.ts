import { describe, expect, it } from 'vitest';
import type { AtomicWork, Task } from '@vdpalab/abi';
import { describeRun } from './report.ts';
import { DeterministicScheduler, YIELD_NS } from './scheduler.ts';

function newSched(seed = 1): DeterministicScheduler {
  return new DeterministicScheduler({ seed });
}

function work(name: string, run: () => undefined): AtomicWork {
  return { name, run, pending: false, cause: 0 };
}

/** Parks until `wake` is called, as a condition loop does. */
function newSignal(sched: DeterministicScheduler, what: string): { wait: () => Promise<void>; fire: () => undefined } {
  let fired = false;
  const waiters: Task[] = [];
  return {
    async wait() {
      while (!fired) {
        waiters.push(sched.current!);
        await sched.park({ what });
      }
    },
    fire() {
      fired = true;
      for (const task of waiters.splice(0)) sched.wake(task);
    },
  };
}

describe('tasks', () => {
  it('do not start before run() chooses them', async () => {
    const sched = newSched();
    let ran = false;
    const task = sched.spawn('t', async () => {
      ran = true;
    });
    expect([ran, task.state]).toEqual([false, 'ready']);
    expect(await sched.run()).toEqual({ kind: 'idle' });
    expect([ran, task.state, task.failure]).toEqual([true, 'done', undefined]);
    expect(sched.tasks()).toEqual([]);
  });

  it('are current while they run, and nothing is outside', async () => {
    const sched = newSched();
    const seen: unknown[] = [];
    const task = sched.spawn('t', async () => {
      seen.push(sched.current);
      await sched.yield();
      seen.push(sched.current);
    });
    await sched.run();
    expect(seen).toEqual([task, task]);
    expect(sched.current).toBeNull();
  });

  it('inherit process and cause from whoever spawns them', async () => {
    const sched = newSched();
    const process = { pid: 7 };
    const seen: unknown[] = [];
    const parent = sched.spawn('parent', async () => {
      sched.cause = 42;
      sched.spawn('child', async () => {
        seen.push(sched.current?.process, sched.cause);
      });
    });
    parent.process = process;
    await sched.run();
    expect(seen).toEqual([process, 42]);
  });

  it('keep their cause across a park while others set theirs', async () => {
    const sched = newSched();
    const seen: number[] = [];
    for (const cause of [1, 2, 3]) {
      sched.spawn(`t${cause}`, async () => {
        sched.cause = cause;
        for (let i = 0; i < 5; i++) {
          await sched.yield();
          seen.push(sched.cause - cause);
        }
      });
    }
    await sched.run();
    expect(seen).toEqual(new Array(15).fill(0));
    expect(sched.cause).toBe(0);
  });

  it('keep what their body threw, also when it threw at once, and tell the hook', async () => {
    const sched = newSched();
    const told: string[] = [];
    sched.onFailure = (task) => void told.push(task.name) as undefined;
    const late = sched.spawn('late', async () => {
      await sched.yield();
      throw new Error('late');
    });
    const early = sched.spawn('early', () => {
      throw new Error('early');
    });
    expect(await sched.run()).toEqual({ kind: 'idle' });
    expect([late.failure, early.failure]).toEqual([new Error('late'), new Error('early')]);
    expect(told.sort()).toEqual(['early', 'late']);
  });

  it('can be joined, before and after their end, whatever they threw', async () => {
    const sched = newSched();
    const order: string[] = [];
    const child = sched.spawn('child', async () => {
      for (let i = 0; i < 3; i++) await sched.yield();
      order.push('child');
      throw new Error('ignored');
    });
    sched.spawn('joiner', async () => {
      await sched.join(child);
      order.push('joined');
      await sched.join(child);
      order.push('joined again');
    });
    expect(await sched.run()).toEqual({ kind: 'idle' });
    expect(order).toEqual(['child', 'joined', 'joined again']);
  });

  it('are told when a second strand of theirs parks', async () => {
    const sched = newSched();
    const task = sched.spawn('forked', async () => {
      await Promise.all([sched.yield(), sched.yield()]);
    });
    await sched.run();
    expect(task.failure).toEqual(new Error('scheduling outside a task: yield'));
  });
});

describe('park and wake', () => {
  it('a wake only queues: the waker goes on first', async () => {
    const sched = newSched();
    const order: string[] = [];
    const signal = newSignal(sched, 'signal');
    const sleeper = sched.spawn('sleeper', async () => {
      await signal.wait();
      order.push('woken');
    });
    sched.spawn('waker', async () => {
      while (sleeper.state !== 'parked') await sched.yield();
      signal.fire();
      order.push('waker goes on');
      expect(sleeper.state).toBe('ready');
    });
    await sched.run();
    expect(order).toEqual(['waker goes on', 'woken']);
  });

  it('waking a task that is ready, running or done does nothing', async () => {
    const sched = newSched();
    let runs = 0;
    const task = sched.spawn('t', async () => {
      runs++;
      sched.wake(sched.current!);
    });
    sched.wake(task);
    await sched.run();
    sched.wake(task);
    expect(await sched.run()).toEqual({ kind: 'idle' });
    expect(runs).toBe(1);
  });

  it('parking outside a task throws', () => {
    const sched = newSched();
    expect(() => sched.park({ what: 'door' })).toThrow('scheduling outside a task: door');
    expect(() => sched.point()).toThrow('scheduling outside a task');
    expect(() => sched.yield()).toThrow('scheduling outside a task');
    expect(() => sched.host(Promise.resolve(), 'file')).toThrow('scheduling outside a task: file');
  });

  it('parking in atomic context throws, at once, and run() passes it on', async () => {
    const sched = newSched();
    for (const sleep of [
      () => sched.park({ what: 'mutex m' }),
      () => sched.point(),
      () => sched.yield(),
      () => sched.host(Promise.resolve(), 'file'),
    ]) {
      sched.raise(work('irq 5', () => void sleep() as undefined));
      await expect(sched.run()).rejects.toThrow(/^scheduling while atomic: irq 5: /);
    }
    expect(sched.atomic).toBe(false);
    expect(await sched.run()).toEqual({ kind: 'idle' });
  });

  it('a task that parked inside atomic work run for it is not blamed: its step ends, then run() throws', async () => {
    const sched = newSched();
    const order: string[] = [];
    sched.spawn('t', async () => {
      sched.raise(work('bad', () => {
        throw new Error('bad work');
      }));
      for (let i = 0; i < 50 && sched.pendingWorks().length > 0; i++) sched.atomicPoint();
      order.push('step ended');
      await sched.yield();
      order.push('next step');
    });
    await expect(sched.run()).rejects.toThrow('bad work');
    expect(order).toEqual(['step ended']);
    await sched.run();
    expect(order).toEqual(['step ended', 'next step']);
  });
});

describe('run', () => {
  it('says blocked, with the tasks that wait', async () => {
    const sched = newSched();
    const task = sched.spawn('t', () => sched.park({ what: 'mutex m' }));
    const result = await sched.run();
    expect(result).toEqual({ kind: 'blocked', tasks: [task] });
    expect(describeRun(result)).toBe('blocked:\n  t[1] waits for mutex m');
  });

  it('does not count a rest as blocked', async () => {
    const sched = newSched();
    sched.spawn('kworker', () => sched.park({ what: 'work', idle: true }));
    expect(await sched.run()).toEqual({ kind: 'idle' });
    expect(sched.tasks()).toHaveLength(1);
  });

  it('says deadlock when waits name their owners in a cycle, and leaves bystanders out', async () => {
    const sched = newSched();
    const tasks: Task[] = [];
    for (const [name, owner] of [['a', 1], ['b', 2], ['c', 0], ['bystander', 0]] as const) {
      tasks.push(sched.spawn(name, () => sched.park({ what: `mutex of ${owner}`, owners: () => [tasks[owner]!] })));
    }
    const result = await sched.run();
    expect(result.kind).toBe('deadlock');
    expect(result.kind === 'deadlock' && result.cycle.map((t) => t.name).sort()).toEqual(['a', 'b', 'c']);
    expect(describeRun(result)).toContain('waits for mutex of 1 (b[2])');
  });

  it('says deadlock when a task waits for itself', async () => {
    const sched = newSched();
    const task: Task = sched.spawn('t', () => sched.join(task));
    expect(await sched.run()).toEqual({ kind: 'deadlock', cycle: [task] });
  });

  it('follows every owner of a wait, and finds no cycle through a task that can run or is done', async () => {
    const sched = newSched();
    const done = sched.spawn('done', async () => {});
    await sched.run();
    const b: Task = sched.spawn('b', () => sched.park({ what: 'last close', owners: () => [done] }));
    sched.spawn('a', () => sched.park({ what: 'last close', owners: () => [done, b] }));
    expect((await sched.run()).kind).toBe('blocked');
  });

  it('stops after the given number of steps and can go on', async () => {
    const sched = newSched();
    let turns = 0;
    sched.spawn('spinner', async () => {
      while (turns < 30) {
        turns++;
        await sched.yield();
      }
    });
    expect(await sched.run(10)).toEqual({ kind: 'limit', steps: 10 });
    expect(turns).toBe(10);
    expect(await sched.run()).toEqual({ kind: 'idle' });
    expect(turns).toBe(30);
  });

  it('stops a post that posts itself for ever', async () => {
    const sched = newSched();
    const again = (): undefined => sched.post('again', again);
    sched.post('again', again);
    expect(await sched.run(100)).toEqual({ kind: 'limit', steps: 100 });
  });

  it('refuses to be entered twice', async () => {
    const sched = newSched();
    const task = sched.spawn('t', async () => void (await sched.run()));
    await sched.run();
    expect(task.failure).toEqual(new Error('scheduler: run() inside run()'));
  });

  it('refuses a seed that is not a safe integer', () => {
    expect(() => newSched(0.5)).toThrow(RangeError);
  });
});

describe('atomic work', () => {
  it('runs once however often it was raised, and may be raised again from itself', async () => {
    const sched = newSched();
    let runs = 0;
    const w = work('device', () => {
      runs++;
      expect([sched.atomic, sched.current, w.pending]).toEqual([true, null, false]);
      if (runs < 3) sched.raise(w);
    });
    sched.raise(w);
    sched.raise(w);
    expect(w.pending).toBe(true);
    await sched.run();
    expect(runs).toBe(3);
    expect(sched.atomic).toBe(false);
  });

  it('runs with the cause it was first raised with', async () => {
    const sched = newSched();
    const seen: number[] = [];
    const w = work('device', () => void seen.push(sched.cause) as undefined);
    sched.spawn('t', async () => {
      sched.cause = 5;
      sched.raise(w);
      sched.cause = 6;
      sched.raise(w);
    });
    await sched.run();
    expect(seen).toEqual([5]);
  });

  it('runs at an atomic point for some seeds and not for others, and gives the task its context back', async () => {
    const outcomes = new Set<boolean>();
    for (let seed = 0; seed < 20; seed++) {
      const sched = newSched(seed);
      sched.spawn('t', async () => {
        let ran = false;
        sched.cause = 9;
        sched.raise(work('device', () => {
          ran = true;
          sched.atomicPoint(); // does not nest
        }));
        sched.cause = 10;
        sched.atomicPoint();
        expect([sched.current?.name, sched.cause, sched.atomic]).toEqual(['t', 10, false]);
        outcomes.add(ran);
      });
      await sched.run();
    }
    expect([...outcomes].sort()).toEqual([false, true]);
  });

  it('does not nest: an atomic point inside atomic work runs nothing', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const sched = newSched(seed);
      let depth = 0;
      const inner = work('inner', () => {
        expect(depth).toBe(0);
      });
      sched.raise(work('outer', () => {
        depth++;
        sched.raise(inner);
        for (let i = 0; i < 10; i++) sched.atomicPoint();
        depth--;
      }));
      await sched.run();
    }
  });
});

describe('point', () => {
  it('lets others run for some seeds and not for others', async () => {
    const orders = new Set<string>();
    for (let seed = 0; seed < 40; seed++) {
      const sched = newSched(seed);
      let order = '';
      for (const name of ['a', 'b']) {
        sched.spawn(name, async () => {
          order += name;
          await sched.point();
          order += name;
        });
      }
      await sched.run();
      orders.add(order);
    }
    expect([...orders].sort()).toEqual(['aabb', 'abab', 'abba', 'baab', 'baba', 'bbaa']);
  });

  it('costs no step when nothing else is ready', async () => {
    const sched = newSched();
    sched.spawn('t', async () => {
      for (let i = 0; i < 100; i++) await sched.point();
    });
    await sched.run();
    expect(sched.steps).toBe(1);
  });
});

describe('yield', () => {
  it('lets everything that is ready run first, for every seed', async () => {
    for (let seed = 0; seed < 50; seed++) {
      const sched = newSched(seed);
      let others = 0;
      let seen = -1;
      sched.spawn('poller', async () => {
        for (let i = 0; i < 5; i++) sched.spawn('other', async () => void others++);
        sched.raise(work('device', () => void others++ as undefined));
        await sched.yield();
        seen = others;
      });
      await sched.run();
      expect(seen).toBe(6);
    }
  });

  it('lets virtual time pass when all there is polls, so that a poll with a deadline ends', async () => {
    const sched = newSched();
    sched.spawn('poller', async () => {
      while (sched.now < 10 * YIELD_NS) await sched.yield();
    });
    expect(await sched.run()).toEqual({ kind: 'idle' });
    expect(sched.now).toBe(10 * YIELD_NS);
  });

  it('does not wait for ever for others that never rest', async () => {
    const sched = newSched();
    let stop = false;
    const w = work('busy device', () => {
      if (!stop) sched.raise(w);
    });
    sched.spawn('poller', async () => {
      sched.raise(w);
      for (let i = 0; i < 3; i++) await sched.yield();
      stop = true;
    });
    expect(await sched.run(20_000)).toEqual({ kind: 'idle' });
  });
});

describe('timers', () => {
  it('fire by time, those of one time in the order they were armed, and move the clock', async () => {
    const sched = newSched();
    const fired: string[] = [];
    for (const [name, ns] of [['c', 30], ['a1', 10], ['b', 20], ['a2', 10]] as const) {
      sched.timer(name, ns, () => void fired.push(`${name}@${sched.now}`) as undefined);
    }
    expect(await sched.run()).toEqual({ kind: 'idle' });
    expect(fired).toEqual(['a1@10', 'a2@10', 'b@20', 'c@30']);
  });

  it('run in atomic context with the cause of whoever armed them', async () => {
    const sched = newSched();
    const seen: unknown[] = [];
    sched.spawn('t', async () => {
      sched.cause = 3;
      sched.timer('tick', 5, () => void seen.push(sched.atomic, sched.cause, sched.current) as undefined);
    });
    await sched.run();
    expect(seen).toEqual([true, 3, null]);
  });

  it('can be cancelled, once', async () => {
    const sched = newSched();
    let fired = 0;
    const timer = sched.timer('tick', 5, () => void fired++ as undefined);
    const kept = sched.timer('tock', 6, () => void fired++ as undefined);
    expect([timer.pending, timer.cancel(), timer.pending, timer.cancel()]).toEqual([true, true, false, false]);
    await sched.run();
    expect([fired, kept.pending, kept.cancel()]).toEqual([1, false, false]);
  });

  it('do not fire while anything else can run', async () => {
    const sched = newSched();
    const order: string[] = [];
    sched.timer('tick', 1, () => void order.push('tick') as undefined);
    sched.spawn('t', async () => {
      for (let i = 0; i < 10; i++) {
        sched.spawn('child', async () => void order.push('child'));
        await sched.join(sched.tasks().at(-1)!);
      }
    });
    await sched.run();
    expect(order).toEqual([...new Array<string>(10).fill('child'), 'tick']);
  });

  it('refuse times that are not finite', () => {
    expect(() => newSched().timer('t', Number.NaN, () => undefined)).toThrow(RangeError);
    expect(() => newSched().timer('t', Infinity, () => undefined)).toThrow(RangeError);
  });
});

describe('random', () => {
  it('depends on the seed alone, not on how many decisions were made', async () => {
    const quiet = newSched(5);
    const busy = newSched(5);
    for (let i = 0; i < 5; i++) {
      busy.spawn('t', async () => {
        for (let n = 0; n < 5; n++) await busy.point();
      });
    }
    await busy.run();
    const numbers = [quiet.random(), quiet.random()];
    expect([busy.random(), busy.random()]).toEqual(numbers);
    expect(newSched(6).random()).not.toBe(numbers[0]);
  });
});
