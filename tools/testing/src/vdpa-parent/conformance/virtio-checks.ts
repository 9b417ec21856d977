/** The operations through virtio_vdpa and the driver of the device's class: one table for every parent. */
import {
  VDPA_ATTR_DEV_MIN_VQ_SIZE, VDPA_CMD_DEV_GET, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1,
} from '@vdpalab/uapi';
import { expect } from 'vitest';
import type { Check } from './check.ts';
import { RUNNING } from './vhost-context.ts';
import type { VirtioContext } from './virtio-context.ts';

/** Later than 6.1: the driver's doorbell carries more than the queue. */
const VIRTIO_F_NOTIFICATION_DATA = 38;
const bit = (n: number): bigint => 1n << BigInt(n);

/** The addresses each queue was given last: descriptor table, available ring, used ring. */
const addresses = (c: VirtioContext): (readonly bigint[])[] =>
  c.queues.map((q) => c.calls.of('set_vq_address').findLast(([idx]) => idx === q)?.slice(1) as bigint[]); // the op's own arguments

/** Addresses of rings that do not lie in memory which the DMA API gave the queue's device. @param given of each queue */
const unreachable = (c: VirtioContext, given: readonly (readonly bigint[])[]): bigint[] => c.queues.flatMap((q, i) => {
  const mappings = c.k.dma_mappings(c.vdev.config.get_vq_dma_dev?.(c.vdev, q) ?? c.vdev.dma_dev);
  const has = (address: bigint): boolean => mappings.some(({ dma, size, coherent }) => coherent && address >= BigInt(dma) && address < BigInt(dma) + BigInt(size));
  return (given[i] ?? []).filter((address) => !has(address));
});

