/** Whatever bytes a driver puts into a ring: no hang, no throw, no touch outside, and fast and slow devices agree. */
import { covers } from '@vdpalab/features';
import { VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  ChainBatch, GatheredPackedDevice, GatheredSplitDevice, MirroredSplitDevice, PackedDevice, Runs, SplitDevice, ringMemory, resolveSplitAreas,
} from './index.ts';
import type { PackedRingAreas, RingDevice, RingDeviceOptions } from './index.ts';
import { MockPackedRing, MockRing, PagedMemory } from './mock/index.ts';

const PAGE = 64;
const RING_PAGES = 6;
const DATA_PAGES = 10;
const PAGES = RING_PAGES + DATA_PAGES;
const BASE = 0xffff_fe80; // pages lie on both sides of 4 GiB
const DATA = BASE + RING_PAGES * PAGE;
const END = BASE + PAGES * PAGE;

/** An address in or around the data pages, or anything. */
const address = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: DATA, max: END - 1 }).map(BigInt) },
  { weight: 2, arbitrary: fc.integer({ min: BASE - 20, max: END + 20 }).map(BigInt) },
  { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }) },
);
const length = fc.oneof({ weight: 10, arbitrary: fc.nat(80) }, { weight: 2, arbitrary: fc.constantFrom(16, 32, 48) }, { weight: 1, arbitrary: fc.nat(0xffff_ffff) });
const flags = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(0, 1, 2, 3, 1, 3) }, { weight: 2, arbitrary: fc.constantFrom(4, 5, 6, 7) }, { weight: 1, arbitrary: fc.nat(0xffff) });
const descriptor = (num: number) => fc.record({
  addr: address, len: length, flags, next: fc.oneof({ weight: 9, arbitrary: fc.nat(num - 1) }, { weight: 1, arbitrary: fc.nat(0xffff) }),
});
/** A table of descriptors somewhere in the data, and a descriptor that points to it. */
const table = fc.record({ at: fc.nat(DATA_PAGES * PAGE - 64), descriptors: fc.array(descriptor(4), { minLength: 1, maxLength: 4 }) });

