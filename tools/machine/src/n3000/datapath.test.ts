import { VIRTIO_NET_F_MRG_RXBUF, VIRTIO_RING_F_EVENT_IDX } from '@vdpalab/uapi';
import type { TraceEvent } from '@vdpalab/abi';
import { beforeEach, describe, expect, it } from 'vitest';
import { covers } from '@vdpalab/features';
import type { MachineOptions } from '../machine.ts';
import { InjectionPort } from '../net/injection.ts';
import type { EthernetSwitch } from '../net/switch.ts';
import type { N3000FunctionConfig } from './config.ts';
import { Bench, IOVA_SHIFT, frameOf, n3000, segment } from './driver.fixture.ts';
import type { Driver } from './driver.fixture.ts';

let bench: Bench;
let a: Driver;
let b: Driver;
let outside: InjectionPort;

function build(over: Partial<N3000FunctionConfig> = {}, features?: readonly number[], options: Partial<MachineOptions> = {}): undefined {
  bench = new Bench([n3000(over)], options);
  outside = new InjectionPort((bench.system.networks.get('lan') as EthernetSwitch).attach('outside'));
  const bars = bench.enableVfs(bench.pf, 2);
  [a, b] = [bench.vfDriver(0, bars), bench.vfDriver(1, bars)];
  for (const driver of [a, b]) {
    driver.negotiate(features);
    driver.enableMsix();
    driver.setUp(0);
    driver.setUp(1);
    driver.status = 15;
  }
}
beforeEach(() => build());

const run = (): Promise<unknown> => bench.hw.sched.run();
const toB = (length?: number): Uint8Array => frameOf(b.fn.net.bytes, a.fn.net.bytes, length);

