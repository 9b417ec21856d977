import { covers } from '@vdpalab/testing';
import { VHOST_ACCESS_RO, VHOST_ACCESS_RW, VIRTIO_CONFIG_S_FAILED } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { Bench, frame, RUNNING } from './testing/device.ts';
import { Failures } from './testing/failures.ts';
import { hardware, SF_MAC } from './testing/subfunction.ts';
import { chainsOf } from './mr-chains.ts';
import type { Vnet } from './vnet.ts';

const PAGE = 4096;
const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/** A table as vhost_vdpa makes it, of memory that was just allocated: `[first address, pages, access]`. */
async function mapOf(b: Bench, ranges: readonly (readonly [iova: bigint, pages: number, perm?: number])[]) {
  return await b.run(async () => {
    const table = b.k.vhost_iotlb_alloc(0, 0);
    const runs = ranges.map(([iova, pages, perm = VHOST_ACCESS_RW]) => {
      const run = b.k.alloc_pages(pages);
      b.k.vhost_iotlb_add_range(table, iova, iova + BigInt(pages * PAGE) - 1n, BigInt(run.pa), perm);
      return run;
    });
    return { table, runs };
  });
}

/** Where an address leads through the key in use: bus, physical. */
function lead(b: Bench, address: bigint, write = false): number | string {
  const { keys, rid } = b.hardware.fn;
  const { mkey } = (b.vdev.priv as Vnet).regions.current!; // mapped
  if (!keys.resolve(1, mkey, Number(address), write)) return keys.reason;
  const { bus } = keys;
  const area = b.hardware.hw.dmaPort(rid).area(bus, 1, write);
  return area === null ? 'no bus address' : (area.memory as unknown as { readonly base: number }).base + area.offset; // a region of RAM
}

test('a map becomes keys that cover it exactly, with the null key where there is a hole', async () => {
  covers('2.10.10', '1.3.8', '1.3.5');
  const b = await Bench.boot();
  await b.add();
  expect(b.vdev.dma_dev).not.toBeNull();
  const { table, runs } = await mapOf(b, [[0x1_0000n, 2], [0x1_2000n, 4], [0x4_0000n, 1, VHOST_ACCESS_RO]]);
  const group = b.vdev.dma_dev.iommu_group;
  const [domain, keys] = [group?.domain, b.hardware.fn.keys.size];
  await b.run(() => b.vdev.config.set_map!(b.vdev, 0, table));
  await b.kernel.settle();
  covers('1.3.4');
  expect(group?.domain).toBe(domain); // the platform's is as it was
  expect(b.hardware.fn.keys.size).toBe(keys + 2); // two of pages and one on top, in place of the one of all memory
  const [first, second, third] = runs.map((run) => run.pa) as [number, number, number];
  expect([0x1_0000n, 0x1_1fffn, 0x1_2000n, 0x1_5fffn, 0x4_0000n, 0x4_0fffn].map((at) => lead(b, at)))
    .toEqual([first, first + 0x1fff, second, second + 0x3fff, third, third + 0xfff]);
  expect([0xffffn, 0x1_6000n, 0x3_ffffn, 0x4_1000n].map((at) => lead(b, at))).toEqual(['out-of-range', 'null-key', 'null-key', 'out-of-range']);
  expect([lead(b, 0x1_0000n, true), lead(b, 0x4_0000n, true)]).toEqual([first, 'permission']);
  await b.run(() => b.vdev.reset());
  await b.kernel.settle();
  expect(b.hardware.fn.keys.size).toBe(keys);
  await b.del();
});

