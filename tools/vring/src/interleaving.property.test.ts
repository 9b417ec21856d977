/** Driver and device steps in any order: no buffer is lost, none comes twice, nobody sleeps through work. */
import { covers } from '@vdpalab/features';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  ChainBatch, GatheredPackedDevice, MirroredSplitDevice, PackedDevice, PackedDriver, RegionTranslate, SplitDevice, SplitDriver, packedRingIn, ringMemory, splitRingIn,
} from './index.ts';
import type { RingDevice, RingDriver, RingMemory } from './index.ts';
import { Mirror } from './mock/index.ts';

const BUFFERS = 0x8000; // where segments point: they are never touched here

/** What a buffer was given as. */
interface Buffer {
  readonly out: number;
  readonly into: number;
  readonly lengths: readonly number[];
}

const shape = fc.record({ out: fc.nat(3), into: fc.nat(3) }).filter(({ out, into }) => out + into > 0);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('add' as const), shape, many: fc.nat(6) }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('take' as const), n: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('use' as const), n: fc.integer({ min: 1, max: 6 }), pick: fc.nat(), batch: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('drain' as const), n: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('get' as const), n: fc.integer({ min: 1, max: 6 }), many: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('kick' as const) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('interrupt' as const) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('deviceSleep' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('deviceBusy' as const) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('driverSleep' as const), delayed: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('driverBusy' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('migrate' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('unpop' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface World {
  readonly packed: boolean;
  readonly order: number;
  /** Where the queue starts: an index, or a packed ring's position. */
  readonly start: number;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  readonly threaded: boolean;
  /** Whether the device sees a mirror only. */
  readonly remote: boolean;
  readonly steps: readonly Step[];
}

/** The model and the rings must agree. */
function same(actual: unknown, expected: unknown): undefined {
  expect(actual).toEqual(expected);
}

/** Both sides of a ring; the device's can be made anew. */
interface Rings {
  readonly driver: RingDriver & { readonly inFlight: number };
  readonly makeDevice: () => RingDevice;
}

function splitRings(w: World, memory: RingMemory, seen: RingMemory): Rings {
  const areas = splitRingIn(memory, 0, sizeOf(w));
  const driver = new SplitDriver(areas, { eventIdx: w.eventIdx, indirect: pool(w, memory), threaded: w.threaded });
  driver.startAt(w.start);
  const options = { eventIdx: w.eventIdx, translate: new RegionTranslate([{ base: 0, memory: seen }]), threaded: w.threaded };
  const at = { num: areas.num, desc: areas.desc.offset, avail: areas.avail.offset, used: areas.used.offset };
  return { driver, makeDevice: () => (w.remote ? new MirroredSplitDevice(at, options) : new SplitDevice(areas, options)) };
}

function packedRings(w: World, memory: RingMemory, seen: RingMemory): Rings {
  const areas = packedRingIn(memory, 0, sizeOf(w));
  const driver = new PackedDriver(areas, { eventIdx: w.eventIdx, indirect: pool(w, memory), threaded: w.threaded });
  driver.startAt(packedStart(w));
  const options = { eventIdx: w.eventIdx, translate: new RegionTranslate([{ base: 0, memory: seen }]), threaded: w.threaded };
  const at = { num: areas.num, desc: areas.desc.offset, driver: areas.driver.offset, device: areas.device.offset };
  return { driver, makeDevice: () => (w.remote ? new GatheredPackedDevice(at, options) : new PackedDevice(areas, options)) };
}

const pool = (w: World, memory: RingMemory) => (w.indirect ? { area: { memory, offset: 0x4000 }, busLo: 0x4000, busHi: 0, segments: 4 } : null);
/** Descriptors: a packed ring need not have a power of two of them. */
const sizeOf = ({ packed, order, start }: World): number => (1 << order) + (packed ? start & 3 : 0);
const packedStart = (w: World): number => (w.start & 0x8000) | ((w.start & 0x7fff) % sizeOf(w));

/** Rings, and what a simple model thinks of them. */
class Model {
  readonly driver: Rings['driver'];
  device: RingDevice;
  readonly batch = new ChainBatch(8, 64);
  /** Tokens the device has not taken, oldest first. */
  readonly available: number[] = [];
  /** Chains the device has taken and not used. */
  taken: { head: number; token: number }[] = [];
  /** Used and not taken back, oldest first; `entries` is how far each takes the used index. */
  readonly used: { token: number; length: number; entries: number }[] = [];
  readonly buffers = new Map<number, Buffer>();
  free: number;
  nextToken = 0;
  deviceSleeps = false;
  driverSleeps: 'no' | 'yes' | 'delayed' = 'no';
  readonly w: World;
  private readonly makeDevice: () => RingDevice;

  constructor(w: World) {
    this.w = w;
    this.free = sizeOf(w);
    const memory = ringMemory(new SharedArrayBuffer(0x10000));
    const seen = w.remote ? new Mirror(memory.u8).memory : memory;
    const rings = w.packed ? packedRings(w, memory, seen) : splitRings(w, memory, seen);
    this.driver = rings.driver;
    this.makeDevice = rings.makeDevice;
    this.device = this.makeDevice();
    const start = w.packed ? packedStart(w) : w.start;
    this.device.restore({ lastAvail: start, lastUsed: start });
  }

  step(s: Step): undefined {
    switch (s.op) {
      case 'add': return this.add(s.shape.out, s.shape.into, s.many);
      case 'take': return this.take(s.n);
      case 'use': return this.use(s.n, s.pick, s.batch);
      case 'drain': return this.drain(s.n);
      case 'get': return this.get(s.n, s.many);
      case 'kick': return this.kick();
      case 'interrupt': return this.interrupt();
      case 'deviceSleep':
        this.deviceSleeps = this.device.enableNotify();
        same(this.deviceSleeps, this.available.length === 0);
        return;
      case 'deviceBusy':
        this.device.disableNotify();
        this.deviceSleeps = false;
        return;
      case 'driverSleep': return this.driverSleep(s.delayed);
      case 'driverBusy':
        this.driver.disableCallbacks();
        this.driverSleeps = 'no';
        return;
      case 'migrate': {
        // How many descriptors a chain has is not in a packed ring once its device has used another in front of it.
        if (this.w.packed && this.taken.length > 0) return;
        const state = this.device.save();
        this.device = this.makeDevice();
        this.device.restore(state);
        // What the old device had told the driver about kicks and interrupts is told anew.
        this.deviceSleeps = false;
        this.driverSleeps = 'no';
        this.driver.kickPrepare();
        return;
      }
      case 'unpop': {
        if (this.undoable === 0) return;
        this.undoable--;
        this.device.unpop(1);
        this.deviceSleeps = false; // it has work, and knows
        this.available.unshift(this.taken.pop()!.token);
      }
    }
  }

  /** Everything that is in the rings comes back, once, and the ring is whole again. */
  finish(): undefined {
    while (this.available.length > 0) this.take(8);
    this.use(this.taken.length, 0, true);
    while (this.used.length > 0) this.get(8, true);
    same([this.driver.numFree, this.driver.inFlight, this.driver.get(), this.buffers.size], [sizeOf(this.w), 0, -1, 0]);
    same(this.driver.broken, false);
  }

  /** Chains taken last, of which none was used since. */
  private undoable = 0;

  private cost(out: number, into: number): number {
    return this.w.indirect && out + into > 1 && out + into <= 4 ? 1 : out + into;
  }

  private add(out: number, into: number, many: number): undefined {
    const total = out + into;
    const count = Math.max(many, 1);
    const segments = new Uint32Array(3 * total * count);
    const tokens = Int32Array.from({ length: count }, (_, i) => this.nextToken + i);
    for (let i = 0; i < total * count; i++) segments.set([BUFFERS + i, 0, (this.nextToken * 7 + i) % 1000 + 1], 3 * i);
    const fits = Math.min(count, Math.floor(this.free / this.cost(out, into)));
    if (many === 0) same(this.driver.add(segments, 0, out, into, tokens[0]), fits === 1 ? 0 : -28);
    else same(this.driver.addMany(count, segments, 0, out, into, tokens, 0), fits === 0 ? -28 : fits);
    for (let b = 0; b < fits; b++) {
      const lengths = Array.from({ length: total }, (_, k) => segments[3 * (b * total + k) + 2]);
      this.buffers.set(tokens[b], { out, into, lengths });
      this.available.push(tokens[b]);
    }
    this.nextToken += count;
    this.free -= fits * this.cost(out, into);
    same(this.driver.numFree, this.free);
  }

  private take(n: number): undefined {
    const got = this.device.walk(this.batch, n);
    same(got, Math.min(n, this.available.length));
    for (let c = 0; c < got; c++) {
      const token = this.available.shift()!;
      const buffer = this.buffers.get(token)!;
      const lengths = [...this.batch.length.slice(this.batch.start[c], this.batch.start[c + 1])];
      same(lengths, buffer.lengths);
      same(this.batch.split[c] - this.batch.start[c], buffer.out);
      this.taken.push({ head: this.batch.head[c], token });
    }
    this.undoable += got;
  }

  private use(n: number, pick: number, batch: boolean): undefined {
    const chosen: { head: number; token: number }[] = [];
    for (let i = 0; i < n && this.taken.length > 0; i++) chosen.push(this.taken.splice(pick % this.taken.length, 1)[0]);
    if (chosen.length > 0) this.undoable = 0;
    for (let at = 0; at < chosen.length; at += 8) {
      const some = chosen.slice(at, at + 8);
      const used = new ChainBatch(8, 1);
      used.count = some.length;
      some.forEach(({ head, token }, c) => {
        used.head[c] = head;
        used.written[c] = token * 3;
        if (!batch) this.device.push(head, token * 3);
        this.used.push({ token, length: token * 3, entries: this.entries(token) });
      });
      if (batch) this.device.pushMany(used);
    }
  }

  private drain(n: number): undefined {
    const before = this.device.drainedBytes;
    const got = this.device.drain(n);
    same(got, Math.min(n, this.available.length));
    const tokens = this.available.splice(0, got);
    const bytes = tokens.flatMap((token) => this.buffers.get(token)!.lengths).reduce((a, b) => a + b, 0);
    same(this.device.drainedBytes - before, bytes);
    this.used.push(...tokens.map((token) => ({ token, length: 0, entries: this.entries(token) })));
    if (got > 0) this.undoable = 0;
  }

  private get(n: number, many: boolean): undefined {
    const tokens = new Int32Array(n);
    const lengths = new Uint32Array(n);
    let got = 0;
    if (many) got = this.driver.getMany(tokens, lengths, n);
    else for (; got < n && (tokens[got] = this.driver.get()) >= 0; got++) lengths[got] = this.driver.usedLength;
    same(got, Math.min(n, this.used.length));
    for (let i = 0; i < got; i++) {
      const { token, length } = this.used.shift()!;
      same([tokens[i], lengths[i]], [token, length]);
      const { out, into } = this.buffers.get(token)!;
      this.buffers.delete(token);
      this.free += this.cost(out, into);
    }
    same(this.driver.numFree, this.free);
    if (got > 0 && this.driverSleeps === 'delayed') this.driverSleeps = 'no';
  }

  private kick(): undefined {
    const kicked = this.driver.kickPrepare();
    // A device that sleeps has seen all there was: what is there now was added since, and it must be told.
    if (this.deviceSleeps && this.available.length > 0) same(kicked, true);
    if (kicked) this.deviceSleeps = false;
  }

  private interrupt(): undefined {
    const interrupted = this.device.needInterrupt();
    if (this.driverSleeps === 'yes' && this.used.length > 0) same(interrupted, true);
    if (this.driverSleeps === 'delayed' && this.usedEntries() > this.sleepMark) same(interrupted, true);
    if (interrupted) this.driverSleeps = 'no';
  }

  /** Used entries a driver in delayed sleep lets pass. */
  private sleepMark = 0;

  private driverSleep(delayed: boolean): undefined {
    const { packed } = this.w;
    const inFlight = packed ? sizeOf(this.w) - this.free : this.available.length + this.taken.length + this.used.length;
    const most = Math.floor((inFlight * 3) / 4);
    const slept = delayed ? this.driver.enableCallbacksDelayed() : this.driver.enableCallbacks();
    same(slept, this.used.length <= (delayed && !packed ? most : 0));
    this.driverSleeps = slept ? (delayed ? 'delayed' : 'yes') : 'no';
    this.sleepMark = most;
  }

  /** How far a buffer's used entry takes the used index. */
  private entries(token: number): number {
    const { out, into } = this.buffers.get(token)!;
    return this.w.packed ? this.cost(out, into) : 1;
  }

  private usedEntries(): number {
    return this.used.reduce((sum, { entries }) => sum + entries, 0);
  }
}

test('no buffer is lost, none comes twice, and a sleeper is woken', () => {
  covers('2.7.5');
  fc.assert(
    fc.property(
      fc.record({
        packed: fc.boolean(), order: fc.integer({ min: 0, max: 5 }),
        start: fc.oneof(fc.constant(0), fc.integer({ min: 0xffe0, max: 0xffff }), fc.nat(0xffff)),
        eventIdx: fc.boolean(), indirect: fc.boolean(), threaded: fc.boolean(), remote: fc.boolean(),
        steps: fc.array(step, { maxLength: 120, size: 'max' }),
      }),
      (w) => {
        const model = new Model(w);
        for (const s of w.steps) model.step(s);
        model.finish();
      },
    ),
    { numRuns: 600 },
  );
});
