/** The rings under measurement, set up as `ring.c` sets up its own. */
import {
  ChainBatch, RegionTranslate, SplitDevice, SplitDriver, ringMemory,
} from '../index.ts';
import type { SplitRingAreas } from '../index.ts';

/** Buffers per turn. */
export const BATCH = 32;
const NUM = 256;
const RAM_SIZE = 1 << 22;
const BUS_BASE = 0x4000_0000;

/** What carries the buffers: 0 one descriptor, 1 a chain of three, 2 an indirect table of three. */
export const SHAPES = ['one', 'chain3', 'indirect3'] as const;

interface Ring {
  readonly driver: SplitDriver;
  readonly device: SplitDevice;
}

/** Run `turns` rounds of {@link BATCH} buffers. */
export type Turns = (turns: number) => undefined;

/** One way to move buffers through a ring, one function per shape. */
export interface Subject {
  readonly name: string;
  readonly turns: readonly Turns[];
}

function makeRam() {
  const { Memory } = (globalThis as unknown as {
    WebAssembly: { Memory: new (d: object) => { readonly buffer: ArrayBufferLike } };
  }).WebAssembly;
  return ringMemory(new Memory({ initial: RAM_SIZE / 65536, maximum: RAM_SIZE / 65536, shared: true }));
}

function makeRing(ram: ReturnType<typeof makeRam>, shape: number, raw: boolean): Ring {
  const at = shape * 0x10000;
  const areas: SplitRingAreas = {
    num: NUM,
    desc: { memory: ram, offset: at },
    avail: { memory: ram, offset: at + 0x1000 },
    used: { memory: ram, offset: at + 0x1240 },
  };
  const translate = new RegionTranslate([{ base: BUS_BASE, memory: ram }]);
  const indirect = { area: { memory: ram, offset: at + 0x4800 }, busLo: BUS_BASE + at + 0x4800, busHi: 0, segments: 4 };
  return {
    driver: new SplitDriver(areas, { indirect: shape === 2 ? indirect : null }),
    device: new SplitDevice(areas, { translate, raw }),
  };
}

function makeSegments(): Uint32Array {
  const segments = new Uint32Array(3 * 3 * BATCH);
  for (let k = 0; k < 3 * BATCH; k++) segments.set([BUS_BASE + 0x10_0000 + k * 2048, 0, 64 + k], 3 * k);
  return segments;
}

/** Driver and device in bulk calls; the device uses each chain up. */
export function bulkSubject(raw: boolean): Subject {
  const ram = makeRam();
  const segments = makeSegments();
  const tokens = Int32Array.from({ length: BATCH }, (_, i) => i);
  const got = new Int32Array(BATCH);
  const lengths = new Uint32Array(BATCH);
  const run = ({ driver, device }: Ring, out: number, turns: number): undefined => {
    for (let t = 0; t < turns; t++) {
      driver.addMany(BATCH, segments, 0, out, 0, tokens, 0);
      device.drain(BATCH);
      if (driver.getMany(got, lengths, BATCH) !== BATCH) throw new Error('a buffer was lost');
    }
  };
  return {
    name: raw ? 'bulk, addresses not translated' : 'bulk',
    turns: SHAPES.map((_, shape) => {
      const ring = makeRing(ram, shape, raw);
      return (turns: number) => run(ring, shape === 0 ? 1 : 3, turns);
    }),
  };
}

/** Driver and device in bulk calls; the device describes chains in arrays, then uses them up. */
export function walkSubject(): Subject {
  const ram = makeRam();
  const segments = makeSegments();
  const tokens = Int32Array.from({ length: BATCH }, (_, i) => i);
  const got = new Int32Array(BATCH);
  const lengths = new Uint32Array(BATCH);
  const batch = new ChainBatch(BATCH, 4 * BATCH);
  let sum = 0;
  const run = ({ driver, device }: Ring, out: number, turns: number): undefined => {
    for (let t = 0; t < turns; t++) {
      driver.addMany(BATCH, segments, 0, out, 0, tokens, 0);
      device.walk(batch, BATCH);
      const { offset, length } = batch;
      const end = batch.start[batch.count]!;
      for (let s = 0; s < end; s++) sum = (sum + offset[s]! + length[s]!) | 0;
      device.pushMany(batch);
      if (driver.getMany(got, lengths, BATCH) !== BATCH) throw new Error('a buffer was lost');
    }
  };
  return {
    name: 'walk into arrays',
    turns: SHAPES.map((_, shape) => {
      const ring = makeRing(ram, shape, false);
      return (turns: number) => run(ring, shape === 0 ? 1 : 3, turns);
    }),
  };
}

/** One call per buffer on either side. */
export function singleSubject(): Subject {
  const ram = makeRam();
  const segments = makeSegments();
  const one = new ChainBatch(1, 16);
  const run = ({ driver, device }: Ring, out: number, turns: number): undefined => {
    for (let t = 0; t < turns; t++) {
      for (let b = 0; b < BATCH; b++) driver.add(segments, 3 * b * out, out, 0, b);
      while (device.pop(one) > 0) device.push(one.head[0]!, one.length[0]!);
      while (driver.get() >= 0);
    }
  };
  return {
    name: 'one call per buffer',
    turns: SHAPES.map((_, shape) => {
      const ring = makeRing(ram, shape, false);
      return (turns: number) => run(ring, shape === 0 ? 1 : 3, turns);
    }),
  };
}
