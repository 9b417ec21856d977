import type { Atomic } from '@vdpalab/abi';
import { describe, expect, it } from 'vitest';
import type { Pacer } from './pacer.ts';
import { DeterministicScheduler } from './scheduler.ts';

function turns(n: number): Promise<void> {
  return new Promise((resolve) => {
    const turn = (left: number): void => {
      if (left === 0) resolve();
      else setImmediate(() => turn(left - 1));
    };
    turn(n);
  });
}

describe('host', () => {
  it('gives the task the value or the error of the promise', async () => {
    const sched = new DeterministicScheduler({ seed: 1 });
    const seen: unknown[] = [];
    sched.spawn('t', async () => {
      seen.push(await sched.host(Promise.resolve(7), 'good'));
      try {
        await sched.host(turns(2).then(() => Promise.reject(new Error('no'))), 'bad');
      } catch (error) {
        seen.push(error);
      }
    });
    expect(await sched.run()).toEqual({ kind: 'idle' });
    expect(seen).toEqual([7, new Error('no')]);
  });

  it('lets completions in by the order of the calls, whatever order they come in', async () => {
    const runs = new Set<string>();
    for (const delays of [[9, 1, 5], [1, 5, 9], [0, 0, 0], [5, 9, 1]]) {
      const sched = new DeterministicScheduler({ seed: 3 });
      let log = '';
      ['a', 'b', 'c'].forEach((name, i) => {
        sched.spawn(name, async () => {
          await sched.host(turns(delays[i]!), name);
          log += name;
          await sched.host(turns(delays[2 - i]!), name);
          log += name;
        });
      });
      expect(await sched.run()).toEqual({ kind: 'idle' });
      runs.add(`${log} ${sched.traceHash}`);
    }
    expect(runs.size).toBe(1);
  });

  it('goes before the next timer: host I/O takes no virtual time', async () => {
    const sched = new DeterministicScheduler({ seed: 1 });
    const order: string[] = [];
    sched.timer('timeout', 1, () => void order.push('timeout') as undefined);
    sched.spawn('t', async () => {
      await sched.host(turns(3), 'file');
      order.push(`file@${sched.now}`);
    });
    await sched.run();
    expect(order).toEqual(['file@0', 'timeout']);
  });

  it('is let in although others never rest', async () => {
    const sched = new DeterministicScheduler({ seed: 1 });
    let done = false;
    sched.spawn('spinner', async () => {
      while (!done) await sched.yield();
    });
    const w = {
      name: 'busy', pending: false, cause: 0,
      run: () => {
        if (!done) sched.raise(w);
        return undefined;
      },
    };
    sched.raise(w);
    sched.spawn('t', async () => {
      await sched.host(turns(3), 'file');
      done = true;
    });
    expect(await sched.run(50_000)).toEqual({ kind: 'idle' });
  });

  it('survives a wake meant for something else', async () => {
    const sched = new DeterministicScheduler({ seed: 1 });
    let value = 0;
    const task = sched.spawn('t', async () => {
      value = await sched.host(turns(2).then(() => 5), 'file');
    });
    sched.spawn('noise', async () => {
      for (let i = 0; i < 5; i++) {
        sched.wake(task);
        await sched.yield();
      }
    });
    await sched.run();
    expect(value).toBe(5);
  });
});

describe('post', () => {
  it('runs actions in atomic context, in order, before anything else', async () => {
    const sched = new DeterministicScheduler({ seed: 1 });
    const order: string[] = [];
    sched.spawn('t', async () => void order.push('task'));
    for (const name of ['one', 'two', 'three']) {
      sched.post(name, () => void order.push(`${name} ${sched.atomic}`) as undefined);
    }
    await sched.run();
    expect(order).toEqual(['one true', 'two true', 'three true', 'task']);
  });

  it('that comes while the run waits for the host is served at once', async () => {
    const sched = new DeterministicScheduler({ seed: 1 });
    const order: string[] = [];
    let release = (): void => undefined;
    sched.spawn('t', async () => {
      await sched.host(new Promise<void>((resolve) => {
        release = resolve;
      }), 'socket');
      order.push('host');
    });
    setImmediate(() => sched.post('door', () => {
      order.push('post');
      release();
    }));
    expect(await sched.run()).toEqual({ kind: 'idle' });
    expect(order).toEqual(['post', 'host']);
  });

  it('tells when something arrives while nothing runs', async () => {
    const sched = new DeterministicScheduler({ seed: 1 });
    let arrivals = 0;
    sched.onArrival = () => void arrivals++ as undefined;
    sched.post('door', () => undefined);
    expect(arrivals).toBe(1);
    await sched.run();
    expect(arrivals).toBe(1);
  });
});

