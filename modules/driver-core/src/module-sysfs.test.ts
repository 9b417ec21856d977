import { defineModule, param } from '@vdpalab/abi';
import type { KernelSymbols } from '@vdpalab/abi';
import { errnoOf } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import { addDevice, bootDriverCore, toyBus, toyDriver } from './testing/kernel.ts';

const bus = toyBus({ name: 'vdpa' });

/** A module with parameters that registers a bus, for others to hold. */
function core(k: KernelSymbols) {
  return {
    ...defineModule({
      name: 'vdpa', license: 'GPL', version: '0.1',
      params: { max: param.int(2048, { perm: 0o444 }), on: param.bool(true, { perm: 0o644 }), hidden: param.int(1) },
      async module_init(_k, mod) {
        await k.bus_register(bus);
        mod.undo.push('bus', () => k.bus_unregister(bus));
        return { ksymtab: {} };
      },
    }),
  };
}

/** A module whose driver takes what there is. */
function driver(k: KernelSymbols) {
  return defineModule({
    name: 'vhost_vdpa', license: 'GPL',
    async module_init(_k, mod) {
      const drv = { ...toyDriver(bus, 'vhost_vdpa', []), owner: mod.THIS_MODULE };
      await k.driver_register(drv);
      mod.undo.push('driver', () => k.driver_unregister(drv));
      return { ksymtab: {} };
    },
  });
}

test('a module has the files of the recording, and its own uevents come before it', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.sh(async (sh) => {
    await kernel.insmod(core(k));
    expect(await sh.walk('/sys/module/vdpa')).toEqual([
      'd 755 /sys/module/vdpa',
      'f 444 /sys/module/vdpa/coresize = 16384|',
      'd 755 /sys/module/vdpa/holders',
      'f 444 /sys/module/vdpa/initsize = 0|',
      'f 444 /sys/module/vdpa/initstate = live|',
      'd 755 /sys/module/vdpa/notes',
      'f 444 /sys/module/vdpa/notes/.note.Linux = \0\0\0\0',
      'd 755 /sys/module/vdpa/parameters',
      'f 444 /sys/module/vdpa/parameters/max = 2048|',
      'f 644 /sys/module/vdpa/parameters/on = Y|',
      'f 444 /sys/module/vdpa/refcnt = 0|',
      'd 755 /sys/module/vdpa/sections',
      'f 400 /sys/module/vdpa/sections/.text = 0xffffffffc0201000|',
      'f 444 /sys/module/vdpa/taint = OE|',
      'f 200 /sys/module/vdpa/uevent',
      'f 444 /sys/module/vdpa/version = 0.1|',
    ]);
    const dev = await addDevice(k, { name: 'vdpa0', bus });
    await kernel.insmod(driver(k));
    expect(await sh.readlink('/sys/bus/vdpa/drivers/vhost_vdpa/module')).toBe('../../../../module/vhost_vdpa');
    expect(await sh.readlink('/sys/module/vhost_vdpa/drivers/vdpa:vhost_vdpa')).toBe('../../../bus/vdpa/drivers/vhost_vdpa');
    expect(await sh.cat('/sys/module/vhost_vdpa/refcnt')).toBe('0\n'); // a bound driver holds no reference
    await kernel.rmmod('vhost_vdpa');
    await k.device_unregister(dev);
    await kernel.rmmod('vdpa');
    expect(await sh.ls('/sys/module')).toBe('');
  });
  expect(kernel.uevents()).toEqual([
    'add@/bus/vdpa SUBSYSTEM=bus', 'add@/module/vdpa SUBSYSTEM=module', 'add@/devices/vdpa0 SUBSYSTEM=vdpa',
    'bind@/devices/vdpa0 SUBSYSTEM=vdpa DRIVER=vhost_vdpa', 'add@/bus/vdpa/drivers/vhost_vdpa SUBSYSTEM=drivers',
    'add@/module/vhost_vdpa SUBSYSTEM=module',
    'unbind@/devices/vdpa0 SUBSYSTEM=vdpa', 'remove@/bus/vdpa/drivers/vhost_vdpa SUBSYSTEM=drivers', 'remove@/module/vhost_vdpa SUBSYSTEM=module',
    'remove@/devices/vdpa0 SUBSYSTEM=vdpa', 'remove@/bus/vdpa SUBSYSTEM=bus', 'remove@/module/vdpa SUBSYSTEM=module',
  ]);
  expect(kernel.leftovers()).toEqual([]);
});

