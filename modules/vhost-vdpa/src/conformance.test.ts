/** Every parent's life with both bus drivers, when it parks wherever it may, and when it fails at each op in turn. */
import { isKernelError } from '@vdpalab/abi';
import { answerOf, bootBuiltins, FAKE_NET_FEATURES, FAKE_PARENT, fakeParent, toyVirtioDriver, VdpaTool, vhostSession } from '@vdpalab/testing';
import type { BootedKernel, FakeParent, FakeParentOptions, Loadable, Step } from '@vdpalab/testing';
import type { Process } from '@vdpalab/fs';
import * as uapi from '@vdpalab/uapi';
import type {} from '@vdpalab/vdpa-core';
import { expect, test } from 'vitest';
import { BELOW } from './testing/kernel.ts';

const ABOVE = ['virtio-ring', 'virtio', 'virtio-vdpa', toyVirtioDriver(1, 3)] as const;
const EVERYTHING = ['resume', 'reset_map', 'get_vq_irq', 'get_vq_notification', 'get_vq_size', 'bind_mm', 'unbind_mm'];

type Outcome = { readonly steps: readonly (Step | string)[]; readonly leftovers: readonly string[]; readonly parent: FakeParent };

/** Load the parent, do something with a device of it, take all away. */
async function live(kernel: BootedKernel, options: FakeParentOptions, use: (parent: FakeParent, proc: Process) => Promise<readonly Step[]>): Promise<Outcome> {
  const { k } = kernel;
  const parent = fakeParent(options);
  const steps: (Step | string)[] = [];
  await kernel.run(() => kernel.insmod(parent.module));
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(k, proc);
    steps.push(['add', await tool.add('vdpa0', FAKE_PARENT)]);
    steps.push(['show', (await tool.dump(uapi.VDPA_CMD_DEV_GET)).result], ['config', (await tool.dump(uapi.VDPA_CMD_DEV_CONFIG_GET)).result]);
    try {
      steps.push(...await use(parent, proc));
    } catch (error) {
      if (!isKernelError(error)) throw error;
      steps.push(error.errno);
    }
    const [vdev] = k.bus_devices(k.find_bus('vdpa') as never); // registered by vdpa
    if (vdev !== undefined) steps.push(['unbind', await answerOf(() => k.device_release_driver(vdev))]);
    steps.push(['del', await tool.del('vdpa0')]);
  });
  await kernel.run(() => kernel.rmmod(FAKE_PARENT));
  return { steps, leftovers: kernel.leftovers(), parent };
}

const interruptsOf = (parent: FakeParent) => (): undefined => {
  for (const device of parent.devices.values()) {
    device.queues.forEach((_, idx) => device.raise(idx));
    device.raiseConfig();
  }
};

const throughVhost = (kernel: BootedKernel, options: FakeParentOptions): Promise<Outcome> => live(kernel, options, (parent, proc) =>
  vhostSession(kernel.k, proc, { path: '/dev/vhost-vdpa-0', features: FAKE_NET_FEATURES, nvqs: 3, interrupts: interruptsOf(parent) }));

const throughVirtio = (kernel: BootedKernel, options: FakeParentOptions): Promise<Outcome> => live(kernel, options, async (parent) => {
  interruptsOf(parent)();
  return [];
});

const cases: readonly [string, readonly (string | Loadable)[], FakeParentOptions, typeof throughVhost][] = [
  ['vhost_vdpa, set_map', ['vhost-vdpa'], { mapping: 'set_map', having: EVERYTHING }, throughVhost],
  ['vhost_vdpa, dma_map', ['vhost-vdpa'], { mapping: 'dma_map', having: EVERYTHING }, throughVhost],
  ['vhost_vdpa, user addresses', ['vhost-vdpa'], { mapping: 'dma_map', use_va: true, having: EVERYTHING }, throughVhost],
  // A write of the status has no errno in Linux 6.1, and the virtio bus ends its remove with one.
  ['virtio_vdpa', ABOVE, { having: EVERYTHING }, throughVirtio],
];

test.each(cases)('a parent that parks in every op: %s, tables empty', async (_name, drivers, options, through) => {
  for (const seed of [1, 2, 3]) {
    const kernel = await bootBuiltins([...BELOW, ...drivers], { seed });
    const { steps, leftovers, parent } = await through(kernel, { ...options, parks: true });
    expect(steps.filter((step) => typeof step === 'string')).toEqual([]);
    expect(leftovers).toEqual([]);
    expect(parent.calls.log.at(-1)).toBe('free');
    if (through === throughVhost) {
      const refused = steps.filter(([, answer]) => typeof answer === 'string' && answer !== 'ok');
      expect(refused).toEqual([]);
    } else {
      expect(parent.calls.log).toContain('set_status 15');
    }
  }
});

test.each(cases)('a parent that fails at each op in turn: %s, tables empty', async (_name, drivers, options, through) => {
  const kernel = await bootBuiltins([...BELOW, ...drivers]);
  const failed = new Set<string>();
  let at = 1;
  for (;; at++) {
    const { leftovers, parent, steps } = await through(kernel, { ...options, parks: at % 2 === 0, fails: { at, errno: 'EIO' } });
    expect({ at, op: parent.calls.failed, leftovers }).toEqual({ at, op: parent.calls.failed, leftovers: [] });
    expect(steps.at(-1)).toEqual(['del', 'ok']);
    if (parent.calls.failed === null) break;
    failed.add(parent.calls.failed);
  }
  expect(failed.size).toBeGreaterThan(through === throughVhost ? 12 : 3);
});
