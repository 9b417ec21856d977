import { KernelError } from '@vdpalab/abi';
import { errnoOf } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import type { Device } from './header.ts';
import { addDevice, bootDriverCore, toyBus, toyDriver } from './testing/kernel.ts';

test('a device without parent lies at /sys/devices with the files of the recording', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.sh(async (sh) => {
    const bus = toyBus({ name: 'vdpa' });
    await k.bus_register(bus);
    await k.driver_register(toyDriver(bus, 'vhost_vdpa', []));
    const vdpa0 = await addDevice(k, { name: 'vdpa0', bus });
    await addDevice(k, { name: 'vhost-vdpa-0', parent: vdpa0, devt: { major: 246, minor: 0 } });
    const power = (dir: string): string[] => [
      `d 755 ${dir}`, `f 644 ${dir}/async = disabled|`, `f 644 ${dir}/autosuspend_delay_ms = EIO`, `f 644 ${dir}/control = auto|`,
      ...['active_kids = 0', 'active_time = 0', 'enabled = disabled', 'status = unsupported', 'suspended_time = 0', 'usage = 0']
        .map((file) => `f 444 ${dir}/runtime_${file}|`),
    ];
    expect(await sh.walk('/sys/devices/vdpa0')).toEqual([
      'd 755 /sys/devices/vdpa0',
      'l 777 /sys/devices/vdpa0/driver -> ../../bus/vdpa/drivers/vhost_vdpa',
      'f 644 /sys/devices/vdpa0/driver_override = (null)|',
      ...power('/sys/devices/vdpa0/power'),
      'l 777 /sys/devices/vdpa0/subsystem -> ../../bus/vdpa',
      'f 644 /sys/devices/vdpa0/uevent = DRIVER=vhost_vdpa|',
      'd 755 /sys/devices/vdpa0/vhost-vdpa-0',
      'f 444 /sys/devices/vdpa0/vhost-vdpa-0/dev = 246:0|',
      ...power('/sys/devices/vdpa0/vhost-vdpa-0/power'),
      'f 644 /sys/devices/vdpa0/vhost-vdpa-0/uevent = ',
    ]);
    expect(await sh.readlink('/sys/bus/vdpa/devices/vdpa0')).toBe('../../../devices/vdpa0');
    expect(await sh.readlink('/sys/dev/char/246:0')).toBe('../../devices/vdpa0/vhost-vdpa-0');
    expect(await k.ksys_stat(sh.proc, '/dev/vhost-vdpa-0', false)).toMatchObject({ kind: 'chr', mode: 0o600, rdev: { major: 246, minor: 0 } });
  });
  // The second device is in no subsystem: nobody is told of it.
  expect(kernel.uevents().filter((line) => line.includes('vhost-vdpa-0'))).toEqual([]);
});

test('a class device without parent lives in /sys/devices/virtual, with its links, its node and its keys', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const cls = { name: 'vfio' };
  await kernel.sh(async (sh) => {
    k.class_register(cls);
    const dev = await addDevice(k, { name: 'vfio', class: cls, devt: { major: 10, minor: 196 }, devnode: { name: 'vfio/vfio', mode: 0o666 } });
    expect(await sh.readlink('/sys/class/vfio/vfio')).toBe('../../devices/virtual/vfio/vfio');
    expect(await sh.readlink('/sys/devices/virtual/vfio/vfio/subsystem')).toBe('../../../../class/vfio');
    expect(await sh.cat('/sys/devices/virtual/vfio/vfio/uevent')).toBe('MAJOR=10\nMINOR=196\nDEVNAME=vfio/vfio\nDEVMODE=0666\n');
    expect(await k.ksys_stat(sh.proc, '/dev/vfio/vfio', false)).toMatchObject({ kind: 'chr', mode: 0o666 });
    await k.device_unregister(dev);
    expect([await sh.ls('/sys/class/vfio'), await sh.ls('/sys/devices/virtual'), await sh.ls('/sys/dev/char'), await sh.ls('/dev/vfio')])
      .toEqual(['', 'workqueue', '', 'ENOENT']); // the core's own stays
    k.class_unregister(cls);
    expect(await sh.ls('/sys/class')).toBe('misc'); // the core's own
  });
  const keys = 'SUBSYSTEM=vfio MAJOR=10 MINOR=196 DEVNAME=vfio/vfio DEVMODE=0666';
  expect(kernel.uevents()).toEqual([
    'add@/class/vfio SUBSYSTEM=class', `add@/devices/virtual/vfio/vfio ${keys}`, `remove@/devices/virtual/vfio/vfio ${keys}`,
    'remove@/class/vfio SUBSYSTEM=class',
  ]);
  expect(kernel.leftovers()).toEqual([]);
});

