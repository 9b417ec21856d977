import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ChainBatch, RegionTranslate, SplitDevice, SplitDriver, ringMemory, splitRingIn } from './index.ts';

test('the example of the README does what its comments say', () => {
  // example
  const memory = ringMemory(new SharedArrayBuffer(1 << 16));
  const areas = splitRingIn(memory, 0, 256); // the three areas, one behind the other
  const driver = new SplitDriver(areas);
  const device = new SplitDevice(areas, { translate: new RegionTranslate([{ base: 0x1_0000_0000, memory }]) });

  // One buffer: 16 bytes to read at 0x1_0000_8000, 64 to write at 0x1_0000_9000. Token 7 is ours to remember it by.
  driver.add(Uint32Array.of(0x8000, 1, 16, 0x9000, 1, 64), 0, 1, 1, 7);
  const kick = driver.kickPrepare(); // true: the device wants to know

  const batch = new ChainBatch(32, 128); // made once, used for every walk
  device.walk(batch, 32); // 1 chain
  batch.memory[batch.split[0]]!.u8[batch.offset[batch.split[0]]] = 42; // its first writable byte
  batch.written[0] = 1;
  device.pushMany(batch);
  const interrupt = device.needInterrupt(); // true

  const token = driver.get(); // 7, and driver.usedLength is 1
  // end
  expect([kick, batch.count, memory.u8[0x9000], interrupt, token, driver.usedLength]).toEqual([true, 1, 42, true, 7, 1]);
});

test('the example of the README is that one', () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
  const shown = /```ts\nimport .*\n\n([^]*?)```/.exec(read('../README.md'))![1];
  const run = /\n {2}\/\/ example\n([^]*?) {2}\/\/ end\n/.exec(read('readme.test.ts'))![1];
  expect(shown).toBe(run.replaceAll(/^ {2}/gm, ''));
});
