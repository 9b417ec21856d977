/** Packed rings word by word: what lies in memory, what is refused, who is told. */
import { EINVAL, ELOOP, ENOBUFS, ENOSPC } from '@vdpalab/uapi';
import { describe, expect, test } from 'vitest';
import {
  ChainBatch, GatheredPackedDevice, PackedDevice, PackedDriver, RegionTranslate, Runs, packedAfter, packedEventIndex, packedRingIn, ringMemory,
} from './index.ts';
import type { RingDeviceOptions, RingDriverOptions } from './index.ts';
import { Mirror, MockPackedRing } from './mock/index.ts';

const NUM = 4;
const DATA = 0x1000;
const AVAIL = 0x80;
const USED = 0x8000;
const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;
// Values of an event structure's flags.
const ENABLE = 0;
const DISABLE = 1;
const DESC = 2;

function bench(options: RingDriverOptions & Partial<RingDeviceOptions> = {}) {
  const memory = ringMemory(new SharedArrayBuffer(0x4000));
  const areas = packedRingIn(memory, 0, NUM);
  const driver = new PackedDriver(areas, options);
  const translate = new RegionTranslate([{ base: 0, memory }]);
  const device = new PackedDevice(areas, { translate, ...options });
  const view = new DataView(memory.buffer as ArrayBuffer);
  const words = (i: number) => [view.getUint32(16 * i, true), view.getUint32(16 * i + 8, true), view.getUint16(16 * i + 12, true), view.getUint16(16 * i + 14, true)];
  const events = { driver: () => [view.getUint16(64, true), view.getUint16(66, true)], device: () => [view.getUint16(68, true), view.getUint16(70, true)] };
  return { memory, driver, device, words, events, batch: new ChainBatch(8, 32) };
}

/** Segments of 1, 2, 3... bytes. */
const segments = (count: number): Uint32Array => Uint32Array.from({ length: 3 * count }, (_, i) => [DATA + 16 * Math.floor(i / 3), 0, Math.floor(i / 3) + 1][i % 3]);

/** A device alone, with what a driver may write to its ring. */
function hostile(num: number, options: Partial<RingDeviceOptions> = {}) {
  const u8 = new Uint8Array(0x4000);
  const memory = ringMemory(u8.buffer);
  const bytes = { read: (at: number, n: number) => u8.slice(at, at + n), write: (at: number, data: Uint8Array) => void u8.set(data, at) as undefined };
  const ring = new MockPackedRing(bytes, 0, num);
  const device = new GatheredPackedDevice(ring, { translate: new RegionTranslate([{ base: 0, memory }]), ...options });
  return { u8, ring, device, batch: new ChainBatch(8, 2000) };
}

test('a position goes on through the laps, and an event of another lap lies behind', () => {
  expect([packedAfter(0x8000, 3, 4), packedAfter(0x8003, 1, 4), packedAfter(0x0003, 2, 4), packedAfter(0x8001, 4, 4)]).toEqual([0x8003, 0, 0x8001, 1]);
  expect([packedEventIndex(0x8002, 1, 4), packedEventIndex(0x8002, 0, 4)]).toEqual([2, -2]);
});

