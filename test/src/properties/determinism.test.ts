import type { TraceEvent } from '@vdpalab/abi';
import { describe, expect, it } from 'vitest';
import { hexOf, sessionFrames, startChain } from '../support/index.ts';

/** What one run of the chain came to. */
async function run(seed: number, traced = false) {
  const trace: string[] = [];
  const traceSink = (event: TraceEvent): undefined => void trace.push(JSON.stringify(event)) as undefined;
  const chain = await startChain({ seed, queueSize: 64, memory: '32M', ...(traced ? { traceSink } : {}) });
  const { lab } = chain.world;
  const frames = sessionFrames().slice(0, 12);
  const got = await chain.pass(frames);
  const counters = { ...lab.hw.counters };
  const left = await chain.close();
  return {
    trace, arrived: hexOf(got), sent: hexOf(frames), left, counters,
    dmesg: lab.dmesg.map((l) => `${l.at} ${l.level} ${l.text}`), uevents: lab.uevents.map((e) => JSON.stringify(e)),
    hash: lab.hw.sched.traceHash, steps: lab.hw.sched.steps, now: lab.hw.sched.now,
  };
}

describe('a seed', () => {
  it('gives one run: the same log, events, decisions and counters each time', async () => {
    const [first, second] = [await run(42, true), await run(42, true)];
    expect(first.dmesg.length).toBeGreaterThan(0);
    expect(first.uevents.length).toBeGreaterThan(0);
    expect(first.trace.length).toBeGreaterThan(0);
    expect(second).toEqual(first);
    expect(await run(42)).toEqual({ ...first, trace: [] }); // watching changes nothing
  });

  it('chooses the order, never the outcome: 50 seeds all pass, by more than one way', async () => {
    const hashes = new Set<number>();
    for (let seed = 1; seed <= 50; seed++) {
      const { arrived, sent, left, hash } = await run(seed);
      expect({ seed, arrived, left }).toEqual({ seed, arrived: sent, left: [] });
      hashes.add(hash);
    }
    expect(hashes.size).toBeGreaterThanOrEqual(2);
  }, 60_000);
});
