import fc from 'fast-check';
import { VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_RING_F_EVENT_IDX } from '@vdpalab/uapi';
import { beforeEach, describe, expect, it } from 'vitest';
import { covers } from '@vdpalab/features';
import { InjectionPort } from '../net/injection.ts';
import type { EthernetSwitch } from '../net/switch.ts';
import { Bench, frameOf, n3000, segment } from './driver.fixture.ts';
import type { Driver } from './driver.fixture.ts';
import { ringStateOffset } from './lm-region.ts';

/** Where drivers have the log mapped: DPDK's `IFCVF_LOG_BASE`. */
const LOG_IOVA = 0x1000_0000_0000;
/** Bytes of the log: bits for bus addresses up to `LOG_SIZE * 8` pages. Bus addresses here are 1:1. */
const LOG_SIZE = 0x1000;

let bench: Bench;
let driver: Driver;
let outside: InjectionPort;
let log: number;
let bars: readonly number[];
beforeEach(() => {
  bench = new Bench([n3000()]);
  outside = new InjectionPort((bench.system.networks.get('lan') as EthernetSwitch).attach('outside'));
  bars = bench.enableVfs(bench.pf, 2);
  driver = bench.vfDriver(0, bars);
  // Low bus addresses, so that a small log covers them.
  driver.map = (pa, size) => {
    const base = Math.floor(pa / 4096) * 4096;
    driver.table!.map(base, base, Math.ceil((pa + size - base) / 4096) * 4096, 3);
    return pa;
  };
  log = bench.ram(LOG_SIZE);
  driver.table!.map(LOG_IOVA, log, LOG_SIZE, 3);
});

function enableLog(control = 1): undefined {
  driver.w32(driver.lm + 0x10, LOG_IOVA >>> 0);
  driver.w32(driver.lm + 0x14, Math.floor(LOG_IOVA / 2 ** 32));
  driver.w32(driver.lm + 0x18, (LOG_IOVA + LOG_SIZE) >>> 0);
  driver.w32(driver.lm + 0x1c, Math.floor(LOG_IOVA / 2 ** 32));
  driver.w32(driver.lm, control);
}

/** Pages whose bits are set. */
function logged(): number[] {
  const pages: number[] = [];
  bench.hw.ram.view(log, LOG_SIZE).forEach((byte, i) => {
    for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) pages.push(8 * i + bit);
  });
  return pages;
}

/** Pages of RAM that differ, the log's own left out. */
function changed(before: Uint8Array): number[] {
  const after = bench.hw.ram.view(0, before.length);
  const pages: number[] = [];
  for (let page = 0; page < before.length / 4096; page++) {
    if (page * 4096 >= log && page * 4096 < log + LOG_SIZE) continue;
    const at = page * 4096;
    if (Buffer.compare(before.subarray(at, at + 4096), after.subarray(at, at + 4096)) !== 0) pages.push(page);
  }
  return pages;
}

