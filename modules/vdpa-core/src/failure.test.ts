/** Loading and registering when what they need is refused: nothing may stay. */
import { KernelError } from '@vdpalab/abi';
import { answerOf, bootBuiltins, FAKE_PARENT, fakeParent, VdpaTool } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import vdpa from './module.ts';
import { toyDriver } from './testing/kernel.ts';

const BELOW = ['sched', 'mm', 'fs', 'driver-core', 'iommu', 'netlink', 'vhost-iotlb'] as const;

test.each(['bus_register', 'genl_register_family', 'driver_register', 'device_initialize', 'device_add'])('%s fails once', async (symbol) => {
  const armed = { hits: 0 };
  const kernel = await bootBuiltins(BELOW, {
    wrap: (name, value, importer) => (name !== symbol || importer !== 'vdpa' ? value : (...args: unknown[]) => {
      if (++armed.hits === 1) throw new KernelError('ENOMEM', 'test.failure', `${symbol} fails`);
      return (value as (...args: unknown[]) => unknown)(...args); // all of these are functions
    }),
  });
  const { k } = kernel;
  const answers: string[] = [];
  const log: string[] = [];
  for (let round = 0; round < 2; round++) {
    const parent = fakeParent();
    try {
      await kernel.run(() => kernel.insmod(vdpa));
    } catch (error) {
      answers.push((error as KernelError).errno);
      expect([k.find_bus('vdpa'), kernel.leftovers()]).toEqual([null, []]);
      continue;
    }
    const driver = toyDriver('toy', log);
    await kernel.run(() => kernel.insmod(parent.module));
    await kernel.user(async (proc) => {
      const registered = await answerOf(() => k.__vdpa_register_driver(driver));
      if (typeof registered === 'string') answers.push(registered);
      const tool = await VdpaTool.open(k, proc);
      const added = await tool.add('vdpa0', FAKE_PARENT);
      answers.push(added);
      if (added === 'ok') await tool.del('vdpa0');
      if (registered === 0) await k.vdpa_unregister_driver(driver);
    });
    await kernel.run(() => kernel.rmmod(FAKE_PARENT));
    await kernel.run(() => kernel.rmmod('vdpa'));
    expect([kernel.leftovers(), parent.devices.size]).toEqual([[], 0]);
  }
  expect(answers.filter((answer) => answer === 'ENOMEM').length).toBe(1);
  expect(answers.at(-1)).toBe('ok'); // and the second time all is well
});
