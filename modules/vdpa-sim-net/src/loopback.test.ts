/** Frames through the simulator's rings: what comes back, and what does not. */
import { covers } from '@vdpalab/testing';
import { VIRTIO_NET_F_CTRL_VQ } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootSim, FEATURES, HDR, type SimBench } from './testing/bench.ts';

const MAC = [0x52, 0x54, 1, 2, 3, 4];
const OTHER = [0x52, 0x54, 1, 2, 3, 5];
const to = (mac: readonly number[], length = 60): number[] => [...mac, ...Array.from({ length: length - 6 }, (_, i) => i & 0xff)];

/** A started device with both queues, and `buffers` receive buffers of `size` bytes. */
async function setUp(buffers = 4, size = 2048, mac = MAC): Promise<SimBench & { pass: (frame: readonly (readonly [number, number])[], token?: number) => Promise<void>; buffer: (token: number) => number }> {
  const b = await bootSim(mac);
  const [rx, tx] = await b.start([0, 1]);
  const places: number[] = [];
  for (let token = 0; token < buffers; token++) {
    places.push(b.rings.take(size));
    b.rings.offer(rx!, [], [[places[token]!, size]], token);
  }
  return {
    ...b,
    buffer: (token) => places[token]!,
    async pass(pieces, token = 7) {
      b.rings.give(tx!, pieces, [], token);
      await b.settle();
    },
  };
}

test('a frame for the device itself comes back: used length of what was written, none for what was sent, one call each', async () => {
  covers('2.8.4');
  const b = await setUp();
  const [rx, tx] = b.rings.queues;
  const [at, length] = b.frame(to(MAC));
  await b.pass([[at, length]]);
  expect([b.rings.used(tx!), b.rings.used(rx!), tx!.calls, rx!.calls]).toEqual([[[7, 0]], [[0, length]], 1, 1]);
  expect([...b.rings.bytes.subarray(b.buffer(0) + HDR, b.buffer(0) + length)]).toEqual(to(MAC));
});

test('broadcast and multicast come back, other addresses and runts do not, and all of them are used up', async () => {
  const b = await setUp();
  const [rx, tx] = b.rings.queues;
  for (const [bytes, comes] of [[to([255, 255, 255, 255, 255, 255]), 1], [to([1, 0, 0x5e, 0, 0, 1]), 1], [to(OTHER), 0], [MAC.slice(0, 5), 0], [MAC, 1]] as const) {
    await b.pass([b.frame(bytes)]);
    expect([b.rings.used(tx!).length, b.rings.used(rx!).length]).toEqual([1, comes]);
  }
});

test('addresses are compared as text: behind a zero byte anything passes, as in Linux 6.1', async () => {
  const b = await setUp(4, 2048, [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
  const [rx] = b.rings.queues;
  await b.pass([b.frame(to([0x52, 0x54, 0, 9, 9, 9]))]);
  expect(b.rings.used(rx!)).toHaveLength(1);
  await b.pass([b.frame(to([0x52, 0x55, 0, 0x12, 0x34, 0x56]))]);
  expect(b.rings.used(rx!)).toHaveLength(0);
});

test('without a receive buffer a frame is dropped and its buffer used up; a short one gets what fits', async () => {
  const b = await setUp(1, 64);
  const [rx, tx] = b.rings.queues;
  await b.pass([b.frame(to(MAC))]);
  expect(b.rings.used(rx!)).toEqual([[0, 64]]);
  await b.pass([b.frame(to(MAC))]);
  expect([b.rings.used(tx!), b.rings.used(rx!)]).toEqual([[[7, 0], [7, 0]], []]);
});

test('a frame that is not mapped uses up a whole receive buffer, as in Linux 6.1', async () => {
  const b = await setUp();
  const [rx, tx] = b.rings.queues;
  await b.pass([b.frame(to(MAC))]); // the buffer it passes through now holds an address that passes
  b.rings.used(rx!);
  b.rings.used(tx!);
  await b.pass([[0x80_0000, 100]]);
  expect([b.rings.used(tx!), b.rings.used(rx!)]).toEqual([[[7, 0]], [[1, 2048]]]);
});

test('more frames than one turn passes on all arrive, in order', async () => {
  const b = await setUp(12, 256);
  const [rx, tx] = b.rings.queues;
  for (let i = 0; i < 12; i++) b.rings.offer(tx!, [b.frame(to(MAC, 40 + i))], [], i);
  b.vdpa.config.kick_vq(b.vdpa, 0); // any queue's doorbell serves all
  await b.settle();
  expect(b.rings.used(rx!).map(([token, length]) => [token, length - HDR])).toEqual(Array.from({ length: 12 }, (_, i) => [i, 40 + i]));
});

test('a driver that wants no calls gets none', async () => {
  const b = await setUp();
  const [rx, tx] = b.rings.queues;
  rx!.ring.disableCallbacks();
  tx!.ring.disableCallbacks();
  await b.pass([b.frame(to(MAC))]);
  expect([rx!.calls, tx!.calls, b.rings.used(rx!).length]).toEqual([0, 0, 1]);
});

test('the control queue sets the MAC, and refuses all else; not negotiated it is not served', async () => {
  covers('2.8.4');
  const b = await bootSim(MAC);
  const [cvq] = await b.start([2], FEATURES | (1n << BigInt(VIRTIO_NET_F_CTRL_VQ)));
  const command = async (bytes: readonly number[]): Promise<unknown> => {
    const at = b.rings.take(bytes.length);
    const ack = b.rings.take(1);
    b.rings.bytes.set(bytes, at);
    b.rings.bytes[ack] = 99;
    b.rings.give(cvq!, [[at, bytes.length]], [[ack, 1]], 0);
    await b.settle();
    return [b.rings.used(cvq!), b.rings.bytes[ack]];
  };
  const mac = (): number[] => [...b.vdpa.config.get_config(b.vdpa, 0, 6)];
  expect([await command([1, 1, ...OTHER]), mac()]).toEqual([[[[0, 1]], 0], OTHER]);
  expect([await command([1, 0, 0, 0, 0, 0]), await command([4, 0, 1, 0]), mac()]).toEqual([[[[0, 1]], 1], [[[0, 1]], 1], OTHER]);
  expect((await command([1, 1, 9, 9])) as unknown).toEqual([[[0, 1]], 1]); // too short
  expect(cvq!.calls).toBe(4);

  const plain = await bootSim(MAC);
  const [silent] = await plain.start([2]);
  const at = plain.rings.take(16);
  plain.rings.give(silent!, [[at, 8]], [[at + 8, 1]], 0);
  await plain.settle();
  expect(plain.rings.used(silent!)).toEqual([]);
});
