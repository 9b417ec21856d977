import { VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ, VIRTIO_RING_F_EVENT_IDX } from '@vdpalab/uapi';
import { beforeEach, describe, expect, it } from 'vitest';
import { InjectionPort } from '../net/injection.ts';
import type { EthernetSwitch } from '../net/switch.ts';
import { Bench, frameOf, n3000, segment } from './driver.fixture.ts';
import type { Driver } from './driver.fixture.ts';

const FEATURES = [VIRTIO_RING_F_EVENT_IDX, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_MAC_ADDR];
const PEER = Uint8Array.of(2, 0, 0, 0, 0, 1);

let bench: Bench;
let driver: Driver;
let outside: InjectionPort;
beforeEach(() => {
  bench = new Bench([n3000({ queue_pairs: 4 })]);
  outside = new InjectionPort((bench.system.networks.get('lan') as EthernetSwitch).attach('outside'));
  driver = bench.vfDriver(0, bench.enableVfs(bench.pf, 2));
});

function start(features = FEATURES, control = 8): undefined {
  driver.negotiate(features);
  driver.enableMsix();
  for (let q = 0; q < 8; q++) driver.setUp(q);
  if (control === 8) driver.setUp(8);
  driver.status = 15;
}

/** Send a command. @returns the acknowledgement, or -1 when none was written */
async function command(bytes: readonly number[], queue = 8): Promise<number> {
  const pa = bench.ram(64);
  bench.hw.ram.view(pa, 64).fill(0xee);
  bench.hw.ram.view(pa, bytes.length).set(bytes);
  const iova = driver.map(pa, 64);
  const segments = new Uint32Array(6);
  segments.set(segment(iova, bytes.length), 0);
  segments.set(segment(iova + 32, 1), 3);
  driver.queues[queue]!.ring.add(segments, 0, 1, 1, 0);
  driver.kick(queue);
  await bench.hw.sched.run();
  const { ring } = driver.queues[queue]!;
  return ring.get() === 0 && ring.usedLength === 1 ? bench.hw.ram.view(pa + 32, 1)[0]! : -1;
}

describe('the control queue', () => {
  it('sets the number of queue pairs, within what there are', async () => {
    start();
    expect(await command([4, 0, 4, 0])).toBe(0);
    expect(await command([4, 0, 0, 0])).toBe(1);
    expect(await command([4, 0, 5, 0])).toBe(1);
    expect(driver.fn.counters.commands).toBe(3);
  });

  it('sets the address the function answers to, until a reset', async () => {
    start();
    const before = [...driver.fn.net.bytes.subarray(0, 6)];
    expect(await command([1, 1, 2, 3, 4, 5, 6, 7])).toBe(0);
    expect(Array.from({ length: 6 }, (_, i) => driver.r8(driver.device + i))).toEqual([2, 3, 4, 5, 6, 7]);
    driver.status = 0;
    expect([...driver.fn.net.bytes.subarray(0, 6)]).toEqual(before);
  });

  it('refuses commands it does not know, and those that are cut short', async () => {
    start();
    for (const bytes of [[0, 0, 1], [4, 1, 1, 0], [1, 0, 0, 0, 0, 0], [4, 0, 1], [1, 1, 2, 3], [9, 9], [4]]) {
      expect(await command(bytes)).toBe(1);
    }
  });

  it('writes no acknowledgement where there is no room for one', async () => {
    start();
    const iova = driver.map(bench.ram(64), 64);
    driver.queues[8]!.ring.add(segment(iova, 4), 0, 1, 0, 5);
    driver.kick(8);
    await bench.hw.sched.run();
    const { ring } = driver.queues[8]!;
    expect([ring.get(), ring.usedLength]).toEqual([5, 0]);
  });

  it('is the third queue without multiqueue', async () => {
    start([VIRTIO_RING_F_EVENT_IDX, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_MAC_ADDR], 2);
    expect(await command([1, 1, 2, 3, 4, 5, 6, 7], 2)).toBe(0);
    expect(await command([4, 0, 2, 0], 2)).toBe(1);
  });

  it('gives back a command it cannot reach', async () => {
    start();
    driver.queues[8]!.ring.add(segment(0x9000_0000, 4), 0, 1, 0, 3);
    driver.kick(8);
    await bench.hw.sched.run();
    expect([driver.queues[8]!.ring.get(), driver.fn.counters.bufferFaults, driver.status]).toEqual([3, 1, 15]);
  });
});

describe('queue pairs', () => {
  /** Frames of 32 flows. */
  const flows = (): Uint8Array[] => Array.from({ length: 32 }, (_, i) => {
    const frame = frameOf(driver.fn.net.bytes, PEER, 80);
    frame.set([0x08, 0x00, 0x45], 12);
    frame.fill(0, 15, 38);
    frame[23] = 17;
    frame.set([10, 0, 0, 1, 10, 0, 0, 2, 0, i, 0, 53], 26);
    return frame;
  });
  const perPair = (): number[] => [0, 1, 2, 3].map((pair) => {
    const { ring } = driver.queues[2 * pair]!;
    let n = 0;
    while (ring.get() >= 0) n++;
    return n;
  });
  const fill = (): undefined => {
    for (let pair = 0; pair < 4; pair++) {
      for (let i = 0; i < 40; i++) {
        driver.queues[2 * pair]!.ring.add(segment(driver.map(bench.ram(2048), 2048), 2048), 0, 0, 1, i);
      }
    }
  };

  it('are one until the driver asks for more, then share flows, each flow to one queue', async () => {
    start();
    fill();
    for (const frame of flows()) outside.inject(frame);
    await bench.hw.sched.run();
    expect(perPair()).toEqual([32, 0, 0, 0]);
    fill();
    await command([4, 0, 4, 0]);
    for (const frame of flows()) outside.inject(frame);
    await bench.hw.sched.run();
    const first = perPair();
    expect(first.reduce((sum, n) => sum + n, 0)).toBe(32);
    expect(first.filter((n) => n > 0).length).toBeGreaterThan(1);
  });

  it('can be asked for in the live migration region, as DPDK does', async () => {
    start();
    fill();
    driver.w32(driver.lm + 0x28, 4);
    expect(driver.r32(driver.lm + 0x28)).toBe(4);
    for (const frame of flows()) outside.inject(frame);
    await bench.hw.sched.run();
    expect(perPair().filter((n) => n > 0).length).toBeGreaterThan(1);
    driver.status = 0;
    expect(driver.r32(driver.lm + 0x28)).toBe(0);
  });

  it('fall back to the first queue where a chosen one is not enabled', async () => {
    driver.negotiate(FEATURES);
    driver.setUp(0);
    driver.setUp(8);
    driver.status = 15;
    for (let i = 0; i < 32; i++) driver.addBuffer(2048, i);
    await command([4, 0, 4, 0]);
    for (const frame of flows()) outside.inject(frame);
    await bench.hw.sched.run();
    expect(driver.fn.counters.rxFrames).toBe(32);
  });

  it('transmit all', async () => {
    start();
    for (const q of [1, 3, 5, 7]) driver.send(frameOf('broadcast', driver.fn.net.bytes, 60 + q), undefined, q);
    await bench.hw.sched.run();
    expect(outside.take().map((f) => f.length).sort()).toEqual([61, 63, 65, 67]);
  });
});