test('a misc device has a fixed number of major 10, its class and its node, and leaves nothing', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.sh(async (sh) => {
    const opened: string[] = [];
    const misc = { minor: 196, name: 'vfio', nodename: 'vfio/vfio', mode: 0o666, fops: { open: async () => void opened.push('open') } };
    const dev = await k.misc_register(misc);
    expect(await sh.readlink('/sys/class/misc/vfio')).toBe('../../devices/virtual/misc/vfio');
    expect(await k.ksys_stat(sh.proc, '/dev/vfio/vfio', false)).toMatchObject({ kind: 'chr', mode: 0o666, rdev: { major: 10, minor: 196 } });
    await k.ksys_close(sh.proc, await k.ksys_open(sh.proc, '/dev/vfio/vfio', 2));
    await expect(k.misc_register({ ...misc, minor: 197 })).rejects.toMatchObject({ errno: 'EEXIST' });
    await k.misc_deregister(dev);
    expect([opened, await sh.ls('/sys/class/misc'), await sh.ls('/dev/vfio')]).toEqual([['open'], '', 'ENOENT']);
  });
  expect(kernel.leftovers()).toEqual([]);
});

test('class devices below a device share a directory named after the class, which goes with the last', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const cls = { name: 'vfio-dev', dev_groups: [{ attrs: [{ name: 'kind', mode: 0o444, show: async () => 'test\n' }] }] };
  await kernel.sh(async (sh) => {
    k.class_register(cls);
    const parent = await addDevice(k, { name: 'mtty' });
    const first = await addDevice(k, { name: 'vfio0', class: cls, parent });
    const second = await addDevice(k, { name: 'vfio1', class: cls, parent });
    const below = await addDevice(k, { name: 'port', class: cls, parent: first }); // its parent is in a class: no directory between
    expect(await sh.ls('/sys/devices/mtty')).toBe('power uevent vfio-dev');
    expect(await sh.ls('/sys/devices/mtty/vfio-dev')).toBe('vfio0 vfio1');
    expect(await sh.readlink('/sys/devices/mtty/vfio-dev/vfio0/device')).toBe('../../../mtty');
    expect(await sh.cat('/sys/class/vfio-dev/port/kind')).toBe('test\n');
    expect(await sh.readlink('/sys/class/vfio-dev/port')).toBe('../../devices/mtty/vfio-dev/vfio0/port');
    expect(k.device_children(parent).map((dev) => dev.name)).toEqual(['vfio0', 'vfio1']);
    for (const dev of [below, first]) await k.device_unregister(dev);
    expect(await sh.ls('/sys/devices/mtty/vfio-dev')).toBe('vfio1');
    await k.device_unregister(second);
    expect(await sh.ls('/sys/devices/mtty')).toBe('power uevent');
    await k.device_unregister(parent);
    k.class_unregister(cls);
  });
  expect(kernel.leftovers()).toEqual([]);
});

test('a slash in a name becomes an exclamation mark, and is a slash again in /dev', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.sh(async (sh) => {
    const bus = toyBus();
    await k.bus_register(bus);
    const dev = await addDevice(k, { name: 'a/b', bus, devt: { major: 246, minor: 1 } });
    expect([k.dev_name(dev), await sh.ls('/sys/bus/toy/devices')]).toEqual(['a!b', 'a!b']);
    expect(await k.ksys_stat(sh.proc, '/dev/a/b', false)).toMatchObject({ kind: 'chr' });
  });
});

