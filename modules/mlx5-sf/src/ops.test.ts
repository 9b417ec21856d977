import { covers, errnoOf } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { Bench, CONTROL, frame, PLAIN, RUNNING, SETTLED } from './testing/device.ts';
import { hardware, SF_MAC } from './testing/subfunction.ts';
import type { Vnet } from './vnet.ts';

const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const { MLX5_VIRTIO_NET_Q_OBJECT_STATE_INIT: INIT, MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY: RDY, MLX5_VIRTIO_NET_Q_OBJECT_STATE_SUSPEND: SUSPEND } = uapi;

async function started(features = PLAIN, queues: readonly number[] = []) {
  const b = await Bench.boot();
  await b.add();
  const rings = await b.start(features, queues);
  return { b, rings, ndev: b.vdev.priv as Vnet, done: async () => {
    await b.finish(rings);
    await b.del();
  } };
}

test('a queue object is RDY while it is ready, SUSPEND after it; its index is set while it stands still and read off the object', async () => {
  covers('2.10.13');
  const { b, rings, ndev, done } = await started();
  const { vdev } = b;
  const split = (avail_index: number) => ({ kind: 'split', avail_index }) as const;
  expect(ndev.vqs.map(({ fwState }) => fwState)).toEqual([RDY, RDY]);
  expect(await b.run(() => errnoOf(() => vdev.config.set_vq_state(vdev, 1, split(5))))).toBe('EINVAL');
  for (let i = 0; i < 4; i++) await b.send(rings, frame(BROADCAST));
  expect(await b.run(() => vdev.config.get_vq_state(vdev, 1))).toEqual(split(4));
  await b.run(() => vdev.config.set_vq_ready(vdev, 1, false));
  expect([ndev.vqs[1]!.fwState, vdev.config.get_vq_ready(vdev, 1), await b.run(() => vdev.config.get_vq_state(vdev, 1))]).toEqual([SUSPEND, false, split(4)]);
  await b.run(() => vdev.config.set_vq_ready(vdev, 1, true)); // the device does not go back
  expect([ndev.vqs[1]!.fwState, vdev.config.get_vq_ready(vdev, 1)]).toEqual([SUSPEND, false]);
  await b.run(() => vdev.config.set_vq_state(vdev, 1, split(9)));
  expect(await b.run(() => errnoOf(() => vdev.config.set_vq_state(vdev, 7, split(0))))).toBe('EINVAL');
  expect(await b.run(() => errnoOf(() => vdev.config.get_vq_state(vdev, 2)))).toBe('EINVAL');
  await done();
});

test.each([['6.1', undefined], ['6.12', 1n << 6n]] as const)('a queue that is not ready at DRIVER_OK is an object in INIT, and runs once it is; %s says of it %s', async (kernel, says) => {
  covers('2.10.22');
  const b = await Bench.boot(hardware(), { kernel });
  await b.add();
  const { vdev } = b;
  expect(vdev.config.get_backend_features?.(vdev)).toBe(says);
  const rings = await b.start();
  await b.run(async () => {
    await vdev.reset();
    await vdev.config.set_status(vdev, 3);
    await vdev.set_features(PLAIN);
    await vdev.config.set_status(vdev, 11);
    await rings.map();
    for (const q of [0, 1]) await rings.queue(q);
    await vdev.config.set_vq_ready(vdev, 1, false);
    await vdev.config.set_status(vdev, 15);
  });
  expect((vdev.priv as Vnet).vqs.map(({ fwState }) => fwState)).toEqual([RDY, INIT]);
  await b.run(() => vdev.config.set_vq_ready(vdev, 1, true));
  await b.send(rings, frame(BROADCAST));
  expect(b.hardware.outside.take()).toHaveLength(1);
  await b.finish(rings);
  await b.del();
});

test('doorbells are a page of the subfunction\'s window; interrupts are nobody\'s own', async () => {
  covers('2.10.18', '2.10.19');
  const { b, rings, done } = await started(CONTROL, [2]);
  const { vdev } = b;
  const area = vdev.config.get_vq_notification!(vdev, 0);
  expect(area).toEqual({ addr: b.k.pci_resource_start(b.pdev, 2) + 0xf000, size: 4096 });
  expect([vdev.config.get_vq_notification!(vdev, 1), vdev.config.get_vq_notification!(vdev, 2)]).toEqual([area, { addr: 0, size: 0 }]);
  expect(await errnoOf(async () => vdev.config.get_vq_irq!(vdev, 0))).toBe('EOPNOTSUPP');
  const at = rings.take(12 + 64);
  rings.bytes.set(BROADCAST, at + 12);
  rings.offer(rings.queues[1]!, [[at, 12 + 64]], [], 1);
  b.hardware.hw.mmio.write(area.addr, 2, 1); // as a process does that has mapped it
  await b.kernel.settle();
  expect([b.hardware.outside.take().length, rings.queues[1]!.calls]).toEqual([1, 1]);
  await done();
});

