/** Requests through the simulator's ring, each with its status. */
import { bootBuiltins, covers, DirectRings, toyBusDriver, VdpaTool } from '@vdpalab/testing';
import {
  VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
  virtio_blk_config, virtio_blk_discard_write_zeroes, virtio_blk_outhdr,
} from '@vdpalab/uapi';
import type { VdpaDevice } from '@vdpalab/vdpa-core';
import type {} from '@vdpalab/fs';
import type {} from '@vdpalab/iommu';
import type {} from '@vdpalab/mm';
import { expect, test } from 'vitest';

const BELOW = [
  'sched', 'mm', 'fs', 'driver-core', 'iommu', 'netlink', 'vdpa-core', 'vhost-iotlb', 'vringh', 'vdpa-sim', 'vdpa-sim-blk',
] as const;
const [OK, IOERR, UNSUPP] = [0, 1, 2];
const CAPACITY = 0x40000n;

/** A started device. */
async function setUp() {
  const driver = toyBusDriver<VdpaDevice>();
  const kernel = await bootBuiltins([...BELOW, driver.module]);
  const { k } = kernel;
  const added = await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(k as never, proc as never); // its calls are those of `fs`
    const result = await tool.add('blk0', 'vdpasim_blk');
    await tool.close();
    return result;
  });
  expect(added).toBe('ok');
  const vdpa = driver.devices.get('blk0')!;
  const rings = new DirectRings(k as never, vdpa, 256); // its calls are those of `mm`, `iommu` and `vhost_iotlb`
  const start = (): Promise<void> => kernel.run(async () => {
    await k.vdpa_set_status(vdpa, 3);
    await k.vdpa_set_features(vdpa, 0x3_0000_7646n);
    await k.vdpa_set_status(vdpa, 11);
    await rings.map();
    await rings.queue(0);
    await k.vdpa_set_status(vdpa, 15);
  });
  await start();
  /** @param bytes to write, or how many to read @returns status, used length, bytes read */
  async function request(type: number, sector: bigint, bytes: Uint8Array | number, header = 16): Promise<readonly [number | null, number, Uint8Array]> {
    const [q] = rings.queues;
    const out = rings.take(header);
    rings.bytes.set(virtio_blk_outhdr.encode({ type, sector }).subarray(0, header), out);
    const size = typeof bytes === 'number' ? bytes : bytes.length;
    const data = rings.take(Math.max(size, 1));
    if (typeof bytes !== 'number') rings.bytes.set(bytes, data);
    const status = rings.take(1);
    rings.bytes[status] = 99;
    const pieces: [number, number][] = [];
    for (let at = 0; at < size; at += 4096) pieces.push([data + at, Math.min(4096, size - at)]);
    const reads = typeof bytes === 'number';
    rings.give(q!, [[out, header], ...(reads ? [] : pieces)], [...(reads ? pieces : []), [status, 1]], 0);
    await kernel.settle();
    const [used] = rings.used(q!);
    const said = rings.bytes[status]!;
    return [said === 99 ? null : said, used![1], rings.bytes.slice(data, data + size)];
  }
  return { kernel, k, vdpa, rings, start, request };
}

test('shows the configuration, the features and the queue of Linux 6.1', async () => {
  covers('2.8.5');
  const { vdpa } = await setUp();
  const { config: ops } = vdpa;
  expect([ops.get_device_features(vdpa), ops.get_config_size(vdpa), ops.get_vq_num_max(vdpa), vdpa.nvqs, vdpa.ngroups, vdpa.nas]).toEqual([
    0x3_0800_7646n, 72, 256, 1, 1, 1,
  ]);
  const bytes = ops.get_config(vdpa, 0, 72);
  expect(virtio_blk_config.read(new DataView(bytes.buffer), 0)).toMatchObject({
    capacity: CAPACITY, size_max: 4096, seg_max: 32, blk_size: 512, num_queues: 1, min_io_size: 1, opt_io_size: 1, max_discard_seg: 1,
    max_write_zeroes_seg: 1,
  });
});