describe('what lies in memory', () => {
  test('a chain lies one descriptor behind the other, all with its id, and comes back as one', () => {
    const { driver, device, words, batch } = bench();
    expect(driver.add(segments(2), 0, 1, 1, 77)).toBe(0);
    expect([words(0), words(1)]).toEqual([[DATA, 1, 0, AVAIL | NEXT], [DATA + 16, 2, 0, AVAIL | WRITE]]);
    expect([device.walk(batch, 8), batch.head[0], batch.readable(0), batch.writable(0)]).toEqual([1, 0, 1, 2]);
    batch.written[0] = 2;
    device.pushMany(batch);
    expect(words(0).slice(1)).toEqual([2, 0, AVAIL | USED | WRITE]);
    expect([driver.get(), driver.usedLength, driver.numFree]).toEqual([77, 2, NUM]);
    // The next buffer lies behind the chain, of which the device has written one descriptor only.
    driver.add(segments(1), 0, 1, 0, 78);
    expect(words(2)).toEqual([DATA, 1, 0, AVAIL]);
  });

  test('in the next lap the flags turn over', () => {
    const { driver, device, words } = bench();
    for (let token = 0; token < NUM; token++) driver.add(segments(1), 0, 1, 0, token);
    expect(driver.add(segments(1), 0, 1, 0, 9)).toBe(-ENOSPC);
    expect(device.drain(8)).toBe(NUM);
    expect(driver.getMany(new Int32Array(8), new Uint32Array(8), 8)).toBe(NUM);
    driver.add(segments(1), 0, 0, 1, 5);
    expect(words(0)[3]).toBe(USED | WRITE);
    expect(device.save()).toEqual({ lastAvail: 0, lastUsed: 0 });
    device.drain(1);
    expect(words(0)[3]).toBe(0);
    expect(driver.get()).toBe(5);
  });

  test('a table has no NEXT, and costs one descriptor', () => {
    const memory = ringMemory(new SharedArrayBuffer(0x4000));
    const indirect = { area: { memory, offset: 0x800 }, busLo: 0x800, busHi: 0, segments: 4 };
    const areas = packedRingIn(memory, 0, NUM);
    const driver = new PackedDriver(areas, { indirect });
    const device = new PackedDevice(areas, { translate: new RegionTranslate([{ base: 0, memory }]) });
    driver.add(segments(3), 0, 1, 2, 1);
    const u16 = (at: number) => memory.u16[at / 2];
    expect([u16(12), u16(14), memory.u32[0], memory.u32[2]]).toEqual([0, AVAIL | INDIRECT, 0x800, 48]);
    expect([0, 1, 2].map((i) => [memory.u32[(0x800 + 16 * i + 8) / 4], u16(0x800 + 16 * i + 14)])).toEqual([[1, 0], [2, WRITE], [3, WRITE]]);
    const batch = new ChainBatch(1, 8);
    expect([device.pop(batch), batch.readable(0), batch.writable(0), driver.numFree]).toEqual([1, 1, 5, NUM - 1]);
  });

  test('used descriptors are published by the flags of the first', () => {
    const { driver, device, words } = bench();
    for (let token = 0; token < 3; token++) driver.add(segments(1), 0, 0, 1, token);
    const batch = new ChainBatch(8, 8);
    device.walk(batch, 8);
    const order: number[] = [];
    // Whatever the device writes, the driver must not see the second before the first.
    batch.written.set([7, 8, 9]);
    device.pushMany(batch);
    for (let token = driver.get(); token >= 0; token = driver.get()) order.push(token, driver.usedLength);
    expect([order, words(3)[3]]).toEqual([[0, 7, 1, 8, 2, 9], 0]);
  });

  test('buffers may come back in another order than they went', () => {
    const { driver, device, batch } = bench();
    driver.add(segments(3), 0, 3, 0, 1);
    driver.add(segments(1), 0, 0, 1, 2);
    device.walk(batch, 8);
    device.push(batch.head[1], 4);
    expect([driver.get(), driver.numFree]).toEqual([2, 1]);
    device.push(batch.head[0], 0);
    expect([driver.get(), driver.numFree]).toEqual([1, NUM]);
  });
});

describe('who is told', () => {
  test('a device that wants no kicks gets none, with the event index too', () => {
    for (const eventIdx of [false, true]) {
      const { driver, device, events } = bench({ eventIdx });
      driver.add(segments(1), 0, 1, 0, 1);
      expect(driver.kickPrepare()).toBe(true);
      device.disableNotify();
      expect(events.device()[1]).toBe(DISABLE);
      driver.add(segments(1), 0, 1, 0, 2);
      expect(driver.kickPrepare()).toBe(false);
      expect(device.enableNotify()).toBe(false);
      device.drain(8);
      expect(device.enableNotify()).toBe(true);
      expect(events.device()).toEqual(eventIdx ? [0x8002, DESC] : [0, ENABLE]);
      driver.add(segments(1), 0, 1, 0, 3);
      expect(driver.kickPrepare()).toBe(true);
    }
  });

  test('a driver hears when its event is passed, in the next lap too', () => {
    const { driver, device, events } = bench({ eventIdx: true });
    const add = (token: number) => driver.add(segments(1), 0, 1, 0, token);
    for (let token = 0; token < 3; token++) add(token);
    device.drain(1);
    expect([driver.enableCallbacks(), driver.get(), driver.enableCallbacks()]).toEqual([false, 0, true]);
    expect(events.driver()).toEqual([0x8001, DESC]);
    device.needInterrupt();
    device.drain(1);
    expect(device.needInterrupt()).toBe(true);
    expect(driver.enableCallbacksDelayed()).toBe(false);
    expect(driver.get()).toBe(1);
    add(3);
    add(4);
    add(5);
    expect([driver.enableCallbacksDelayed(), events.driver()]).toEqual([true, [0x0001, DESC]]); // three of four on from 0x8002
    device.drain(3);
    expect(device.needInterrupt()).toBe(false);
    device.drain(1);
    expect(device.needInterrupt()).toBe(true);
    driver.disableCallbacks();
    expect(events.driver()[1]).toBe(DISABLE);
    device.drain(1);
    expect(device.needInterrupt()).toBe(false);
  });

  test('a driver without the event index is told of everything, or of nothing', () => {
    const { device, ring } = hostile(4);
    for (const [flags, told] of [[ENABLE, true], [DESC, true], [DISABLE, false]] as const) {
      ring.setDriverEvent(0, flags);
      expect(device.needInterrupt()).toBe(told);
    }
  });
});

