import { describe, expect, it } from 'vitest';
import { DeterministicScheduler } from './scheduler.ts';

/** Awaits `inner` under `depth` layers of async calls: each costs microtasks, none may change the order. */
async function nested(depth: number, inner: () => Promise<void>): Promise<void> {
  return depth === 0 ? inner() : await nested(depth - 1, inner);
}

interface Outcome {
  readonly log: string;
  readonly hash: number;
  readonly torn: number;
}

/** Five tasks that yield, sleep, raise work and touch a shared value in two halves without parking between. */
async function scenario(seed: number, depths: readonly number[], gate = true): Promise<Outcome> {
  const sched = new DeterministicScheduler({ seed, gate });
  let log = '';
  let owner = '';
  let torn = 0;
  const device = { name: 'device', run: () => void (log += '!') as undefined, pending: false, cause: 0 };
  ['a', 'b', 'c', 'd', 'e'].forEach((name, i) => {
    const depth = depths[i % depths.length]!;
    sched.spawn(name, async () => {
      for (let round = 0; round < 6; round++) {
        log += name;
        await nested(depth, () => sched.point());
        owner = name;
        await nested(depth, async () => {}); // does not park: nobody else may run
        if (owner !== name) torn++;
        sched.raise(device);
        await nested(depth, () => sched.yield());
        if (sched.random() < 0.3) {
          const me = sched.current; // without the gate it may be anybody
          sched.timer(name, 5, () => (me === null ? undefined : sched.wake(me)));
          await nested(depth, () => sched.park({ what: 'timer' }));
        }
      }
    });
  });
  // Without the gate tasks may end up parked for good.
  await sched.run(2000);
  return { log, hash: sched.traceHash, torn };
}

const FLAT = [0];
const MIXED = [0, 7, 1, 4, 2];

describe('with the gate', () => {
  it('one seed gives one run, however deeply calls are nested', async () => {
    for (let seed = 0; seed < 30; seed++) {
      const flat = await scenario(seed, FLAT);
      expect(await scenario(seed, FLAT)).toEqual(flat);
      expect(await scenario(seed, MIXED)).toEqual(flat);
    }
  });

  it('nobody else runs between two parks of a task', async () => {
    for (let seed = 0; seed < 30; seed++) expect((await scenario(seed, MIXED)).torn).toBe(0);
  });

  it('50 seeds give 50 runs', async () => {
    const logs = new Set<string>();
    const hashes = new Set<number>();
    for (let seed = 0; seed < 50; seed++) {
      const { log, hash } = await scenario(seed, FLAT);
      logs.add(log);
      hashes.add(hash);
    }
    expect([logs.size, hashes.size]).toEqual([50, 50]);
  });

  it('negative seeds and seeds beyond 32 bits count', async () => {
    const seeds = [1, -1, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
    const logs = await Promise.all(seeds.map(async (seed) => (await scenario(seed, FLAT)).log));
    expect(new Set(logs).size).toBe(seeds.length);
  });
});

describe('without the gate', () => {
  it('the order depends on nesting, and others run between two parks', async () => {
    let differ = 0;
    let torn = 0;
    for (let seed = 0; seed < 10; seed++) {
      const flat = await scenario(seed, FLAT, false);
      const mixed = await scenario(seed, MIXED, false);
      if (flat.log !== mixed.log) differ++;
      torn += mixed.torn;
    }
    expect(differ).toBe(10);
    expect(torn).toBeGreaterThan(0);
  });
});

describe('a foreign promise', () => {
  /** After turns of the event loop, not after a time: the gate looks at the next turn. */
  const later = (): Promise<void> => new Promise((resolve) => {
    setImmediate(() => setImmediate(() => setImmediate(resolve)));
  });

  it('fails the run, naming the task that awaits it', async () => {
    const sched = new DeterministicScheduler({ seed: 1 });
    const task = sched.spawn('probe', later);
    await expect(sched.run()).rejects.toThrow(/^task probe awaits a promise the scheduler does not know of/);
    expect(task.state).toBe('done');
    expect(await sched.run()).toEqual({ kind: 'idle' });
    await later();
  });

  it('is found while another task waits for the host properly', async () => {
    for (let seed = 0; seed < 5; seed++) {
      const sched = new DeterministicScheduler({ seed });
      const proper = sched.spawn('proper', () => sched.host(later(), 'file'));
      sched.spawn('rogue', later);
      await expect(sched.run()).rejects.toThrow(/^task rogue awaits/);
      expect(await sched.run()).toEqual({ kind: 'idle' });
      expect(proper.failure).toBeUndefined();
    }
  });

  it('is found after the run has waited for the host', async () => {
    const sched = new DeterministicScheduler({ seed: 1 });
    sched.spawn('t', async () => {
      await sched.host(later(), 'file');
      await later();
    });
    await expect(sched.run()).rejects.toThrow(/^task t awaits/);
  });

  it('does not fail a run that only takes long', async () => {
    const sched = new DeterministicScheduler({ seed: 1 });
    sched.spawn('t', async () => {
      for (let i = 0; i < 3000; i++) await sched.yield();
    });
    expect(await sched.run()).toEqual({ kind: 'idle' });
  });
});
