import { describe, expect, it } from 'vitest';
import { newCounters } from './counters.ts';
import type { Counters } from './counters.ts';
import { MmioBus } from './mmio.ts';
import type { MmioHandler } from './mmio.ts';
import { DeterministicScheduler } from './sched/scheduler.ts';

interface Bench {
  readonly sched: DeterministicScheduler;
  readonly counters: Counters;
  readonly bus: MmioBus;
}

function newBus(seed = 1): Bench {
  const sched = new DeterministicScheduler({ seed });
  const counters = newCounters();
  return { sched, counters, bus: new MmioBus(sched, counters) };
}

function registers(name: string, log: string[]): MmioHandler {
  return {
    name,
    read(offset, size) {
      log.push(`${name} r${size} ${offset}`);
      return -1;
    },
    write(offset, size, value) {
      log.push(`${name} w${size} ${offset}=${value.toString(16)}`);
    },
  };
}

describe('MmioBus', () => {
  it('routes accesses to the range that holds them, with offsets from its start', () => {
    const { bus, counters } = newBus();
    const log: string[] = [];
    bus.add(0x2000, 0x1000, registers('b', log));
    bus.add(0x1000, 0x1000, registers('a', log));
    bus.add(2 ** 40, 0x1000, registers('high', log));
    bus.write(0x1004, 2, 0x12345);
    bus.write(0x2ffc, 4, -1);
    expect(bus.read(0x2000, 1)).toBe(0xff);
    expect(bus.read(0x1ffe, 2)).toBe(0xffff);
    expect(bus.read(2 ** 40 + 8, 4)).toBe(0xffff_ffff);
    expect(log).toEqual(['a w2 4=2345', 'b w4 4092=ffffffff', 'b r1 0', 'a r2 4094', 'high r4 8']);
    expect(counters).toMatchObject({ mmioReads: 3, mmioWrites: 2, unclaimed: 0 });
  });

  it('gives all ones for reads nobody claims and loses such writes', () => {
    const { bus, counters } = newBus();
    const log: string[] = [];
    const range = bus.add(0x1000, 0x10, registers('a', log));
    bus.read(0x1000, 4);
    bus.remove(range);
    log.length = 0;
    expect([bus.read(0x1000, 1), bus.read(0xffe, 2), bus.read(0x1010, 4)]).toEqual([0xff, 0xffff, 0xffff_ffff]);
    bus.write(0x1000, 4, 1);
    expect(log).toEqual([]);
    expect(counters.unclaimed).toBe(4);
    expect(bus.ranges()).toEqual([]);
  });

  it('refuses accesses that are not naturally aligned', () => {
    const { bus } = newBus();
    expect(() => bus.read(1, 2)).toThrow(RangeError);
    expect(() => bus.write(2, 4, 0)).toThrow(RangeError);
    expect(() => bus.read(-4, 4)).toThrow(RangeError);
  });

  it('refuses empty, unaligned and overlapping ranges', () => {
    const { bus } = newBus();
    const handler = registers('a', []);
    bus.add(0x1000, 0x1000, handler);
    for (const [base, size] of [[0x3000, 0], [0x3001, 4], [0x3000, 3], [-4096, 4096], [0xffc, 8], [0x1ffc, 8], [0, 0x4000]]) {
      expect(() => bus.add(base!, size!, handler)).toThrow(RangeError);
    }
    expect(bus.ranges()).toHaveLength(1);
  });

  it('is a place where the seed may let device work run: before a read, after a write', async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 30; seed++) {
      const { bus, sched } = newBus(seed);
      let status = 0;
      const device = { name: 'device', pending: false, cause: 0, run: () => void (status = 1) as undefined };
      bus.add(0, 8, {
        name: 'device',
        read: () => status,
        write() {
          sched.raise(device);
        },
      });
      sched.spawn('driver', async () => {
        bus.write(0, 4, 1);
        const afterWrite = status;
        const read = bus.read(4, 4);
        seen.add(`${afterWrite}${read}`);
      });
      await sched.run();
    }
    expect([...seen].sort()).toEqual(['00', '01', '11']);
  });
});
