import { covers } from '@vdpalab/features';
import { EIO, ENOSPC } from '@vdpalab/uapi';
import { describe, expect, test } from 'vitest';
import { ChainBatch, RegionTranslate, SplitDevice, SplitDriver, ringMemory, splitRingIn, writeTable } from './index.ts';
import type { RingDriverOptions } from './index.ts';
import { MockRing } from './mock/index.ts';
import type { MockBytes } from './mock/index.ts';

const NUM = 8;
const TABLES = 0x2000;

function setUp(options: RingDriverOptions = {}, indirect = false) {
  const memory = ringMemory(new SharedArrayBuffer(0x4000));
  const bytes: MockBytes = {
    read: (at, length) => memory.u8.slice(at, at + length),
    write: (at, data) => void memory.u8.set(data, at),
  };
  const ring = new MockRing(bytes, 0, NUM);
  const pool = { area: { memory, offset: TABLES }, busLo: TABLES, busHi: 0, segments: 4 };
  const driver = new SplitDriver(splitRingIn(memory, 0, NUM), { ...options, indirect: indirect ? pool : null });
  const device = new SplitDevice(splitRingIn(memory, 0, NUM), {
    eventIdx: options.eventIdx ?? false, translate: new RegionTranslate([{ base: 0, memory }]),
  });
  return { memory, ring, driver, device, batch: new ChainBatch(64, 256) };
}

/** Triples of these lengths, at addresses 0x1000, 0x1100, ... */
function segments(...lengths: number[]): Uint32Array {
  return Uint32Array.from(lengths.flatMap((length, i) => [0x1000 + 0x100 * i, 0, length]));
}

