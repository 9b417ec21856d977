/** Queues whose driver runs in another process of the host: looked at while they are busy, kicked when they are not. */
import { VIRTIO_NET_F_MRG_RXBUF, VIRTIO_RING_F_EVENT_IDX } from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import type { MachineOptions } from '../machine.ts';
import { mappedRegion } from '../ram.ts';
import { sharedMemory } from '../wasm.ts';
import { Bench, MIB, frameOf, n3000, segment } from './driver.fixture.ts';
import type { Driver } from './driver.fixture.ts';

const RAM = 64 * MIB;
/** Longer than a queue is looked at after its last chain. */
const LONG = 1e9;

/** Real time, which passes when a test says so. */
class Hand {
  now = 0;
  readonly pacer = { elapsed: () => this.now, after: () => () => undefined };
}

/** A driver whose memory is another process's. */
class Foreign {
  readonly bench: Bench;
  readonly driver: Driver;
  /** Frames that have come out. */
  out = 0;
  /** Called for each of them, while the device is at work. */
  onFrame = (): void => undefined;
  readonly #buffer: Uint32Array;

  constructor(options: Partial<MachineOptions>, features: readonly number[]) {
    this.bench = new Bench([n3000()], options);
    const { ram } = this.bench.hw;
    for (const region of ram.regions) ram.detach(region);
    const memory = sharedMemory(RAM);
    ram.attach(mappedRegion(0, RAM, memory.buffer, 0, memory));
    this.driver = this.bench.vfDriver(0, this.bench.enableVfs(this.bench.pf, 1)).start(64, features);
    const frame = frameOf('broadcast', this.driver.fn.net.bytes);
    this.#buffer = segment(this.driver.map(this.driver.store(frame), 12 + frame.length), 12 + frame.length);
    this.bench.pf.port!.tap = () => {
      this.out++;
      this.onFrame();
    };
  }

  /** Make a frame available, and say nothing. */
  add(): undefined {
    this.driver.queues[1]!.ring.add(this.#buffer, 0, 1, 0, 0);
  }

  /** Kick, if the device wants it. @returns how often the doorbell was rung since power-on */
  kick(): number {
    if (this.driver.queues[1]!.ring.kickPrepare()) this.driver.kick(1);
    return this.driver.fn.counters.kicks;
  }
}

describe.each([['flags', [VIRTIO_NET_F_MRG_RXBUF]], ['event index', [VIRTIO_NET_F_MRG_RXBUF, VIRTIO_RING_F_EVENT_IDX]]])('a busy transmit queue with %s', (_name, features) => {
  it('takes what comes without a kick, and asks for one when nothing has come for a while', async () => {
    const hand = new Hand();
    const foreign = new Foreign({ clock: 'paced', pacer: hand.pacer }, features);
    const kicks: number[] = [];
    foreign.onFrame = () => {
      if (foreign.out === 40) hand.now += LONG;
      else foreign.add();
      kicks.push(foreign.kick());
    };
    foreign.add();
    foreign.kick();
    expect(await foreign.bench.hw.sched.run()).toEqual({ kind: 'idle' });
    expect([foreign.out, kicks]).toEqual([40, new Array(40).fill(1)]);
    foreign.onFrame = () => void (hand.now += LONG);
    foreign.add();
    expect(foreign.kick()).toBe(2);
    expect(await foreign.bench.hw.sched.run()).toEqual({ kind: 'idle' });
    expect(foreign.out).toBe(41);
  });

  it('waits for a kick on a virtual clock', async () => {
    const foreign = new Foreign({ clock: 'virtual' }, features);
    foreign.onFrame = () => foreign.add();
    foreign.add();
    foreign.kick();
    expect(await foreign.bench.hw.sched.run()).toEqual({ kind: 'idle' });
    expect([foreign.out, foreign.kick()]).toEqual([1, 2]);
  });

  it('is let alone once it is reset', async () => {
    const foreign = new Foreign({ clock: 'paced', pacer: new Hand().pacer }, features);
    const { driver, bench } = foreign;
    foreign.onFrame = () => void (driver.status = 0);
    foreign.add();
    foreign.kick();
    expect(await bench.hw.sched.run()).toEqual({ kind: 'idle' });
    expect([foreign.out, driver.fn.counters.needsReset]).toEqual([1, 0]);
  });

  it('is not touched where its mapping has gone, and asks for a reset at the end of its time', async () => {
    const hand = new Hand();
    const foreign = new Foreign({ clock: 'paced', pacer: hand.pacer }, features);
    const { driver, bench } = foreign;
    foreign.onFrame = () => {
      bench.hw.iommu!.attach(driver.fn.rid, null, bench.hw.iommu!.createTable());
      foreign.add();
      bench.hw.sched.timer('later', 1, () => void (hand.now += LONG) as undefined);
      hand.now += 1;
    };
    foreign.add();
    foreign.kick();
    expect(await bench.hw.sched.run()).toEqual({ kind: 'idle' });
    expect([foreign.out, driver.fn.fault?.rule]).toEqual([1, 'virtio.ring-area']);
  });
});
