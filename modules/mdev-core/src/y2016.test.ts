import { defineModule, KernelError } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import { answerOf, covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import type { MdevBusDriver, MdevDevice, ParentOps } from './header.ts';
import { bootMdev, busDriver, oneFile, OWNER, todayDriver, typeGroup, uuid, vendorOps } from './testing/kernel.ts';
import type { MdevKernel } from './testing/kernel.ts';

const PHYS = '/sys/devices/virtual/phys/phys';
const TYPES = `${PHYS}/mdev_supported_types`;
const CREATE = `${TYPES}/phys-small/create`;
const BUS = '/sys/bus/mdev/devices';

interface Scene {
  readonly kernel: MdevKernel;
  readonly log: string[];
  readonly dev: Device;
  readonly end: () => Promise<string[]>;
}

/** A physical device, registered with these operations, and no bus driver. */
async function scene(more: Partial<ParentOps> = {}): Promise<Scene> {
  const kernel = await bootMdev();
  const { k } = kernel;
  const log: string[] = [];
  const dev = await kernel.run(async () => {
    const phys = await kernel.physical('phys');
    kernel.uevents();
    await k.mdev_register_device(phys, vendorOps(log, more));
    return phys;
  });
  return {
    kernel, log, dev,
    end: async () => {
      await kernel.run(async () => {
        await k.mdev_unregister_device(dev);
        const cls = dev.class!;
        await k.device_unregister(dev);
        k.class_unregister(cls);
        await kernel.rmmod('mdev');
      });
      return kernel.leftovers();
    },
  };
}

describe('a parent of 2016', () => {
  it('shows one directory per supported configuration, with the files its vendor gives', async () => {
    covers('1.7.9', '1.7.20', '1.7.21', '1.7.22', '1.7.25', '1.9.19');
    const { kernel, end } = await scene();
    expect([kernel.dmesg(), kernel.uevents()]).toEqual([['phys phys: MDEV: Registered'], [`change@${PHYS.slice(4)} MDEV_STATE=registered`]]);
    await kernel.sh(async (sh) => {
      expect(await sh.ls(TYPES)).toEqual(['phys-big-one', 'phys-small']);
      expect(await sh.ls(`${TYPES}/phys-small`)).toEqual(['available_instances', 'create', 'device_api', 'devices']);
      expect(await sh.ls(`${TYPES}/phys-big-one`)).toEqual(['available_instances', 'create', 'description', 'device_api', 'devices', 'name']);
      expect([await sh.read(`${TYPES}/phys-big-one/name`), await sh.read(`${TYPES}/phys-small/device_api`)]).toEqual(['Big\n', 'vfio-pci\n']);
      expect(await sh.readlink('/sys/class/mdev_bus/phys')).toBe('../../devices/virtual/phys/phys');
    });
    expect(await end()).toEqual([]);
    expect(kernel.dmesg()).toEqual(['phys phys: MDEV: Unregistering']);
  });

  it('has attributes of its own and of its devices', async () => {
    covers('1.7.7', '1.7.8', '1.9.19');
    const { kernel, end } = await scene({
      dev_attr_groups: [oneFile('vendor', 'serial', (dev) => `serial of ${dev.name}`), oneFile(undefined, 'top', () => 'top')],
      mdev_attr_groups: [oneFile('vendor', 'vgpu', (dev) => `vgpu ${dev.name.slice(-2)}`)],
    });
    await kernel.sh(async (sh) => {
      expect([await sh.read(`${PHYS}/vendor/serial`), await sh.read(`${PHYS}/top`)]).toEqual(['serial of phys\n', 'top\n']);
      expect([await sh.write(CREATE, uuid(1)), await sh.read(`${PHYS}/${uuid(1)}/vendor/vgpu`)]).toEqual([0, 'vgpu 01\n']);
    });
    const { k } = kernel;
    await kernel.run(async () => k.mdev_unregister_device(k.all_devices().find((dev) => dev.name === 'phys')!));
    await kernel.sh(async (sh) => expect(await sh.ls(PHYS)).toEqual(['power', 'subsystem', 'uevent']));
    await kernel.run(async () => k.mdev_register_device(k.all_devices().find((dev) => dev.name === 'phys')!, vendorOps([])));
    expect(await end()).toEqual([]);
  });

  it('is refused without create, remove, types or a mandatory file, and a second time', async () => {
    covers('1.7.17', '1.7.23');
    const { kernel, dev, end } = await scene();
    const { k } = kernel;
    await kernel.run(async () => {
      const other = k.device_initialize({ name: 'other' });
      await k.device_add(other);
      const register = (more: Partial<Record<keyof ParentOps, unknown>>): Promise<unknown> =>
        answerOf(() => k.mdev_register_device(other, { ...vendorOps([]), ...more } as ParentOps)); // as a vendor in plain JavaScript might
      expect(await answerOf(() => k.mdev_register_device(other, undefined as never))).toBe('EINVAL');
      for (const missing of ['create', 'remove', 'supported_config']) expect(await register({ [missing]: undefined }), missing).toBe('EINVAL');
      expect(await register({ supported_config: [] })).toBe('EINVAL');
      for (const file of ['device_api', 'available_instances']) {
        const { name, attrs } = typeGroup('x');
        expect(await register({ supported_config: [{ name, attrs: attrs.filter((attr) => attr.name !== file) }] }), file).toBe('EINVAL');
      }
      expect(await register({ supported_config: [typeGroup('x'), typeGroup('x')] })).toBe('EEXIST');
      expect(await register({ dev_attr_groups: [oneFile(undefined, 'uevent', () => '')] })).toBe('EEXIST');
      expect(await answerOf(() => k.mdev_register_device(dev, vendorOps([])))).toBe('EEXIST');
      await k.mdev_register_device(other, vendorOps([])); // nothing of what was refused is left
      await k.mdev_unregister_device(other);
      await k.device_unregister(other);
    });
    expect(await end()).toEqual([]);
  });
});

describe('a device of a parent of 2016', () => {
  it('is made by its vendor before anybody sees it, taken by the bus driver, and unmade before it goes', async () => {
    covers('1.7.2', '1.7.4', '1.7.10', '2.11.10');
    const { kernel, log, end } = await scene();
    const { k } = kernel;
    const driver = busDriver('vfio_mdev', log);
    await kernel.sh(async (sh) => {
      expect(await sh.write(CREATE, uuid(1))).toBe(0);
      expect(log.splice(0)).toEqual(['create 01 small']); // no driver yet
      await k.mdev_register_driver(driver, OWNER);
      expect(await sh.ls('/sys/bus/mdev/drivers')).toEqual(['vfio_mdev']);
      expect(log.splice(0)).toEqual(['vfio_mdev probe 01']);
      expect(await sh.write(`${TYPES}/phys-big-one/create`, uuid(2))).toBe(0);
      expect(log.splice(0)).toEqual(['create 02 big-one', 'vfio_mdev probe 02']);
      expect(await sh.write('/sys/bus/mdev/drivers/vfio_mdev/unbind', uuid(1))).toBe(0);
      expect(await sh.write('/sys/bus/mdev/drivers/vfio_mdev/bind', uuid(1))).toBe(0);
      expect(log.splice(0)).toEqual(['vfio_mdev remove 01', 'vfio_mdev probe 01']);
      expect(await sh.write(`${BUS}/${uuid(1)}/remove`, '1')).toBe(0);
      expect(log.splice(0)).toEqual(['remove 01', 'vfio_mdev remove 01']);
      await k.mdev_unregister_driver(driver);
      expect(log.splice(0)).toEqual(['vfio_mdev remove 02']);
    });
    expect(await end()).toEqual([]);
    expect(log).toEqual(['remove 02']);
  });

  it('that its vendor refuses to make leaves no residue', async () => {
    covers('1.7.10', '1.7.24');
    const { kernel, end } = await scene({ create: async () => { throw new KernelError('ENOSPC', 'toy.create', 'no room'); } });
    kernel.uevents();
    await kernel.sh(async (sh) => {
      expect([await sh.write(CREATE, uuid(1)), await sh.ls(BUS), await sh.ls(`${TYPES}/phys-small/devices`)]).toEqual(['ENOSPC', [], []]);
    });
    expect(kernel.uevents()).toEqual([]);
    expect(await end()).toEqual([]);
  });

  it('stays when its vendor refuses to remove it, and can be removed later', async () => {
    covers('1.7.29', '1.7.10');
    let busy = true;
    const { kernel, end } = await scene({
      remove: async () => {
        if (busy) throw new KernelError('EPERM', 'toy.remove', 'in use');
      },
    });
    await kernel.sh(async (sh) => {
      expect([await sh.write(CREATE, uuid(1)), await sh.write(`${BUS}/${uuid(1)}/remove`, '1'), await sh.ls(BUS)]).toEqual([0, 'EBUSY', [uuid(1)]]);
      busy = false;
      expect([await sh.write(`${BUS}/${uuid(1)}/remove`, '1'), await sh.ls(BUS)]).toEqual([0, []]);
      busy = true;
      expect(await sh.write(CREATE, uuid(2))).toBe(0);
    });
    expect(await end()).toEqual([]); // a parent that goes does not ask
    expect(kernel.dmesg()).toContain('mdev ' + uuid(2) + ': Remove failed: in use');
  });

  it('is what its vendor and its bus driver keep their own data of', async () => {
    const kept: unknown[] = [];
    const { kernel, end } = await scene({
      create: async (_, mdev) => kernel.k.mdev_set_drvdata(mdev, { vgpu: 1 }),
      remove: async (mdev) => void kept.push(kernel.k.mdev_get_drvdata(mdev)),
    });
    await kernel.sh(async (sh) => void (await sh.write(CREATE, uuid(1))));
    const [dev] = kernel.k.bus_devices(kernel.k.find_bus('mdev')!);
    const mdev = kernel.k.mdev_from_dev(dev!) as MdevDevice;
    expect([mdev.uuid, mdev.type.sysfs_name, mdev.parent.dev.name, kernel.k.mdev_from_dev(mdev.parent.dev)]).toEqual([uuid(1), 'small', 'phys', null]);
    expect(await end()).toEqual([]);
    expect(kept).toEqual([{ vgpu: 1 }]);
  });
});

describe('a bus driver of 2016', () => {
  it('needs an owner, who is held while a device is bound', async () => {
    covers('1.7.5');
    const { kernel, log, end } = await scene();
    const { k } = kernel;
    const driver = busDriver('vfio_mdev', log);
    const module = defineModule({
      name: 'vfio_mdev', license: 'GPL', imports: ['mdev_register_driver', 'mdev_unregister_driver'],
      async module_init(own, { THIS_MODULE, undo }) {
        await own.mdev_register_driver(driver, THIS_MODULE);
        undo.push('driver', () => own.mdev_unregister_driver(driver));
        return { ksymtab: {} };
      },
    });
    const refcnt = () => k.find_module('vfio_mdev')?.refcnt;
    await kernel.sh(async (sh) => {
      expect(await answerOf(() => k.mdev_register_driver(driver))).toBe('EINVAL');
      expect(await sh.write(CREATE, uuid(1))).toBe(0);
      await kernel.insmod(module);
      expect([log.splice(0), refcnt()]).toEqual([['create 01 small', 'vfio_mdev probe 01'], 1]);
      await expect(kernel.rmmod('vfio_mdev')).rejects.toThrow('in use');
      expect([await sh.write('/sys/bus/mdev/drivers/vfio_mdev/unbind', uuid(1)), refcnt()]).toEqual([0, 0]);
      expect([await sh.write('/sys/bus/mdev/drivers/vfio_mdev/bind', uuid(1)), refcnt()]).toEqual([0, 1]);
      await k.mdev_unregister_driver(driver); // unbinds all
      expect(refcnt()).toBe(0);
      await k.mdev_register_driver(driver, k.find_module('vfio_mdev')!); // takes it again; for the module's own exit
      await sh.write(`${BUS}/${uuid(1)}/remove`, '1');
      await kernel.rmmod('vfio_mdev');
    });
    expect(await end()).toEqual([]);
  });

  it('whose owner is going takes no device', async () => {
    covers('1.7.5');
    const { kernel, log, end } = await scene();
    const { k } = kernel;
    const driver = busDriver('vfio_mdev', log);
    const module = defineModule({ name: 'vfio_mdev', license: 'GPL', module_init: () => ({ ksymtab: {}, module_exit: () => leaving() }) });
    const leaving = async (): Promise<void> => {
      await k.mdev_register_driver(driver, k.find_module('vfio_mdev')!);
      const [dev] = k.bus_devices(k.find_bus('mdev')!);
      expect(dev?.driver).toBe(null);
      await k.mdev_unregister_driver(driver);
    };
    await kernel.sh(async (sh) => {
      expect(await sh.write(CREATE, uuid(1))).toBe(0);
      await kernel.insmod(module);
      await kernel.rmmod('vfio_mdev');
    });
    expect(log).toEqual(['create 01 small']);
    expect(await end()).toEqual([]);
  });

  it('that refuses a device gives its owner back, and the device stays', async () => {
    const { kernel, log, end } = await scene();
    const { k } = kernel;
    const driver: MdevBusDriver = { ...busDriver('vfio_mdev', log), driver: { dev_groups: [oneFile(undefined, 'bound', () => 'yes')] }, probe: async () => { throw new KernelError('EIO', 'toy.probe', 'no'); } };
    await kernel.sh(async (sh) => {
      await k.mdev_register_driver(driver, OWNER);
      expect([await sh.write(CREATE, uuid(1)), await sh.ls(BUS)]).toEqual([0, [uuid(1)]]);
      expect(await sh.read(`${BUS}/${uuid(1)}/bound`)).toBe('ENOENT');
      await k.mdev_unregister_driver(driver);
    });
    expect(await end()).toEqual([]);
  });

  it('and a driver of today share the bus, and neither gets devices of the other surface', async () => {
    const { kernel, log, end } = await scene();
    const { k } = kernel;
    const old = busDriver('vfio_mdev', log);
    const today = todayDriver('toy', log);
    await kernel.sh(async (sh) => {
      await k.mdev_register_driver(old, OWNER);
      await k.mdev_register_driver(today);
      const parent = { dev: null, mdev_driver: null, ops: null, types: [] };
      const phys2 = await kernel.physical('phys2');
      await k.mdev_register_parent(parent, phys2, today, [{ sysfs_name: 'a', parent: null }], 1);
      expect(await sh.write('/sys/devices/virtual/phys2/phys2/mdev_supported_types/phys2-a/create', uuid(1))).toBe(0);
      expect([await sh.write(CREATE, uuid(1)), await sh.write(CREATE, uuid(2))]).toEqual(['EEXIST', 0]);
      expect(log.splice(0)).toEqual(['probe 01 a', 'create 02 small', 'vfio_mdev probe 02']);
      await sh.write('/sys/bus/mdev/drivers/toy/unbind', uuid(1));
      await sh.write('/sys/bus/mdev/drivers/vfio_mdev/unbind', uuid(2));
      expect(await sh.write('/sys/bus/mdev/drivers/vfio_mdev/bind', uuid(1))).toBe('ENODEV');
      expect(await sh.write('/sys/bus/mdev/drivers/toy/bind', uuid(2))).toBe('ENODEV');
      await k.mdev_unregister_parent(parent);
      const cls = phys2.class!;
      await k.device_unregister(phys2);
      k.class_unregister(cls);
      await k.mdev_unregister_driver(today);
      await k.mdev_unregister_driver(old);
    });
    expect(await end()).toEqual([]);
  });
});