describe('the dirty log', () => {
  it('has a bit for each page the function writes, and for no other', async () => {
    covers('1.6.4');
    driver.start(1024, [VIRTIO_RING_F_EVENT_IDX, VIRTIO_NET_F_MRG_RXBUF]);
    await bench.hw.sched.run();
    enableLog();
    for (let i = 0; i < 6; i++) driver.addBuffer(3000, i);
    const straddling = bench.ram(8192);
    driver.map(straddling, 8192);
    driver.queues[0]!.ring.add(segment(straddling + 4096 - 40, 2000), 0, 0, 1, 9);
    const before = bench.hw.ram.view(0, 8 * 2 ** 20).slice();
    for (let i = 0; i < 7; i++) outside.inject(frameOf(driver.fn.net.bytes, Uint8Array.of(2, 0, 0, 0, 0, 1), 100 + i));
    await bench.hw.sched.run();
    expect(driver.fn.counters.rxFrames).toBe(7);
    const pages = changed(before);
    expect(pages).toContain(straddling / 4096);
    expect(pages).toContain(straddling / 4096 + 1);
    expect(logged()).toEqual(pages);
    expect(driver.fn.counters.dirtyMissed).toBe(0);
  });

  it('agrees with an observer of all DMA, whatever the traffic', async () => {
    await fc.assert(fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 14, max: 1518 }), fc.integer({ min: 12, max: 4096 }), fc.nat(4095)), { maxLength: 12 }),
      async (steps) => {
        bench = new Bench([n3000()]);
        outside = new InjectionPort((bench.system.networks.get('lan') as EthernetSwitch).attach('outside'));
        driver = bench.vfDriver(0, bench.enableVfs(bench.pf, 1));
        driver.table!.map(0, 0, 32 * 2 ** 20, 3);
        driver.map = (pa) => pa;
        log = bench.ram(LOG_SIZE);
        driver.table!.map(LOG_IOVA, log, LOG_SIZE, 3);
        const seen = new Set<number>();
        bench.hw.observeDma((_rid, pa, len, write) => {
          for (let page = pa >>> 12; write && page <= (pa + len - 1) >>> 12; page++) {
            if (page * 4096 < log || page * 4096 >= log + LOG_SIZE) seen.add(page);
          }
        });
        driver.negotiate([VIRTIO_NET_F_MRG_RXBUF]);
        enableLog();
        driver.setUp(0);
        driver.status = 15;
        for (const [length, size, offset] of steps) {
          const pa = bench.ram(8192) + offset;
          driver.queues[0]!.ring.add(segment(pa, size), 0, 0, 1, 0);
          outside.inject(frameOf(driver.fn.net.bytes, Uint8Array.of(2, 0, 0, 0, 0, 1), length));
          await bench.hw.sched.run();
        }
        expect(logged()).toEqual([...seen].sort((x, y) => x - y));
      },
    ), { numRuns: 40 });
  });

  it('marks again what the driver has cleared', async () => {
    driver.start();
    enableLog();
    const pa = driver.addBuffer(2048);
    outside.inject(frameOf('broadcast', Uint8Array.of(2, 0, 0, 0, 0, 1)));
    await bench.hw.sched.run();
    expect(logged()).toContain(pa / 4096);
    bench.hw.ram.view(log, LOG_SIZE).fill(0);
    driver.queues[0]!.ring.add(segment(pa, 2048), 0, 0, 1, 0);
    outside.inject(frameOf('broadcast', Uint8Array.of(2, 0, 0, 0, 0, 1)));
    await bench.hw.sched.run();
    expect(logged()).toContain(pa / 4096);
  });

  it('marks again a page that was also the last one marked', async () => {
    driver.start(64, []);
    enableLog();
    const used = driver.queues[1]!.used / 4096;
    for (let i = 0; i < 2; i++) {
      driver.send(frameOf('broadcast', driver.fn.net.bytes), undefined, 1, i);
      await bench.hw.sched.run();
      expect(logged()).toEqual([used]);
      bench.hw.ram.view(log, LOG_SIZE).fill(0);
    }
    const ring = driver.queues[0]!;
    for (let i = 0; i < 2; i++) {
      ring.ring.add(segment(ring.used + 1024, 1024), 0, 0, 1, 0);
      outside.inject(frameOf('broadcast', Uint8Array.of(2, 0, 0, 0, 0, 1)));
      await bench.hw.sched.run();
      expect(logged()).toEqual([ring.used / 4096]);
      bench.hw.ram.view(log, LOG_SIZE).fill(0);
    }
  });

  it('has the acknowledgements of the control queue too', async () => {
    bench = new Bench([n3000({ queue_pairs: 2 })]);
    driver = bench.vfDriver(0, bench.enableVfs(bench.pf, 1));
    driver.table!.map(0, 0, 32 * 2 ** 20, 3);
    driver.map = (pa) => pa;
    log = bench.ram(LOG_SIZE);
    driver.table!.map(LOG_IOVA, log, LOG_SIZE, 3);
    driver.negotiate([VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ]);
    const control = driver.setUp(4);
    driver.status = 15;
    enableLog();
    const [command, ack] = [bench.ram(4096), bench.ram(4096)];
    const segments = new Uint32Array(6);
    segments.set(segment(command, 4), 0);
    segments.set(segment(ack, 1), 3);
    control.ring.add(segments, 0, 1, 1, 0);
    driver.kick(4);
    await bench.hw.sched.run();
    expect(logged()).toEqual([control.used / 4096, ack / 4096]);
  });

  it('stays as it is once logging is off, and when the function was reset', async () => {
    driver.start();
    enableLog();
    driver.w32(driver.lm, 0);
    driver.addBuffer();
    outside.inject(frameOf('broadcast', Uint8Array.of(2, 0, 0, 0, 0, 1)));
    await bench.hw.sched.run();
    expect([driver.fn.counters.rxFrames, logged()]).toEqual([1, []]);
  });

  it('counts pages beyond its end, and a log that cannot be reached, and goes on', async () => {
    driver.start();
    enableLog();
    driver.w32(driver.lm + 0x18, (LOG_IOVA + 1) >>> 0);
    driver.addBuffer();
    outside.inject(frameOf('broadcast', Uint8Array.of(2, 0, 0, 0, 0, 1)));
    await bench.hw.sched.run();
    expect([driver.fn.counters.dirtyMissed > 0, driver.fn.counters.rxFrames, logged()]).toEqual([true, 1, []]);
    driver.w32(driver.lm + 0x18, (LOG_IOVA + LOG_SIZE) >>> 0);
    driver.table!.unmap(LOG_IOVA, LOG_SIZE);
    const faults = bench.hw.iommu!.faults.length;
    driver.addBuffer();
    outside.inject(frameOf('broadcast', Uint8Array.of(2, 0, 0, 0, 0, 1)));
    await bench.hw.sched.run();
    expect(driver.fn.counters.rxFrames).toBe(2);
    expect(bench.hw.iommu!.faults.length).toBeGreaterThan(faults);
  });

  it('is written by the physical function when the driver says so', async () => {
    const table = bench.hw.iommu!.createTable();
    bench.hw.iommu!.attach(bench.pf.rid, null, table);
    table.map(LOG_IOVA, log, LOG_SIZE, 3);
    driver.table!.unmap(LOG_IOVA, LOG_SIZE);
    driver.start();
    enableLog(3);
    const pa = driver.addBuffer();
    outside.inject(frameOf('broadcast', Uint8Array.of(2, 0, 0, 0, 0, 1)));
    await bench.hw.sched.run();
    expect(logged()).toContain(pa / 4096);
    expect(bench.pf.dma.bytesWritten).toBeGreaterThan(0);
    expect(driver.fn.counters.dirtyMissed).toBe(0);
  });
});

