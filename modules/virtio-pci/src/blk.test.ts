/** A plain block function, asked by a driver of the test's own. */
import { createMachine, createPciHost, VirtioBlkFunction } from '@vdpalab/machine';
import type { VirtioBlkConfig } from '@vdpalab/machine';
import { bootBuiltins } from '@vdpalab/testing';
import {
  VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_SCSI_CMD, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_ID_BLOCK, virtio_blk_config,
  virtio_blk_discard_write_zeroes, virtio_blk_outhdr,
} from '@vdpalab/uapi';
import type { Sg, VirtioDevice, Virtqueue } from '@vdpalab/virtio-ring';
import { describe, expect, it } from 'vitest';
import virtioPci from './module.ts';
import { BELOW } from './testing/bench.ts';

const DATA_AT = 512;
const STATUS_AT = 16;
const PIECE = 700;

interface Answer {
  readonly status: number;
  /** Bytes the device says it wrote. */
  readonly used: number;
  readonly data: Uint8Array;
}

async function bootBlk(over: Partial<VirtioBlkConfig> = {}) {
  const hw = createMachine({ seed: 1, ramBytes: 16 << 20, iommu: true, cmdline: '', release: '6.1.0', consoleSink: (): undefined => undefined });
  const system = createPciHost(hw, {
    root_ports: [{ at: '00:01.0', bus: 7, buses: 1, acs: true }],
    functions: [{ at: '07:00.0', model: 'virtio-blk', capacity: 1 << 20, num_queues: 1, queue_size: 64, serial: 'disk0', read_only: false, ...over }],
  });
  const fn = system.functions.get('07:00.0');
  if (!(fn instanceof VirtioBlkFunction)) throw new Error('07:00.0 is no block function');
  const kernel = await bootBuiltins(BELOW, { machine: hw.machine });
  const { k } = kernel;
  let vdev: VirtioDevice | null = null;
  let vq: Virtqueue | null = null;
  await kernel.run(() => kernel.insmod(virtioPci));
  const driver = {
    name: 'blk', owner: { name: 'blk', state: 'live' as const }, id_table: [{ device: VIRTIO_ID_BLOCK, vendor: null }], feature_table: [5, 6, 9],
    async probe(dev: VirtioDevice) {
      [vq = null] = await k.virtio_find_vqs(dev, [{ name: 'req.0', callback: (): undefined => undefined }]);
      vdev = dev;
    },
    async remove(dev: VirtioDevice) {
      await k.virtio_reset_device(dev);
      await k.virtio_del_vqs(dev);
    },
  };
  await kernel.run(() => k.register_virtio_driver(driver));

  /** One request, its data in two pieces. @param data bytes to write, or how many to read */
  async function ask(type: number, sector: number, data: Uint8Array | number): Promise<Answer> {
    const run = await kernel.run(async () => {
      const page = k.alloc_pages(4);
      const length = typeof data === 'number' ? data : data.length;
      k.phys_view(page.pa, 16).set(virtio_blk_outhdr.encode({ type, ioprio: 0, sector: BigInt(sector) }));
      if (typeof data !== 'number') k.phys_view(page.pa + DATA_AT, length).set(data);
      const pieces: Sg[] = [{ pa: page.pa + DATA_AT, len: Math.min(PIECE, length) }, { pa: page.pa + DATA_AT + PIECE, len: Math.max(0, length - PIECE) }];
      const some = pieces.filter(({ len }) => len > 0);
      const status: Sg = { pa: page.pa + STATUS_AT, len: 1 };
      k.phys_view(page.pa + STATUS_AT, 1)[0] = 0xee;
      const head: Sg = { pa: page.pa, len: 16 };
      if (typeof data === 'number') k.virtqueue_add_sgs(vq!, [head], [...some, status], page);
      else k.virtqueue_add_sgs(vq!, [head, ...some], [status], page);
      k.virtqueue_kick(vq!);
      return page;
    });
    await kernel.settle();
    return await kernel.run(async () => {
      const used = k.virtqueue_get_buf(vq!);
      const answer = {
        status: k.phys_view(run.pa + STATUS_AT, 1)[0]!, used: used?.len ?? -1,
        data: k.phys_view(run.pa + DATA_AT, typeof data === 'number' ? data : 0).slice(),
      };
      k.free_pages(run);
      return answer;
    });
  }
  return { ...kernel, fn, ask, vdev: () => vdev!, leave: () => kernel.run(() => k.unregister_virtio_driver(driver)) };
}

const bytes = (length: number, from: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 3 + from) & 0xff);

