import { describe, expect, it } from 'vitest';
import { createMachine } from './machine.ts';

const DOORBELL = 0xd000_0000;
const RID = 0x0100;

/** A device, its driver, a poller and timers on one machine: doorbell, DMA, interrupt, wake-up. @returns its trace */
async function play(seed: number): Promise<{ readonly trace: string; readonly hash: number }> {
  const lines: string[] = [];
  const hw = createMachine({
    seed, ramBytes: 0x1_0000, iommu: true, cmdline: '', release: '6.1.0', consoleSink: () => undefined,
    traceSink: (event) => void lines.push(JSON.stringify(event)) as undefined,
  });
  const { sched } = hw;
  hw.iommu!.attach(RID, null, 'identity');
  const port = hw.dmaPort(RID);
  const { address, data } = hw.irqchip.message(hw.irqchip.allocVector(RID));
  let requests = 0;
  const device = {
    name: 'device', pending: false, cause: 0,
    run() {
      for (; requests > 0; requests--) port.write(0x100, Uint8Array.of(requests));
      port.message(address, data);
      return undefined;
    },
  };
  hw.addMmio(DOORBELL, 4096, {
    name: 'device',
    read: () => requests,
    write() {
      requests++;
      sched.raise(device);
    },
  });
  let done = 0;
  const drivers = [1, 2, 3].map((n) => sched.spawn(`driver ${n}`, async () => {
    for (let i = 0; i < 4; i++) {
      sched.cause = hw.trace.emit('kick', { n, i });
      hw.mmio.write(DOORBELL, 4, 1);
      await sched.point();
      const seen = done;
      sched.timer('timeout', Math.floor(sched.random() * 50), () => void sched.wake(drivers[n - 1]!) as undefined);
      if (done === seen) await sched.park({ what: 'completion' });
      hw.trace.emit('done', { n, left: hw.mmio.read(DOORBELL, 4) });
    }
  }));
  hw.irqchip.onInterrupt = () => {
    done++;
    for (const task of drivers) sched.wake(task);
  };
  expect(await sched.run()).toEqual({ kind: 'idle' });
  return { trace: lines.join('\n'), hash: sched.traceHash };
}

describe('a machine', () => {
  it('played twice with one seed gives one trace, byte for byte, for 200 seeds', async () => {
    for (let seed = 0; seed < 200; seed++) expect(await play(seed)).toEqual(await play(seed));
  });

  it('played with 50 seeds gives 50 traces', async () => {
    const traces = new Set<string>();
    const hashes = new Set<number>();
    for (let seed = 0; seed < 50; seed++) {
      const { trace, hash } = await play(seed);
      traces.add(trace);
      hashes.add(hash);
    }
    expect([traces.size, hashes.size]).toEqual([50, 50]);
  });
});
