import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { DeterministicScheduler } from '../sched/scheduler.ts';
import { ringMemory } from '@vdpalab/vring';
import { FRAME_MAX, FRAME_MEMORY, FramePool, framePoolBeside } from './frame-pool.ts';
import { InjectionPort } from './injection.ts';
import { MAC_TABLE_MAX, MacTable } from './mac-table.ts';
import { capture } from './pcap-writer.ts';
import { PcapWriter } from './pcap-writer.ts';
import { readPcap } from './pcap-reader.ts';
import { PORT_DEPTH } from './port.ts';
import { EthernetSwitch } from './switch.ts';
import { Wire } from './wire.ts';
import { wasmRegion, DEVICE_MEMORY } from '../ram.ts';

const BROADCAST = 0xffff_ffff_ffff;

/** A minimal frame. @param to last byte of the destination, or BROADCAST */
function frame(to: number, from: number, length = 60): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(to === BROADCAST ? [255, 255, 255, 255, 255, 255] : [2, 0, 0, 0, 0, to], 0);
  bytes.set([2, 0, 0, 0, 0, from], 6);
  return bytes;
}

let sched: DeterministicScheduler;
let pool: FramePool;

beforeEach(() => {
  sched = new DeterministicScheduler({ seed: 1 });
  pool = new FramePool(ringMemory(new SharedArrayBuffer(FRAME_MEMORY)), 0);
});

function switchOf(ports: number, learning: readonly boolean[] = []): { lan: EthernetSwitch; ends: InjectionPort[] } {
  const lan = new EthernetSwitch('lan', sched, pool);
  return { lan, ends: Array.from({ length: ports }, (_, i) => new InjectionPort(lan.attach(`p${i}`, learning[i] ?? true))) };
}

const counts = (ends: readonly InjectionPort[]): number[] => ends.map((end) => end.take().length);

describe('EthernetSwitch', () => {
  it('floods what it does not know, never back, and learns from what it sees', async () => {
    const { lan, ends } = switchOf(3);
    ends[0]!.inject(frame(2, 1));
    await sched.run();
    expect(counts(ends)).toEqual([0, 1, 1]);
    ends[1]!.inject(frame(1, 2));
    await sched.run();
    expect(counts(ends)).toEqual([1, 0, 0]);
    ends[0]!.inject(frame(2, 1));
    await sched.run();
    expect(counts(ends)).toEqual([0, 1, 0]);
    expect(lan.counters).toEqual({ forwarded: 2, flooded: 1, filtered: 0, unlearned: 0 });
    expect(lan.macs.entries()).toEqual([['02:00:00:00:00:01', 0], ['02:00:00:00:00:02', 1]]);
  });

  it('floods broadcasts and multicasts, and learns no group address', async () => {
    const { lan, ends } = switchOf(3);
    ends[0]!.inject(frame(BROADCAST, 1));
    const odd = frame(1, 1);
    odd[0] = 1;
    odd[6] = 1;
    ends[0]!.inject(odd);
    await sched.run();
    expect(counts(ends)).toEqual([0, 2, 2]);
    expect(lan.macs.size).toBe(1);
  });

  it('drops a frame for an address behind the port it came from', async () => {
    const { lan, ends } = switchOf(2);
    ends[0]!.inject(frame(9, 1));
    ends[0]!.inject(frame(1, 9));
    await sched.run();
    expect(counts(ends)).toEqual([0, 1]);
    expect(lan.counters.filtered).toBe(1);
  });

  it('learns no address from a port with learning off', async () => {
    const { lan, ends } = switchOf(3, [false]);
    ends[0]!.inject(frame(2, 1));
    ends[1]!.inject(frame(1, 2));
    await sched.run();
    expect(counts(ends)).toEqual([1, 1, 2]);
    expect(lan.macs.entries()).toEqual([['02:00:00:00:00:02', 1]]);
  });

  it('follows an address that moves to another port', async () => {
    const { ends } = switchOf(3);
    ends[0]!.inject(frame(BROADCAST, 1));
    ends[2]!.inject(frame(BROADCAST, 1));
    await sched.run();
    counts(ends);
    ends[1]!.inject(frame(1, 2));
    await sched.run();
    expect(counts(ends)).toEqual([0, 0, 1]);
  });

  it('forgets the addresses of a port that leaves, and gives its place to the next', async () => {
    const { lan, ends } = switchOf(3);
    ends[1]!.inject(frame(BROADCAST, 2));
    await sched.run();
    ends[1]!.port.unplug();
    expect(lan.macs.size).toBe(0);
    expect(lan.ports.map((p) => p.name)).toEqual(['p0', 'p2']);
    const late = new InjectionPort(lan.attach('p3'));
    expect(late.port.index).toBe(1);
    counts(ends);
    ends[0]!.inject(frame(2, 1));
    await sched.run();
    expect([...counts(ends), late.take().length]).toEqual([0, 0, 1, 1]);
  });

  it('gives every frame of any traffic back to the pool', async () => {
    await fc.assert(fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(3), fc.nat(7), fc.nat(7), fc.boolean()), { maxLength: 80 }),
      async (steps) => {
        const { ends } = switchOf(4);
        for (const [port, to, from, run] of steps) {
          ends[port]!.inject(frame(to === 7 ? BROADCAST : to, from));
          if (run) await sched.run();
        }
        await sched.run();
        expect(pool.inUse).toBe(0);
      },
    ));
  });
});