describe('ring state', () => {
  it('read where a function stopped lets another go on from there', async () => {
    covers('1.6.5');
    driver.start();
    for (let i = 0; i < 5; i++) driver.send(frameOf('broadcast', driver.fn.net.bytes, 60 + i));
    driver.addBuffer();
    driver.addBuffer();
    outside.inject(frameOf('broadcast', Uint8Array.of(2, 0, 0, 0, 0, 1)));
    await bench.hw.sched.run();
    const state = [0, 1].map((q) => {
      driver.w16(driver.common + 22, q);
      driver.w16(driver.common + 28, 0);
      return driver.r32(driver.lm + ringStateOffset('pairs', q));
    });
    expect(state).toEqual([0x0001_0001, 0x0005_0005]);

    const target = bench.vfDriver(1, bars, driver.table!);
    target.map = driver.map;
    target.negotiate();
    driver.queues.forEach((queue, q) => {
      target.queues[q] = queue;
      target.w32(target.lm + ringStateOffset('pairs', q), state[q]!);
      target.program(queue);
    });
    expect([0, 1].map((q) => target.r32(target.lm + ringStateOffset('pairs', q)))).toEqual(state);
    target.status = 15;
    outside.take();
    target.send(frameOf('broadcast', target.fn.net.bytes, 99));
    outside.inject(frameOf('broadcast', Uint8Array.of(2, 0, 0, 0, 0, 1), 98));
    await bench.hw.sched.run();
    expect(outside.take().map((f) => f.length)).toEqual([99]);
    const { ring } = driver.queues[0]!;
    expect([ring.get(), ring.usedLength, ring.get(), ring.usedLength]).toEqual([0, 76, 0, 110]);
    expect(target.r32(target.lm + ringStateOffset('pairs', 1))).toBe(0x0006_0006);
  });
});
