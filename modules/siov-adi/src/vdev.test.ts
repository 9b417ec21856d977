/** A device of two interfaces: their queues, one network between them. */
import type { VdpaDevice } from '@vdpalab/vdpa-core';
import type {} from '@vdpalab/fs';
import { mirrorMachine } from '@vdpalab/machine';
import { bootBuiltins, covers, DirectRings, echo, errnoOf, errnoOfSync, toyBusDriver } from '@vdpalab/testing';
import {
  VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
  VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ, virtio_net_config, virtio_net_hdr_v1,
} from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';

const UUID = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001';
const HDR = virtio_net_hdr_v1.size;
const FRAMES = 32;
const LENGTH = 64;

const bits = (...numbers: number[]): bigint => numbers.reduce((all, n) => all | (1n << BigInt(n)), 0n);
const PLAIN = [VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM] as const;
const MULTIQUEUE = bits(...PLAIN, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ);

/** A broadcast UDP frame. @param port its source port; frames of one port are a flow @param n its number */
function frameOf(port: number, n: number): Uint8Array {
  const frame = new Uint8Array(LENGTH).fill(0xff, 0, 6);
  frame.set([0x52, 0x54, 0, 0, 0, 9, 8, 0, 0x45], 6);
  frame[23] = 17;
  frame.set([10, 0, 0, 1, 10, 0, 0, 255, port >> 8, port & 0xff, 0, 9], 26);
  frame[LENGTH - 1] = n;
  return frame;
}

/** With a device of two interfaces in the hands of the test, whose driver has taken these features. */
async function withVdev(features: bigint, use: (vdev: VdpaDevice, rings: DirectRings<VdpaDevice>, idle: () => Promise<void>) => Promise<void>): Promise<void> {
  const kernel = await bootBuiltins(
    ['sched', 'mm', 'fs', 'driver-core', 'irq', 'iommu', 'pci', 'netlink', 'vhost-iotlb', 'vdpa-core', 'mdev-core', 'siov-adi'],
    { machine: mirrorMachine(1, { at: '07:00.0', model: 'siov', adis: 2, queue_size: 256, mtu: 1500, link: 'sw0', promisc: false }) },
  );
  const { k } = kernel;
  const toy = toyBusDriver<VdpaDevice>();
  await kernel.run(() => kernel.insmod(toy.module));
  const before = kernel.leftovers();
  await kernel.user(async (proc) => {
    await echo(k, proc, '/sys/class/mdev_bus/0000:07:00.0/mdev_supported_types/siov_adi-vdev2/create', UUID);
    const vdev = toy.devices.get('vdpa0')!;
    const rings = new DirectRings(k as never, vdev); // its symbols are of modules above
    await k.vdpa_reset(vdev);
    await k.vdpa_set_features(vdev, features);
    await rings.map();
    await use(vdev, rings, () => k.msleep(1));
    await k.vdpa_reset(vdev);
    rings.free();
    await echo(k, proc, `/sys/bus/mdev/devices/${UUID}/remove`, '1');
  });
  expect(kernel.leftovers().filter((line) => !before.includes(line))).toEqual([]);
}

/** Send one frame of each flow through the transmit queues in turn. @returns numbers of the flows that came back to each receive queue */
async function flowsBack(rings: DirectRings<VdpaDevice>, tx: readonly number[], rx: readonly number[], idle: () => Promise<void>): Promise<number[][]> {
  for (let n = 0; n < FRAMES; n++) {
    const at = rings.take(HDR + LENGTH);
    rings.bytes.set(frameOf(5000 + n, n), at + HDR);
    rings.give(rings.queues[tx[n % tx.length]!]!, [[at, HDR + LENGTH]], [], n);
    await idle();
  }
  return rx.map((q) => rings.used(rings.queues[q]!).map(([at]) => rings.bytes[at + HDR + LENGTH - 1]!));
}

async function fill(rings: DirectRings<VdpaDevice>, q: number): Promise<void> {
  const queue = await rings.queue(q, 64);
  for (let n = 0; n < 64; n++) {
    const at = rings.take(HDR + LENGTH);
    rings.give(queue, [], [[at, HDR + LENGTH]], at);
  }
}

describe('a device of two interfaces', () => {
  it('has the queues of both and one to control them, and spreads flows over the pairs that are in use', async () => {
    covers('1.1.7');
    await withVdev(MULTIQUEUE, async (vdev, rings, idle) => {
      const { config: ops } = vdev;
      expect(vdev.nvqs).toBe(5);
      expect(virtio_net_config.decode(ops.get_config(vdev, 0, virtio_net_config.size)).max_virtqueue_pairs).toBe(2);
      expect([8, 9].map((at) => ops.get_config(vdev, at, 1)[0])).toEqual([2, 0]); // in whatever pieces it is read
      for (const q of [0, 2]) await fill(rings, q);
      for (const q of [1, 3, 4]) await rings.queue(q, 64);
      await ops.set_status(vdev, VIRTIO_CONFIG_S_DRIVER_OK);

      const setPairs = async (count: number): Promise<number> => {
        const at = rings.take(8);
        rings.bytes.set([VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, count, 0, 0xff], at);
        rings.give(rings.queues[4]!, [[at, 4]], [[at + 4, 1]], count);
        await idle();
        expect(rings.used(rings.queues[4]!)).toEqual([[count, 1]]);
        return rings.bytes[at + 4]!;
      };
      const all = Array.from({ length: FRAMES }, (_, n) => n);
      expect(await flowsBack(rings, [1, 3], [0, 2], idle)).toEqual([all, []]); // one pair until the driver says otherwise
      expect([await setPairs(3), await setPairs(0), await setPairs(2)]).toEqual([1, 1, 0]);
      const spread = await flowsBack(rings, [1, 3], [0, 2], idle);
      expect(spread.map((flows) => flows.length > FRAMES / 4)).toEqual([true, true]);
      expect(spread.flat().sort((a, b) => a - b)).toEqual(all); // each once
      expect(rings.queues.map(({ calls }) => calls > 0)).toEqual([true, true, true, true, true]);
      expect(new Set([0, 1, 2, 3, 4].map((q) => ops.get_vq_irq?.(vdev, q))).size).toBe(5);
      expect(new Set([0, 1, 2, 3, 4].map((q) => ops.get_vq_notification?.(vdev, q).addr)).size).toBe(5);
    });
  });

  it('has its control queue behind the first pair for a driver without multiqueue, and no sixth queue', async () => {
    await withVdev(bits(...PLAIN, VIRTIO_NET_F_CTRL_VQ), async (vdev, rings, idle) => {
      const { config: ops } = vdev;
      for (const q of [0, 1, 2]) await rings.queue(q, 64);
      await ops.set_status(vdev, VIRTIO_CONFIG_S_DRIVER_OK);
      const at = rings.take(8);
      rings.bytes.set([VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, 0, 0xff], at);
      rings.give(rings.queues[2]!, [[at, 4]], [[at + 4, 1]], 1);
      await idle();
      expect([rings.used(rings.queues[2]!), rings.bytes[at + 4]]).toEqual([[[1, 1]], 1]); // answered: it has no such command now
      expect(errnoOfSync(() => ops.kick_vq(vdev, 5))).toBe('EINVAL');
      expect(await errnoOf(() => ops.set_vq_state(vdev, 0, { kind: 'packed', last_avail_counter: 0, last_avail_idx: 0, last_used_counter: 0, last_used_idx: 0 }))).toBe('EOPNOTSUPP');
      expect(await errnoOf(() => ops.set_driver_features(vdev, bits(VIRTIO_F_VERSION_1)))).toBe('EINVAL');
    });
  });
});