describe('NetPort', () => {
  it('drops with a count when its queue is full, and delivers the rest in order', async () => {
    const { lan, ends } = switchOf(2);
    for (let i = 0; i < PORT_DEPTH + 3; i++) {
      const bytes = frame(BROADCAST, 1);
      bytes[20] = i & 0xff;
      ends[0]!.inject(bytes);
    }
    expect(lan.ports[1]!.counters.dropped).toBe(3);
    await sched.run();
    const received = ends[1]!.take();
    expect(received.length).toBe(PORT_DEPTH);
    expect(received.map((f) => f[20])).toEqual(Array.from({ length: PORT_DEPTH }, (_, i) => i & 0xff));
    expect(pool.inUse).toBe(0);
  });

  it('drops what waits when the cable is pulled', async () => {
    const { ends } = switchOf(2);
    ends[0]!.inject(frame(BROADCAST, 1));
    ends[1]!.port.unplug();
    await sched.run();
    expect(ends[1]!.received).toEqual([]);
    expect(ends[1]!.port.counters.dropped).toBe(1);
    ends[1]!.inject(frame(BROADCAST, 1));
    expect(pool.inUse).toBe(0);
  });

  it('counts frames and bytes both ways', async () => {
    const { ends } = switchOf(2);
    ends[0]!.inject(frame(BROADCAST, 1, 100));
    await sched.run();
    expect(ends[0]!.port.counters).toEqual({ sentFrames: 1, sentBytes: 100, receivedFrames: 0, receivedBytes: 0, dropped: 0 });
    expect(ends[1]!.port.counters).toEqual({ sentFrames: 0, sentBytes: 0, receivedFrames: 1, receivedBytes: 100, dropped: 0 });
  });

  it('puts a tag on what its function sends, and gives it what has that tag, without it', async () => {
    const { ends } = switchOf(3);
    const [member, trunk, plain] = ends as [InjectionPort, InjectionPort, InjectionPort];
    const bytes = frame(BROADCAST, 1);
    bytes.set([0x08, 0x06], 12);
    const tagged = (tci: number): Uint8Array => Uint8Array.from([...bytes.subarray(0, 12), 0x81, 0, tci >> 8, tci & 0xff, ...bytes.subarray(12)]);
    member.port.tci = 0x6005;
    member.inject(bytes);
    await sched.run();
    expect([trunk.take(), plain.take()]).toEqual([[tagged(0x6005)], [tagged(0x6005)]]);
    for (const tci of [5, 0xe005, 6, 0]) trunk.inject(tagged(tci));
    trunk.inject(bytes);
    await sched.run();
    expect(member.take()).toEqual([bytes, bytes]); // whatever the priority
    expect(plain.take()).toHaveLength(5);
    member.port.tci = 0x6000; // a priority alone
    member.inject(bytes);
    for (const tci of [5, 0]) trunk.inject(tagged(tci));
    trunk.inject(bytes);
    await sched.run();
    expect([plain.take()[0], member.take()]).toEqual([tagged(0x6000), [bytes, bytes]]);
    expect([pool.inUse, member.port.counters.dropped]).toEqual([0, 0]);
  });

  it('injects no frame without an Ethernet header, and none longer than any MTU', () => {
    const { ends } = switchOf(1);
    expect([ends[0]!.inject(new Uint8Array(13)), ends[0]!.inject(new Uint8Array(FRAME_MAX + 1))]).toEqual([false, false]);
    expect(pool.inUse).toBe(0);
  });

  it('can be captured while frames pass', async () => {
    const { ends } = switchOf(2);
    const writer = new PcapWriter();
    const stop = capture(ends[0]!.port, writer, () => sched.now);
    ends[0]!.inject(frame(2, 1));
    ends[1]!.inject(frame(1, 2));
    await sched.run();
    stop();
    ends[0]!.inject(frame(2, 1));
    expect(readPcap(writer.bytes()).map((p) => [p.bytes[5], p.bytes[11]])).toEqual([[2, 1], [1, 2]]);
  });
});

