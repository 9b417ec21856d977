/** What of a queue is another when its ring is packed. */
import { covers, errnoOf, errnoOfSync } from '@vdpalab/testing';
import { VIRTIO_F_RING_PACKED, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from '@vdpalab/uapi';
import { expect, it } from 'vitest';
import type { VirtioConfigOps, Virtqueue } from './header.ts';
import { bits, bootRing, serve, usual } from './testing/bench.ts';
import type { Bench } from './testing/bench.ts';

const packed = usual | bits(VIRTIO_F_RING_PACKED);

/** Addresses of the areas, from the first on. */
const layout = (b: Bench, vq: Virtqueue): number[] => {
  const desc = b.k.virtqueue_get_desc_addr(vq);
  return [b.k.virtqueue_get_avail_addr(vq) - desc, b.k.virtqueue_get_used_addr(vq) - desc];
};

it('has its events behind its descriptors, of which there need not be a power of two', async () => {
  const b = await bootRing();
  const vq = b.create({ num: 6, features: packed });
  expect([b.k.virtqueue_get_vring_size(vq), vq.num_free, layout(b, vq)]).toEqual([6, 6, [96, 100]]);
});

it('is made of flags against wrap counters that begin at 1, events with theirs in bit 15, and ids that come again in order', async () => {
  covers('2.7.6');
  const b = await bootRing();
  const vq = b.create({ num: 4, features: packed | bits(VIRTIO_RING_F_EVENT_IDX) });
  const device = b.device(vq, true);
  const desc = b.view(b.k.virtqueue_get_desc_addr(vq), 64);
  const id = (at: number): number => desc.getUint16(16 * at + 12, true);
  const flags = (at: number): number => desc.getUint16(16 * at + 14, true) & ~2; // less WRITE
  const event = (dma: number): number[] => [0, 2].map((at) => b.view(dma, 4).getUint16(at, true));
  const ofDriver = (): number[] => event(b.k.virtqueue_get_avail_addr(vq));
  const ofDevice = b.view(b.k.virtqueue_get_used_addr(vq), 4);
  const [AVAIL, USED] = [1 << 7, 1 << 15];
  const [ENABLE, DISABLE, DESC] = [0, 1, 2];
  const page = b.page();
  const add = (name: string): boolean => {
    b.k.virtqueue_add_sgs(vq, [], [page], name);
    return b.k.virtqueue_kick_prepare(vq);
  };

  // Lap 1 has wrap counter 1: available is AVAIL without USED, used is both. A device says which kicks it wants.
  ofDevice.setUint16(2, DISABLE, true);
  expect([add('a'), id(0), flags(0)]).toEqual([false, 0, AVAIL]);
  ofDevice.setUint16(2, ENABLE, true);
  expect([add('b'), id(1), flags(1)]).toEqual([true, 1, AVAIL]);
  ofDevice.setUint16(0, 3 | 0x8000, true);
  ofDevice.setUint16(2, DESC, true);
  expect([add('c'), id(2), flags(2), add('d'), id(3), flags(3)]).toEqual([false, 2, AVAIL, true, 3, AVAIL]);
  expect([serve(device), serve(device)].map((chain) => chain?.segments)).toEqual([1, 1]);
  expect([flags(0), flags(1)]).toEqual([AVAIL | USED, AVAIL | USED]);
  expect([b.k.virtqueue_get_buf(vq)?.data, b.k.virtqueue_get_buf(vq)?.data]).toEqual(['a', 'b']);

  // Lap 2 has 0: the flags are turned over, and an event of the lap before is behind. Ids are used again, the last one freed first.
  ofDevice.setUint16(0, 1, true);
  expect([add('e'), id(0), flags(0), add('f'), id(1), flags(1)]).toEqual([false, 1, USED, true, 0, USED]);

  // The driver asks to be told from a position on, whose wrap counter is bit 15, and may ask for silence.
  expect([b.k.virtqueue_enable_cb(vq), ofDriver()]).toEqual([true, [2 | 0x8000, DESC]]);
  b.k.virtqueue_disable_cb(vq);
  expect(ofDriver()[1]).toBe(DISABLE);
  for (let n = 0; n < 4; n++) serve(device);
  expect(['c', 'd', 'e', 'f'].map(() => b.k.virtqueue_get_buf(vq)?.data)).toEqual(['c', 'd', 'e', 'f']);
  expect([b.k.virtqueue_enable_cb(vq), ofDriver(), flags(0), flags(1)]).toEqual([true, [2, DESC], 0, 0]);
  const plain = b.create({ num: 4, features: packed });
  b.k.virtqueue_disable_cb(plain);
  b.k.virtqueue_enable_cb(plain);
  expect(event(b.k.virtqueue_get_avail_addr(plain))).toEqual([0, ENABLE]);
});

it('buffers go round it many times, in chains and in tables, mapped only meanwhile', async () => {
  const b = await bootRing();
  for (const [extra, each] of [[0n, 3], [bits(VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_RING_F_EVENT_IDX), 1]] as const) {
    const vq = b.create({ num: 7, features: packed | extra });
    const device = b.device(vq, extra !== 0n);
    const idle = b.k.dma_mappings(b.dev).length;
    const page = b.page();
    for (let round = 0; round < 20; round++) {
      b.k.virtqueue_add_sgs(vq, [page, page], [page], round);
      expect([vq.num_free, b.k.virtqueue_kick_prepare(vq), b.k.virtqueue_get_buf(vq)]).toEqual([7 - each, true, null]);
      expect(serve(device, round)).toEqual({ segments: 3, lengths: [4096, 4096, 4096] });
      device.enableNotify();
      expect([b.k.virtqueue_get_buf(vq), vq.num_free]).toEqual([{ data: round, len: round }, 7]);
    }
    expect(b.k.dma_mappings(b.dev)).toHaveLength(idle);
  }
});

it('a full one refuses, and gives back what the device never used', async () => {
  const b = await bootRing();
  const vq = b.create({ num: 3, features: packed });
  const page = b.page();
  for (let i = 0; i < 3; i++) b.k.virtqueue_add_sgs(vq, [], [page], i);
  expect(errnoOfSync(() => b.k.virtqueue_add_sgs(vq, [], [page], 'x'))).toBe('ENOSPC');
  expect([0, 1, 2, 3].map(() => b.k.virtqueue_detach_unused_buf(vq))).toEqual([0, 1, 2, undefined]);
  expect(vq.num_free).toBe(3);
});

it('a used descriptor that names no buffer breaks it, and says so once', async () => {
  const b = await bootRing();
  const vq = b.create({ features: packed });
  b.k.virtqueue_add_sgs(vq, [], [b.page()], 'a');
  b.device(vq).push(5, 0);
  b.dmesg();
  expect([b.k.virtqueue_get_buf(vq), b.k.virtqueue_get_buf(vq), vq.broken]).toEqual([null, null, true]);
  expect(b.dmesg()).toEqual([expect.stringContaining('vq0:id 5 is not a head!')]);
});

it('takes any size it had room for', async () => {
  const step = async (): Promise<void> => undefined;
  const config: VirtioConfigOps = { disable_vq_and_reset: step, enable_vq_after_reset: step };
  const b = await bootRing({ config });
  const vq = b.create({ features: packed });
  expect(await b.run(() => errnoOf(() => b.k.virtqueue_resize(vq, 5, () => undefined)))).toBe('ok');
  expect([vq.num_free, layout(b, vq)]).toEqual([5, [80, 84]]);
});
