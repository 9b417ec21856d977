import { describe, expect, it } from 'vitest';
import type { LogLine, TraceEvent } from '@vdpalab/abi';
import { LOG_KERN } from '@vdpalab/uapi';
import { createMachine } from './machine.ts';
import type { HwMachine, MachineOptions } from './machine.ts';

const MIB = 0x10_0000;

function machineWith(options: Partial<MachineOptions> = {}): HwMachine {
  return createMachine({
    seed: 1, ramBytes: 64 * MIB, iommu: true, cmdline: 'quiet', release: '6.1.0', consoleSink: () => undefined, ...options,
  });
}

describe('createMachine', () => {
  it('shows the kernel what the options say', () => {
    const lines: LogLine[] = [];
    const { machine } = machineWith({
      consoleSink(line) {
        lines.push(line);
      },
    });
    expect(machine.cmdline).toBe('quiet');
    expect(machine.release).toBe('6.1.0');
    expect(machine.pci).toBeNull();
    expect(machine.iommu?.apertureEnd).toBe(2 ** 48 - 1);
    machine.console(6, LOG_KERN, 'hello');
    expect(lines).toEqual([{ level: 6, facility: LOG_KERN, text: 'hello', at: 0 }]);
  });

  it('has no IOMMU when it is switched off', () => {
    expect(machineWith({ iommu: false }).machine.iommu).toBeNull();
  });

  it('traces a DMA write, the interrupt it becomes, and the work the handler raises, each with its cause', async () => {
    const events: TraceEvent[] = [];
    const hw = machineWith({
      traceSink(event) {
        events.push(event);
      },
    });
    const vector = hw.irqchip.allocVector();
    const follow = { name: 'follow', run: () => void hw.trace.emit('follow', {}) as undefined, pending: false, cause: 0 };
    hw.irqchip.onInterrupt = () => hw.sched.raise(follow);
    const { address, data } = hw.irqchip.message(vector);
    hw.sched.cause = hw.trace.emit('kick', { queue: 0 });
    hw.dmaPort(0x0100).message(address, data);
    hw.sched.cause = 0;
    await hw.sched.run();
    expect(events.map((e) => [e.type, e.id, e.cause])).toEqual([['kick', 1, 0], ['interrupt', 2, 1], ['follow', 3, 2]]);
  });

  it('emits nothing and numbers nothing while tracing is off', () => {
    const hw = machineWith();
    expect(hw.machine.trace.enabled).toBe(false);
    expect(hw.machine.trace.emit('kick', {})).toBe(0);
  });

  it('lists nothing left over when it is new', () => {
    expect(machineWith().leftovers()).toEqual([]);
  });

  it('lists every kind of leftover, and nothing once they are gone', async () => {
    const hw = machineWith();
    const table = hw.iommu!.createTable();
    table.map(0, 0, 8192, 3);
    hw.iommu!.attach(0x0101, 5, table);
    const vector = hw.irqchip.allocVector();
    const range = hw.addMmio(0xd000_0000, 4096, { name: 'BAR 0', read: () => 0, write: () => undefined });
    const timer = hw.sched.timer('tick', 5, () => undefined);
    let stop = false;
    const task = hw.sched.spawn('worker', async () => {
      while (!stop) await hw.sched.park({ what: 'work', idle: true });
    });
    await hw.sched.run(1);
    const work = { name: 'device', run: () => undefined, pending: false, cause: 0 };
    hw.sched.raise(work);
    expect(hw.leftovers().map((l) => `${l.kind}: ${l.what}`)).toEqual([
      'task: worker: work',
      'timer: tick',
      'work: device',
      'iommu table: 1: 2 pages mapped',
      'iommu attachment: 01:00.1 PASID 5',
      'vector: 32',
      'mmio range: BAR 0 at 0xd0000000+4096',
    ]);
    timer.cancel();
    hw.iommu!.detach(0x0101, 5);
    hw.iommu!.destroyTable(table);
    hw.irqchip.freeVector(vector);
    hw.removeMmio(range);
    stop = true;
    hw.sched.wake(task);
    await hw.sched.run();
    expect(hw.leftovers()).toEqual([]);
  });
});
