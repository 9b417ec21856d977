/** The rings under measurement, set up as `ring.c` sets up its own. */
import { ChainBatch, Copier, PackedDevice, PackedDriver, RegionTranslate, Runs, SplitDevice, SplitDriver, packedRingIn, ringMemory } from '../index.ts';
import type { RingMemory, SplitRingAreas, WasmMemory } from '../index.ts';

/** Buffers per turn. */
export const BATCH = 32;
const NUM = 256;
const RAM_SIZE = 1 << 24;
const BUS_BASE = 0x4000_0000;
const FRAME = 1500;
/** Buffers of 2 KiB that frames go through: 8 MiB. */
const SLOTS = 4096;
const BUFFERS = 0x10_0000;
const SCRATCH = 0xa0_0000;

/** What the C anchor calls these kinds of work, by number. */
export const KINDS = ['one', 'chain3', 'indirect3', 'receive 1500', 'transmit 1500', 'packed one', 'packed chain3', 'packed ind3'] as const;
/** Kinds on a packed ring, from the first on. */
const PACKED = 5;

/** Run `turns` rounds of {@link BATCH} buffers. */
export type Turns = (turns: number) => undefined;

/** One way to move buffers through a ring. */
export interface Subject {
  readonly name: string;
  /** Work by kind; absent where this way does not apply. */
  readonly turns: readonly (Turns | undefined)[];
}

interface Ring<Driver = SplitDriver, Device = SplitDevice> {
  readonly driver: Driver;
  readonly device: Device;
}

function makeRam(): RingMemory {
  const { Memory } = (globalThis as unknown as { WebAssembly: { Memory: new (d: object) => WasmMemory } }).WebAssembly;
  const pages = RAM_SIZE / 65536;
  return ringMemory(new Memory({ initial: pages, maximum: pages, shared: true }));
}

function makeRing(ram: RingMemory, kind: number, raw = false): Ring {
  const at = kind * 0x10000;
  const areas: SplitRingAreas = {
    num: NUM,
    desc: { memory: ram, offset: at },
    avail: { memory: ram, offset: at + 0x1000 },
    used: { memory: ram, offset: at + 0x1240 },
  };
  const translate = new RegionTranslate([{ base: BUS_BASE, memory: ram }]);
  const indirect = { area: { memory: ram, offset: at + 0x4800 }, busLo: BUS_BASE + at + 0x4800, busHi: 0, segments: 4 };
  return {
    driver: new SplitDriver(areas, { indirect: kind === 2 ? indirect : null }),
    device: new SplitDevice(areas, { translate, raw }),
  };
}

function makePackedRing(ram: RingMemory, kind: number, raw: boolean): Ring<PackedDriver, PackedDevice> {
  const at = kind * 0x10000;
  const areas = packedRingIn(ram, at, NUM);
  const translate = new RegionTranslate([{ base: BUS_BASE, memory: ram }]);
  const indirect = { area: { memory: ram, offset: at + 0x4800 }, busLo: BUS_BASE + at + 0x4800, busHi: 0, segments: 4 };
  return {
    driver: new PackedDriver(areas, { indirect: kind === PACKED + 2 ? indirect : null }),
    device: new PackedDevice(areas, { translate, raw }),
  };
}

function makeSegments(): Uint32Array {
  const segments = new Uint32Array(3 * 3 * BATCH);
  for (let k = 0; k < 3 * BATCH; k++) segments.set([BUS_BASE + BUFFERS + k * 2048, 0, 64 + k], 3 * k);
  return segments;
}

/** Tokens to give and to take. */
class Tokens {
  readonly give = Int32Array.from({ length: BATCH }, (_, i) => i);
  private readonly got = new Int32Array(BATCH);
  private readonly lengths = new Uint32Array(BATCH);

  takeAll(driver: SplitDriver | PackedDriver): undefined {
    if (driver.getMany(this.got, this.lengths, BATCH) !== BATCH) throw new Error('a buffer was lost');
  }
}

/** Driver and device in bulk calls; the device uses each chain up. */
export function bulkSubject(name: string, raw: boolean): Subject {
  const ram = makeRam();
  const segments = makeSegments();
  const tokens = new Tokens();
  const run = ({ driver, device }: Ring, out: number, turns: number): undefined => {
    for (let t = 0; t < turns; t++) {
      driver.addMany(BATCH, segments, 0, out, 0, tokens.give, 0);
      device.drain(BATCH);
      tokens.takeAll(driver);
    }
  };
  const turns = [1, 3, 3].map((out, kind) => {
    const ring = makeRing(ram, kind, raw);
    return (count: number) => run(ring, out, count);
  });
  return { name, turns };
}