test('an empty name is EINVAL, one that is taken EEXIST, and nothing is left of either', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.sh(async (sh) => {
    const bus = toyBus();
    await k.bus_register(bus);
    const first = await addDevice(k, { name: 'x', bus });
    kernel.uevents();
    for (const [name, errno] of [['', 'EINVAL'], ['x', 'EEXIST']] as const) {
      const dev = k.device_initialize({ name, bus });
      expect(await errnoOf(() => k.device_add(dev))).toBe(errno);
      expect(dev.refcount).toBe(1);
      k.put_device(dev);
    }
    expect(kernel.uevents()).toEqual([]);
    expect(k.bus_devices(bus)).toEqual([first]);
    expect(await sh.ls('/sys/bus/toy/devices')).toBe('x');
    await k.device_unregister(first);
    await k.bus_unregister(bus);
  });
  expect(kernel.dmesg()).toEqual([
    '4: ------------[ cut here ]------------',
    '4: kobject: (____ptrval____): attempted to be registered with empty name!',
    "4: sysfs: cannot create duplicate filename '/devices/x'",
    "3: kobject_add_internal failed for x with -EEXIST, don't try to register things with the same name in the same directory.",
  ]);
  expect(kernel.leftovers()).toEqual([]);
});

test('a device whose parent is not in sysfs is refused', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.run(async () => {
    const parent = k.device_initialize({ name: 'p' });
    const dev = k.device_initialize({ name: 'x', parent });
    expect(await errnoOf(() => k.device_add(dev))).toBe('ENOENT');
    k.put_device(dev);
    k.put_device(parent);
  });
  expect(kernel.leftovers()).toEqual([]);
});

test('wherever device_add fails, nothing is left behind', async () => {
  const failing = ['kernfs_create_dir', 'kernfs_create_file', 'kernfs_create_bin_file', 'kernfs_create_link', 'devtmpfs_create_node'];
  let fuse = Infinity;
  const kernel = await bootDriverCore({
    wrap: (symbol, value, importer) => (importer !== 'driver_core' || !failing.includes(symbol) ? value : (...args: unknown[]) => {
      if (fuse-- === 0) throw new KernelError('ENOMEM', 'test.fuse', symbol);
      return (value as (...a: unknown[]) => unknown)(...args);
    }),
  });
  const { k } = kernel;
  const bus = toyBus({ dev_groups: [{ name: 'g', attrs: [{ name: 'a', mode: 0o444, show: async () => '' }] }] });
  const cls = { name: 'cls', dev_groups: [{ attrs: [{ name: 'c', mode: 0o444, show: async () => '' }] }] };
  const groups = [{ attrs: [{ name: 'own', mode: 0o444, show: async () => '' }], bin_attrs: [{ name: 'bin', mode: 0o400, size: () => 4 }] }];
  let failures = 0;
  await kernel.sh(async (sh) => {
    const state = async (): Promise<unknown> => [
      await sh.walk('/sys/devices'), await sh.walk('/sys/bus'), await sh.walk('/sys/class'), await sh.walk('/sys/dev'), await sh.ls('/dev'),
      k.bus_devices(bus), k.all_devices(), k.device_children(parent), parent.refcount, k.driver_core_leftovers(),
    ];
    await k.bus_register(bus);
    k.class_register(cls);
    const parent = await addDevice(k, { name: 'parent' });
    // A device in a class and on a bus: Linux allows it, and it takes every step there is; only one `subsystem` fits, so
    // the class's steps and the bus's are tried with a device each.
    for (const init of [{ bus }, { class: cls }]) {
      for (let step = 0; ; step++) {
        const dev = k.device_initialize({ name: 'x', parent, groups, devt: { major: 246, minor: 0 }, ...init });
        const before = await state();
        kernel.uevents();
        fuse = step;
        const errno = await errnoOf(() => k.device_add(dev));
        fuse = Infinity;
        if (errno === 'ok') {
          await k.device_unregister(dev);
          break;
        }
        failures++;
        expect(errno).toBe('ENOMEM');
        expect(await state()).toEqual(before);
        // Linux announces the removal of a device it never announced.
        expect(kernel.uevents().every((line) => line.startsWith('remove@/devices/parent/'))).toBe(true);
        expect([dev.refcount, dev.sd, dev.driver, dev.dead]).toEqual([1, null, null, false]);
        k.put_device(dev);
      }
    }
  });
  expect(failures).toBeGreaterThan(40);
});

test('the last reference runs release, and nobody may use the device after it', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const released: string[] = [];
  await kernel.run(async () => {
    const dev = k.device_initialize({ name: 'x', release: (d) => void released.push(d.name) as undefined });
    await k.device_add(dev);
    k.get_device(dev);
    await k.device_unregister(dev);
    expect([released, dev.refcount, k.driver_core_leftovers()]).toEqual([[], 1, ['device x (not in sysfs): 1 references']]);
    k.put_device(dev);
    expect(released).toEqual(['x']);
    expect(() => k.get_device(dev)).toThrow('released already');
  });
});

