/** The ops table is the only way from a bus driver to a parent: a table in between sees whatever the parent sees. */
import { bootBuiltins, covers, FAKE_NET_FEATURES, FAKE_PARENT, fakeParent, toyVirtioDriver, VdpaTool, vhostSession } from '@vdpalab/testing';
import type { FakeParent, Loadable } from '@vdpalab/testing';
import type { Process } from '@vdpalab/fs';
import type { VdpaConfigOps, VdpaDeviceInit } from '@vdpalab/vdpa-core';
import type { BootedKernel } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import { BELOW } from './testing/kernel.ts';

type Use = (kernel: BootedKernel, proc: Process, parent: FakeParent) => Promise<unknown>;

const asVhost: Use = (kernel, proc) => vhostSession(kernel.k, proc, { path: '/dev/vhost-vdpa-0', features: FAKE_NET_FEATURES, nvqs: 3, interrupts: () => undefined });
/** Bound when the device is added; a kick of each queue as its driver would give it. */
const asVirtio: Use = async (kernel) => {
  const [vdev] = kernel.k.bus_devices(kernel.k.find_bus('virtio') as never); // registered by virtio
  expect(vdev?.driver?.name).toBe('virtio_toy');
};

/** A table that notes each call, and passes it on. */
function noting(config: VdpaConfigOps, calls: string[]): VdpaConfigOps {
  return new Proxy(config, {
    get(ops, name, receiver) {
      const op: unknown = Reflect.get(ops, name, receiver);
      if (typeof op !== 'function') return op;
      return (vdev: unknown, ...args: unknown[]) => {
        calls.push(String(name));
        return (op as (...all: unknown[]) => unknown)(vdev, ...args);
      };
    },
  });
}

const drivers: readonly [string, readonly (string | Loadable)[], Use][] = [
  ['vhost_vdpa', ['vhost-vdpa'], asVhost],
  ['virtio_vdpa', ['virtio-ring', 'virtio', 'virtio-vdpa', toyVirtioDriver(1, 3)], asVirtio],
];

test.each(drivers)('%s reaches a parent through its table and by no other way', async (_name, modules, use) => {
  covers('1.1.11');
  const noted: string[] = [];
  const kernel = await bootBuiltins([...BELOW, ...modules], {
    wrap: (symbol, value, importer) => (symbol !== '__vdpa_alloc_device' || importer !== FAKE_PARENT ? value : (init: VdpaDeviceInit) =>
      (value as (given: VdpaDeviceInit) => unknown)({ ...init, config: noting(init.config, noted) })),
  });
  const parent = fakeParent({ having: ['get_vq_irq', 'reset_map', 'resume', 'get_vq_notification'] });
  await kernel.run(() => kernel.insmod(parent.module));
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(kernel.k, proc);
    expect(await tool.add('vdpa0', FAKE_PARENT)).toBe('ok');
    await use(kernel, proc as never, parent); // a process of this kernel
    expect(await tool.del('vdpa0')).toBe('ok');
  });
  const seen = parent.calls.take().map((call) => call.split(' ', 1)[0] ?? '');
  const known = new Set(seen);
  expect(noted.filter((op) => known.has(op))).toEqual(seen); // in this order, each of them
  expect(known.size).toBeGreaterThan(4);
  await kernel.run(() => kernel.rmmod(FAKE_PARENT));
  expect(kernel.leftovers()).toEqual([]);
});