describe('split driver', () => {
  test('writes a chain whose readable segments come first', () => {
    const { driver, device, batch } = setUp();
    expect(driver.add(segments(1, 2, 3), 0, 2, 1, 5)).toBe(0);
    expect(driver.numFree).toBe(5);
    expect(device.walk(batch, 8)).toBe(1);
    expect([...batch.length.slice(0, 3)]).toEqual([1, 2, 3]);
    expect([batch.split[0], batch.offset[2]]).toEqual([2, 0x1200]);
  });

  test('takes buffers back in the order of their use, with length and token', () => {
    const { driver, device, batch } = setUp();
    driver.addMany(2, segments(1, 2, 3, 4), 0, 1, 1, Int32Array.of(70, 71), 0);
    driver.add(segments(9), 0, 0, 1, 72);
    device.walk(batch, 8);
    device.push(batch.head[2], 100);
    device.push(batch.head[0], 101);
    expect(driver.inFlight).toBe(3);
    expect([driver.get(), driver.usedLength]).toEqual([72, 100]);
    const tokens = new Int32Array(8);
    const lengths = new Uint32Array(8);
    device.push(batch.head[1], 0xffff_ffff);
    expect(driver.getMany(tokens, lengths, 8)).toBe(2);
    expect([tokens[0], lengths[0], tokens[1], lengths[1]]).toEqual([70, 101, 71, 0xffff_ffff]);
    expect([driver.get(), driver.getMany(tokens, lengths, 8), driver.numFree]).toEqual([-1, 0, NUM]);
  });

  test('takes back at most as many as asked for', () => {
    const { driver, device } = setUp();
    driver.addMany(4, segments(1, 1, 1, 1), 0, 0, 1, Int32Array.of(1, 2, 3, 4), 0);
    for (let head = 0; head < 4; head++) device.push(head, head);
    const tokens = new Int32Array(3);
    expect(driver.getMany(tokens, new Uint32Array(8), 8)).toBe(3);
    expect(driver.getMany(tokens, new Uint32Array(8), 0)).toBe(0);
    expect(driver.get()).toBe(4);
  });

  test('says ENOSPC when there are too few descriptors, and adds what fits of many', () => {
    covers('2.7.5');
    const { driver } = setUp();
    expect(driver.addMany(3, segments(1, 2, 3, 1, 2, 3, 1, 2, 3), 0, 3, 0, Int32Array.of(1, 2, 3), 0)).toBe(2);
    expect(driver.add(segments(1, 2, 3), 0, 3, 0, 9)).toBe(-ENOSPC);
    expect(driver.add(segments(1, 2), 0, 1, 1, 9)).toBe(0);
    expect(driver.add(segments(1), 0, 1, 0, 9)).toBe(-ENOSPC);
    expect(driver.addMany(1, segments(1), 0, 1, 0, Int32Array.of(9), 0)).toBe(-ENOSPC);
    expect(driver.addTable(0, 0, 16, 9)).toBe(-ENOSPC);
    expect(driver.numFree).toBe(0);
  });

  test('says EIO once broken, and gives nothing', () => {
    covers('2.7.5');
    const { ring, driver } = setUp();
    driver.add(segments(1), 0, 1, 0, 1);
    driver.breakRing();
    ring.setUsed(0, 0, 0);
    ring.setUsedIndex(1);
    expect(driver.add(segments(1), 0, 1, 0, 1)).toBe(-EIO);
    expect(driver.addMany(1, segments(1), 0, 1, 0, Int32Array.of(1), 0)).toBe(-EIO);
    expect(driver.addTable(0, 0, 16, 1)).toBe(-EIO);
    expect(driver.getMany(new Int32Array(1), new Uint32Array(1), 1)).toBe(-EIO);
    expect([driver.get(), driver.poll(0), driver.brokenReason]).toEqual([-1, false, '']);
  });

  test('breaks when the device uses an id out of range', () => {
    covers('2.7.5');
    const { ring, driver } = setUp();
    driver.add(segments(1), 0, 1, 0, 1);
    ring.setUsed(0, 0xffff_fff8, 0);
    ring.setUsedIndex(1);
    expect(driver.get()).toBe(-1);
    expect([driver.broken, driver.brokenReason]).toEqual([true, 'id 4294967288 out of range']);
  });

  test('breaks when the device uses what is not a head', () => {
    covers('2.7.5');
    const { ring, driver } = setUp();
    driver.add(segments(1, 1), 0, 1, 1, 1);
    ring.setUsed(0, 0, 3);
    ring.setUsed(1, 1, 0);
    ring.setUsedIndex(2);
    const tokens = new Int32Array(4);
    expect(driver.getMany(tokens, new Uint32Array(4), 4)).toBe(1);
    expect([driver.broken, driver.brokenReason]).toEqual([true, 'id 1 is not a head!']);
    expect(driver.getMany(tokens, new Uint32Array(4), 4)).toBe(-EIO);
  });

  test('breaks when the device uses a buffer twice', () => {
    const { device, driver } = setUp();
    driver.add(segments(1), 0, 1, 0, 4);
    device.push(0, 0);
    device.push(0, 0);
    expect([driver.get(), driver.get(), driver.broken]).toEqual([4, -1, true]);
  });

  test('wants a kick unless the device has set NO_NOTIFY', () => {
    covers('2.7.5');
    const { ring, driver } = setUp();
    driver.add(segments(1), 0, 1, 0, 1);
    expect(driver.kickPrepare()).toBe(true);
    ring.setUsedFlags(1);
    expect(driver.kickPrepare()).toBe(false);
  });

  test('wants a kick when the event index was passed', () => {
    covers('2.7.5');
    const { ring, driver } = setUp({ eventIdx: true });
    ring.setUsedFlags(1); // means nothing now
    ring.setAvailEvent(1);
    driver.add(segments(1), 0, 1, 0, 1);
    expect(driver.kickPrepare()).toBe(false);
    driver.add(segments(1), 0, 1, 0, 1);
    expect(driver.kickPrepare()).toBe(true);
    expect(driver.kickPrepare()).toBe(false);
    ring.setAvailEvent(4);
    driver.addMany(3, segments(1, 1, 1), 0, 1, 0, Int32Array.of(1, 2, 3), 0);
    expect(driver.kickPrepare()).toBe(true);
  });

  test('kicks when it lost count of what the device may have missed', () => {
    const { ring, driver, device, batch } = setUp({ eventIdx: true });
    ring.setAvailEvent(7);
    for (let i = 0; i < 0xffff; i++) {
      driver.add(segments(1), 0, 1, 0, 1);
      device.pop(batch);
      device.push(batch.head[0], 0);
      driver.get();
    }
    expect(driver.kickPrepare()).toBe(true);
  });

  test('asks for interrupts by the flag', () => {
    const { memory, device, driver } = setUp();
    driver.disableCallbacks();
    expect(memory.u16[NUM * 8]).toBe(1);
    expect(driver.enableCallbacks()).toBe(true);
    expect(memory.u16[NUM * 8]).toBe(0);
    driver.add(segments(1), 0, 1, 0, 1);
    const mark = driver.enableCallbacksPrepare();
    expect(driver.poll(mark)).toBe(false);
    device.push(0, 0);
    expect([driver.poll(mark), driver.enableCallbacks(), driver.moreUsed()]).toEqual([true, false, true]);
  });

  test('asks for interrupts by the event index, also for later', () => {
    const { memory, device, driver } = setUp({ eventIdx: true });
    const usedEvent = () => memory.u16[NUM * 8 + 2 + NUM];
    driver.addMany(8, segments(1, 1, 1, 1, 1, 1, 1, 1), 0, 1, 0, new Int32Array(8), 0);
    expect(driver.enableCallbacksDelayed()).toBe(true);
    expect(usedEvent()).toBe(6);
    for (let head = 0; head < 7; head++) device.push(head, 0);
    expect(device.needInterrupt()).toBe(true);
    expect(driver.enableCallbacksDelayed()).toBe(false);
    driver.disableCallbacks();
    expect([usedEvent(), memory.u16[NUM * 8]]).toEqual([0, 0]);
    driver.get();
    expect(usedEvent()).toBe(0);
    driver.enableCallbacks();
    expect(usedEvent()).toBe(1);
    driver.get();
    expect(usedEvent()).toBe(2);
  });

  test('gives back what the device never used', () => {
    covers('2.7.5');
    const { driver } = setUp();
    driver.addMany(2, segments(1, 2, 3, 4), 0, 1, 1, Int32Array.of(30, 31), 0);
    expect([driver.detachUnused(), driver.detachUnused(), driver.detachUnused()]).toEqual([30, 31, -1]);
    expect([driver.numFree, driver.inFlight]).toEqual([NUM, 0]);
  });

  test('puts buffers of several segments into indirect tables, one descriptor each', () => {
    covers('2.7.5');
    const { driver, device, batch } = setUp({}, true);
    expect(driver.addMany(8, segments(...Array.from({ length: 24 }, (_, i) => i + 1)), 0, 2, 1, new Int32Array(8), 0)).toBe(8);
    expect(driver.add(segments(1, 2), 0, 1, 1, 0)).toBe(-ENOSPC);
    expect(device.walk(batch, 8)).toBe(8);
    expect([...batch.length.slice(0, 24)]).toEqual(Array.from({ length: 24 }, (_, i) => i + 1));
    expect([batch.split[7], batch.start[8]]).toEqual([23, 24]);
  });

  test('chains what does not fit a table, and a single segment', () => {
    const { driver, device, batch } = setUp({}, true);
    expect(driver.add(segments(1, 2, 3, 4, 5), 0, 5, 0, 1)).toBe(0);
    expect(driver.numFree).toBe(3);
    expect(driver.add(segments(6), 0, 0, 1, 2)).toBe(0);
    expect(device.walk(batch, 8)).toBe(2);
    expect([...batch.length.slice(0, 6)]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('takes a table the caller wrote', () => {
    const { memory, driver, device, batch } = setUp();
    const length = writeTable({ memory, offset: 0x3000 }, segments(1, 2, 3), 0, 1, 2);
    expect(length).toBe(48);
    expect(driver.addTable(0x3000, 0, length, 6)).toBe(0);
    expect(device.pop(batch)).toBe(1);
    expect([...batch.length.slice(0, 3), batch.split[0]]).toEqual([1, 2, 3, 1]);
    device.push(batch.head[0], 0);
    expect(driver.get()).toBe(6);
  });

  test('starts at another index', () => {
    const { driver, device, batch } = setUp();
    driver.startAt(0xfffe);
    device.restore({ lastAvail: 0xfffe, lastUsed: 0xfffe });
    for (let i = 0; i < 5; i++) {
      driver.add(segments(1), 0, 1, 0, i);
      expect(device.pop(batch)).toBe(1);
      device.push(batch.head[0], i);
      expect([driver.get(), driver.usedLength]).toEqual([i, i]);
    }
    expect(device.save()).toEqual({ lastAvail: 3, lastUsed: 3 });
  });

  test('publishes by atomic stores when the device is elsewhere', () => {
    const { driver, ring } = setUp({ threaded: true, eventIdx: true });
    driver.add(segments(1), 0, 1, 0, 8);
    ring.setUsed(0, 0, 5);
    ring.setUsedIndex(1);
    expect([driver.kickPrepare(), driver.get(), driver.usedLength, driver.enableCallbacks()]).toEqual([true, 8, 5, true]);
  });

  test('refuses areas and arrays that cannot be', () => {
    const memory = ringMemory(new SharedArrayBuffer(0x1000));
    const make = (num: number, offset: number) => () => new SplitDriver(splitRingIn(memory, offset, num));
    expect(make(7, 0)).toThrow('split driver: queue size 7 is not a power of two up to 32768');
    expect(make(65536, 0)).toThrow(RangeError);
    expect(make(8, 2)).toThrow('split driver: descriptor table: offset 2 is not 4-byte aligned');
    expect(make(8, 0xf80)).toThrow('available ring: 22 bytes at 4096 do not fit 4096 bytes of memory');
    expect(make(256, 0)).toThrow(RangeError);
    const areas = splitRingIn(memory, 0, 8);
    const pool = { area: { memory, offset: 512 }, busLo: 0, busHi: 0, segments: 4 };
    expect(() => new SplitDriver(areas, { indirect: { ...pool, area: { memory, offset: 514 } } })).toThrow('not 4-byte aligned');
    expect(() => new SplitDriver(areas, { indirect: { ...pool, segments: 100 } })).toThrow('do not fit');
    expect(() => new SplitDriver(areas, { indirect: { ...pool, busLo: 0xffff_fff0 } })).toThrow('cross 4 GiB');
    const driver = new SplitDriver(areas);
    expect(() => driver.add(segments(), 0, 0, 0, 0)).toThrow(RangeError);
    expect(() => driver.addMany(2, segments(1), 0, 1, 0, Int32Array.of(1, 2), 0)).toThrow(RangeError);
    expect(() => driver.addMany(1, segments(1), 0, 1, 0, Int32Array.of(1), 1)).toThrow(RangeError);
    expect(() => driver.addMany(1, segments(1), -3, 1, 0, Int32Array.of(1), 0)).toThrow(RangeError);
    expect(driver.addMany(0, segments(1), 0, 1, 0, Int32Array.of(1), 0)).toBe(0);
  });
});