test('neighbours with the same rights are one chain, of at most 1 GiB', async () => {
  const b = await Bench.boot();
  await b.run(async () => {
    const table = b.k.vhost_iotlb_alloc(0, 0);
    const GIB = 1n << 30n;
    b.k.vhost_iotlb_add_range(table, 0n, GIB - 0x1000n - 1n, 0x1000n, VHOST_ACCESS_RW);
    b.k.vhost_iotlb_add_range(table, GIB - 0x1000n, 2n * GIB + 0xfffn, 0x8000_0000n, VHOST_ACCESS_RW);
    b.k.vhost_iotlb_add_range(table, 4n * GIB, 4n * GIB + 0xfffn, 0n, VHOST_ACCESS_RO);
    b.k.vhost_iotlb_add_range(table, 4n * GIB + 0x1000n, 4n * GIB + 0x1fffn, 0n, VHOST_ACCESS_RW);
    expect(chainsOf(b.k, table).map(({ start, length, hole, pieces }) => [start, length, hole, pieces.length])).toEqual([
      [0n, 2 ** 30, 0, 2], [GIB, 2 ** 30, 0, 1], [2n * GIB, 0x1000, 0, 1], [4n * GIB, 0x1000, 2 ** 31 - 0x1000, 1], [4n * GIB + 0x1000n, 0x1000, 0, 1],
    ]);
  });
});

test('without a map everything is 1:1, where the firmware allows', async () => {
  covers('2.10.11');
  const b = await Bench.boot();
  await b.add();
  expect(b.hardware.fn.keys.size).toBe(1);
  const dma = await b.run(async () => b.k.dma_map_single(b.vdev.dma_dev, b.k.alloc_pages(1).pa, PAGE, 'DMA_BIDIRECTIONAL'));
  expect(b.hardware.fn.keys.resolve(1, (b.vdev.priv as Vnet).regions.current!.mkey, dma, true)).toBe(true);
  expect(b.hardware.fn.keys.bus).toBe(dma);
  await b.run(async () => void b.k.dma_unmap_single(b.vdev.dma_dev, dma, PAGE, 'DMA_BIDIRECTIONAL'));
  await b.del();
  const without = await Bench.boot(hardware({ without: ['umem-uid-0'] }));
  await without.add();
  expect([without.hardware.fn.keys.size, (without.vdev.priv as Vnet).regions.current]).toEqual([0, null]);
  await without.del();
});

test('an address goes through the key and through the platform\'s table; a fault names its stage', async () => {
  covers('1.3.6', 'F7', '1.9.11');
  const b = await Bench.boot();
  await b.add();
  const rings = await b.start();
  const { fn, hw, outside } = b.hardware;
  await b.send(rings, frame(BROADCAST));
  expect([outside.take().length, fn.keyFaults, hw.iommu!.faults.length]).toEqual([1, [], 0]);
  // stage one: a buffer outside the map
  const { base } = rings;
  rings.base = base + 0x1000_0000n;
  await b.send(rings, frame(BROADCAST));
  rings.base = base;
  const { mkey } = (b.vdev.priv as Vnet).regions.current!; // mapped
  expect(fn.keyFaults.at(-1)).toMatchObject({ stage: 'key', vhca: 1, key: mkey, reason: 'out-of-range', write: false });
  expect([hw.iommu!.faults.length, outside.take().length]).toEqual([0, 0]);
  // stage two: the platform's table loses the memory under the key
  const faults = fn.keyFaults.length;
  const { dma, size } = b.k.dma_mappings(b.vdev.dma_dev).find((mapping) => !mapping.coherent && mapping.size === rings.bytes.length)!; // the map's
  b.k.iommu_unmap(b.vdev.dma_dev.iommu_group!.domain!, dma, size); // a device behind an IOMMU has both
  await b.send(rings, frame(BROADCAST));
  expect(hw.iommu!.faults.at(-1)).toMatchObject({ rid: fn.rid, pasid: null, reason: 'not-present' });
  expect([fn.keyFaults.length, outside.take().length]).toEqual([faults, 0]);
});

