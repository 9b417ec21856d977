/** What a simulator is, whatever its class: sizes, features, groups, address spaces, suspend, reset. */
import { covers, errnoOf } from '@vdpalab/testing';
import { VIRTIO_CONFIG_S_DRIVER_OK } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootSim, FEATURES } from './testing/bench.ts';

const MAC = [0x52, 0x54, 1, 2, 3, 4];
const U64_MAX = (1n << 64n) - 1n;
const BROADCAST = [255, 255, 255, 255, 255, 255, ...Array.from({ length: 54 }, () => 1)];

test('queues of 256, vendor 0, ACCESS_PLATFORM or nothing, all addresses, groups that move', async () => {
  covers('2.8.2', '2.8.4', '2.6.7');
  const { vdpa, run, k } = await bootSim(MAC);
  const { config: ops } = vdpa;
  expect([ops.get_vq_num_max(vdpa), ops.get_vendor_id(vdpa), ops.get_vq_align(vdpa), ops.get_iova_range?.(vdpa)]).toEqual([256, 0, 4096, { first: 0n, last: U64_MAX }]);
  expect([0, 1, 2].map((q) => ops.get_vq_group?.(vdpa, q))).toEqual([0, 0, 1]);
  const errno = (body: () => unknown): Promise<string> => run(() => errnoOf(body));
  expect(await errno(() => k.vdpa_set_features(vdpa, 0x1_0000_0000n))).toBe('EINVAL');
  expect(await errno(() => k.vdpa_set_features(vdpa, U64_MAX))).toBe('ok');
  expect(ops.get_driver_features(vdpa)).toBe(0x3_0882_0028n);
  expect(ops.get_device_features(vdpa) & (1n << 34n)).toBe(0n); // RING_PACKED, which vringh has not
  expect([await errno(() => ops.set_group_asid?.(vdpa, 0, 1)), await errno(() => ops.set_group_asid?.(vdpa, 0, 2)), await errno(() => ops.set_group_asid?.(vdpa, 3, 0))])
    .toEqual(['ok', 'EINVAL', 'EINVAL']);
  const iotlb = k.vhost_iotlb_alloc(0, 0);
  expect([await errno(() => ops.set_map?.(vdpa, 1, iotlb)), await errno(() => ops.set_map?.(vdpa, 2, iotlb))]).toEqual(['ok', 'EINVAL']);
  expect(await errno(() => ops.set_vq_state(vdpa, 0, { kind: 'packed', last_avail_counter: 1, last_avail_idx: 0, last_used_counter: 1, last_used_idx: 0 }))).toBe('EOPNOTSUPP');
});

test('suspend stops all queues, and DRIVER_OK once more lets them go on', async () => {
  const b = await bootSim(MAC);
  const [rx, tx] = await b.start([0, 1]);
  b.rings.offer(rx!, [], [[b.rings.take(256), 256]], 0);
  await b.run(async () => b.vdpa.config.suspend?.(b.vdpa));
  b.rings.give(tx!, [b.frame(BROADCAST)], [], 1);
  await b.settle();
  expect([b.rings.used(tx!), await b.run(() => b.vdpa.config.get_vq_state(b.vdpa, 1))]).toEqual([[], { kind: 'split', avail_index: 0 }]);
  await b.run(() => b.k.vdpa_set_status(b.vdpa, 11 | VIRTIO_CONFIG_S_DRIVER_OK));
  b.vdpa.config.kick_vq(b.vdpa, 1);
  await b.settle();
  expect([b.rings.used(tx!), b.rings.used(rx!).length]).toEqual([[[1, 0]], 1]);
  expect(await b.run(() => b.vdpa.config.get_vq_state(b.vdpa, 1))).toEqual({ kind: 'split', avail_index: 1 });
});

test('of a later release, resume lets them go on, and does what was asked for meanwhile', async () => {
  covers('2.8.3');
  const earlier = await bootSim(MAC);
  expect(earlier.vdpa.config.resume).toBeUndefined();
  const b = await bootSim(MAC, { kernel: '6.12' });
  const [rx, tx] = await b.start([0, 1]);
  const { config: ops } = b.vdpa;
  const suspend = (): Promise<void> => b.run(async () => ops.suspend?.(b.vdpa));
  const resume = async (): Promise<void> => {
    await b.run(async () => ops.resume?.(b.vdpa));
    await b.settle();
  };
  b.rings.offer(rx!, [], [[b.rings.take(256), 256]], 0);
  b.rings.offer(rx!, [], [[b.rings.take(256), 256]], 1);
  await suspend();
  b.rings.give(tx!, [b.frame(BROADCAST)], [], 1); // offers and kicks
  await b.settle();
  expect([b.rings.used(tx!), b.rings.used(rx!)]).toEqual([[], []]);
  await resume();
  expect([b.rings.used(tx!), b.rings.used(rx!).length]).toEqual([[[1, 0]], 1]);

  // What nobody kicked for is not looked at.
  await suspend();
  b.rings.offer(tx!, [b.frame(BROADCAST)], [], 2);
  await resume();
  expect(b.rings.used(tx!)).toEqual([]);
  ops.kick_vq(b.vdpa, 1);
  await b.settle();
  expect(b.rings.used(tx!)).toEqual([[2, 0]]);
});

test('reset empties the tables of mappings, forgets queues and goes on counting generations', async () => {
  const b = await bootSim(MAC);
  const [rx, tx] = await b.start([0, 1]);
  const before = b.vdpa.config.get_generation?.(b.vdpa);
  await b.run(() => b.k.vdpa_reset(b.vdpa));
  const { config: ops } = b.vdpa;
  expect([ops.get_status(b.vdpa), ops.get_vq_ready(b.vdpa, 0), ops.get_driver_features(b.vdpa), ops.get_generation?.(b.vdpa)]).toEqual([0, false, 0n, before! + 1]);
  await b.run(async () => {
    await b.k.vdpa_set_features(b.vdpa, FEATURES);
    for (const q of [rx!, tx!]) await ops.set_vq_ready(b.vdpa, q.index, true); // at address 0, where nothing is mapped now
    await b.k.vdpa_set_status(b.vdpa, 15);
  });
  b.rings.give(tx!, [b.frame(BROADCAST)], [], 1);
  await b.settle();
  expect(b.rings.used(tx!)).toEqual([]);
});

test('an address space that is not the ring\'s is not reached, the one it was moved to is', async () => {
  covers('2.8.2');
  const b = await bootSim(MAC);
  const [rx, tx] = await b.start([0, 1]);
  const pass = async (): Promise<number> => {
    b.rings.offer(rx!, [], [[b.rings.take(256), 256]], 0);
    b.rings.give(tx!, [b.frame(BROADCAST)], [], 1);
    await b.settle();
    b.rings.used(tx!);
    return b.rings.used(rx!).length;
  };
  expect(await pass()).toBe(1);
  await b.run(async () => {
    await b.vdpa.config.set_group_asid?.(b.vdpa, 0, 1);
    await b.vdpa.config.set_map?.(b.vdpa, 1, b.k.vhost_iotlb_alloc(0, 0));
  });
  expect(await pass()).toBe(0);
  await b.run(() => b.rings.map(1));
  b.vdpa.config.kick_vq(b.vdpa, 1);
  await b.settle();
  expect(b.rings.used(rx!).length).toBe(1);
});
