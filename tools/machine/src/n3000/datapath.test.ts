import { describe, expect, it } from 'vitest';
import { Bench, frameOf, n3000 } from './driver.fixture.ts';
import type { Driver } from './driver.fixture.ts';

function pair(): { bench: Bench; a: Driver; b: Driver } {
  const bench = new Bench([n3000()]);
  const bars = bench.enableVfs(bench.pf, 2);
  const [a, b] = [bench.vfDriver(0, bars), bench.vfDriver(1, bars)];
  for (const driver of [a, b]) {
    driver.negotiate();
    driver.enableMsix();
    driver.setUp(0);
    driver.setUp(1);
    driver.status = 15;
  }
  return { bench, a, b };
}

describe('the data path', () => {
  it('takes one frame from a virtual function through the switch to another, by DMA', async () => {
    const { bench, a, b } = pair();
    const pa = b.addBuffer();
    const frame = frameOf(b.fn.net.bytes, a.fn.net.bytes);
    const before = { read: bench.hw.counters.dmaRead, written: bench.hw.counters.dmaWritten };
    a.send(frame);
    await bench.hw.sched.run();
    expect([...bench.hw.ram.view(pa, 12)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    expect(bench.hw.ram.view(pa + 12, 64)).toEqual(frame);
    expect(b.queues[0]!.ring.get()).toBe(0);
    expect(b.queues[0]!.ring.usedLength).toBe(76);
    expect(a.queues[1]!.ring.get()).toBe(0);
    expect(bench.hw.counters.dmaRead - before.read).toBe(76);
    expect(bench.hw.counters.dmaWritten - before.written).toBe(76);
    expect(bench.hw.counters.faults).toBe(0);
    expect(bench.interrupts.length).toBe(2);
    expect(bench.system.frames.inUse).toBe(0);
  });
});