/** The checks, in the order of the operations. */
export const virtioChecks: readonly Check<VirtioContext>[] = [
  {
    row: '2.2.1', also: ['1.3.2'], title: 'set_vq_address gets rings that the DMA API made for the DMA device, each its own',
    async run(c) {
      const given = addresses(c);
      expect(new Set(given.flat()).size).toBe(3 * c.queues.length);
      expect(unreachable(c, given)).toEqual([]);
    },
  },
  {
    row: '2.2.2', title: 'set_vq_num gets the largest size of the queue',
    async run(c) {
      const largest = (q: number): number => c.vdev.config.get_vq_size?.(c.vdev, q) ?? c.offers.num_max;
      for (const q of c.queues) expect(c.calls.of('set_vq_num').findLast(([idx]) => idx === q)?.[1]).toBeLessThanOrEqual(largest(q));
    },
  },
  {
    row: '2.2.3', title: 'kick_vq is called for queues that have work, and work is done',
    async run(c) {
      await c.work();
      const kicked = new Set(c.calls.of('kick_vq').map(([q]) => q));
      expect(kicked.size).toBeGreaterThan(0);
      expect([...kicked].filter((q) => !c.queues.includes(q as number))).toEqual([]);
    },
  },
  {
    row: '2.2.4', op: 'kick_vq_with_data', title: 'without kick_vq_with_data its feature is not negotiated',
    absent: async (c) => expect(c.virtio.features & bit(VIRTIO_F_NOTIFICATION_DATA)).toBe(0n),
  },
  {
    row: '2.2.5', title: 'set_vq_cb gets a callback for each queue, and null when the driver goes',
    async run(c) {
      const { queues } = c;
      const last = (q: number): unknown => c.calls.of('set_vq_cb').findLast(([idx]) => idx === q)?.[1];
      expect(queues.map(last)).toEqual(queues.map(() => ({ callback: expect.any(Function), trigger: null })));
      await c.unbind();
      expect(queues.map(last)).toEqual(queues.map(() => null));
    },
  },
  {
    row: '2.2.6', title: 'set_vq_ready enables each queue, and disables it when the driver goes',
    async run(c) {
      const { queues } = c;
      const ready = (): boolean[] => queues.map((q) => c.vdev.config.get_vq_ready(c.vdev, q));
      expect(ready()).toEqual(queues.map(() => true));
      await c.unbind();
      expect(ready()).toEqual(queues.map(() => false));
    },
  },
  {
    row: '2.2.7', title: 'set_vq_state gives each queue the state of a fresh ring',
    async run(c) {
      expect(c.calls.of('set_vq_state')).toEqual(c.queues.map((q) => [q, { kind: 'split', avail_index: 0 }]));
    },
  },
  {
    row: '2.2.11', op: 'get_vq_size', title: 'get_vq_size bounds the queue; without it the size of all queues does',
    async run(c) {
      for (const [q, num] of c.calls.of('set_vq_num')) expect(num).toBeLessThanOrEqual(c.vdev.config.get_vq_size?.(c.vdev, q as number) ?? 0);
    },
    async absent(c) {
      for (const [, num] of c.calls.of('set_vq_num')) expect(num).toBe(c.offers.num_max);
    },
  },
  {
    row: '2.2.12', title: 'get_vq_align aligns the used ring',
    async run(c) {
      const align = BigInt(c.vdev.config.get_vq_align(c.vdev));
      expect(addresses(c).map(([, , used]) => (used as bigint) % align)).toEqual(c.queues.map(() => 0n));
    },
  },
  {
    row: '2.2.15', title: 'features are negotiated among those offered',
    async run(c) {
      const { features } = c.virtio;
      expect([features & ~c.offers.features, c.vdev.config.get_driver_features(c.vdev)]).toEqual([0n, features]);
      for (const f of [VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM]) expect(features & bit(f)).toBe(c.offers.features & bit(f));
    },
  },
  {
    row: '2.2.17', title: 'set_config_cb gets a callback, and null when the driver goes',
    async run(c) {
      expect(c.calls.of('set_config_cb').at(-1)).toEqual([{ callback: expect.any(Function) }]);
      await c.unbind();
      expect(c.calls.of('set_config_cb').at(-1)).toEqual([null]);
    },
  },
  {
    row: '2.2.19', op: 'get_vq_num_min', title: 'get_vq_num_min is the smallest queue; without it that is 1',
    run: async (c) => expect(await smallest(c)).toBe(c.managed ? c.offers.num_min : null),
    absent: async (c) => expect([await smallest(c), c.offers.num_min]).toEqual([1, 1]),
  },
  {
    row: '2.2.20', title: 'get_device_id and get_vendor_id become those of the virtio device',
    run: async (c) => expect(c.virtio.id).toEqual({ device: c.offers.device_id, vendor: c.offers.vendor_id }),
  },
  {
    row: '2.2.21', title: 'set_status goes up to DRIVER_OK, bit by bit',
    async run(c) {
      const given = c.calls.of('set_status').map(([status]) => status as number);
      expect(given.every((status, i) => i === 0 || (given[i - 1]! & ~status) === 0)).toBe(true);
      expect(c.vdev.config.get_status(c.vdev) & RUNNING).toBe(RUNNING);
    },
  },
  {
    row: '2.2.22', title: 'reset comes before everything else, and again when the driver goes',
    async run(c) {
      const changes = (op: string): boolean => op === 'reset' || op.startsWith('set_');
      expect(c.calls.calls.map(({ op }) => op).find(changes)).toBe('reset');
      c.calls.clear();
      await c.unbind();
      expect([c.calls.of('reset').length > 0, c.vdev.config.get_status(c.vdev) & RUNNING & ~3]).toEqual([true, 0]);
    },
  },
  {
    row: '2.2.26', title: 'get_config gives the driver the configuration',
    async run(c) {
      const size = Math.min(c.offers.config_size, 12);
      expect(await c.k.vdpa_get_config(c.vdev, 0, size)).toEqual(c.vdev.config.get_config(c.vdev, 0, size));
      expect(c.vdev.config.get_config_size(c.vdev)).toBe(c.offers.config_size);
    },
  },
  {
    row: '2.2.27', op: 'get_generation', title: 'get_generation stands still while the configuration does',
    async run(c) {
      const before = c.vdev.config.get_generation?.(c.vdev);
      await c.k.vdpa_get_config(c.vdev, 0, 1);
      expect(c.vdev.config.get_generation?.(c.vdev)).toBe(before);
    },
  },
  {
    row: '2.2.28', op: 'set_vq_affinity', title: 'without set_vq_affinity a queue is served all the same',
    absent: (c) => c.work(),
  },
  {
    row: '2.2.34', op: 'get_vq_dma_dev', title: 'without get_vq_dma_dev rings are of the DMA device',
    async absent(c) {
      expect(unreachable(c, addresses(c))).toEqual([]);
    },
  },
  {
    row: '2.7.11', title: 'a queue of a driver that has gone is kicked no more',
    async run(c) {
      await c.work(1);
      await c.work(2);
      await c.unbind();
      c.calls.clear();
      await c.idle();
      expect(c.calls.of('kick_vq')).toEqual([]);
    },
  },
  {
    row: '1.2.6', title: 'after unbind and bind it works as before',
    async run(c) {
      await c.work(1);
      await c.unbind();
      await c.bind();
      await c.work(2);
    },
  },
];

/** `min_vq_size` of `vdpa dev show`; null when it does not show the device. */
async function smallest(c: VirtioContext): Promise<number | null> {
  const { messages } = await c.tool.dump(VDPA_CMD_DEV_GET);
  const bytes = messages[0]?.get(VDPA_ATTR_DEV_MIN_VQ_SIZE);
  return bytes === undefined ? null : new DataView(bytes.buffer, bytes.byteOffset).getUint16(0, true);
}