describe('a block function', () => {
  it('says how large it is, in sectors of 512 bytes', async () => {
    const b = await bootBlk();
    const config = await b.run(() => b.vdev().config.get(b.vdev(), 0, virtio_blk_config.size));
    expect(virtio_blk_config.decode(config)).toMatchObject({ capacity: 2048n, seg_max: 62, blk_size: 512, num_queues: 1 });
  });

  it('reads zeroes first, then what was written, also across chunks and after a reset', async () => {
    const b = await bootBlk();
    const data = bytes(3072, 1);
    expect([...(await b.ask(VIRTIO_BLK_T_IN, 126, 3072)).data]).toEqual([...new Uint8Array(3072)]);
    expect(await b.ask(VIRTIO_BLK_T_OUT, 126, data)).toMatchObject({ status: VIRTIO_BLK_S_OK, used: 1 });
    const read = await b.ask(VIRTIO_BLK_T_IN, 126, 3072);
    expect([read.status, read.used, [...read.data]]).toEqual([VIRTIO_BLK_S_OK, 3073, [...data]]);
    await b.run(() => b.k.virtio_reset_device(b.vdev()));
    const kept = new Uint8Array(3072);
    b.fn.disk.read(126 * 512, kept);
    expect([...kept]).toEqual([...data]);
  });

  it('flushes, tells its serial, and refuses what it does not know', async () => {
    const b = await bootBlk();
    expect((await b.ask(VIRTIO_BLK_T_FLUSH, 0, 0)).status).toBe(VIRTIO_BLK_S_OK);
    const id = await b.ask(VIRTIO_BLK_T_GET_ID, 0, 20);
    expect([id.status, String.fromCharCode(...id.data)]).toEqual([VIRTIO_BLK_S_OK, `disk0${'\0'.repeat(15)}`]);
    expect((await b.ask(VIRTIO_BLK_T_SCSI_CMD, 0, new Uint8Array(16))).status).toBe(VIRTIO_BLK_S_UNSUPP);
    expect(b.fn.counters).toMatchObject({ flushes: 1, errors: 1 });
  });

  it.each([['discards', VIRTIO_BLK_T_DISCARD], ['zeroes', VIRTIO_BLK_T_WRITE_ZEROES]])('%s a range of whole sectors on the disk, and no other', async (_, type) => {
    const b = await bootBlk();
    const clear = async (sector: number, num_sectors: number, flags = 0): Promise<number> =>
      (await b.ask(type, 0, virtio_blk_discard_write_zeroes.encode({ sector: BigInt(sector), num_sectors, flags }))).status;
    await b.ask(VIRTIO_BLK_T_OUT, 126, bytes(1536, 1));
    expect(await clear(127, 1)).toBe(VIRTIO_BLK_S_OK);
    const { data } = await b.ask(VIRTIO_BLK_T_IN, 126, 1536);
    expect([...data]).toEqual([...bytes(1536, 1).fill(0, 512, 1024)]);
    expect([await clear(2047, 1), await clear(2047, 2), await clear(0, 0x40_0000)]).toEqual([VIRTIO_BLK_S_OK, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR]);
    expect([await clear(0, 1, 1), await clear(0, 1, 2)]).toEqual([type === VIRTIO_BLK_T_DISCARD ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP]);
    expect((await b.ask(type, 0, new Uint8Array(15))).status).toBe(VIRTIO_BLK_S_UNSUPP);
    expect(b.fn.counters.clears).toBe(type === VIRTIO_BLK_T_DISCARD ? 2 : 3);
    const fixed = await bootBlk({ read_only: true });
    expect((await fixed.ask(type, 0, new Uint8Array(16))).status).toBe(VIRTIO_BLK_S_IOERR);
  });

  it.each([
    ['beyond the end', VIRTIO_BLK_T_IN, 2048, 512], ['across the end', VIRTIO_BLK_T_IN, 2047, 1024], ['of half a sector', VIRTIO_BLK_T_IN, 0, 256],
    ['beyond the end, to write', VIRTIO_BLK_T_OUT, 2048, bytes(512, 0)], ['far beyond any disk', VIRTIO_BLK_T_IN, Number.MAX_SAFE_INTEGER, 512],
  ])('fails a request %s', async (_, type, sector, data) => {
    const b = await bootBlk();
    expect(await b.ask(type, sector, data)).toMatchObject({ status: VIRTIO_BLK_S_IOERR, used: 1 });
  });

  it('that is read-only says so, and takes no writes', async () => {
    const b = await bootBlk({ read_only: true });
    expect(b.vdev().features & (1n << 5n)).not.toBe(0n);
    expect((await b.ask(VIRTIO_BLK_T_OUT, 0, bytes(512, 0))).status).toBe(VIRTIO_BLK_S_IOERR);
  });

  it('gives back a chain that is no request, empty', async () => {
    const b = await bootBlk();
    const { k } = b;
    await b.run(async () => {
      const page = k.alloc_pages(1);
      k.virtqueue_add_sgs(b.vdev().vqs[0]!, [{ pa: page.pa, len: 8 }], [{ pa: page.pa + 8, len: 1 }], page);
      k.virtqueue_kick(b.vdev().vqs[0]!);
    });
    await b.settle();
    await b.run(async () => {
      const used = k.virtqueue_get_buf(b.vdev().vqs[0]!);
      expect([used?.len, b.fn.counters.malformed]).toEqual([0, 1]);
      k.free_pages(used!.data as never);
    });
    await b.leave();
    await b.run(() => b.rmmod('virtio_pci'));
    expect(b.leftovers()).toEqual([]);
  });
});