test('keeps what was written, over a reset too, and says its serial', async () => {
  covers('2.8.5');
  const { kernel, k, vdpa, start, request } = await setUp();
  const data = Uint8Array.from({ length: 4096 * 3 }, (_, i) => i % 251);
  expect((await request(VIRTIO_BLK_T_OUT, 8n, data)).slice(0, 2)).toEqual([OK, 1]);
  await kernel.run(() => k.vdpa_reset(vdpa));
  await start();
  expect(await request(VIRTIO_BLK_T_IN, 8n, data.length)).toEqual([OK, data.length + 1, data]);
  expect((await request(VIRTIO_BLK_T_FLUSH, 0n, 0)).slice(0, 2)).toEqual([OK, 1]);
  const [status, used, id] = await request(VIRTIO_BLK_T_GET_ID, 0n, 20);
  expect([status, used, String.fromCharCode(...id).replaceAll('\0', '')]).toEqual([OK, 21, 'vdpa_blk_sim']);
});

test('refuses what lies off the disk, is too long, or is unknown', async () => {
  const { request } = await setUp();
  const sector = new Uint8Array(512);
  const status = async (type: number, at: bigint, bytes: Uint8Array | number): Promise<number | null> => (await request(type, at, bytes))[0];
  expect(await status(VIRTIO_BLK_T_OUT, CAPACITY - 1n, sector)).toBe(OK);
  expect(await status(VIRTIO_BLK_T_OUT, CAPACITY, sector)).toBe(IOERR);
  expect(await status(VIRTIO_BLK_T_IN, CAPACITY - 1n, 1024)).toBe(IOERR);
  expect(await status(VIRTIO_BLK_T_IN, (1n << 64n) - 1n, 512)).toBe(IOERR);
  expect(await status(VIRTIO_BLK_T_FLUSH, 1n, 0)).toBe(IOERR);
  expect(await status(VIRTIO_BLK_T_GET_ID, 1n, 20)).toBe(IOERR);
  expect(await status(7, 0n, sector)).toBe(IOERR);
});

test('write-zeroes clears, discard does not, and flags are looked at', async () => {
  const { request } = await setUp();
  const range = (first: bigint, num: number, flags = 0): Uint8Array => virtio_blk_discard_write_zeroes.encode({ sector: first, num_sectors: num, flags });
  await request(VIRTIO_BLK_T_OUT, 0n, new Uint8Array(1024).fill(7));
  const byte = async (at: number): Promise<number | undefined> => (await request(VIRTIO_BLK_T_IN, 0n, 1024))[2][at];
  expect([(await request(VIRTIO_BLK_T_DISCARD, 0n, range(0n, 2)))[0], await byte(0)]).toEqual([OK, 7]);
  expect([(await request(VIRTIO_BLK_T_WRITE_ZEROES, 0n, range(1n, 1, 1)))[0], await byte(511), await byte(512)]).toEqual([OK, 7, 0]);
  expect((await request(VIRTIO_BLK_T_DISCARD, 0n, range(0n, 2, 1)))[0]).toBe(UNSUPP);
  expect((await request(VIRTIO_BLK_T_WRITE_ZEROES, 0n, range(0n, 2, 2)))[0]).toBe(UNSUPP);
  expect((await request(VIRTIO_BLK_T_WRITE_ZEROES, 0n, range(CAPACITY, 1)))[0]).toBe(IOERR);
  expect((await request(VIRTIO_BLK_T_WRITE_ZEROES, 0n, range(0n, 1).subarray(0, 8)))[0]).toBe(IOERR);
});

test('a request without room for header or status is handed back unanswered, and the next doorbell goes on', async () => {
  const { kernel, vdpa, rings, request } = await setUp();
  const [q] = rings.queues;
  expect((await request(VIRTIO_BLK_T_IN, 0n, 512, 8)).slice(0, 2)).toEqual([null, 0]);
  rings.offer(q!, [[0, 16]], [], 1); // no status
  rings.offer(q!, [], [[0, 16]], 2); // no header
  const doorbell = async (): Promise<unknown> => {
    vdpa.config.kick_vq(vdpa, 0);
    await kernel.settle();
    return rings.used(q!);
  };
  expect([await doorbell(), await doorbell()]).toEqual([[[1, 0]], [[2, 0]]]);
  expect(q!.calls).toBe(0);
});