test('mistakes with devices are errors of the lab, not of the user', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.run(async () => {
    const dev = await addDevice(k, { name: 'x' });
    await expect(k.device_add(dev)).rejects.toThrow('added twice');
    k.put_device(dev);
    expect(() => k.put_device(dev)).toThrow('last reference dropped before device_del');
    k.get_device(dev);
    await k.device_del(dev);
    await expect(k.device_del(dev)).rejects.toThrow('not added');
    k.put_device(dev);
    await expect(k.device_add(k.device_initialize({ name: 'y', bus: toyBus() }))).rejects.toThrow('bus toy: not registered');
  });
});

test('a child keeps its parent, and a device goes with its files while they are open', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.sh(async (sh) => {
    const parent = await addDevice(k, { name: 'p' });
    const child = await addDevice(k, { name: 'c', parent });
    expect(parent.refcount).toBe(3);
    const fd = await k.ksys_open(sh.proc, '/sys/devices/p/c/uevent', 0);
    await k.device_unregister(child);
    expect(parent.refcount).toBe(2);
    expect(await errnoOf(() => k.ksys_read(sh.proc, fd, 10))).toBe('ENODEV');
    await k.device_unregister(parent);
  });
  expect(kernel.leftovers()).toEqual([]);
});

test('files made later go one by one or with the device', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.sh(async (sh) => {
    const dev = k.device_initialize({ name: 'x' });
    const attr = (name: string) => ({ name, mode: 0o444, show: async (d: Device) => `${d.name}.${name}\n` });
    expect(() => k.device_create_file(dev, attr('early'))).toThrow('not in sysfs');
    await k.device_add(dev);
    for (const name of ['a', 'b']) k.device_create_file(dev, attr(name));
    expect(await sh.cat('/sys/devices/x/a')).toBe('x.a\n');
    k.device_remove_file(dev, 'a');
    k.device_remove_file(dev, 'nosuch');
    expect(await sh.ls('/sys/devices/x')).toBe('b power uevent');
    await k.device_unregister(dev);
    expect(await sh.ls('/sys/devices')).toBe('system virtual');
  });
  expect(kernel.leftovers()).toEqual([]);
});

test('power/control and power/async take their two words each', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.sh(async (sh) => {
    await addDevice(k, { name: 'x' });
    const dir = '/sys/devices/x/power';
    expect([await sh.echo('on\n', `${dir}/control`), await sh.cat(`${dir}/control`), await sh.cat(`${dir}/runtime_enabled`), await sh.cat(`${dir}/runtime_usage`)])
      .toEqual(['ok', 'on\n', 'disabled & forbidden\n', '1\n']);
    expect([await sh.echo('auto', `${dir}/control`), await sh.cat(`${dir}/runtime_usage`), await sh.echo('off', `${dir}/control`)]).toEqual(['ok', '0\n', 'EINVAL']);
    expect([await sh.echo('enabled\n', `${dir}/async`), await sh.cat(`${dir}/async`), await sh.echo('1', `${dir}/async`)]).toEqual(['ok', 'enabled\n', 'EINVAL']);
    expect(await sh.echo('5', `${dir}/autosuspend_delay_ms`)).toBe('EIO');
  });
});

test('messages name driver or bus or class, and the device', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.run(async () => {
    const bus = toyBus();
    await k.bus_register(bus);
    const dev = await addDevice(k, { name: '0000:07:00.2', bus });
    k.dev_err(dev, 'no driver');
    const drv = toyDriver(bus, 'ifcvf', []);
    await k.driver_register(drv);
    k.dev_warn(dev, 'bound');
    k.dev_info(k.device_initialize({ name: 'mtty', class: { name: 'mtty' } }), 'MDEV: Registered');
    k.dev_set_drvdata(dev, 5);
    expect(k.dev_get_drvdata(dev)).toBe(5);
    await k.device_release_driver(dev);
    expect(k.dev_get_drvdata(dev)).toBeNull();
  });
  expect(kernel.dmesg()).toEqual(['3: toy 0000:07:00.2: no driver', '4: ifcvf 0000:07:00.2: bound', '6: mtty mtty: MDEV: Registered']);
});
