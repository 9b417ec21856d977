import { KernelError } from '@vdpalab/abi';
import { answerOf, covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { blankParent, bootMdev, OWNER, oneFile, todayDriver, typesOf, uuid } from './testing/kernel.ts';
import type { MdevKernel } from './testing/kernel.ts';
import type { MdevDriver, MdevParent, MdevType } from './header.ts';

const PHYS = '/sys/devices/virtual/phys/phys';
const TYPES = `${PHYS}/mdev_supported_types`;
const CREATE = `${TYPES}/phys-a/create`;
const BUS = '/sys/bus/mdev/devices';

interface Scene {
  readonly kernel: MdevKernel;
  readonly log: string[];
  readonly driver: MdevDriver;
  readonly parent: MdevParent;
  /** Take the parent and its driver away; what is left of all. */
  readonly end: () => Promise<string[]>;
}

/** A physical device, a driver and a parent with the types `a` and `b`. */
async function scene(more: Partial<MdevDriver> = {}, types: MdevType[] = typesOf('a', 'b')): Promise<Scene> {
  const kernel = await bootMdev();
  const { k } = kernel;
  const log: string[] = [];
  const driver = todayDriver('toy', log, more);
  const parent = blankParent();
  await kernel.run(async () => {
    const dev = await kernel.physical('phys');
    await k.mdev_register_driver(driver);
    kernel.uevents();
    await k.mdev_register_parent(parent, dev, driver, types, types.length);
  });
  return {
    kernel, log, driver, parent,
    end: async () => {
      await kernel.run(async () => {
        const { dev } = parent;
        await k.mdev_unregister_parent(parent);
        await k.mdev_unregister_driver(driver);
        const cls = dev!.class!;
        await k.device_unregister(dev!);
        k.class_unregister(cls);
        await kernel.rmmod('mdev');
      });
      return kernel.leftovers();
    },
  };
}

describe('a parent of today', () => {
  it('has a directory per type, a link in the class directory, and announces itself', async () => {
    covers('1.7.20', '1.7.21', '1.7.22', '2.11.1', '2.11.7');
    const { kernel, end } = await scene({ show_description: (type) => `about ${type.sysfs_name}\n` }, [{ sysfs_name: 'a', pretty_name: 'An A', parent: null }, ...typesOf('b-2')]);
    expect([kernel.dmesg(), kernel.uevents()]).toEqual([['phys phys: MDEV: Registered'], [`change@${PHYS.slice(4)} MDEV_STATE=registered`]]);
    await kernel.sh(async (sh) => {
      expect(await sh.ls(TYPES)).toEqual(['phys-a', 'phys-b-2']);
      expect(await sh.ls(`${TYPES}/phys-a`)).toEqual(['available_instances', 'create', 'description', 'device_api', 'devices', 'name']);
      const files = async (type: string) => [
        await sh.read(`${TYPES}/${type}/name`), await sh.read(`${TYPES}/${type}/device_api`),
        await sh.read(`${TYPES}/${type}/available_instances`), await sh.read(`${TYPES}/${type}/description`),
      ];
      expect(await files('phys-a')).toEqual(['An A\n', 'vfio-pci\n', '3\n', 'about a\n']);
      expect(await files('phys-b-2')).toEqual(['b-2\n', 'vfio-pci\n', '3\n', 'about b-2\n']);
      expect([await sh.read(CREATE), await sh.write(`${TYPES}/phys-a/name`, 'x')]).toEqual(['EACCES', 'EACCES']);
      expect(await sh.readlink('/sys/class/mdev_bus/phys')).toBe('../../devices/virtual/phys/phys');
    });
    expect(await end()).toEqual([]);
    expect(kernel.dmesg()).toEqual(['phys phys: MDEV: Unregistering']);
    expect(kernel.uevents().slice(0, 3)).toEqual([
      `change@${PHYS.slice(4)} MDEV_STATE=unregistered`, 'remove@/bus/mdev/drivers/toy', `remove@${PHYS.slice(4)}`,
    ]);
  });

  it('has no description without a callback, further files where the driver has some, and only the types meant', async () => {
    covers('2.11.3');
    const kernel = await bootMdev();
    const { k } = kernel;
    await kernel.run(async () => {
      const dev = await kernel.physical('phys');
      const driver = todayDriver('toy', [], { types_attrs: [{ name: 'weight', mode: 0o444, show: async (type) => `${type.sysfs_name}: 7\n` }] });
      await k.mdev_register_driver(driver);
      const parent = blankParent();
      await k.mdev_register_parent(parent, dev, driver, typesOf('a', 'b', 'c'), 2);
      expect([parent.dev, parent.types.length, parent.types[0]?.parent]).toEqual([dev, 2, parent]);
    });
    await kernel.sh(async (sh) => {
      expect(await sh.ls(TYPES)).toEqual(['phys-a', 'phys-b']);
      expect([await sh.read(`${TYPES}/phys-b/weight`), await sh.read(`${TYPES}/phys-b/description`)]).toEqual(['b: 7\n', 'ENOENT']);
    });
  });

  it('is refused without a registered driver, a second time, and with a type named twice; nothing is left then', async () => {
    covers('2.11.1');
    const { kernel, driver, end } = await scene();
    const { k } = kernel;
    await kernel.run(async () => {
      const dev = await kernel.physical('other');
      expect(await answerOf(() => k.mdev_register_parent(blankParent(), dev, todayDriver('nobody', []), typesOf('a'), 1))).toBe('EINVAL');
      expect(await answerOf(() => k.mdev_register_parent(blankParent(), dev, driver, typesOf('a', 'a'), 2))).toBe('EEXIST');
      const absent = k.device_initialize({ name: 'absent' });
      expect(await answerOf(() => k.mdev_register_parent(blankParent(), absent, driver, typesOf('a'), 1))).toBe('EINVAL');
      k.put_device(absent);
      const parent = blankParent();
      await k.mdev_register_parent(parent, dev, driver, typesOf('a'), 1); // the refusals left no directory
      expect(await answerOf(() => k.mdev_register_parent(blankParent(), dev, driver, typesOf('a'), 1))).toBe('ENOMEM');
      await k.mdev_unregister_parent(parent);
      expect([parent.dev, parent.types]).toEqual([null, []]);
      const cls = dev.class!;
      await k.device_unregister(dev);
      k.class_unregister(cls);
    });
    expect(await end()).toEqual([]);
  });

  it('does without its link where the class directory has that name', async () => {
    const { kernel, driver } = await scene();
    const { k } = kernel;
    await kernel.run(async () => {
      const twin = k.device_initialize({ name: 'phys' });
      await k.device_add(twin);
      const parent = blankParent();
      kernel.dmesg();
      await k.mdev_register_parent(parent, twin, driver, typesOf('a'), 1);
      expect(kernel.dmesg()).toEqual([' phys: Failed to create compatibility class link', ' phys: MDEV: Registered']);
      await k.mdev_unregister_parent(parent);
    });
    await kernel.sh(async (sh) => expect(await sh.readlink('/sys/class/mdev_bus/phys')).toContain('virtual'));
  });
});

describe('a driver of today', () => {
  it('needs a device_api and a name of its own', async () => {
    covers('2.11.1', '1.7.23');
    const { kernel, end } = await scene();
    const { k } = kernel;
    await kernel.run(async () => {
      const { device_api: _, ...nameless } = todayDriver('toy2', []);
      expect(await answerOf(() => k.mdev_register_driver(nameless as MdevDriver))).toBe('EINVAL'); // as a driver in plain JavaScript might
      expect(await answerOf(() => k.mdev_register_driver(todayDriver('toy', [])))).toBe('EBUSY');
    });
    expect(await end()).toEqual([]);
  });

  it('gets devices from its parent and in no other way', async () => {
    covers('2.11.4', '2.11.3');
    const { kernel, log, end } = await scene();
    await kernel.run(async () => kernel.k.mdev_register_driver(todayDriver('other', log)));
    await kernel.sh(async (sh) => {
      expect(await sh.write(CREATE, uuid(1))).toBe(0);
      expect(log).toEqual(['probe 01 a']);
      expect(await sh.write('/sys/bus/mdev/drivers/toy/unbind', uuid(1))).toBe(0);
      for (const driver of ['toy', 'other']) expect(await sh.write(`/sys/bus/mdev/drivers/${driver}/bind`, uuid(1))).toBe('ENODEV');
      expect(await sh.write('/sys/bus/mdev/drivers_probe', uuid(1))).toBe(0);
      expect((await sh.ls(`${BUS}/${uuid(1)}`)).includes('driver')).toBe(false);
      expect(await sh.write(`${BUS}/${uuid(1)}/remove`, '1')).toBe(0);
    });
    expect(log).toEqual(['probe 01 a', 'remove 01']);
    await kernel.run(async () => {
      for (const drv of kernel.k.bus_drivers(kernel.k.find_bus('mdev')!)) if (drv.name === 'other') await kernel.k.driver_unregister(drv);
    });
    expect(await end()).toEqual([]);
  });
});

describe('a mediated device', () => {
  it('comes with its files, links and uevents, and goes with them', async () => {
    covers('1.7.1', '1.7.2', '1.7.26', '1.7.28', '1.7.29', '1.4.2');
    const { kernel, end } = await scene({ driver: { name: 'toy', owner: OWNER, dev_groups: [oneFile('vendor', 'sample', (dev) => `this is ${dev.name.slice(-2)}`)] } });
    kernel.uevents();
    await kernel.sh(async (sh) => {
      expect(await sh.write(CREATE, `${uuid(1).toUpperCase()}\n`)).toBe(0);
      const dir = `${PHYS}/${uuid(1)}`;
      expect(kernel.uevents()).toEqual([`add@${dir.slice(4)}`, `bind@${dir.slice(4)} DRIVER=toy`]);
      expect(await sh.ls(dir)).toEqual(['driver', 'mdev_type', 'power', 'remove', 'subsystem', 'uevent', 'vendor']);
      expect(await sh.readlink(`${dir}/mdev_type`)).toBe('../mdev_supported_types/phys-a');
      expect(await sh.readlink(`${TYPES}/phys-a/devices/${uuid(1)}`)).toBe(`../../../${uuid(1)}`);
      expect(await sh.readlink(`${BUS}/${uuid(1)}`)).toBe(`../../../devices/virtual/phys/phys/${uuid(1)}`);
      expect([await sh.read(`${dir}/remove`), await sh.read(`${dir}/vendor/sample`)]).toEqual(['EACCES', 'this is 01\n']);
      expect([await sh.write(`${dir}/remove`, '0\n'), await sh.write(`${dir}/remove`, 'abc')]).toEqual([0, 'EINVAL']);
      expect(await sh.ls(BUS)).toEqual([uuid(1)]);
      expect(await sh.write(`${BUS}/${uuid(1)}/remove`, '1\n')).toBe(0);
      expect(kernel.uevents()).toEqual([`unbind@${dir.slice(4)}`, `remove@${dir.slice(4)}`]);
      expect([await sh.ls(BUS), await sh.ls(`${TYPES}/phys-a/devices`), await sh.write(`${dir}/remove`, '1')]).toEqual([[], [], 'ENOENT']);
    });
    expect(await end()).toEqual([]);
  });

  it('has a UUID that no device of any parent has', async () => {
    covers('1.7.27', '2.11.5');
    const { kernel, driver, end } = await scene();
    const { k } = kernel;
    const second = blankParent();
    await kernel.run(async () => k.mdev_register_parent(second, await kernel.physical('phys2'), driver, typesOf('a'), 1));
    await kernel.sh(async (sh) => {
      const other = '/sys/devices/virtual/phys2/phys2/mdev_supported_types/phys2-a/create';
      expect([await sh.write(CREATE, uuid(1)), await sh.write(CREATE, uuid(1)), await sh.write(other, uuid(1))]).toEqual([0, 'EEXIST', 'EEXIST']);
      expect(await sh.write(`${PHYS}/${uuid(1)}/remove`, '1')).toBe(0);
      expect([await sh.write(other, uuid(1)), await sh.read('/sys/devices/virtual/phys2/phys2/mdev_supported_types/phys2-a/available_instances')]).toEqual([0, '2\n']);
    });
    await kernel.run(async () => {
      const dev = second.dev!;
      const cls = dev.class!;
      await k.mdev_unregister_parent(second);
      await k.device_unregister(dev);
      k.class_unregister(cls);
    });
    expect(await end()).toEqual([]);
  });

  it('is one of max_instances of all types together, unless the driver counts for itself', async () => {
    covers('1.7.24', '2.11.5', '2.11.7');
    const { kernel, end } = await scene({ max_instances: 2 });
    await kernel.sh(async (sh) => {
      const left = async () => [await sh.read(`${TYPES}/phys-a/available_instances`), await sh.read(`${TYPES}/phys-b/available_instances`)];
      expect([await sh.write(CREATE, uuid(1)), await sh.write(`${TYPES}/phys-b/create`, uuid(2)), await left()]).toEqual([0, 0, ['0\n', '0\n']]);
      expect(await sh.write(CREATE, uuid(3))).toBe('EUSERS');
      expect([await sh.write(`${BUS}/${uuid(2)}/remove`, '1'), await left(), await sh.write(CREATE, uuid(3))]).toEqual([0, ['1\n', '1\n'], 0]);
    });
    expect(await end()).toEqual([]);
    const none = await scene({ max_instances: 0, get_available: (type) => (type.sysfs_name === 'a' ? 9 : 4) });
    await none.kernel.sh(async (sh) => {
      expect([await sh.read(`${TYPES}/phys-a/available_instances`), await sh.read(`${TYPES}/phys-b/available_instances`)]).toEqual(['9\n', '4\n']);
      expect([await sh.write(CREATE, uuid(1)), await sh.read(`${TYPES}/phys-a/available_instances`)]).toEqual([0, '9\n']);
    });
    expect(await none.end()).toEqual([]);
  });

  it('that its driver refuses leaves a log line, two uevents and nothing else', async () => {
    covers('2.11.5');
    const { kernel, end } = await scene({ probe: async () => { throw new KernelError('ENOSPC', 'toy.probe', 'no room'); } });
    kernel.uevents();
    kernel.dmesg();
    await kernel.sh(async (sh) => {
      expect(await sh.write(CREATE, uuid(1))).toBe('ENOSPC');
      expect([await sh.ls(BUS), await sh.ls(`${TYPES}/phys-a/devices`), await sh.read(`${TYPES}/phys-a/available_instances`)]).toEqual([[], [], '3\n']);
    });
    expect(kernel.uevents().map((event) => event.split('@')[0])).toEqual(['add', 'remove']);
    expect(kernel.dmesg()).toEqual([`toy: probe of ${uuid(1)} failed with error -28`]);
    expect(await end()).toEqual([]);
  });

  it('goes with its parent, the oldest first', async () => {
    covers('2.11.2', '1.7.18');
    const { kernel, log, end } = await scene();
    await kernel.sh(async (sh) => {
      for (const n of [2, 1, 3]) expect(await sh.write(CREATE, uuid(n))).toBe(0);
      await sh.write(`${BUS}/${uuid(1)}/remove`, '1');
      expect(await sh.write(CREATE, uuid(1))).toBe(0);
    });
    log.splice(0);
    expect(await end()).toEqual([]);
    expect(log).toEqual(['remove 02', 'remove 03', 'remove 01']);
  });
});