test('a new map while queues run: indices go on, frames go through the new key, the old one goes', async () => {
  covers('2.10.12');
  const b = await Bench.boot();
  await b.add();
  const rings = await b.start();
  const state = async (q: number) => await b.run(() => b.vdev.config.get_vq_state(b.vdev, q));
  for (let i = 0; i < 3; i++) await b.send(rings, frame(BROADCAST));
  expect(await state(1)).toEqual({ kind: 'split', avail_index: 3 });
  const keys = b.hardware.fn.keys.size;
  const before = (b.vdev.priv as Vnet).regions.current!.mkey;
  for (let round = 1; round <= 3; round++) {
    await b.run(() => rings.map()); // the same addresses, another key
    await b.kernel.settle();
    await b.send(rings, frame(BROADCAST));
    const at = await b.post(rings, 0, 10 + round);
    await b.arrive(frame(SF_MAC, 64 + round));
    expect([(await state(1)), (await state(0)), rings.bytes[at]]).toEqual([
      { kind: 'split', avail_index: 3 + round }, { kind: 'split', avail_index: round }, SF_MAC[0],
    ]);
  }
  expect(rings.used(rings.queues[1]!)).toHaveLength(6);
  expect(rings.used(rings.queues[0]!)).toHaveLength(3);
  expect([b.hardware.outside.take().length, b.hardware.fn.keys.size]).toEqual([6, keys]);
  expect((b.vdev.priv as Vnet).regions.current!.mkey).not.toBe(before);
  await b.finish(rings);
  await b.del();
});

test('whichever step of a new map fails, queues go on with the old one', async () => {
  covers('2.10.12');
  const failures = new Failures();
  const b = await Bench.boot(hardware(), { wrap: failures.wrap });
  await b.add();
  const rings = await b.start();
  let sent = 0;
  const failed = new Set<string>();
  const keys = b.hardware.fn.keys.size;
  for (let at = 1; ; at++) {
    failures.left = at;
    const errno = await b.run(() => rings.map().then(() => 'ok', (error: { errno: string }) => error.errno));
    const where = failures.take();
    await b.kernel.settle();
    await b.send(rings, frame(BROADCAST));
    sent++;
    expect([where, b.hardware.outside.take().length, rings.used(rings.queues[1]!).length, b.hardware.fn.keys.size]).toEqual([where, 1, 1, keys]);
    expect(await b.run(() => b.vdev.config.get_vq_state(b.vdev, 1))).toEqual({ kind: 'split', avail_index: sent });
    if (where === null) {
      expect(errno).toBe('ok');
      break;
    }
    failed.add(where);
  }
  expect([...failed].sort()).toEqual([
    'dma_map_single', 'mlx5_add_flow_rules', 'mlx5_cmd_exec', 'mlx5_core_create_cq', 'mlx5_core_create_mkey', 'mlx5_core_create_rqt', 'mlx5_core_create_tir',
    'mlx5_create_auto_grouped_flow_table', 'mlx5_vector2eqn',
  ]);
  expect(b.vdev.config.get_status(b.vdev)).toBe(RUNNING);
  await b.finish(rings);
  await b.del();
});

test('whichever step of DRIVER_OK fails, the status says FAILED and no queue is left', async () => {
  const failures = new Failures();
  const b = await Bench.boot(hardware(), { wrap: failures.wrap });
  await b.add();
  const held = b.vhca.resources.size;
  const failed = new Set<string>();
  for (let at = 1; ; at++) {
    const rings = await b.start(undefined, [], true, () => void (failures.left = at));
    const where = failures.take();
    if (where === null) {
      expect(b.vdev.config.get_status(b.vdev)).toBe(RUNNING);
      await b.finish(rings);
      break;
    }
    failed.add(where);
    expect([where, b.vdev.config.get_status(b.vdev) & VIRTIO_CONFIG_S_FAILED, b.vhca.resources.size]).toEqual([where, VIRTIO_CONFIG_S_FAILED, held]);
    await b.finish(rings);
  }
  expect([...failed].sort()).toEqual([
    'mlx5_add_flow_rules', 'mlx5_cmd_exec', 'mlx5_core_create_cq', 'mlx5_core_create_rqt', 'mlx5_core_create_tir',
    'mlx5_create_auto_grouped_flow_table', 'mlx5_vector2eqn',
  ]);
  await b.del();
});