/** {@link bulkSubject} on a packed ring: a loop of its own, so that V8 compiles it for one kind of ring. */
export function packedSubject(name: string, raw: boolean): Subject {
  const ram = makeRam();
  const segments = makeSegments();
  const tokens = new Tokens();
  const run = ({ driver, device }: Ring<PackedDriver, PackedDevice>, out: number, turns: number): undefined => {
    for (let t = 0; t < turns; t++) {
      driver.addMany(BATCH, segments, 0, out, 0, tokens.give, 0);
      device.drain(BATCH);
      tokens.takeAll(driver);
    }
  };
  const turns = [1, 3, 3].map((out, k) => {
    const ring = makePackedRing(ram, PACKED + k, raw);
    return (count: number) => run(ring, out, count);
  });
  return { name, turns: [undefined, undefined, undefined, undefined, undefined, ...turns] };
}

/** Driver and device in bulk calls; the device describes chains in arrays, then uses them up. */
export function walkSubject(): Subject {
  const ram = makeRam();
  const segments = makeSegments();
  const tokens = new Tokens();
  const batch = new ChainBatch(BATCH, 4 * BATCH);
  let sum = 0;
  const run = ({ driver, device }: Ring, out: number, turns: number): undefined => {
    for (let t = 0; t < turns; t++) {
      driver.addMany(BATCH, segments, 0, out, 0, tokens.give, 0);
      device.walk(batch, BATCH);
      const { offset, length } = batch;
      const end = batch.start[batch.count];
      for (let s = 0; s < end; s++) sum = (sum + offset[s] + length[s]) | 0;
      device.pushMany(batch);
      tokens.takeAll(driver);
    }
  };
  const turns = [1, 3, 3].map((out, kind) => {
    const ring = makeRing(ram, kind);
    return (count: number) => run(ring, out, count);
  });
  return { name: 'walk into arrays', turns };
}

/** One call per buffer on either side. */
export function singleSubject(): Subject {
  const ram = makeRam();
  const segments = makeSegments();
  const one = new ChainBatch(1, 16);
  const run = ({ driver, device }: Ring, out: number, turns: number): undefined => {
    for (let t = 0; t < turns; t++) {
      for (let b = 0; b < BATCH; b++) driver.add(segments, 3 * b * out, out, 0, b);
      while (device.pop(one) > 0) device.push(one.head[0], 0);
      while (driver.get() >= 0);
    }
  };
  const turns = [1, 3, 3].map((out, kind) => {
    const ring = makeRing(ram, kind);
    return (count: number) => run(ring, out, count);
  });
  return { name: 'one call per buffer', turns };
}

/** Frames of 1500 bytes, copied by the device, through 8 MiB of buffers. */
export function frameSubject(): Subject {
  const ram = makeRam();
  const tokens = new Tokens();
  const segments = new Uint32Array(3 * BATCH);
  const frame = new Runs(1);
  frame.add(ram, SCRATCH, FRAME);
  const copier = new Copier();
  const sink = {
    frame(runs: Runs): boolean {
      copier.copy(ram, SCRATCH, runs.memory[0], runs.offset[0], runs.length[0]);
      return true;
    },
  };
  let slot = 0;
  const fill = (length: number): undefined => {
    for (let b = 0; b < BATCH; b++) {
      segments[3 * b] = BUS_BASE + BUFFERS + (slot++ & (SLOTS - 1)) * 2048;
      segments[3 * b + 2] = length;
    }
  };
  const receiving = makeRing(ram, 3);
  const receive = (turns: number): undefined => {
    const { driver, device } = receiving;
    for (let t = 0; t < turns; t++) {
      fill(2048);
      driver.addMany(BATCH, segments, 0, 0, 1, tokens.give, 0);
      while (device.receive(frame, 0) > 0);
      device.flush();
      tokens.takeAll(driver);
    }
  };
  const transmitting = makeRing(ram, 4);
  const transmit = (turns: number): undefined => {
    const { driver, device } = transmitting;
    for (let t = 0; t < turns; t++) {
      fill(FRAME);
      driver.addMany(BATCH, segments, 0, 1, 0, tokens.give, 0);
      device.transmit(sink, BATCH);
      tokens.takeAll(driver);
    }
  };
  return { name: 'frames', turns: [undefined, undefined, undefined, receive, transmit] };
}
