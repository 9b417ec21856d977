/** The operations through vhost_vdpa: one table for every parent. */
import {
  MAP_SHARED, PROT_WRITE, VHOST_BACKEND_F_DESC_ASID, VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK, VHOST_BACKEND_F_IOTLB_PERSIST,
  VHOST_BACKEND_F_RESUME, VHOST_BACKEND_F_SUSPEND, VHOST_FILE_UNBIND, VHOST_GET_BACKEND_FEATURES, VHOST_GET_FEATURES,
  VHOST_GET_VRING_BASE, VHOST_IOTLB_BATCH_BEGIN, VHOST_IOTLB_BATCH_END, VHOST_IOTLB_INVALIDATE, VHOST_IOTLB_UPDATE, VHOST_SET_FEATURES,
  VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE, VHOST_SET_VRING_CALL, VHOST_SET_VRING_NUM, VHOST_VDPA_GET_CONFIG,
  VHOST_VDPA_GET_CONFIG_SIZE, VHOST_VDPA_GET_DEVICE_ID, VHOST_VDPA_GET_IOVA_RANGE, VHOST_VDPA_GET_STATUS, VHOST_VDPA_GET_VQS_COUNT,
  VHOST_VDPA_GET_VRING_DESC_GROUP, VHOST_VDPA_GET_VRING_GROUP, VHOST_VDPA_GET_VRING_NUM, VHOST_VDPA_GET_VRING_SIZE, VHOST_VDPA_RESUME,
  VHOST_VDPA_SET_CONFIG, VHOST_VDPA_SET_CONFIG_CALL, VHOST_VDPA_SET_GROUP_ASID, VHOST_VDPA_SET_STATUS, VHOST_VDPA_SET_VRING_ENABLE,
  VHOST_VDPA_SUSPEND, VDPA_ATTR_DEV_NAME, VDPA_ATTR_DEV_QUEUE_INDEX, VDPA_CMD_DEV_VSTATS_GET, VIRTIO_ID_NET, vhost_vdpa_iova_range,
  EFD_NONBLOCK,
} from '@vdpalab/uapi';
import { expect } from 'vitest';
import { anonymous, answerOf } from '../vhost-user-space.ts';
import type { Check } from './check.ts';
import { work, workUndone } from './traffic.ts';
import { RUNNING, SETTLED, type VhostContext } from './vhost-context.ts';

const PAGE = 4096n;
const bit = (n: number): bigint => 1n << BigInt(n);

const backend = async (c: VhostContext): Promise<bigint> => (await c.file.get(VHOST_GET_BACKEND_FEATURES, 8)) as bigint; // it needs no owner
const all = (c: VhostContext): number[] => Array.from({ length: c.offers.nvqs }, (_, q) => q);
/** Queues that are there whatever features are accepted. */
const data = (c: VhostContext): number[] => all(c).slice(0, c.offers.device_id === VIRTIO_ID_NET ? 2 : 1);

/** `vdpa dev vstats show NAME qidx 0` */
const stats = async (c: VhostContext): Promise<string> => (await c.tool.request(VDPA_CMD_DEV_VSTATS_GET, (b) => {
  b.putString(VDPA_ATTR_DEV_NAME, c.vdev.dev.name);
  b.putU32(VDPA_ATTR_DEV_QUEUE_INDEX, 0);
})).result.split(':')[0] as string; // split gives at least one

const mapDoorbell = (c: VhostContext): Promise<number | string> => answerOf(() => c.k.ksys_mmap(c.proc, 0, Number(PAGE), PROT_WRITE, MAP_SHARED, c.file.fd, 0));

/** Map two ranges, one by one or as a batch. @returns what the parent was told */
async function mapTwo(c: VhostContext, batch: boolean): Promise<string[]> {
  await c.own();
  const va = BigInt(await anonymous(c.k, c.proc, 1 << 16));
  c.calls.clear();
  if (batch) await c.must(c.file.iotlb(VHOST_IOTLB_BATCH_BEGIN, 0n));
  await c.must(c.file.iotlb(VHOST_IOTLB_UPDATE, 0x1_0000n, 2n * PAGE, va));
  await c.must(c.file.iotlb(VHOST_IOTLB_UPDATE, 0x4_0000n, PAGE, va));
  if (batch) await c.must(c.file.iotlb(VHOST_IOTLB_BATCH_END, 0n));
  await c.must(c.file.iotlb(VHOST_IOTLB_INVALIDATE, 0x4_0000n, PAGE));
  return c.calls.calls.map(({ op, args }) => [op, ...args.filter((arg) => typeof arg !== 'object').slice(0, op === 'dma_map' ? 3 : 9)].join(' '))
    .filter((line) => /^(set_map|dma_)/.test(line));
}

