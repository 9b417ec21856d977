import { KernelError } from '@vdpalab/abi';
import type { KernelSymbols, KModule } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import { bootBuiltins, errnoOf } from '@vdpalab/testing';
import type { BootedKernel } from '@vdpalab/testing';
import { beforeEach, expect, test } from 'vitest';
import type { AuxiliaryDevice, AuxiliaryDriver } from './header.ts';

const OWNER: KModule = { name: 'toy_user', state: 'live' };

let kernel: BootedKernel;
let k: KernelSymbols;
let parent: Device;
let log: string[];
beforeEach(async () => {
  kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'auxiliary']);
  ({ k } = kernel);
  log = [];
  parent = await kernel.run(async () => {
    const dev = k.device_initialize({ name: 'parent' });
    await k.device_add(dev);
    return dev;
  });
});

function init(name: string, id: number): AuxiliaryDevice {
  return k.auxiliary_device_init({ parent, name, id, container: `${name} ${id}`, release: (auxdev): undefined => void log.push(`release ${String(auxdev.container)}`) });
}

const add = (name: string, id: number): Promise<AuxiliaryDevice> => kernel.run(async () => {
  const auxdev = init(name, id);
  await k.__auxiliary_device_add(auxdev, 'toy');
  return auxdev;
});

const driver = (more: Partial<AuxiliaryDriver> = {}): AuxiliaryDriver => ({
  name: 'vnet', owner: OWNER, id_table: [{ name: 'toy.vnet' }],
  probe: async ({ dev }, id) => void log.push(`probe ${dev.name} by ${id.name}`),
  remove: async ({ dev }) => void log.push(`remove ${dev.name}`),
  ...more,
});

test('a device is named by module, part and number, and found by its part', async () => {
  const env: string[] = [];
  k.uevent_listen((event): undefined => void env.push(`${event.action}@${event.devpath}`, ...event.env.filter((line) => line.startsWith('MODALIAS'))));
  const [vnet, eth, other] = [await add('vnet', 2), await add('eth', 2), await add('vnet.more', 0)];
  const drv = driver();
  await kernel.run(() => k.__auxiliary_driver_register(drv));
  expect(env).toContain('add@/devices/parent/toy.vnet.2');
  expect(env).toContain('MODALIAS=auxiliary:toy.vnet');
  expect(env).toContain('MODALIAS=auxiliary:toy.vnet.more');
  expect([vnet, eth, other].map(({ dev }) => dev.driver?.name ?? null)).toEqual(['toy_user.vnet', null, null]);
  await kernel.run(() => k.auxiliary_driver_unregister(drv));
  await kernel.run(async () => {
    for (const auxdev of [vnet, eth, other]) {
      await k.auxiliary_device_delete(auxdev);
      k.auxiliary_device_uninit(auxdev);
    }
    await k.device_unregister(parent);
  });
  expect(log).toEqual(['probe toy.vnet.2 by toy.vnet', 'remove toy.vnet.2', 'release vnet 2', 'release eth 2', 'release vnet.more 0']);
  expect(kernel.leftovers()).toEqual([]);
});

test('a driver without a name of its own is named after its module', async () => {
  const { name: _, ...nameless } = driver();
  await kernel.run(() => k.__auxiliary_driver_register(nameless));
  expect(k.bus_drivers(k.find_bus('auxiliary')!).map((drv) => drv.name)).toEqual(['toy_user']);
});

test('devices are found from the first on, or behind another', async () => {
  const first = await add('vnet', 1);
  const second = await add('vnet', 2);
  const vnet = (auxdev: AuxiliaryDevice): boolean => auxdev.name === 'vnet';
  expect(k.auxiliary_find_device(null, vnet)).toBe(first);
  expect(k.auxiliary_find_device(first.dev, vnet)).toBe(second);
  expect([k.auxiliary_find_device(second.dev, vnet), first.dev.refcount - second.dev.refcount]).toEqual([null, 0]);
  expect([k.to_auxiliary_dev(second.dev).container, second.dev.refcount]).toEqual(['vnet 2', 3]); // its own, the bus's, and the one that was asked for
  expect(() => k.to_auxiliary_dev(parent)).toThrow('parent is no auxiliary device');
});

test('what is refused leaves nothing behind', async () => {
  await kernel.run(async () => {
    expect(await errnoOf(async () => init('', 1))).toBe('EINVAL');
    expect(await errnoOf(() => k.__auxiliary_driver_register(driver({ id_table: [] })))).toBe('EINVAL');
    const auxdev = init('vnet', 1);
    expect(await errnoOf(() => k.__auxiliary_device_add(auxdev, ''))).toBe('EINVAL');
    k.auxiliary_device_uninit(auxdev);
    const there = init('vnet', 2);
    await k.__auxiliary_device_add(there, 'toy');
    const twin = init('vnet', 2);
    expect(await errnoOf(() => k.__auxiliary_device_add(twin, 'toy'))).toBe('EEXIST');
    k.auxiliary_device_uninit(twin);
    const failing = driver({ probe: async () => {
      throw new KernelError('EIO', 'test.probe', 'no');
    } });
    await k.__auxiliary_driver_register(failing);
    expect(there.dev.driver).toBeNull();
    expect(await errnoOf(() => k.__auxiliary_driver_register(failing))).toBe('EBUSY');
    await k.auxiliary_driver_unregister(failing);
    await expect(k.auxiliary_driver_unregister(failing)).rejects.toThrow('not registered');
    await k.auxiliary_device_delete(there);
    k.auxiliary_device_uninit(there);
    await k.device_unregister(parent);
  });
  expect(kernel.log.map((line) => line.text)).toContain('auxiliary toy.vnet.2: adding auxiliary device failed!: -17');
  expect(kernel.leftovers()).toEqual([]);
});