describe('what is refused', () => {
  test.each([
    ['NEXT in the last that is available', 8, [{ flags: NEXT }], -EINVAL, 'vring.next-unavailable'],
    ['a chain all round the ring', 2, [{ flags: NEXT }, { flags: NEXT }], -ELOOP, 'vring.desc-loop'],
    ['readable behind writable', 8, [{ addr: DATA, len: 1, flags: NEXT | WRITE }, { addr: DATA, len: 1 }], -EINVAL, 'vring.readable-after-writable'],
    ['a table with NEXT', 8, [{ addr: DATA, len: 16, flags: NEXT | INDIRECT }, {}], -EINVAL, 'vring.indirect-chained'],
    ['a table in a chain', 8, [{ addr: DATA, len: 1, flags: NEXT }, { addr: DATA, len: 16, flags: INDIRECT }], -EINVAL, 'vring.indirect-chained'],
    ['a table of no descriptors', 8, [{ addr: DATA, len: 0, flags: INDIRECT }], -EINVAL, 'vring.indirect-length'],
    ['half a descriptor', 8, [{ addr: DATA, len: 24, flags: INDIRECT }], -EINVAL, 'vring.indirect-length'],
    ['a table longer than a chain may be', 8, [{ addr: DATA, len: 16 * 1024, flags: INDIRECT }], -ENOBUFS, 'vring.chain-length'],
    ['an address that is not mapped', 8, [{ addr: 0x8000, len: 1 }], -EINVAL, 'vring.unmapped'],
  ] as const)('%s', (_, num, chain, err, rule) => {
    const { ring, device, batch } = hostile(num);
    ring.offer(...chain.map((d, i) => ({ ...d, id: 6 - i })));
    expect([device.walk(batch, 8), device.rule, device.lastHead]).toEqual([err, rule, 7 - chain.length]);
    // It is out of the ring, and can be given back all the same.
    expect(device.pending()).toBe(0);
    device.push(device.lastHead, 0);
    expect([ring.descriptor(0), device.save()]).toEqual([[7 - chain.length, 0, AVAIL | USED], { lastAvail: packedAfter(0x8000, chain.length, num), lastUsed: packedAfter(0x8000, chain.length, num) }]);
  });

  test('a table in a table', () => {
    const { u8, ring, device, batch } = hostile(8);
    u8[DATA + 14] = INDIRECT;
    ring.offer({ addr: DATA, len: 16, flags: INDIRECT });
    expect([device.walk(batch, 8), device.rule]).toEqual([-EINVAL, 'vring.nested-indirect']);
  });

  test('a bad chain behind good ones waits for the next call', () => {
    const { ring, device, batch } = hostile(8);
    ring.offer({ addr: DATA, len: 1, id: 1 }, { addr: 0x8000, len: 1, id: 2 }, { addr: DATA, len: 2, id: 3 });
    expect([device.walk(batch, 8), batch.head[0]]).toEqual([1, 1]);
    expect([device.walk(batch, 8), device.lastHead]).toEqual([-EINVAL, 2]);
    expect([device.walk(batch, 8), batch.head[0]]).toEqual([1, 3]);
  });

  test('a ring that is not mapped', () => {
    const memory = ringMemory(new SharedArrayBuffer(64));
    const at = { num: 4, desc: 0x1000, driver: 0x2000, device: 0x3000 };
    const device = new GatheredPackedDevice(at, { translate: new RegionTranslate([{ base: 0, memory }]) });
    expect([device.walk(new ChainBatch(1, 1), 1), device.rule, device.pending(), device.needInterrupt()]).toEqual([-14, 'vring.ring-access', 0, false]);
    device.disableNotify();
    device.push(0, 0);
    expect(device.reason).toBe('Failed to access descriptor ring');
  });

  test('sizes and areas that cannot be', () => {
    const memory = ringMemory(new SharedArrayBuffer(64));
    const translate = new RegionTranslate([]);
    expect(() => new PackedDevice(packedRingIn(memory, 0, 4), { translate })).toThrow('driver event: 4 bytes at 64 do not fit 64 bytes of memory');
    expect(() => new PackedDriver(packedRingIn(memory, 2, 1))).toThrow('descriptor ring: offset 2 is not 4-byte aligned');
    expect(() => new GatheredPackedDevice({ num: 32769, desc: 0, driver: 0, device: 0 }, { translate })).toThrow('queue size 32769 is not 1 to 32768');
    expect(() => new GatheredPackedDevice({ num: 1, desc: -1, driver: 0, device: 0 }, { translate })).toThrow('-1 is not an address below 2^53');
  });

  test('what a device may not give back breaks the driver', () => {
    for (const [id, reason] of [[4, 'id 4 out of range'], [2, 'id 2 is not a head!']] as const) {
      const { driver, device } = bench();
      driver.add(segments(1), 0, 1, 0, 1);
      device.push(id, 0);
      expect([driver.get(), driver.broken, driver.brokenReason, driver.add(segments(1), 0, 1, 0, 2)]).toEqual([-1, true, reason, -5]);
    }
  });
});