describe('paced', () => {
  /** A clock that is moved by hand; `after` waits until it has moved far enough. */
  function handPacer(): Pacer & { advance: (ns: number) => void; waits: number[] } {
    let now = 0;
    const waiting: { at: number; wake: () => void }[] = [];
    const waits: number[] = [];
    return {
      waits,
      elapsed: () => now,
      after(ns, wake) {
        waits.push(ns);
        const entry = { at: now + ns, wake };
        waiting.push(entry);
        return () => void waiting.splice(waiting.indexOf(entry), 1);
      },
      advance(ns) {
        now += ns;
        for (const entry of [...waiting]) if (entry.at <= now) entry.wake();
      },
    };
  }

  it('waits for real time where the virtual clock would jump', async () => {
    const pacer = handPacer();
    const sched = new DeterministicScheduler({ seed: 1, pacer });
    const fired: number[] = [];
    sched.timer('tick', 1000, () => void fired.push(sched.now) as undefined);
    const run = sched.run();
    await turns(3);
    expect([pacer.waits, fired]).toEqual([[1000], []]);
    pacer.advance(1500);
    expect(await run).toEqual({ kind: 'idle' });
    expect(fired).toEqual([1500]);
  });

  it('takes a post while it waits for a timer', async () => {
    const pacer = handPacer();
    const sched = new DeterministicScheduler({ seed: 1, pacer });
    const order: string[] = [];
    sched.timer('tick', 1000, () => void order.push('tick') as undefined);
    const run = sched.run();
    await turns(3);
    sched.post('door', () => void order.push('door') as undefined);
    await turns(3);
    expect(order).toEqual(['door']);
    pacer.advance(1000);
    await run;
    expect(order).toEqual(['door', 'tick']);
  });

  it('lets the host in while a task polls', async () => {
    const pacer = handPacer();
    const sched = new DeterministicScheduler({ seed: 1, pacer });
    let stop = false;
    sched.spawn('poller', async () => {
      while (!stop) await sched.yield();
    });
    setImmediate(() => sched.post('stop', () => void (stop = true) as undefined));
    expect(await sched.run()).toEqual({ kind: 'idle' });
  });

  describe('watching', () => {
    /** Something to watch: work that somebody else leaves, and whether it is watched on when some was taken. */
    class Box {
      left = 0;
      again = false;
      watched = false;
      until = 0;
      readonly taken: number[] = [];
      readonly work = { name: 'box', pending: false, cause: 0, run: () => this.#run() };
      readonly due = (): boolean => this.left > 0;
      readonly #sched: DeterministicScheduler;

      constructor(sched: DeterministicScheduler) {
        this.#sched = sched;
      }

      #run(): undefined {
        this.taken.push(this.left);
        this.left = 0;
        if (this.again) this.#sched.watch(this, 1000);
      }
    }

    it('finds what is left without a word, and lets the host in meanwhile', async () => {
      const pacer = handPacer();
      const sched = new DeterministicScheduler({ seed: 1, pacer });
      const box = new Box(sched);
      expect(sched.watch(box, 1000)).toBe(true);
      const run = sched.run();
      await turns(3);
      expect(box.taken).toEqual([]);
      box.left = 2;
      expect(await run).toEqual({ kind: 'idle' });
      expect([box.taken, box.watched, sched.now]).toEqual([[2], false, 0]);
    });

    it('raises the work once more when the time is over', async () => {
      const pacer = handPacer();
      const sched = new DeterministicScheduler({ seed: 1, pacer });
      const box = new Box(sched);
      sched.watch(box, 1000);
      const run = sched.run();
      await turns(2);
      pacer.advance(999);
      await turns(3);
      expect(box.taken).toEqual([]);
      pacer.advance(1);
      expect(await run).toEqual({ kind: 'idle' });
      expect([box.taken, sched.steps]).toEqual([[0], 1]);
    });

    it('counts from the last watch, and has no other task wait for it', async () => {
      const pacer = handPacer();
      const sched = new DeterministicScheduler({ seed: 1, pacer });
      const box = new Box(sched);
      box.again = true;
      sched.watch(box, 1000);
      box.left = 1;
      const order: string[] = [];
      const busy: Atomic[] = [];
      const work = { name: 'busy', pending: false, cause: 0, run: () => void (busy.push(undefined) < 5 ? sched.raise(work) : undefined) as undefined };
      sched.raise(work);
      sched.spawn('t', async () => {
        await sched.host(turns(5), 'file');
        order.push('file');
        await sched.yield();
        order.push('yielded');
        box.left = 7;
      });
      const run = sched.run();
      await turns(40);
      expect([order, box.taken, busy.length]).toEqual([['file', 'yielded'], [1, 7], 5]);
      box.again = false;
      await turns(3);
      pacer.advance(2000);
      expect(await run).toEqual({ kind: 'idle' });
      expect(box.taken).toEqual([1, 7, 0]);
    });

    it('is refused on a virtual clock: nobody is outside', async () => {
      const sched = new DeterministicScheduler({ seed: 1 });
      const box = new Box(sched);
      expect([sched.watch(box, 1000), box.watched]).toEqual([false, false]);
      expect(await sched.run()).toEqual({ kind: 'idle' });
    });
  });
});
