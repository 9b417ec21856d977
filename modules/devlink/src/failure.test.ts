/** A driver whose probe fails at any step leaves nothing; what a driver does wrong is told. */
import { KernelError } from '@vdpalab/abi';
import { bootBuiltins, errnoOf, toyDevlink } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import type { DevlinkParam } from './header.ts';
import { BELOW, bootToy } from './testing/kernel.ts';

const STEPS = [
  'device_add', 'devlink_alloc_ns', 'devlink_params_register', 'devlink_param_driverinit_value_set', 'devlink_port_register', 'devlink_register',
] as const;

test.each(STEPS)('%s fails once', async (symbol) => {
  let armed = true;
  const kernel = await bootBuiltins(BELOW, {
    wrap: (name, value, importer) => (name !== symbol || importer !== 'toy_devlink' ? value : (...args: unknown[]) => {
      if (armed) throw new KernelError('ENOMEM', 'test.failure', `${symbol} fails`);
      return (value as (...a: unknown[]) => unknown)(...args); // all of these are functions
    }),
  });
  expect(await errnoOf(() => kernel.run(() => kernel.insmod(toyDevlink().module)))).toBe('ENOMEM');
  expect(kernel.leftovers()).toEqual([]);
  armed = false;
  await kernel.run(() => kernel.insmod(toyDevlink().module));
  await kernel.run(() => kernel.rmmod('toy_devlink'));
  expect(kernel.leftovers()).toEqual([]);
});

test('parameters are what they say they are, and several come together or not at all', async () => {
  const kernel = await bootToy();
  const { k } = kernel;
  await kernel.run(async () => {
    const dev = k.device_initialize({ name: 'other' });
    const devlink = k.devlink_alloc_ns({}, null, dev);
    const good: DevlinkParam = { name: 'enable_eth', generic: true, type: 'bool', supported_cmodes: 2 };
    const bad: DevlinkParam[] = [
      { ...good, name: 'my_own' }, { ...good, generic: false }, { ...good, type: 'u8' }, { ...good, supported_cmodes: 0 }, { ...good, name: '' },
      { ...good, supported_cmodes: 1 }, { ...good, get: async () => true },
    ];
    for (const param of bad) expect([param, await errnoOf(() => k.devlink_params_register(devlink, [{ ...good, name: 'enable_rdma' }, param]))]).toEqual([param, 'EINVAL']);
    expect(await errnoOf(() => k.devlink_params_register(devlink, [good, good]))).toBe('EEXIST');
    await k.devlink_params_register(devlink, [good]); // nothing of all that stayed
    expect(await errnoOf(async () => k.devlink_param_driverinit_value_get(devlink, 'enable_eth'))).toBe('EOPNOTSUPP'); // it cannot be reloaded
    expect(await errnoOf(() => k.devlink_param_driverinit_value_set(devlink, 'no_such', true))).toBe('EINVAL');
    expect(() => k.devlink_free(devlink)).toThrow('freed with parameter enable_eth');
    await k.devlink_params_unregister(devlink, [good]);
    k.devlink_free(devlink);
    for (const ops of [{ reload_down: async () => undefined }, { reload_actions: 2 }, { reload_down: async () => undefined, reload_up: async () => 2 }]) {
      expect(await errnoOf(async () => k.devlink_alloc_ns(ops, null, dev))).toBe('EINVAL');
    }
    k.put_device(dev);
  });
  await kernel.leave();
  expect(kernel.leftovers()).toEqual([]);
});

test('ports have an index of their own, and are registered under the lock', async () => {
  const kernel = await bootToy();
  const { k } = kernel;
  await kernel.run(async () => {
    const dev = k.device_initialize({ name: 'other' });
    const devlink = k.devlink_alloc_ns({}, null, dev);
    const init = { attrs: { flavour: 5 }, priv: null } as const;
    const port = await k.devlink_port_register(devlink, init, 1);
    expect(await errnoOf(() => k.devlink_port_register(devlink, init, 1))).toBe('EEXIST');
    await expect(k.devl_port_register(devlink, init, 2)).rejects.toThrow('its lock is not held');
    expect(() => k.devlink_free(devlink)).toThrow('freed with port 1');
    expect(k.devlink_leftovers()).toContain('port 1 of devlink /other');
    await k.devlink_port_unregister(port);
    await expect(k.devlink_port_unregister(port)).rejects.toThrow('port 1 is not registered');
    k.devlink_free(devlink);
    k.put_device(dev);
  });
  await kernel.leave();
});
