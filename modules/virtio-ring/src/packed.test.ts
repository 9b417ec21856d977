/** What of a queue is another when its ring is packed. */
import { errnoOf, errnoOfSync } from '@vdpalab/testing';
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