const step = fc.oneof(
  fc.record({ op: fc.constant('walk' as const), n: fc.nat(12), push: fc.boolean() }),
  fc.record({ op: fc.constant('pop' as const), push: fc.boolean() }),
  fc.record({ op: fc.constant('drain' as const), n: fc.nat(12) }),
  fc.record({ op: fc.constant('transmit' as const), n: fc.nat(12), takes: fc.nat(12) }),
  fc.record({ op: fc.constant('receive' as const), bytes: fc.integer({ min: 1, max: 100 }), flags: fc.nat(3) }),
  fc.record({ op: fc.constant('flush' as const) }),
  fc.record({ op: fc.constant('notify' as const), on: fc.boolean() }),
  fc.record({ op: fc.constant('interrupt' as const) }),
  fc.record({ op: fc.constant('poke' as const), at: fc.nat(RING_PAGES * PAGE - 1), byte: fc.nat(255) }),
  fc.record({ op: fc.constant('offer' as const), heads: fc.array(fc.nat(9), { maxLength: 6 }) }),
  fc.record({ op: fc.constant('perm' as const), page: fc.integer({ min: RING_PAGES, max: PAGES - 1 }), perm: fc.constantFrom(0, VHOST_ACCESS_RO, VHOST_ACCESS_WO, VHOST_ACCESS_RW) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const world = fc.integer({ min: 0, max: 3 }).map((k) => 1 << k).chain((num) => fc.record({
  packed: fc.boolean(), num: fc.constant(num),
  start: fc.constantFrom(0, 0, 1, 0xfffc, 0xffff),
  descriptors: fc.array(descriptor(num), { minLength: num, maxLength: num }),
  tables: fc.array(table, { maxLength: 3 }),
  heads: fc.array(fc.oneof({ weight: 12, arbitrary: fc.nat(num - 1) }, { weight: 1, arbitrary: fc.nat(0xffff) }), { maxLength: 2 * num }),
  jump: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(40) }),
  noise: fc.option(fc.uint8Array({ minLength: RING_PAGES * PAGE, maxLength: RING_PAGES * PAGE }), { freq: 8 }),
  perms: fc.array(fc.constantFrom(VHOST_ACCESS_RW, VHOST_ACCESS_RW, VHOST_ACCESS_RW, VHOST_ACCESS_RO, VHOST_ACCESS_WO, 0), { minLength: DATA_PAGES, maxLength: DATA_PAGES }),
  places: fc.shuffledSubarray(Array.from({ length: PAGES }, (_, i) => i), { minLength: PAGES }),
  eventIdx: fc.boolean(), raw: fc.boolean(), checkIndexJump: fc.boolean(), maxChain: fc.constantFrom(1, 2, 5, 1024),
  threaded: fc.boolean(),
  steps: fc.array(step, { maxLength: 20 }),
}));
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

/** How the device gets at the ring, and at what descriptors lead to. */
type Kind = 'fast' | 'gathered' | 'mirrored' | 'fast, remote data';

/** A device, and how the driver gives it chains. */
interface Ring {
  readonly device: RingDevice;
  readonly offer: (...heads: readonly number[]) => undefined;
}

function splitRing(w: World, kind: Kind, memory: PagedMemory, options: RingDeviceOptions): Ring {
  const ring = new MockRing(memory, BASE, w.num, w.start);
  w.descriptors.forEach((d, i) => ring.setDescriptor(i, d));
  for (const t of w.tables) t.descriptors.forEach((d, i) => ring.setDescriptorAt(DATA + ((t.at + 16 * i) % (DATA_PAGES * PAGE - 16)), d));
  w.tables.forEach((t, i) => ring.setDescriptor(i % w.num, { addr: DATA + t.at, len: 16 * t.descriptors.length, flags: 4 }));
  ring.offer(...w.heads);
  if (w.jump > 0) ring.setAvailIndex(w.start + w.jump);
  if (w.noise !== null) memory.write(BASE, w.noise);
  const Device = kind === 'gathered' ? GatheredSplitDevice : MirroredSplitDevice;
  const device = kind.startsWith('fast') ? new SplitDevice(resolveSplitAreas(ring, memory)!, options) : new Device(ring, options);
  device.restore({ lastAvail: w.start, lastUsed: w.start });
  return { device, offer: (...heads) => ring.offer(...heads) };
}

/** Most descriptors of a chain that is offered: with NEXT in its last it goes on where nothing is available. */
const OFFERED = 4;

function packedRing(w: World, kind: Kind, memory: PagedMemory, options: RingDeviceOptions): Ring {
  const num = w.num + (w.start & 3);
  const start = (w.start & 0x8000) | ((w.start & 0x7fff) % num);
  const tables = new MockRing(memory, BASE, 1); // its descriptors have flags and next where a packed one has id and flags
  const ring = new MockPackedRing(memory, BASE, num, start);
  for (const t of w.tables) {
    t.descriptors.forEach((d, i) => tables.setDescriptorAt(DATA + ((t.at + 16 * i) % (DATA_PAGES * PAGE - 16)), { ...d, flags: d.next, next: d.flags }));
  }
  const given = [...w.descriptors.map((d) => ({ ...d, id: d.next })), ...w.tables.map((t, id) => ({ addr: DATA + t.at, len: 16 * t.descriptors.length, flags: 4, id }))];
  const offer = (...heads: readonly number[]): undefined => {
    for (const head of heads) {
      for (let i = head, n = 0; n < OFFERED; i++, n++) {
        const descriptor = given[i % given.length];
        ring.offer(descriptor);
        if ((descriptor.flags & 1) === 0) break;
      }
    }
  };
  offer(...w.heads);
  if (w.noise !== null) memory.write(BASE, w.noise);
  const place = (address: number) => ({ memory: memory.memory, offset: memory.placeOf(address) });
  const areas: PackedRingAreas = { num, desc: place(ring.desc), driver: place(ring.driver), device: place(ring.device) };
  const device = kind.startsWith('fast') ? new PackedDevice(areas, options) : new GatheredPackedDevice(ring, options);
  device.restore({ lastAvail: start, lastUsed: start });
  return { device, offer };
}

/** Build a world, run its steps, and tell all that can be seen, and how many lookups were refused. `fine` tells segments too. */
function run(w: World, kind: Kind, places: readonly number[], merge: boolean, fine: boolean): { seen: unknown[]; refusals: number } {
  const perms = [...Array.from({ length: RING_PAGES }, () => VHOST_ACCESS_RW), ...w.perms];
  const remoteFrom = { mirrored: 0, 'fast, remote data': RING_PAGES, fast: PAGES, gathered: PAGES }[kind];
  const memory = new PagedMemory({ pageSize: PAGE, base: BASE, places, perms, merge, remoteFrom });
  const options: RingDeviceOptions = {
    translate: memory, eventIdx: w.eventIdx, raw: w.raw, checkIndexJump: w.checkIndexJump, maxChain: w.maxChain, threaded: w.threaded,
  };
  const { device, offer } = (w.packed ? packedRing : splitRing)(w, kind, memory, options);
  const seen: unknown[] = [];
  for (const s of w.steps) {
    // It need not look while it knows of chains, so that it would hear later of what no driver does.
    if (device instanceof MirroredSplitDevice || device instanceof GatheredPackedDevice) device.forget();
    seen.push(s.op, act(s, w, memory, offer, device, fine), device.rule, device.reason, device.save(), device.lastHead, device.drainedBytes);
  }
  device.flush(); // what is not published need not have been pushed
  seen.push(Buffer.from(memory.contents()).toString('hex'));
  expect(memory.guardsHold()).toBe(true);
  expect(memory.lookups).toBeLessThan(100_000);
  return { seen, refusals: memory.refusals };
}

/** Write up to `bytes` bytes into a chain, as a device does before it says so. @returns bytes written; all are when the ring is raw */
function writeInto(batch: ChainBatch, c: number, bytes: number): number {
  let done = 0;
  for (let s = batch.split[c]; s < batch.start[c + 1]; s++) {
    const memory = batch.memory[s];
    if (memory === null) return bytes;
    const n = Math.min(batch.length[s], bytes - done);
    memory.u8.fill(0x50 + c, batch.offset[s], batch.offset[s] + n);
    done += n;
  }
  return done;
}

function act(s: Step, w: World, memory: PagedMemory, offer: Ring['offer'], device: RingDevice, fine: boolean): unknown {
  const batch = new ChainBatch(16, 64);
  switch (s.op) {
    case 'walk':
    case 'pop': {
      const n = s.op === 'walk' ? device.walk(batch, s.n) : device.pop(batch);
      const chains = Array.from({ length: batch.count }, (_, c) => [batch.head[c], batch.readable(c), batch.writable(c)]);
      const end = batch.start[batch.count];
      const segments = [batch.start, batch.split].map((a) => [...a.slice(0, batch.count)]);
      const where = [batch.offset, batch.addrLo, batch.addrHi, batch.length].map((a) => [...a.slice(0, end)]);
      const nulls = batch.memory.slice(0, end).map((m) => m === null);
      if (s.push) {
        for (let c = 0; c < batch.count; c++) batch.written[c] = writeInto(batch, c, c * 3);
        device.pushMany(batch);
      }
      return [n, chains, ...(fine ? [segments, where, nulls] : [])];
    }
    case 'drain':
      return device.drain(s.n);
    case 'transmit': {
      if (w.raw) return null;
      const frames: string[] = [];
      const n = device.transmit({
        frame: (runs) => {
          if (frames.length === s.takes) return false;
          const parts = Array.from({ length: runs.count }, (_, r) => Buffer.from(runs.memory[r].u8.slice(runs.offset[r], runs.offset[r] + runs.length[r])));
          frames.push(Buffer.concat(parts).toString('hex'));
          return true;
        },
      }, s.n);
      return [n, frames];
    }
    case 'receive': {
      if (w.raw) return null;
      const source = ringMemory(new SharedArrayBuffer(128));
      for (let i = 0; i < 128; i++) source.u8[i] = i + 1;
      const frame = new Runs(2);
      frame.add(source, 0, Math.min(s.bytes, 12));
      if (s.bytes > 12) frame.add(source, 13, s.bytes - 12);
      return device.receive(frame, s.flags);
    }
    case 'flush':
      return device.flush();
    case 'notify':
      return s.on ? device.enableNotify() : device.disableNotify();
    case 'interrupt':
      return device.needInterrupt();
    case 'poke':
      device.flush(); // a mirror has not pushed what is not published, and would write over the poke later
      return memory.write(BASE + s.at, Uint8Array.of(s.byte));
    case 'offer':
      return offer(...s.heads);
    case 'perm':
      return memory.setPerm(s.page, s.perm);
  }
}

test('fast and gathered devices do the same with any bytes, and stay inside', () => {
  covers('2.6.5');
  const inOrder = Array.from({ length: PAGES }, (_, i) => i);
  fc.assert(
    fc.property(world, (w) => {
      const fast = run(w, 'fast', inOrder, true, true);
      const gathered = run(w, 'gathered', inOrder, true, true);
      expect(gathered.seen).toEqual(fast.seen);
      expect(fast.refusals).toBeLessThanOrEqual(gathered.refusals);
    }),
    { numRuns: 1000 },
  );
});

test('a ring scattered over pages behaves as one in one piece', () => {
  const inOrder = Array.from({ length: PAGES }, (_, i) => i);
  fc.assert(
    fc.property(world, (w) => {
      // Segments are cut where pages end: only their number may differ, so it must not be limited.
      const free: World = { ...w, maxChain: 1024 };
      expect(run(free, 'gathered', w.places, false, false).seen).toEqual(run(free, 'fast', inOrder, true, false).seen);
    }),
    { numRuns: 400 },
  );
});

test('a mirrored device does the same with any bytes, and neither pulls nor pushes what is outside', () => {
  const inOrder = Array.from({ length: PAGES }, (_, i) => i);
  fc.assert(
    fc.property(world, fc.boolean(), (w, scattered) => {
      if (scattered) {
        const free: World = { ...w, maxChain: 1024 };
        expect(run(free, 'mirrored', w.places, false, false).seen).toEqual(run(free, 'gathered', w.places, false, false).seen);
      } else {
        expect(run(w, 'mirrored', inOrder, true, true).seen).toEqual(run(w, 'fast', inOrder, true, true).seen);
      }
    }),
    { numRuns: 1000 },
  );
});

test('a fast device does the same when only its buffers and tables are remote', () => {
  const inOrder = Array.from({ length: PAGES }, (_, i) => i);
  fc.assert(
    fc.property(world, (w) => {
      // Where ring and data meet segments are cut: only their number may differ.
      const free: World = { ...w, maxChain: 1024 };
      expect(run(free, 'fast, remote data', inOrder, true, false).seen).toEqual(run(free, 'fast', inOrder, true, false).seen);
    }),
    { numRuns: 600 },
  );
});
