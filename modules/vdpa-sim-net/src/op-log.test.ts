/** The operations are the only way from a bus driver to a parent: what was written down, said again to another device, makes it the same. */
import { bootBuiltins, covers, DirectRings, errnoOf, OpLog, toyBusDriver, VdpaTool, vhostSession } from '@vdpalab/testing';
import type { BootedKernel } from '@vdpalab/testing';
import type { Process } from '@vdpalab/fs';
import type {} from '@vdpalab/netdev';
import type { VdpaConfigOps, VdpaDevice } from '@vdpalab/vdpa-core';
import { O_WRONLY } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { BELOW } from './testing/bench.ts';

const VHOST = ['irqbypass', 'vhost', 'vhost-vdpa'] as const;
const VIRTIO = ['irq', 'netdev', 'virtio-ring', 'virtio', 'virtio-vdpa', 'virtio-net'] as const;

/** A kernel whose devices' calls are written down, by device. */
async function boot(more: readonly string[]): Promise<{ kernel: BootedKernel; logs: Map<string, OpLog> }> {
  const logs = new Map<string, OpLog>();
  const kernel = await bootBuiltins([...BELOW, ...more], {
    wrap: (symbol, value) => (symbol !== '__vdpa_alloc_device' ? value : (init: { name: string; config: object }) => {
      const log = new OpLog();
      logs.set(init.name, log);
      return (value as (i: object) => unknown)({ ...init, config: log.proxy(init.config) });
    }),
  });
  return { kernel, logs };
}

function device({ k }: BootedKernel, name: string): VdpaDevice {
  return k.dev_to_vdpa(k.bus_devices(k.find_bus('vdpa')!).find((dev) => dev.name === name)!);
}

/** All that a parent shows of a device. */
async function state(vdpa: VdpaDevice): Promise<unknown> {
  const { config: ops } = vdpa;
  const queues = [];
  for (let q = 0; q < vdpa.nvqs; q++) queues.push([ops.get_vq_ready(vdpa, q), await ops.get_vq_state(vdpa, q)]);
  return { status: ops.get_status(vdpa), features: ops.get_driver_features(vdpa), generation: ops.get_generation?.(vdpa), config: ops.get_config(vdpa, 0, 24), queues };
}

/** Say to `twin` what was said to `first`. */
async function again(kernel: BootedKernel, log: OpLog, twin: VdpaDevice): Promise<void> {
  const ops = twin.config as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const { op, args } of [...log.calls]) await kernel.run(async () => void (await ops[op]!(twin, ...args)));
  await kernel.settle();
}

/** Add `first` bound and `twin` not, as an administrator does. */
async function addBoth(kernel: BootedKernel): Promise<void> {
  const { k } = kernel;
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(k as never, proc as never); // its calls are those of `fs`
    expect(await tool.add('first', 'vdpasim_net')).toBe('ok');
    const fd = await k.ksys_open(proc as Process, '/sys/bus/vdpa/drivers_autoprobe', O_WRONLY);
    await k.ksys_write(proc as Process, fd, Uint8Array.of(0x30, 0x0a));
    expect(await tool.add('twin', 'vdpasim_net')).toBe('ok');
    await tool.close();
  });
}

test('a whole session of vhost_vdpa', async () => {
  covers('1.1.11');
  const { kernel, logs } = await boot(VHOST);
  await addBoth(kernel);
  await kernel.user(async (proc) => {
    const steps = await vhostSession(kernel.k as never, proc as never, { // its calls are those of `fs`
      path: '/dev/vhost-vdpa-0', features: 0x3_0000_0028n, nvqs: 3, interrupts: () => undefined,
    });
    expect(steps.length).toBeGreaterThan(40);
  });
  const seen = await kernel.run(() => state(device(kernel, 'first')));
  const log = logs.get('first')!;
  const length = log.calls.length;
  await again(kernel, log, device(kernel, 'twin'));
  expect([length > 60, await kernel.run(() => state(device(kernel, 'twin')))]).toEqual([true, seen]);
});

test('virtio_vdpa with virtio_net, in the middle of its work', async () => {
  covers('1.1.11');
  const { kernel, logs } = await boot(VIRTIO);
  const { k } = kernel;
  await addBoth(kernel);
  await kernel.run(() => k.dev_open(k.netdevs()[0]!));
  const log = logs.get('first')!;
  const told = log.calls.filter(({ op }) => op === 'set_map' || op === 'dma_map');
  expect(told).toEqual([]); // the DMA API is the device's own: no mapping of a bus driver's
  const seen = await kernel.run(() => state(device(kernel, 'first')));
  await again(kernel, log, device(kernel, 'twin'));
  expect(seen).toMatchObject({ status: 15, queues: [[true, {}], [true, {}], [true, {}]] });
  expect(await kernel.run(() => state(device(kernel, 'twin')))).toEqual(seen);
});

test('a third bus driver takes a device of a parent that knows nothing of it', async () => {
  covers('1.1.21');
  const toy = toyBusDriver<VdpaDevice>();
  const { kernel } = await boot([]);
  await kernel.run(() => kernel.insmod(toy.module));
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(kernel.k as never, proc as never); // its calls are those of `fs`
    expect(await tool.add('vdpa0', 'vdpasim_net')).toBe('ok');
    await tool.close();
  });
  const vdpa = toy.devices.get('vdpa0')!;
  const ops: VdpaConfigOps = vdpa.config;
  const rings = new DirectRings(kernel.k as never, vdpa); // its calls are those of `mm`, `iommu` and `vhost_iotlb`
  await kernel.run(async () => {
    await kernel.k.vdpa_set_features(vdpa, 0x3_0000_0028n);
    await rings.map();
    await rings.queue(0);
    await rings.queue(1);
    await kernel.k.vdpa_set_status(vdpa, 15);
  });
  const [rx, tx] = rings.queues;
  rings.offer(rx!, [], [[rings.take(256), 256]], 0);
  const at = rings.take(72);
  rings.bytes.fill(0xff, at + 12, at + 18);
  rings.give(tx!, [[at, 72]], [], 0);
  await kernel.settle();
  expect([rings.used(rx!), ops.get_status(vdpa), await errnoOf(() => kernel.run(() => kernel.rmmod('toy_vdpa')))]).toEqual([[[0, 72]], 15, 'ok']);
});