test('parameters are read and written through their files', async () => {
  const kernel = await bootDriverCore();
  await kernel.sh(async (sh) => {
    await kernel.insmod(core(kernel.k), { max: 7 });
    const dir = '/sys/module/vdpa/parameters';
    expect([await sh.cat(`${dir}/max`), await sh.echo('5', `${dir}/max`)]).toEqual(['7\n', 'EACCES']);
    expect([await sh.echo('n\n', `${dir}/on`), await sh.cat(`${dir}/on`)]).toEqual(['ok', 'N\n']);
  });
});

test('a module is linked under those it uses while it is there, and its state shows', async () => {
  const kernel = await bootDriverCore();
  const seen: string[] = [];
  await kernel.sh(async (sh) => {
    const provider = { ...defineModule({ name: 'provider', license: 'GPL', module_init: () => ({ ksymtab: {} }) }), module_init: () => ({ ksymtab: { twice: 2 } }) };
    const user = {
      ...defineModule({
        name: 'user', license: 'GPL',
        async module_init() {
          seen.push(await sh.cat('/sys/module/user/initstate'), await sh.readlink('/sys/module/provider/holders/user'));
          return { ksymtab: {}, module_exit: async () => void seen.push(await sh.cat('/sys/module/user/initstate')) };
        },
      }),
      imports: ['twice'],
    };
    await kernel.insmod(provider);
    await kernel.insmod(user);
    expect(await sh.cat('/sys/module/provider/refcnt')).toBe('1\n');
    await kernel.rmmod('user');
    expect(await sh.ls('/sys/module/provider/holders')).toBe('');
    await kernel.rmmod('provider');
  });
  expect(seen).toEqual(['coming\n', '../../user', 'going\n']);
});

test('a module whose init fails leaves no directory and sends nothing', async () => {
  const kernel = await bootDriverCore();
  await kernel.sh(async (sh) => {
    const bad = defineModule({
      name: 'bad', license: 'GPL',
      module_init: () => {
        throw new Error('no');
      },
    });
    await expect(kernel.insmod(bad)).rejects.toThrow('no');
    expect(await sh.ls('/sys/module')).toBe('');
  });
  expect(kernel.uevents()).toEqual([]);
});

test('the uevent file of a module takes an action, as recorded', async () => {
  const kernel = await bootDriverCore();
  await kernel.sh(async (sh) => {
    await kernel.insmod(core(kernel.k));
    kernel.uevents();
    expect([await sh.echo('add\n', '/sys/module/vdpa/uevent'), await sh.echo('bogus\n', '/sys/module/vdpa/uevent')]).toEqual(['ok', 'EINVAL']);
    expect(await errnoOf(() => sh.cat('/sys/module/vdpa/uevent'))).toBe('EACCES');
  });
  expect(kernel.uevents()).toEqual(['add@/module/vdpa SUBSYSTEM=module SYNTH_UUID=0']);
  expect(kernel.dmesg()).toEqual(['4: synth uevent: /module/vdpa: unknown uevent action string']);
});

test('a built-in module is seen only when it has parameters or a version, without use count and uevent', async () => {
  const kernel = await bootDriverCore();
  const builtin = (name: string, perm: number) => defineModule({ name, license: 'GPL', builtin: true, params: { p: param.int(1, { perm }) }, module_init: () => ({ ksymtab: {} }) });
  await kernel.sh(async (sh) => {
    await kernel.insmod(builtin('plain', 0));
    await kernel.insmod(builtin('workqueue', 0o444));
    expect(await sh.ls('/sys/module')).toBe('workqueue');
    expect(await sh.ls('/sys/module/workqueue')).toBe('parameters uevent');
  });
  expect(kernel.uevents()).toEqual([]);
});

test('what is there when the first module comes is the kernel\'s own and no leftover', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.run(async () => {
    const own = toyBus({ name: 'pci' });
    await k.bus_register(own);
    await addDevice(k, { name: '0000:00:01.0', bus: own });
    expect(k.driver_core_leftovers()).toEqual(['bus pci', 'device /devices/0000:00:01.0']);
    await kernel.insmod(core(k));
    expect(k.driver_core_leftovers()).toEqual(['bus vdpa']);
    await kernel.rmmod('vdpa');
    expect(k.driver_core_leftovers()).toEqual([]);
  });
});