const hex = (n: bigint): string => String(n);

/** The checks, in the order of the operations. */
export const vhostChecks: readonly Check<VhostContext>[] = [
  {
    row: '2.2.1', title: 'set_vq_address gets the addresses of SET_VRING_ADDR',
    async run(c) {
      await c.own();
      c.calls.clear();
      for (const q of data(c)) await c.must(c.file.vringAddr(VHOST_SET_VRING_ADDR, q, 0x1000n * BigInt(q + 1), 0x8000n, 0x9000n));
      expect(c.calls.of('set_vq_address')).toEqual(data(c).map((q) => [q, 0x1000n * BigInt(q + 1), 0x8000n, 0x9000n]));
      expect(await c.file.vringAddr(VHOST_SET_VRING_ADDR, c.offers.nvqs, 0n, 0n, 0n)).toBe('ENOBUFS');
    },
  },
  {
    row: '2.2.2', title: 'set_vq_num gets the size of SET_VRING_NUM, powers of two only',
    async run(c) {
      await c.own();
      c.calls.clear();
      for (const q of all(c)) await c.must(c.file.vring(VHOST_SET_VRING_NUM, q, c.num));
      expect(await c.file.vring(VHOST_SET_VRING_NUM, 0, 3)).toBe('EINVAL');
      expect(c.calls.of('set_vq_num')).toEqual(all(c).map((q) => [q, c.num]));
    },
  },
  {
    row: '2.2.3', also: ['1.1.16'], title: 'kick_vq is called once for each kick, with the right queue',
    async run(c) {
      const rings = await c.start();
      for (const queue of rings.queues) {
        c.calls.clear();
        await rings.kick(queue);
        await c.idle();
        expect(c.calls.of('kick_vq')).toEqual([[queue.index]]);
      }
    },
  },
  {
    row: '2.2.5', also: ['1.1.13'], title: 'set_vq_cb gets a callback that signals the eventfd, which is its trigger, and null when it is unbound',
    async run(c) {
      const rings = await c.start();
      for (const queue of rings.queues) {
        const [, cb] = c.calls.of('set_vq_cb').findLast(([q]) => q === queue.index) ?? [];
        expect(cb).toMatchObject({ callback: expect.any(Function), trigger: expect.anything() });
      }
      const { index, completions } = await work(c, rings);
      const queue = rings.queues[index];
      if (queue === undefined) throw new Error(`no queue ${index}`);
      expect(await rings.calls(queue)).toBe(completions);
      c.calls.clear();
      await c.must(c.file.vringFile(VHOST_SET_VRING_CALL, index, VHOST_FILE_UNBIND));
      expect(c.calls.of('set_vq_cb')).toEqual([[index, null]]);
      await work(c, rings, 2);
      expect(await rings.calls(queue)).toBe(0);
    },
  },
  {
    row: '2.2.6', title: 'set_vq_ready enables a queue, and get_vq_ready says so',
    async run(c) {
      const rings = await c.start();
      const [queue] = rings.queues;
      if (queue === undefined) throw new Error('no queue');
      expect(c.vdev.config.get_vq_ready(c.vdev, queue.index)).toBe(true);
      c.calls.clear();
      await c.must(c.file.vring(VHOST_VDPA_SET_VRING_ENABLE, queue.index, 0));
      expect([c.calls.of('set_vq_ready'), c.vdev.config.get_vq_ready(c.vdev, queue.index)]).toEqual([[[queue.index, false]], false]);
    },
  },
  {
    row: '2.2.7', title: 'set_vq_state and get_vq_state carry the available index, as far as the parent can',
    async run(c) {
      await c.settle();
      const wanted = c.offers.vq_state === 'any' ? 11 : 0;
      c.calls.clear();
      await c.must(c.file.vring(VHOST_SET_VRING_BASE, 0, wanted));
      expect(c.calls.of('set_vq_state')).toEqual([[0, { kind: 'split', avail_index: wanted }]]);
      expect(await c.file.vringGet(VHOST_GET_VRING_BASE, 0)).toBe(c.offers.vq_state === 'EOPNOTSUPP' ? 'EOPNOTSUPP' : wanted);
    },
  },
  {
    row: '2.2.8', op: 'get_vendor_vq_stats', title: 'get_vendor_vq_stats fills in statistics of a device that runs, none before FEATURES_OK; without it there are none at all',
    async run(c) {
      expect(await stats(c)).toBe('EAGAIN');
      await c.start();
      expect(await stats(c)).toBe('ok');
    },
    absent: async (c) => expect(await stats(c)).toBe(c.managed ? 'EOPNOTSUPP' : 'EINVAL'),
  },
  {
    row: '2.2.9', op: 'get_vq_notification', title: 'get_vq_notification makes the doorbell mappable; without it mmap is refused',
    async run(c) {
      const at = await mapDoorbell(c);
      expect(at).toEqual(expect.any(Number));
      await c.k.ksys_munmap(c.proc, at as number, Number(PAGE)); // it has just been found to be one
    },
    absent: async (c) => expect(await mapDoorbell(c)).toBe('ENOTSUPP'),
  },
  {
    row: '2.2.10', op: 'get_vq_irq', title: 'get_vq_irq is asked at DRIVER_OK and stays the same while it lasts; without it work is done all the same',
    async run(c) {
      const rings = await c.start();
      expect(c.calls.of('get_vq_irq').map(([q]) => q)).toEqual(expect.arrayContaining(rings.queues.map(({ index }) => index)));
      const irq = (): unknown => answerOf(async () => c.vdev.config.get_vq_irq?.(c.vdev, 0) as number); // it has the op
      const before = await irq();
      await work(c, rings);
      expect(await irq()).toBe(before);
    },
    async absent(c) {
      await work(c, await c.start());
    },
  },
  {
    row: '2.2.11', op: 'get_vq_size', title: 'get_vq_size tells the size of one queue; without it there is none',
    async run(c) {
      await c.own();
      expect(await c.file.vringGet(VHOST_VDPA_GET_VRING_SIZE, 0)).toBe(c.vdev.config.get_vq_size?.(c.vdev, 0));
    },
    async absent(c) {
      await c.own();
      expect(await c.file.vringGet(VHOST_VDPA_GET_VRING_SIZE, 0)).toBe('EOPNOTSUPP');
    },
  },
  {
    row: '2.2.13', op: 'get_vq_group', title: 'get_vq_group tells the group of each queue, below their number; without it there is none',
    async run(c) {
      await c.own();
      for (const q of all(c)) {
        const group = await c.file.vringGet(VHOST_VDPA_GET_VRING_GROUP, q);
        expect(group).toBe(c.vdev.config.get_vq_group?.(c.vdev, q));
        expect(group).toBeLessThan(c.offers.ngroups);
      }
    },
    async absent(c) {
      await c.own();
      expect(await c.file.vringGet(VHOST_VDPA_GET_VRING_GROUP, 0)).toBe('EOPNOTSUPP');
    },
  },
  {
    row: '2.2.14', op: 'get_vq_desc_group', title: 'get_vq_desc_group is offered as DESC_ASID; without it neither is',
    run: async (c) => expect((await backend(c)) & bit(VHOST_BACKEND_F_DESC_ASID)).not.toBe(0n),
    async absent(c) {
      await c.own();
      expect(await c.file.vringGet(VHOST_VDPA_GET_VRING_DESC_GROUP, 0)).toBe('EOPNOTSUPP');
      expect((await backend(c)) & bit(VHOST_BACKEND_F_DESC_ASID)).toBe(0n);
    },
  },
  {
    row: '2.2.15', title: 'features are offered, accepted before FEATURES_OK and not after',
    async run(c) {
      expect(await c.file.get(VHOST_GET_FEATURES, 8)).toBe(c.offers.features);
      await c.settle();
      const accepted = c.vdev.config.get_driver_features(c.vdev);
      expect(accepted & ~c.offers.features).toBe(0n);
      expect(c.calls.of('set_driver_features').at(-1)).toEqual([accepted]);
      expect(await c.file.set(VHOST_SET_FEATURES, 8, accepted)).toBe('EBUSY');
    },
  },
  {
    row: '2.2.16', op: 'get_backend_features', title: 'without get_backend_features a parent adds none',
    absent: async (c) => expect((await backend(c)) & bit(VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK)).toBe(0n),
  },
  {
    row: '2.2.17', title: 'set_config_cb gets the callback of SET_CONFIG_CALL, and null when it is unbound',
    async run(c) {
      c.calls.clear();
      const fd = c.k.ksys_eventfd(c.proc, 0, EFD_NONBLOCK);
      await c.must(c.file.set(VHOST_VDPA_SET_CONFIG_CALL, 4, fd));
      await c.must(c.file.set(VHOST_VDPA_SET_CONFIG_CALL, 4, VHOST_FILE_UNBIND));
      expect(c.calls.of('set_config_cb')).toEqual([[{ callback: expect.any(Function), trigger: expect.anything() }], [null]]);
    },
  },
  {
    row: '2.2.18', title: 'get_vq_num_max is the largest queue',
    async run(c) {
      expect(await c.file.get(VHOST_VDPA_GET_VRING_NUM, 2)).toBe(BigInt(c.offers.num_max));
      expect(await c.file.get(VHOST_VDPA_GET_VQS_COUNT, 4)).toBe(BigInt(c.offers.nvqs));
    },
  },
  {
    row: '2.2.20', title: 'get_device_id and get_vendor_id are virtio ids',
    async run(c) {
      expect(await c.file.get(VHOST_VDPA_GET_DEVICE_ID, 4)).toBe(BigInt(c.offers.device_id));
      expect(c.vdev.config.get_vendor_id(c.vdev)).toBe(c.offers.vendor_id);
    },
  },
  {
    row: '2.2.21', title: 'set_status adds bits, which get_status shows, and takes none back',
    async run(c) {
      await c.settle();
      expect(await c.file.get(VHOST_VDPA_GET_STATUS, 1)).toBe(BigInt(SETTLED));
      expect(await c.file.set(VHOST_VDPA_SET_STATUS, 1, 1)).toBe('EINVAL');
    },
  },
  {
    row: '2.2.22', title: 'reset brings status, queues and rings back to power-on, and the device can be started again',
    async run(c) {
      const rings = await c.start();
      await work(c, rings);
      c.calls.clear();
      await c.status(0);
      expect([c.calls.of('reset').length, c.vdev.config.get_status(c.vdev), ...rings.queues.map(({ index }) => c.vdev.config.get_vq_ready(c.vdev, index))])
        .toEqual([1, 0, ...rings.queues.map(() => false)]);
      expect(await c.file.set(VHOST_SET_FEATURES, 8, c.offers.features)).toBe(0); // not settled any more
    },
  },
  {
    row: '2.2.23', op: 'compat_reset', title: 'without compat_reset a status of 0 is a plain reset',
    async absent(c) {
      await c.settle();
      c.calls.clear();
      await c.status(0);
      expect(c.calls.of('reset')).toEqual([[]]);
    },
  },
  {
    row: '2.2.24', op: 'suspend', title: 'suspend freezes the rings, whose state can then be read; without it SUSPEND is refused',
    async run(c) {
      expect((await backend(c)) & bit(VHOST_BACKEND_F_SUSPEND)).not.toBe(0n);
      const rings = await c.start();
      const { index } = await work(c, rings);
      await c.must(c.file.ioctl(VHOST_VDPA_SUSPEND));
      const base = await c.file.vringGet(VHOST_GET_VRING_BASE, index);
      expect(base).toEqual(expect.any(Number));
      await workUndone(c, rings);
      expect(await c.file.vringGet(VHOST_GET_VRING_BASE, index)).toBe(base);
    },
    async absent(c) {
      await c.start();
      expect(await c.file.ioctl(VHOST_VDPA_SUSPEND)).toBe('EOPNOTSUPP');
      expect((await backend(c)) & bit(VHOST_BACKEND_F_SUSPEND)).toBe(0n);
    },
  },
  {
    row: '2.2.25', op: 'resume', title: 'resume lets the rings go on; without it RESUME is refused',
    async run(c) {
      const rings = await c.start();
      await c.must(c.file.ioctl(VHOST_VDPA_SUSPEND));
      await c.must(c.file.ioctl(VHOST_VDPA_RESUME));
      await work(c, rings);
    },
    async absent(c) {
      await c.start();
      expect(await c.file.ioctl(VHOST_VDPA_RESUME)).toBe('EOPNOTSUPP');
      expect((await backend(c)) & bit(VHOST_BACKEND_F_RESUME)).toBe(0n);
    },
  },
  {
    row: '2.2.26', title: 'the configuration is read and written inside its size only',
    async run(c) {
      const { config_size: size } = c.offers;
      await c.settle();
      expect(await c.file.get(VHOST_VDPA_GET_CONFIG_SIZE, 4)).toBe(BigInt(size));
      const whole = await c.file.config(VHOST_VDPA_GET_CONFIG, 0, Math.min(size, 64));
      expect(whole).toEqual(c.vdev.config.get_config(c.vdev, 0, Math.min(size, 64)));
      expect([await c.file.config(VHOST_VDPA_GET_CONFIG, size, 1), await c.file.config(VHOST_VDPA_GET_CONFIG, 0, 0)]).toEqual(['EINVAL', 'EINVAL']);
      c.calls.clear();
      expect(await c.file.config(VHOST_VDPA_SET_CONFIG, 0, 1, Uint8Array.of(0x52))).toEqual(expect.any(Uint8Array));
      expect(c.calls.of('set_config')).toEqual([[0, Uint8Array.of(0x52)]]);
      if (c.offers.config_writable) expect(c.vdev.config.get_config(c.vdev, 0, 1)).toEqual(Uint8Array.of(0x52));
    },
  },
  {
    row: '2.2.29', op: 'get_iova_range', title: 'get_iova_range is what may be mapped; without it the platform says',
    async run(c) {
      await c.must(c.file.ioctl(VHOST_VDPA_GET_IOVA_RANGE, new Uint8Array(vhost_vdpa_iova_range.size)));
      const range = vhost_vdpa_iova_range.decode(c.proc.mm.read(c.file.scratch, vhost_vdpa_iova_range.size));
      expect([hex(range.first), hex(range.last)]).toEqual(Object.values(c.vdev.config.get_iova_range?.(c.vdev) ?? {}).map(hex));
    },
    async absent(c) {
      await c.must(c.file.ioctl(VHOST_VDPA_GET_IOVA_RANGE, new Uint8Array(vhost_vdpa_iova_range.size)));
      const { first, last } = vhost_vdpa_iova_range.decode(c.proc.mm.read(c.file.scratch, vhost_vdpa_iova_range.size));
      expect(first < last).toBe(true);
    },
  },
  {
    row: '2.2.30', op: 'set_map', title: 'set_map gets the whole table after each change, once for a batch',
    async run(c) {
      expect(await mapTwo(c, false)).toEqual(['set_map 0', 'set_map 0', 'set_map 0']);
    },
    absent: async (c) => expect((await mapTwo(c, false)).filter((line) => line.startsWith('set_map'))).toEqual([]),
  },
  {
    row: '2.2.30', op: 'set_map', title: 'set_map is not called inside a batch',
    run: async (c) => expect(await mapTwo(c, true)).toEqual(['set_map 0', 'set_map 0']),
  },
  {
    row: '2.2.31', op: 'dma_map', title: 'dma_map and dma_unmap get each change by itself, page by page where memory is not in one piece',
    async run(c) {
      const lines = await mapTwo(c, false);
      expect(lines.at(-1)).toBe(`dma_unmap 0 ${0x4_0000} 4096`);
      expect(lines.filter((line) => line.startsWith('dma_map')).length).toBeGreaterThanOrEqual(2);
      expect(lines[0]).toMatch(/^dma_map 0 65536 /);
    },
    absent: async (c) => expect((await mapTwo(c, false)).filter((line) => line.startsWith('dma'))).toEqual([]),
  },
  {
    row: '2.2.32', op: 'reset_map', title: 'reset_map is offered as mappings that outlive a reset; without it they are not said to',
    run: async (c) => expect((await backend(c)) & bit(VHOST_BACKEND_F_IOTLB_PERSIST)).not.toBe(0n),
    absent: async (c) => expect((await backend(c)) & bit(VHOST_BACKEND_F_IOTLB_PERSIST)).toBe(0n),
  },
  {
    row: '2.2.33', op: 'set_group_asid', title: 'set_group_asid puts a group into an address space that is there; without it there is one only',
    async run(c) {
      await c.settle();
      c.calls.clear();
      await c.must(c.file.vring(VHOST_VDPA_SET_GROUP_ASID, 0, c.offers.nas - 1));
      expect(c.calls.of('set_group_asid')).toEqual([[0, c.offers.nas - 1]]);
      expect(await c.file.vring(VHOST_VDPA_SET_GROUP_ASID, 0, c.offers.nas)).toBe('EINVAL');
    },
    async absent(c) {
      await c.settle();
      expect(await c.file.vring(VHOST_VDPA_SET_GROUP_ASID, 0, 0)).toBe('EOPNOTSUPP');
    },
  },
  {
    row: '2.2.35', op: 'bind_mm', title: 'bind_mm gets the owner where user addresses are used; without it nobody is asked',
    async run(c) {
      c.calls.clear();
      await c.own();
      expect(c.calls.of('bind_mm').length).toBe(c.vdev.use_va ? 1 : 0);
    },
    async absent(c) {
      await c.own();
      expect(c.calls.of('bind_mm')).toEqual([]);
    },
  },
  {
    row: '2.4.4', title: 'work is done, and a close in the middle of it resets the device',
    async run(c) {
      const rings = await c.start();
      for (let i = 1; i <= 5; i++) await work(c, rings, i);
      expect(c.vdev.config.get_status(c.vdev)).toBe(RUNNING);
      c.calls.clear();
      await c.close();
      expect([c.calls.of('reset').length > 0, c.vdev.config.get_status(c.vdev)]).toEqual([true, 0]);
    },
  },
];

