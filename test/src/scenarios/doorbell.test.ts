import type { TraceEvent } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import { covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { FakeVcpu, hexOf, sessionFrames, startPair } from '../support/index.ts';

/** Count the system calls of a process from now on. */
function countCalls(p: UserProcess): () => number {
  let calls = 0;
  for (const name of ['read', 'write', 'poll', 'ioctl'] as const) {
    const call = p[name].bind(p) as (...args: unknown[]) => Promise<never>;
    Object.defineProperty(p, name, { value: (...args: unknown[]) => {
      calls++;
      return call(...args);
    } });
  }
  return () => calls;
}

/** Frames through a pair whose ends poll their rings: what arrived, what the host was asked, what the trace tells. */
async function pollMode(mapped: boolean, posted = false) {
  const frames = sessionFrames().filter((f) => f.length <= 1514).slice(0, 20);
  const events: TraceEvent[] = [];
  const pair = await startPair({
    a: { mappedDoorbells: mapped }, b: { mappedDoorbells: mapped }, traceSink: (event): undefined => void events.push(event) as undefined,
  });
  const { world, a, b } = pair;
  const { lab } = world;
  const vcpus = posted ? [await FakeVcpu.create(world, a.process, a.net.calls.tx, false), await FakeVcpu.create(world, b.process, b.net.calls.rx, false)] : [];
  for (const vcpu of vcpus) await lab.kernel(() => vcpu.attach());
  const calls = [countCalls(a.process), countCalls(b.process)];
  const kicksBefore = world.hardware(0).counters.kicks;
  events.length = 0;
  const tasks = new Set<string>();
  lab.hw.sched.observe((kind, name): undefined => {
    if (kind === 'task') tasks.add(name);
  });
  const got: Uint8Array[] = [];
  for (const frame of frames.slice(0, 12)) { // fewer than there are transmit buffers: none is waited for
    await lab.as(a.process, () => a.net.send(frame));
    await lab.as(b.process, async () => {
      got.push(...await b.net.receive());
    });
  }
  lab.hw.sched.observe(null);
  const result = {
    got: hexOf(got), sent: hexOf(frames.slice(0, 12)), calls: calls.map((count) => count()), kicks: world.hardware(0).counters.kicks - kicksBefore,
    queues: events.filter((e) => e.type === 'kick' && e.fields['device'] === world.vf(0).slice(5)).map((e) => e.fields['queue']),
    types: new Set(events.map((e) => e.type)), tasks,
  };
  for (const vcpu of vcpus) {
    await lab.kernel(() => vcpu.detach());
    await vcpu.release();
  }
  return { result, left: await pair.close() };
}

describe('a doorbell', () => {
  it('rung through an eventfd is one call of the kernel each, through its mapped page none, and frames are the same', async () => {
    covers('1.1.16', '1.1.17', 'F5');
    const relayed = await pollMode(false);
    const mapped = await pollMode(true);
    for (const { result, left } of [relayed, mapped]) {
      expect(result.got).toEqual(result.sent);
      expect(result.kicks).toBe(12);
      expect(result.queues).toEqual(Array.from({ length: 12 }, () => 1)); // the transmit queue
      expect(left).toEqual([]);
    }
    expect(relayed.result.calls[0]).toBe(12);
    expect(mapped.result.calls).toEqual([0, 0]);
  });

  it('mapped, with interrupts posted, leaves nothing for the host to do: no call, no task but the drivers\' own, no handler', async () => {
    covers('1.9.5');
    const { result, left } = await pollMode(true, true);
    expect(result.got).toEqual(result.sent);
    expect(result.calls).toEqual([0, 0]);
    expect([...result.tasks].sort()).toEqual(['net-vdpa0', 'net-vdpa1']);
    expect([...result.types].sort()).toEqual(['guest_interrupt', 'interrupt', 'irq_posted', 'kick', 'rx', 'tx', 'used']);
    expect(left).toEqual([]);
  });
});
