import { expect, test } from 'vitest';
import {
  ChainBatch, RECEIVE_MERGEABLE, RegionTranslate, Runs, SplitDevice, SplitDriver, ringMemory, splitRingIn,
} from './index.ts';

function setUp() {
  const memory = ringMemory(new SharedArrayBuffer(1 << 16));
  const areas = splitRingIn(memory, 0, 8);
  const translate = new RegionTranslate([{ base: 0x1_0000_0000, memory }]);
  return { memory, driver: new SplitDriver(areas), device: new SplitDevice(areas, { translate }) };
}

test('a buffer goes to the device and comes back with the length it wrote', () => {
  const { memory, driver, device } = setUp();
  const segments = Uint32Array.of(0x4000, 1, 16, 0x5000, 1, 32);
  expect(driver.add(segments, 0, 1, 1, 77)).toBe(0);
  expect(driver.kickPrepare()).toBe(true);

  const batch = new ChainBatch(8, 64);
  expect(device.walk(batch, 8)).toBe(1);
  expect([batch.head[0], batch.readable(0), batch.writable(0)]).toEqual([0, 16, 32]);
  expect(batch.memory[1]).toBe(memory);
  expect(batch.offset[1]).toBe(0x5000);
  batch.written[0] = 5;
  device.pushMany(batch);
  expect(device.needInterrupt()).toBe(true);

  expect(driver.get()).toBe(77);
  expect(driver.usedLength).toBe(5);
  expect(driver.get()).toBe(-1);
  expect(driver.numFree).toBe(8);
});

test('a frame is scattered over as many chains as it needs and their number is written into its header', () => {
  const { memory, driver, device } = setUp();
  const segments = Uint32Array.of(0x4000, 1, 20, 0x5000, 1, 20);
  expect(driver.addMany(2, segments, 0, 0, 1, Int32Array.of(1, 2), 0)).toBe(2);
  for (let i = 0; i < 30; i++) memory.u8[0x8000 + i] = i + 1;
  const frame = new Runs(4);
  frame.add(memory, 0x8000, 30);
  expect(device.receive(frame, RECEIVE_MERGEABLE)).toBe(2);
  device.flush();
  expect([...memory.u8.slice(0x4000, 0x4014)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 2, 0, 13, 14, 15, 16, 17, 18, 19, 20]);
  expect([...memory.u8.slice(0x5000, 0x500b)]).toEqual([21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 0]);
  expect([driver.get(), driver.usedLength]).toEqual([1, 20]);
  expect([driver.get(), driver.usedLength]).toEqual([2, 10]);
});