describe('a frame', () => {
  it('goes from one virtual function through the switch to another, by DMA alone', async () => {
    const pa = b.addBuffer();
    const frame = toB();
    a.send(frame);
    await run();
    expect([...bench.hw.ram.view(pa, 12)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    expect(bench.hw.ram.view(pa + 12, 64)).toEqual(frame);
    expect([b.queues[0]!.ring.get(), b.queues[0]!.ring.usedLength]).toEqual([0, 76]);
    expect([a.queues[1]!.ring.get(), a.queues[1]!.ring.usedLength]).toEqual([0, 0]);
    // Each transmit queue is served once. Reads: the index when it looks for chains, each chain's entry and descriptor, the
    // index again before it rests and after it has asked for kicks; the event index when there is something to tell.
    const idle = { read: 2 + 2 + 2, written: 2 };
    const chain = { read: 2 + 16, written: 8 };
    const sent = { read: idle.read + chain.read + 2 + 2 + 2, written: idle.written + chain.written + 2 };
    const received = { read: 2 + chain.read + 2, written: chain.written + 2 };
    expect([a.fn.dma.bytesRead, a.fn.dma.bytesWritten]).toEqual([76 + sent.read, sent.written]);
    expect([b.fn.dma.bytesRead, b.fn.dma.bytesWritten]).toEqual([idle.read + received.read, 76 + idle.written + received.written]);
    expect([bench.hw.counters.dmaRead, bench.hw.counters.dmaWritten])
      .toEqual([a.fn.dma.bytesRead + b.fn.dma.bytesRead, a.fn.dma.bytesWritten + b.fn.dma.bytesWritten]);
    expect(bench.hw.counters.faults).toBe(0);
    expect(bench.interrupts.length).toBe(2);
    expect(bench.system.frames.inUse).toBe(0);
  });

  it('is traced from the kick to the interrupt, each event with its cause', async () => {
    covers('1.6.2');
    const events: TraceEvent[] = [];
    build({}, undefined, {
      traceSink(event) {
        events.push(event);
      },
    });
    b.addBuffer();
    await run();
    events.length = 0;
    a.send(toB());
    await run();
    const of = (type: string, device: string): TraceEvent => events.find((e) => e.type === type && e.fields['device'] === device)!;
    const chain = [of('kick', '07:00.2'), of('tx', '07:00.2'), of('rx', '07:00.3'), of('used', '07:00.3')];
    for (let i = 1; i < chain.length; i++) expect(chain[i]!.cause).toBe(chain[i - 1]!.id);
    expect(events.find((e) => e.type === 'interrupt' && e.fields['rid'] === 0x703)!.cause).toBe(chain[3]!.id);
    expect(new Set(events.map((e) => e.type))).toEqual(new Set(['kick', 'tx', 'rx', 'used', 'interrupt']));
  });

  it('is read from as many pieces as the chain has, wherever the header ends', async () => {
    const frame = toB(100);
    const pa = a.store(frame);
    const iova = a.map(pa, 112);
    const pieces = [1, 6, 9, 40, 56];
    const segments = new Uint32Array(15);
    let at = iova;
    pieces.forEach((size, i) => {
      segments.set(segment(at, size), 3 * i);
      at += size;
    });
    a.queues[1]!.ring.add(segments, 0, 5, 0, 0);
    a.kick(1);
    await run();
    expect(outside.take()).toEqual([frame]);
  });

  it('is received in as many buffers as it needs when buffers are mergeable', async () => {
    build({}, [VIRTIO_RING_F_EVENT_IDX, VIRTIO_NET_F_MRG_RXBUF]);
    const buffers = [0, 1, 2].map((token) => b.addBuffer(60, token));
    a.send(toB(150));
    await run();
    const ring = b.queues[0]!.ring;
    expect([ring.get(), ring.usedLength, ring.get(), ring.usedLength, ring.get(), ring.usedLength]).toEqual([0, 60, 1, 60, 2, 42]);
    expect(bench.hw.ram.view(buffers[0]! + 10, 2)).toEqual(Uint8Array.of(3, 0));
    const bytes = Buffer.concat(buffers.map((pa) => bench.hw.ram.view(pa, 60))).subarray(12, 162);
    expect(new Uint8Array(bytes)).toEqual(toB(150));
  });

  it('has a header of 10 bytes for a driver without VERSION_1 and mergeable buffers', async () => {
    b.status = 0;
    b.status = 3;
    b.setUp(0);
    b.setUp(1);
    b.status = 7;
    const pa = b.addBuffer();
    outside.inject(frameOf(b.fn.net.bytes, a.fn.net.bytes));
    b.send(frameOf('broadcast', b.fn.net.bytes), new Uint8Array(10));
    await run();
    expect(bench.hw.ram.view(pa + 10, 64)).toEqual(frameOf(b.fn.net.bytes, a.fn.net.bytes));
    expect(outside.take()).toEqual([frameOf('broadcast', b.fn.net.bytes)]);
  });
});

describe('dropped with a count', () => {
  const dropped = async (frame: Uint8Array, header?: Uint8Array<ArrayBuffer>): Promise<Record<string, number>> => {
    a.send(frame, header);
    await run();
    expect(a.queues[1]!.ring.get()).toBe(0);
    expect(bench.system.frames.inUse).toBe(0);
    return Object.fromEntries(Object.entries(a.fn.counters).filter(([k, v]) => (k.startsWith('tx') || k === 'bufferFaults') && v > 0));
  };

  it('a frame shorter than an Ethernet header or longer than the MTU allows', async () => {
    expect(await dropped(new Uint8Array(13))).toEqual({ txBadLength: 1 });
    expect(await dropped(new Uint8Array(1500 + 19))).toEqual({ txBadLength: 2 });
    expect(await dropped(frameOf('broadcast', a.fn.net.bytes, 1518))).toEqual({ txBadLength: 2, txFrames: 1, txBytes: 1518 });
    expect(await dropped(frameOf('broadcast', a.fn.net.bytes, 14))).toMatchObject({ txFrames: 2 });
  });

  it('a header that is cut, or asks for what was not offered', async () => {
    expect(await dropped(new Uint8Array(0), new Uint8Array(11))).toEqual({ txBadHeader: 1 });
    const before = bench.hw.counters.dmaRead;
    expect(await dropped(toB(), Uint8Array.of(0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))).toEqual({ txBadHeader: 2 });
    const ring = 2 + 2 + 16 + 2 + 2 + 2 + 2 + 2; // as for a frame that is sent
    expect(bench.hw.counters.dmaRead - before).toBe(12 + ring);
    expect(await dropped(toB(), Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))).toEqual({ txBadHeader: 3 });
    expect(bench.hw.counters.dmaRead - before).toBe(2 * (12 + ring));
  });

  it('a frame while the link is down', async () => {
    a.fn.setLink(false);
    expect(await dropped(toB())).toEqual({ txNoLink: 1 });
    b.fn.setLink(false);
    outside.inject(frameOf('broadcast', a.fn.net.bytes));
    await run();
    expect([a.fn.counters.rxStopped, b.fn.counters.rxStopped]).toEqual([1, 1]);
  });

  it('a frame that finds no buffer, or only one that is too short', async () => {
    a.send(toB());
    await run();
    expect(b.fn.counters.rxNoBuffer).toBe(1);
    b.addBuffer(75);
    a.send(toB());
    await run();
    expect([b.fn.counters.rxTooLong, b.fn.counters.rxFrames, b.queues[0]!.ring.get()]).toEqual([1, 0, -1]);
    a.send(toB(63));
    await run();
    expect([b.fn.counters.rxFrames, b.queues[0]!.ring.get()]).toEqual([1, 0]);
  });

  it('a received frame longer than the MTU allows', async () => {
    b.addBuffer(4096);
    outside.inject(frameOf(b.fn.net.bytes, a.fn.net.bytes, 1519));
    await run();
    expect(b.fn.counters.rxTooLong).toBe(1);
  });

  it('a frame for another address, once promiscuous mode is off', async () => {
    const stranger = Uint8Array.of(2, 9, 9, 9, 9, 9);
    b.fn.promisc = false;
    b.addBuffer();
    b.addBuffer();
    outside.inject(frameOf(stranger, a.fn.net.bytes));
    await run();
    expect([b.fn.counters.rxFiltered, b.fn.counters.rxFrames]).toEqual([1, 0]);
    outside.inject(frameOf(b.fn.net.bytes, a.fn.net.bytes));
    outside.inject(frameOf('broadcast', a.fn.net.bytes));
    await run();
    expect(b.fn.counters.rxFrames).toBe(2);
    expect(new Bench([n3000({ promisc: false })]).pf.promisc).toBe(false);
  });
});

describe('frames in flight', () => {
  it('make a transmit queue wait when there are too many, and none is lost', async () => {
    build({ mtu: 9000, queue_size: 1024 });
    a.status = 0;
    a.negotiate();
    a.setUp(1, 512);
    a.status = 15;
    const sent = 150;
    for (let i = 0; i < sent; i++) {
      a.queues[1]!.ring.add(segment(a.map(a.store(frameOf('broadcast', a.fn.net.bytes, 4000 + i)), 12 + 4000 + i), 12 + 4000 + i), 0, 1, 0, i);
    }
    const held: number[] = [];
    for (let f = bench.system.frames.take(9000); f >= 0; f = bench.system.frames.take(9000)) held.push(f);
    for (const f of held.splice(0, 8)) bench.system.frames.release(f);
    a.kick(1);
    await run();
    expect(outside.take().map((f) => f.length)).toEqual(Array.from({ length: sent }, (_, i) => 4000 + i));
    expect(a.fn.counters.txWaits).toBeGreaterThan(0);
    // No frame is read twice: what comes on top are descriptors and indices, those of chains put back included.
    const frames = Array.from({ length: sent }, (_, i) => 4012 + i).reduce((x, y) => x + y);
    expect(a.fn.dma.bytesRead - frames).toBeGreaterThanOrEqual(sent * (2 + 16));
    expect(a.fn.dma.bytesRead - frames).toBeLessThan(frames / 10);
    expect(bench.system.frames.inUse).toBe(held.length);
  });
});

describe('a DMA fault', () => {
  it('on a transmit buffer loses exactly that frame and gives the buffer back', async () => {
    const frames = [0, 1, 2].map((i) => frameOf('broadcast', a.fn.net.bytes, 60 + i));
    frames.forEach((frame, i) => {
      const pa = a.store(frame);
      const iova = i === 1 ? pa + IOVA_SHIFT : a.map(pa, 12 + frame.length);
      a.queues[1]!.ring.add(segment(iova, 12 + frame.length), 0, 1, 0, i);
    });
    a.kick(1);
    await run();
    expect(outside.take()).toEqual([frames[0], frames[2]]);
    const { ring } = a.queues[1]!;
    expect([ring.get(), ring.get(), ring.usedLength, ring.get()]).toEqual([0, 1, 0, 2]);
    expect([a.fn.counters.bufferFaults, a.status]).toEqual([1, 15]);
    expect(bench.hw.iommu!.faults.map((f) => [f.rid, f.write, f.reason])).toEqual([[0x702, false, 'not-present']]);
  });

  it('on a receive buffer loses exactly that frame', async () => {
    const pa = [b.addBuffer(2048, 0, false), b.addBuffer(2048, 1)];
    outside.inject(frameOf(b.fn.net.bytes, a.fn.net.bytes, 60));
    outside.inject(frameOf(b.fn.net.bytes, a.fn.net.bytes, 70));
    await run();
    const { ring } = b.queues[0]!;
    expect([ring.get(), ring.usedLength, ring.get(), ring.usedLength]).toEqual([0, 0, 1, 82]);
    expect(bench.hw.ram.view(pa[0]!, 2048).every((byte) => byte === 0)).toBe(true);
    expect(b.fn.counters).toMatchObject({ bufferFaults: 1, rxFrames: 1 });
    expect(bench.hw.iommu!.faults.map((f) => [f.rid, f.write])).toEqual([[0x703, true]]);
  });

  it('for want of write permission writes nothing', async () => {
    const pa = b.bench.ram(4096);
    b.table!.map(pa + IOVA_SHIFT, pa, 4096, 1);
    b.queues[0]!.ring.add(segment(pa + IOVA_SHIFT, 2048), 0, 0, 1, 0);
    outside.inject(frameOf(b.fn.net.bytes, a.fn.net.bytes));
    await run();
    expect(bench.hw.iommu!.faults.map((f) => f.reason)).toEqual(['permission']);
    expect(bench.hw.ram.view(pa, 4096).every((byte) => byte === 0)).toBe(true);
  });

  it('on a ring asks for a reset by a configuration interrupt, and stops', async () => {
    a.table!.unmap(a.queues[1]!.desc, 4096);
    bench.interrupts.length = 0;
    a.kick(1);
    await run();
    expect(a.status).toBe(0x4f);
    expect(a.fn.fault!.rule).toBe('virtio.ring-area');
    expect(a.fn.fault!.text).toMatch(/^queue 1: descriptor table: 1024 bytes at 0x70000[0-9a-f]+, of which 0 can be reached$/);
    expect(a.fn.counters.configInterrupts).toBe(1);
    expect(bench.hw.iommu!.faults.length).toBe(1);
    expect(bench.interrupts.length).toBe(1);
    a.kick(1);
    await run();
    expect(a.fn.counters.needsReset).toBe(1);
  });

  it('on a ring that moved is none: the ring is found where it is now', async () => {
    const { areas, desc } = a.queues[1]!;
    const from = areas.desc.offset;
    const to = bench.ram(8192);
    bench.hw.ram.view(to, 8192).set(bench.hw.ram.view(from, 8192));
    const size = Math.ceil((areas.used.offset - from + 1) / 4096) * 4096;
    a.table!.unmap(desc, size);
    a.table!.map(desc, to, size, 3);
    a.kick(1);
    await run();
    expect([a.status, a.fn.counters.needsReset]).toEqual([15, 0]);
    const frame = frameOf('broadcast', a.fn.net.bytes);
    const iova = a.map(a.store(frame), 76);
    const u16 = (at: number, value: number): undefined => void bench.hw.ram.view(at, 2).set([value & 0xff, value >>> 8]) as undefined;
    const moved = bench.hw.ram.view(to, 16);
    moved.set(Uint8Array.from({ length: 8 }, (_, i) => Number((BigInt(iova) >> BigInt(8 * i)) & 255n)));
    moved.set([76, 0, 0, 0, 0, 0, 0, 0], 8);
    u16(to + areas.avail.offset - from + 4, 0);
    u16(to + areas.avail.offset - from + 2, 1);
    a.kick(1);
    await run();
    expect(outside.take()).toEqual([frame]);
  });
});

describe('a ring scattered over pages', () => {
  /** A driver whose rings are contiguous in bus addresses, their pages in reverse order in RAM. */
  function scattered(num: number): undefined {
    build();
    a.status = 0;
    a.negotiate();
    a.enableMsix();
    for (const index of [0, 1]) {
      const size = Math.ceil((16 * num + 6 + 2 * num + 4096 + 6 + 8 * num) / 4096) * 4096;
      const [ring, pages] = [bench.ram(size), bench.ram(size)];
      for (let at = 0; at < size; at += 4096) a.table!.map(ring + IOVA_SHIFT + at, pages + size - 4096 - at, 4096, 3);
      scatter.push({ ring, pages, size });
      a.map = (pa, bytes) => (pa === ring ? pa + IOVA_SHIFT : map(pa, bytes));
      const ram = bench.ram;
      bench.ram = () => ring;
      a.setUp(index, num);
      bench.ram = ram;
    }
    a.map = map;
    a.status = 15;
  }
  const scatter: { ring: number; pages: number; size: number }[] = [];
  const map = (pa: number, size: number): number => {
    const base = Math.floor(pa / 4096) * 4096;
    a.table!.map(base + IOVA_SHIFT, base, Math.ceil((pa + size - base) / 4096) * 4096, 3);
    return pa + IOVA_SHIFT;
  };
  /** Copy what the driver wrote in one place to where the device finds it, or back. */
  const sync = (back: boolean): undefined => {
    for (const { ring, pages, size } of scatter) {
      for (let at = 0; at < size; at += 4096) {
        const [x, y] = [bench.hw.ram.view(ring + at, 4096), bench.hw.ram.view(pages + size - 4096 - at, 4096)];
        if (back) x.set(y);
        else y.set(x);
      }
    }
  };

  it('is walked all the same', async () => {
    scatter.length = 0;
    scattered(512);
    const pa = a.addBuffer();
    for (let i = 0; i < 3; i++) {
      a.queues[1]!.ring.add(segment(a.map(a.store(frameOf('broadcast', a.fn.net.bytes, 60 + i)), 80), 72 + i), 0, 1, 0, i);
    }
    sync(false);
    a.kick(1);
    outside.inject(frameOf(a.fn.net.bytes, b.fn.net.bytes));
    await run();
    sync(true);
    expect(outside.take().map((f) => f.length)).toEqual([60, 61, 62]);
    expect([0, 1, 2].map(() => a.queues[1]!.ring.get())).toEqual([0, 1, 2]);
    expect([a.queues[0]!.ring.get(), a.queues[0]!.ring.usedLength]).toEqual([0, 76]);
    expect(bench.hw.ram.view(pa + 12, 64)).toEqual(frameOf(a.fn.net.bytes, b.fn.net.bytes));
    expect(a.status).toBe(15);
  });

  it('of which the last page is missing asks for a reset', async () => {
    scatter.length = 0;
    scattered(512);
    const { size } = scatter[1]!;
    a.table!.unmap(a.queues[1]!.desc + size - 4096, 4096);
    a.kick(1);
    await run();
    expect(a.status).toBe(0x4f);
    expect(a.fn.fault!.text).toMatch(/^queue 1: used ring: 4102 bytes at 0x[0-9a-f]+, of which 4096 can be reached$/);
  });
});

describe('isolation', () => {
  it('leads equal bus addresses of two functions to different pages', async () => {
    covers('1.6.10');
    await run();
    const [pageA, pageB] = [bench.ram(4096), bench.ram(4096)];
    const [frameA, frameB] = [frameOf('broadcast', a.fn.net.bytes, 61), frameOf('broadcast', b.fn.net.bytes, 62)];
    bench.hw.ram.view(pageA + 12, 61).set(frameA);
    bench.hw.ram.view(pageB + 12, 62).set(frameB);
    a.table!.map(0x1000, pageA, 4096, 1);
    b.table!.map(0x1000, pageB, 4096, 1);
    a.queues[1]!.ring.add(segment(0x1000, 73), 0, 1, 0, 0);
    b.queues[1]!.ring.add(segment(0x1000, 74), 0, 1, 0, 0);
    a.kick(1);
    await run();
    b.kick(1);
    await run();
    expect(outside.take()).toEqual([frameA, frameB]);
  });

  it('stops DMA and messages while the function is not bus master, and goes on afterwards', async () => {
    bench.write(a.fn, 4, 2, 0);
    bench.interrupts.length = 0;
    a.send(frameOf('broadcast', a.fn.net.bytes));
    outside.inject(frameOf(a.fn.net.bytes, b.fn.net.bytes));
    await run();
    expect([outside.take(), bench.interrupts, a.fn.counters.rxStopped]).toEqual([[], [], 1]);
    bench.write(a.fn, 4, 2, 4);
    await run();
    expect(outside.take().length).toBe(1);
  });

  it('leaves a function without a driver alone', async () => {
    bench.pf.plug(bench.pf.port);
    outside.inject(frameOf(bench.pf.net.bytes, a.fn.net.bytes));
    await run();
    expect(bench.pf.counters.rxFrames).toBe(0);
  });
});

describe('notifications', () => {
  it('ask for one kick and give one interrupt for a batch, by event index', async () => {
    for (let i = 0; i < 10; i++) {
      const frame = frameOf('broadcast', a.fn.net.bytes);
      a.queues[1]!.ring.add(segment(a.map(a.store(frame), 76), 76), 0, 1, 0, i);
    }
    expect(a.queues[1]!.ring.kickPrepare()).toBe(true);
    bench.interrupts.length = 0;
    a.kick(1);
    await run();
    expect([bench.interrupts.length, outside.take().length, a.fn.counters.interrupts]).toEqual([1, 10, 1]);
  });

  it('give no interrupt to a driver that wants none, by flag or by event index', async () => {
    for (const features of [[], [VIRTIO_RING_F_EVENT_IDX]]) {
      build({}, features);
      a.queues[1]!.ring.disableCallbacks();
      if (features.length > 0) a.queues[1]!.areas.avail.memory.u16[(a.queues[1]!.areas.avail.offset >> 1) + 2 + 64] = 0x8000;
      a.send(frameOf('broadcast', a.fn.net.bytes));
      await run();
      expect([bench.interrupts, outside.take().length]).toEqual([[], 1]);
    }
  });

  it('give one interrupt for frames received together', async () => {
    build({}, []);
    for (let i = 0; i < 5; i++) b.addBuffer(2048, i);
    for (let i = 0; i < 5; i++) outside.inject(frameOf(b.fn.net.bytes, a.fn.net.bytes));
    await run();
    expect([b.fn.counters.rxFrames, b.fn.counters.interrupts]).toEqual([5, 1]);
  });

  it('come back for more than a budget without another kick', async () => {
    build({}, []);
    a.status = 0;
    a.negotiate([]);
    a.enableMsix();
    a.setUp(0);
    a.setUp(1, 256);
    a.status = 15;
    for (let i = 0; i < 200; i++) {
      a.queues[1]!.ring.add(segment(a.map(a.store(frameOf('broadcast', a.fn.net.bytes)), 76), 76), 0, 1, 0, i);
    }
    a.kick(1);
    await run();
    expect([outside.take().length, a.fn.counters.kicks]).toEqual([200, 1]);
    expect(a.queues[1]!.ring.kickPrepare()).toBe(true);
  });

  it('serve buffers that waited before DRIVER_OK without a kick', async () => {
    a.status = 0;
    a.negotiate();
    a.setUp(1);
    a.queues[1]!.ring.add(segment(a.map(a.store(frameOf('broadcast', a.fn.net.bytes)), 76), 76), 0, 1, 0, 0);
    await run();
    expect(outside.take()).toEqual([]);
    a.status = 15;
    await run();
    expect(outside.take().length).toBe(1);
  });
});

describe('a reset in flight', () => {
  it('stops frames that were kicked, and drops those that wait at the port', async () => {
    b.addBuffer();
    a.send(toB());
    a.status = 0;
    expect(a.status).toBe(0);
    outside.inject(frameOf(b.fn.net.bytes, a.fn.net.bytes));
    b.status = 0;
    await run();
    expect([a.fn.counters.txFrames, b.fn.counters.rxFrames]).toEqual([0, 0]);
    expect(bench.hw.counters.dmaWritten).toBe(0);
    expect(bench.system.frames.inUse).toBe(0);
  });

  it('lets no frame from before it into the rings of after it', async () => {
    outside.inject(frameOf(b.fn.net.bytes, a.fn.net.bytes));
    b.status = 0;
    b.start();
    b.addBuffer();
    await run();
    expect([b.fn.counters.rxFrames, b.fn.port!.counters.dropped]).toEqual([0, 1]);
  });

  it('by switching virtual functions off leaves nothing behind', async () => {
    b.addBuffer();
    a.send(toB());
    const way = a.fn.dma;
    expect(way.read(a.queues[1]!.desc, 4, new Uint8Array(4))).toBe(true);
    bench.write(bench.pf, bench.extended(bench.pf, 0x10) + 8, 2, 0);
    await run();
    expect(bench.system.frames.inUse).toBe(0);
    expect(bench.hw.counters.dmaWritten).toBe(0);
    expect(way.read(a.queues[1]!.desc, 4, new Uint8Array(4))).toBe(false);
    const left = bench.hw.leftovers().filter((l) => l.kind === 'work' || l.kind === 'mmio range');
    expect(left).toEqual([]);
  });

  it('lets the driver start again from nothing', async () => {
    a.send(frameOf('broadcast', a.fn.net.bytes));
    await run();
    a.status = 0;
    a.start();
    a.send(frameOf('broadcast', a.fn.net.bytes, 99));
    await run();
    expect(outside.take().map((f) => f.length)).toEqual([64, 99]);
  });
});

describe('without an IOMMU', () => {
  it('addresses are physical, and one that no RAM has loses the frame', async () => {
    build({}, undefined, { iommu: false });
    a.send(frameOf('broadcast', a.fn.net.bytes));
    a.queues[1]!.ring.add(segment(0xa000_0000, 76), 0, 1, 0, 1);
    a.kick(1);
    await run();
    expect([outside.take().length, a.fn.counters.bufferFaults, bench.hw.counters.aborts]).toEqual([1, 1, 1]);
  });
});

describe('a wire', () => {
  it('joins the first two functions that are plugged in; the third has no link', async () => {
    const wired = new Bench([n3000({ link: undefined, vfs: { 0: { link: 'w' }, 1: { link: 'w' }, 2: { link: 'w' } } })], {},
      [{ name: 'w', kind: 'wire' }]);
    const bars = wired.enableVfs(wired.pf, 3);
    const [x, y] = [wired.vfDriver(0, bars).start(), wired.vfDriver(1, bars).start()];
    expect([wired.pf, ...wired.pf.vfs].map((fn) => fn.net.linkUp)).toEqual([false, true, true, false]);
    const pa = y.addBuffer();
    x.send(frameOf(Uint8Array.of(2, 2, 2, 2, 2, 2), x.fn.net.bytes));
    await wired.hw.sched.run();
    expect(wired.hw.ram.view(pa + 12, 6)).toEqual(new Uint8Array(6).fill(2));
  });
});

describe('one seed', () => {
  it('gives one run, another seed another order', async () => {
    const trace = async (seed: number): Promise<number> => {
      build({}, undefined, { seed });
      for (let i = 0; i < 4; i++) {
        b.addBuffer();
        a.addBuffer();
        a.send(toB());
        b.send(frameOf('broadcast', b.fn.net.bytes));
      }
      await run();
      expect([a.fn.counters.txFrames, b.fn.counters.rxFrames]).toEqual([4, 4]);
      return bench.hw.sched.traceHash;
    };
    const [first, again, ...others] = [await trace(7), await trace(7), await trace(8), await trace(9), await trace(10)];
    expect(again).toBe(first);
    expect(new Set(others).size).toBeGreaterThan(1);
  });
});