test('DRIVER_OK is taken back by a reset only', async () => {
  const { b, ndev, done } = await started();
  await b.run(() => b.vdev.config.set_status(b.vdev, SETTLED));
  expect([b.vdev.config.get_status(b.vdev), ndev.vqs.map(({ fwState }) => fwState)]).toEqual([RUNNING, [RDY, RDY]]);
  await done();
});

test('the link comes and goes in the configuration, and the driver is told', async () => {
  covers('2.10.17');
  const { b, done } = await started(CONTROL, [2]);
  const { vdev } = b;
  let told = 0;
  vdev.config.set_config_cb(vdev, { callback: () => {
    told++;
    return undefined;
  } });
  const up = (): number => vdev.config.get_config(vdev, 6, 1)[0]!;
  const cable = async (inserted: boolean): Promise<[number, number]> => {
    b.hardware.fn.setLink(inserted);
    await b.kernel.settle();
    return [up(), told];
  };
  expect([up(), await cable(false), await cable(true)]).toEqual([1, [0, 1], [1, 2]]);
  await b.run(() => vdev.config.suspend!(vdev));
  expect(await cable(false)).toEqual([1, 2]); // nobody listens any more
  await done();
});

test('suspended, the device stands still: data queues, control queue, and a new map starts nothing', async () => {
  covers('2.10.20');
  const { b, rings, ndev, done } = await started(CONTROL, [2]);
  const { vdev } = b;
  await b.send(rings, frame(BROADCAST));
  await b.run(() => vdev.config.suspend!(vdev));
  expect([ndev.vqs.map(({ fwState }) => fwState), vdev.config.get_vq_ready(vdev, 2)]).toEqual([[SUSPEND, SUSPEND], false]);
  b.hardware.outside.take();
  await b.send(rings, frame(BROADCAST));
  await b.arrive(frame(SF_MAC));
  expect(b.hardware.outside.take()).toEqual([]);
  await b.run(() => rings.map());
  expect([ndev.vqs.map(({ fwState }) => fwState), await b.run(() => vdev.config.get_vq_state(vdev, 1))]).toEqual([[null, null], { kind: 'split', avail_index: 1 }]);
  await done();
});

test('counts chains received and completed, of the control queue too', async () => {
  covers('2.10.21');
  const { b, rings, done } = await started(CONTROL, [2]);
  const stats = async (index: number) => {
    const got: [string, bigint][] = [];
    let name = '';
    await b.run(() => b.vdev.config.get_vendor_vq_stats!(b.vdev, index, {
      putString: (_: number, value: string) => void (name = value),
      putU64: (_: number, value: bigint) => void got.push([name, value]),
    } as never));
    return got;
  };
  for (let i = 0; i < 3; i++) await b.send(rings, frame(BROADCAST));
  await b.command(rings, rings.queues[2]!, uapi.VIRTIO_NET_CTRL_MAC, uapi.VIRTIO_NET_CTRL_MAC_ADDR_SET, Uint8Array.from(SF_MAC));
  expect([await stats(1), await stats(2)]).toEqual([[['received_desc', 3n], ['completed_desc', 3n]], [['received_desc', 1n], ['completed_desc', 1n]]]);
  expect([await errnoOf(() => stats(3)), (await b.run(() => b.vdev.config.set_vq_ready(b.vdev, 0, false)), await errnoOf(() => stats(0)))]).toEqual(['EINVAL', 'EAGAIN']);
  await done();
});

test('two groups, two address spaces: the control queue may have one of its own', async () => {
  covers('2.10.9');
  const b = await Bench.boot();
  await b.add();
  expect([b.vdev.ngroups, b.vdev.nas]).toEqual([2, 2]);
  await b.run(() => b.vdev.config.set_group_asid!(b.vdev, 1, 1));
  expect(await b.run(() => errnoOf(() => b.vdev.config.set_group_asid!(b.vdev, 2, 0)))).toBe('EINVAL');
  const ndev = b.vdev.priv as Vnet;
  await b.run(async () => {
    const table = b.k.vhost_iotlb_alloc(0, 0);
    b.k.vhost_iotlb_add_range(table, 0x8000n, 0x8fffn, 0x20_0000n, 3);
    await b.vdev.config.set_map!(b.vdev, 1, table);
  });
  expect([ndev.cvq.iotlb.nmaps, b.k.vhost_iotlb_itree_first(ndev.cvq.iotlb, 0x8000n, 0x8000n)?.addr, b.hardware.fn.keys.size]).toEqual([1, 0x20_0000n, 1]); // the data queues' is the one of all memory
  await b.del();
});