describe('Wire', () => {
  it('joins two ends and no third', async () => {
    const wire = new Wire('w', sched, pool);
    const [a, b] = [new InjectionPort(wire.attach('a')!), new InjectionPort(wire.attach('b')!)];
    expect(wire.attach('c')).toBeNull();
    a.inject(frame(1, 2));
    await sched.run();
    expect(counts([a, b])).toEqual([0, 1]);
    b.port.unplug();
    a.inject(frame(1, 2));
    expect(wire.lost).toBe(1);
    expect(wire.ports.map((p) => p.name)).toEqual(['a']);
    expect(pool.inUse).toBe(0);
  });
});

describe('FramePool', () => {
  it('gives small slots first, then large ones, then none', () => {
    const taken: number[] = [];
    for (let f = pool.take(60); f >= 0; f = pool.take(60)) taken.push(f);
    expect(new Set(taken).size).toBe(taken.length);
    expect(taken.length).toBe(4096 + 64);
    expect([pool.exhausted, pool.take(FRAME_MAX), pool.inUse]).toEqual([1, -1, 4160]);
    for (const f of taken) pool.release(f);
    expect(pool.inUse).toBe(0);
    expect(pool.bytes(pool.take(FRAME_MAX)).length).toBe(FRAME_MAX);
    expect(pool.take(FRAME_MAX + 1)).toBe(-1);
  });

  it('complains when a frame is released twice', () => {
    const f = pool.take(60);
    pool.release(f);
    expect(() => pool.release(f)).toThrow(/released more often/);
  });

  it('lies behind RAM in the same memory when there is room, else in a memory of its own', () => {
    const region = wasmRegion(0, 0x10_0000, DEVICE_MEMORY);
    const beside = framePoolBeside(region);
    expect(beside.memory.buffer).toBe(region.buffer);
    expect(beside.offset(0)).toBeGreaterThanOrEqual(region.size);
    expect(framePoolBeside(wasmRegion(0, 0x10_0000)).offset(0)).toBe(16);
    expect(framePoolBeside(undefined).inUse).toBe(0);
  });
});

describe('MacTable', () => {
  it('agrees with a map, whatever is learnt and forgotten', () => {
    const mac = fc.tuple(fc.integer({ min: -3, max: 3 }), fc.nat(2));
    const step = fc.oneof(
      fc.record({ kind: fc.constant('learn' as const), mac, port: fc.nat(5) }),
      fc.record({ kind: fc.constant('forget' as const), port: fc.nat(5) }),
    );
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new MacTable();
      const model = new Map<string, number>();
      for (const s of steps) {
        if (s.kind === 'learn') {
          table.learn(s.mac[0], s.mac[1], s.port);
          model.set(s.mac.join(), s.port);
        } else {
          table.forget(s.port);
          for (const [key, port] of model) if (port === s.port) model.delete(key);
        }
      }
      expect(table.size).toBe(model.size);
      for (let low = -3; low <= 3; low++) {
        for (let high = 0; high <= 2; high++) expect(table.find(low, high)).toBe(model.get(`${low},${high}`) ?? -1);
      }
    }));
  });

  it('stops learning when it is full, and still knows the old ones', () => {
    const table = new MacTable();
    for (let i = 0; i < MAC_TABLE_MAX; i++) expect(table.learn(i * 65537, i & 0xff, 1)).toBe(true);
    expect(table.learn(12345, 0xffff, 1)).toBe(false);
    expect(table.learn(0, 0, 3)).toBe(true);
    expect([table.find(0, 0), table.find(12345, 0xffff)]).toEqual([3, -1]);
  });
});
