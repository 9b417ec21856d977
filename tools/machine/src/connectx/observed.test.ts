import { expect, test } from 'vitest';
import { Bench } from './driver.fixture.ts';
import { createKey, frame, keyInput, VirtioNet } from './virtio.fixture.ts';

const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const PAGE = 4096;

test('who looks on sees a queue\'s writes where they are in memory, in as many pieces as there are', async () => {
  const bench = new Bench();
  await bench.pf.start();
  const net = await VirtioNet.of(await (await bench.subfunction(0)).start());
  const seen: [at: number, length: number][] = [];
  bench.hw.observeDma((rid, at, length, write): undefined => {
    if (write && rid === bench.fn.rid) seen.push([at, length]);
  });
  const two = [bench.alloc(PAGE), bench.alloc(PAGE), bench.alloc(PAGE)] as const;
  net.shift = 0x4000_0000;
  // Memory as it is, then a buffer of two pages that do not follow each other.
  const low = await createKey(net.driver, keyInput.pages(net.pd, net.shift, 32 << 20, 25, [0]));
  const buffer = await createKey(net.driver, keyInput.pages(net.pd, 0, 2 * PAGE, 12, [two[2], two[0]]));
  const key = await createKey(net.driver, keyInput.spans(net.pd, net.shift, (32 << 20) + 2 * PAGE, [{ bcount: 32 << 20, key: low, va: net.shift }, { bcount: 2 * PAGE, key: buffer }]));
  const rx = net.ring();
  await net.takeAll(await net.ready(0, key, rx));
  rx.ring.add(Uint32Array.of(net.shift + (32 << 20) + PAGE - 32, 0, 2048), 0, 0, 1, 4);
  rx.ring.kickPrepare();
  seen.length = 0;
  await net.arrive(frame(BROADCAST));
  expect(net.back(rx)).toEqual([[4, 72]]);
  const payload = seen.filter(([at]) => at >= two[0] && at < two[2] + PAGE);
  expect(payload.reduce((sum, [, length]) => sum + length, 0)).toBe(72);
  expect(payload.at(-1)).toEqual([two[0], 40]);
  expect(payload[0]![0]).toBe(two[2] + PAGE - 32);
  expect(seen.filter(([at]) => at < two[0] || at >= two[2] + PAGE).every(([at]) => at >= rx.used - net.shift && at < rx.used - net.shift + PAGE)).toBe(true);
});