test('every pull and every push of a mirrored ring that moves a byte is needed', () => {
  const day = (lost: number) => {
    const far = new Uint8Array(0x4000);
    const mirror = new Mirror(far);
    mirror.lost = lost;
    const ring = new MockPackedRing({ read: (at, n) => far.slice(at, at + n), write: (at, data) => void far.set(data, at) as undefined }, 0, NUM);
    const device = new GatheredPackedDevice(ring, { eventIdx: true, translate: new RegionTranslate([{ base: 0, memory: mirror.memory }]) });
    const batch = new ChainBatch(8, 8);
    const seen: unknown[] = [device.disableNotify(), ring.deviceEvent];
    far.set([1, 2, 3], DATA);
    ring.offer({ addr: DATA, len: 2, id: 3 }, { addr: DATA + 2, len: 1, id: 1 }, { addr: DATA + 8, len: 4, id: 0, flags: WRITE });
    ring.setDriverEvent(0x8003, DESC); // not passed by the three
    seen.push(device.walk(batch, 8), [...batch.head], [...batch.length], batch.memory[0]?.u8.slice(DATA, DATA + 3));
    mirror.memory.u8.set([9, 8], DATA + 8);
    batch.written[2] = 2;
    device.pushMany(batch);
    seen.push(device.needInterrupt());
    ring.offer({ addr: DATA, len: 1, id: 2 });
    seen.push(device.enableNotify(), ring.deviceEvent, [0, 1, 2].map((i) => ring.descriptor(i)), far.slice(DATA + 8, DATA + 10));
    return { seen: JSON.stringify(seen), moves: mirror.moves };
  };
  const { seen, moves } = day(-1);
  expect(moves).toBeGreaterThan(6);
  for (let lost = 0; lost < moves; lost++) {
    const without = day(lost);
    if (without.moves === moves) expect(without.seen, `move ${lost}`).not.toBe(seen);
  }
});

test('every byte that the device changes is logged, in the ring and in the buffers', () => {
  const { memory, driver, device } = bench();
  const marked = new Set<number>();
  const RING = 0x10_0000; // where the ring is logged as being
  device.setDirtyLog({
    mark(lo, _, len): undefined {
      for (let i = 0; i < len; i++) marked.add(lo + i);
    },
  }, RING, 0);
  const frame = new Runs(1);
  frame.add(ringMemory(new SharedArrayBuffer(1)), 0, 1);
  for (let round = 0; round < 7; round++) {
    driver.addMany(NUM, segments(NUM), 0, 0, 1, Int32Array.of(0, 1, 2, 3), 0);
    memory.u8.fill(0xee, DATA, DATA + 64);
    const before = memory.u8.slice();
    marked.clear();
    if (round % 2 === 0) {
      for (let i = 0; i <= round % NUM; i++) device.receive(frame, 0);
      device.flush();
    }
    device.walk(new ChainBatch(1, 1), 1);
    device.push(device.lastHead, 0);
    device.drain(8);
    const changed = [...memory.u8.keys()].filter((i) => memory.u8[i] !== before[i]).map((i) => (i < 64 ? RING + i : i));
    expect(changed.length).toBeGreaterThan(0);
    expect(changed.filter((i) => !marked.has(i))).toEqual([]);
    driver.getMany(new Int32Array(8), new Uint32Array(8), 8);
  }
});

test('what the driver made available is taken as it was when it was taken', () => {
  const { ring, device, batch } = hostile(4);
  ring.offer({ addr: DATA, len: 2, id: 1 });
  device.pop(batch);
  ring.setDescriptor(0, { addr: DATA, len: 99, id: 2, flags: AVAIL });
  expect([batch.length[0], batch.head[0]]).toEqual([2, 1]);
  device.unpop(1);
  expect([device.pop(batch), batch.length[0], batch.head[0]]).toEqual([1, 99, 2]);
});
