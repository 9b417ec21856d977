import { KernelError } from '@vdpalab/abi';
import { covers, errnoOf } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import { addDevice, bootDriverCore, toyBus, toyDriver } from './testing/kernel.ts';

test('a bus has the files Linux gives it, and its coming and going are announced', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const bus = toyBus();
  await kernel.sh(async (sh) => {
    await k.bus_register(bus);
    expect(await sh.walk('/sys/bus/toy')).toEqual([
      'd 755 /sys/bus/toy',
      'd 755 /sys/bus/toy/devices',
      'd 755 /sys/bus/toy/drivers',
      'f 644 /sys/bus/toy/drivers_autoprobe = 1|',
      'f 200 /sys/bus/toy/drivers_probe',
      'f 200 /sys/bus/toy/uevent',
    ]);
    expect(await sh.echo('change\n', '/sys/bus/toy/uevent')).toBe('ok');
    expect(k.find_bus('toy')).toBe(bus);
    await k.bus_unregister(bus);
    expect(await sh.ls('/sys/bus')).toBe('workqueue'); // the core's own
    expect(k.find_bus('toy')).toBeNull();
  });
  expect(kernel.uevents()).toEqual(['add@/bus/toy SUBSYSTEM=bus', 'change@/bus/toy SUBSYSTEM=bus SYNTH_UUID=0', 'remove@/bus/toy SUBSYSTEM=bus']);
  expect(kernel.leftovers()).toEqual([]);
});

test('a second bus of the same name is refused, and the first one stays', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const bus = toyBus();
  await kernel.run(async () => {
    await k.bus_register(bus);
    expect(await errnoOf(() => k.bus_register(toyBus()))).toBe('EEXIST');
    expect(k.find_bus('toy')).toBe(bus);
    await k.bus_unregister(bus);
  });
  expect(kernel.dmesg()).toEqual([
    "4: sysfs: cannot create duplicate filename '/bus/toy'",
    "3: kobject_add_internal failed for toy with -EEXIST, don't try to register things with the same name in the same directory.",
  ]);
  expect(kernel.leftovers()).toEqual([]);
});

test('a bus that still has a device is not taken away', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.run(async () => {
    const bus = toyBus();
    await k.bus_register(bus);
    await addDevice(k, { name: 'x', bus });
    await expect(k.bus_unregister(bus)).rejects.toThrow('1 devices');
  });
});

// The script and the answers are those of the recording 05-vdpa-bus.txt, sections 3 to 6 and 8.
test('bind, unbind, drivers_probe, drivers_autoprobe and driver_override answer as the recorded kernel did', async () => {
  covers('1.5.7');
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const bus = toyBus({ name: 'vdpa' });
  const vhost = toyDriver(bus, 'vhost_vdpa', []);
  const virtio = toyDriver(bus, 'virtio_vdpa', []);
  await kernel.sh(async (sh) => {
    const bound = async (name: string): Promise<string> => await errnoOf(() => sh.readlink(`/sys/bus/vdpa/devices/${name}/driver`)) === 'ok'
      ? await sh.readlink(`/sys/bus/vdpa/devices/${name}/driver`) : 'none';
    const bind = (text: string, drv = 'vhost_vdpa'): Promise<string> => sh.echo(text, `/sys/bus/vdpa/drivers/${drv}/bind`);
    const unbind = (text: string, drv = 'vhost_vdpa'): Promise<string> => sh.echo(text, `/sys/bus/vdpa/drivers/${drv}/unbind`);
    const probe = (text: string): Promise<string> => sh.echo(text, '/sys/bus/vdpa/drivers_probe');
    const override = (text: string): Promise<string> => sh.echo(text, '/sys/bus/vdpa/devices/vdpa1/driver_override');
    const overridden = (): Promise<string> => sh.cat('/sys/bus/vdpa/devices/vdpa1/driver_override');

    await k.bus_register(bus);
    const vdpa0 = await addDevice(k, { name: 'vdpa0', bus });
    kernel.uevents();
    await k.driver_register(vhost);
    expect(kernel.uevents()).toEqual(['bind@/devices/vdpa0 SUBSYSTEM=vdpa DRIVER=vhost_vdpa', 'add@/bus/vdpa/drivers/vhost_vdpa SUBSYSTEM=drivers']);
    expect(await sh.walk('/sys/bus/vdpa/drivers/vhost_vdpa')).toEqual([
      'd 755 /sys/bus/vdpa/drivers/vhost_vdpa',
      'f 200 /sys/bus/vdpa/drivers/vhost_vdpa/bind',
      'f 200 /sys/bus/vdpa/drivers/vhost_vdpa/uevent',
      'f 200 /sys/bus/vdpa/drivers/vhost_vdpa/unbind',
      'l 777 /sys/bus/vdpa/drivers/vhost_vdpa/vdpa0 -> ../../../../devices/vdpa0',
    ]);
    const vdpa1 = await addDevice(k, { name: 'vdpa1', bus });
    expect(kernel.uevents()).toEqual(['add@/devices/vdpa1 SUBSYSTEM=vdpa', 'bind@/devices/vdpa1 SUBSYSTEM=vdpa DRIVER=vhost_vdpa']);

    expect(await unbind('vdpa1\n')).toBe('ok');
    expect(kernel.uevents()).toEqual(['unbind@/devices/vdpa1 SUBSYSTEM=vdpa']);
    expect(await sh.ls('/sys/bus/vdpa/devices/vdpa1')).toBe('driver_override power subsystem uevent');
    expect([await unbind('vdpa1\n'), await unbind('nosuch\n'), await bind('vdpa1\n'), await bind('vdpa1\n'), await bind('nosuch\n')])
      .toEqual(['ENODEV', 'ENODEV', 'ok', 'EBUSY', 'ENODEV']);
    expect([await unbind('vdpa1'), await bind('\n'), await bind(''), await bind(' vdpa1\n'), await bind('vdpa1\nvdpa0\n')])
      .toEqual(['ok', 'ENODEV', 'ok', 'ENODEV', 'ENODEV']);
    expect(await errnoOf(() => sh.cat('/sys/bus/vdpa/drivers/vhost_vdpa/bind'))).toBe('EACCES');
    expect(await bind('vdpa1')).toBe('ok');

    await k.driver_register(virtio);
    expect([await bind('vdpa0\n', 'virtio_vdpa'), await unbind('vdpa0\n', 'virtio_vdpa')]).toEqual(['EBUSY', 'ENODEV']);
    await unbind('vdpa1\n');
    expect(await bind('vdpa1\n', 'virtio_vdpa')).toBe('ok');
    await unbind('vdpa1\n', 'virtio_vdpa');

    expect([await probe('vdpa1\n'), await bound('vdpa1')]).toEqual(['ok', '../../bus/vdpa/drivers/vhost_vdpa']);
    expect([await probe('vdpa1\n'), await probe('nosuch\n')]).toEqual(['ok', 'ENODEV']);
    expect(await errnoOf(() => sh.cat('/sys/bus/vdpa/drivers_probe'))).toBe('EACCES');
    expect([await sh.echo('0\n', '/sys/bus/vdpa/drivers_autoprobe'), await sh.cat('/sys/bus/vdpa/drivers_autoprobe')]).toEqual(['ok', '0\n']);
    const vdpa2 = await addDevice(k, { name: 'vdpa2', bus });
    expect([await bound('vdpa2'), await probe('vdpa2\n'), await bound('vdpa2')]).toEqual(['none', 'ok', '../../bus/vdpa/drivers/vhost_vdpa']);
    expect([await sh.echo('xyz\n', '/sys/bus/vdpa/drivers_autoprobe'), await sh.cat('/sys/bus/vdpa/drivers_autoprobe')]).toEqual(['ok', '1\n']);

    expect(await overridden()).toBe('(null)\n');
    await unbind('vdpa1\n');
    expect([await override('virtio_vdpa\n'), await overridden(), await bind('vdpa1\n')]).toEqual(['ok', 'virtio_vdpa\n', 'ENODEV']);
    expect([await probe('vdpa1\n'), await bound('vdpa1')]).toEqual(['ok', '../../bus/vdpa/drivers/virtio_vdpa']);
    expect([await override('vhost_vdpa\n'), await bound('vdpa1')]).toEqual(['ok', '../../bus/vdpa/drivers/virtio_vdpa']);
    await unbind('vdpa1\n', 'virtio_vdpa');
    expect([await probe('vdpa1\n'), await bound('vdpa1')]).toEqual(['ok', '../../bus/vdpa/drivers/vhost_vdpa']);
    await unbind('vdpa1\n');
    // Nobody takes it: drivers_probe says nothing of that.
    expect([await override('nosuchdriver\n'), await probe('vdpa1\n'), await bound('vdpa1')]).toEqual(['ok', 'ok', 'none']);
    expect([await override('\n'), await overridden()]).toEqual(['ok', '(null)\n']);
    expect([await override('vhost_vdpa'), await overridden(), await override(''), await overridden()]).toEqual(['ok', 'vhost_vdpa\n', 'ok', 'vhost_vdpa\n']);
    expect([await override('more\nless\n'), await overridden()]).toEqual(['ok', 'more\n']);
    expect([await override('x'.repeat(5000)), await override('x'.repeat(4095)), await overridden()]).toEqual(['EINVAL', 'EINVAL', 'more\n']);
    expect([await override('\n'), await probe('vdpa1\n')]).toEqual(['ok', 'ok']);

    kernel.uevents();
    await k.driver_unregister(vhost);
    expect(kernel.uevents()).toEqual([
      'unbind@/devices/vdpa1 SUBSYSTEM=vdpa', 'unbind@/devices/vdpa2 SUBSYSTEM=vdpa', 'unbind@/devices/vdpa0 SUBSYSTEM=vdpa',
      'remove@/bus/vdpa/drivers/vhost_vdpa SUBSYSTEM=drivers',
    ]);
    expect(await bound('vdpa0')).toBe('none'); // the other driver does not step in by itself
    expect([await probe('vdpa0\n'), await bound('vdpa0')]).toEqual(['ok', '../../bus/vdpa/drivers/virtio_vdpa']);
    await k.driver_unregister(virtio);
    for (const dev of [vdpa0, vdpa1, vdpa2]) await k.device_unregister(dev);
    await k.bus_unregister(bus);
  });
  expect(kernel.dmesg()).toEqual([]);
  expect(kernel.leftovers()).toEqual([]);
});

test('what refuses a device before its probe is EINVAL for drivers_probe, and the errno itself for bind', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const bus = toyBus({
    dma_configure: async (dev) => {
      throw new KernelError('EBUSY', 'test', `${dev.name}: owned by user space`);
    },
  });
  const drv = toyDriver(bus, 'd', []);
  await kernel.sh(async (sh) => {
    await k.bus_register(bus);
    await k.driver_register(drv);
    const dev = await addDevice(k, { name: 'x', bus });
    expect(await sh.echo('x', '/sys/bus/toy/drivers_probe')).toBe('EINVAL');
    expect(await sh.echo('x', '/sys/bus/toy/drivers/d/bind')).toBe('EBUSY');
    expect(await errnoOf(() => k.bus_rescan_devices(bus))).toBe('EBUSY');
    expect(await errnoOf(() => k.device_attach(dev))).toBe('EBUSY');
    await k.device_unregister(dev);
    await k.driver_unregister(drv);
    await k.bus_unregister(bus);
  });
  expect(kernel.dmesg()).toEqual([]);
  expect(kernel.leftovers()).toEqual([]);
});

test('a rescan offers every free device to the drivers', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const log: string[] = [];
  let willing = false;
  const bus = toyBus({ match: () => willing });
  await kernel.run(async () => {
    await k.bus_register(bus);
    await k.driver_register(toyDriver(bus, 'd', log));
    for (const name of ['a', 'b']) await addDevice(k, { name, bus });
    willing = true;
    await k.bus_rescan_devices(bus);
    await k.bus_rescan_devices(bus);
    expect(k.bus_devices(bus).map((dev) => dev.driver?.name)).toEqual(['d', 'd']);
    expect(k.bus_drivers(bus).map((drv) => drv.name)).toEqual(['d']);
    expect(k.bus_find_device_by_name(bus, 'b')?.name).toBe('b');
  });
  expect(log).toEqual(['d probe a', 'd probe b']);
});

test('attributes of a bus, its devices and its drivers come from its groups', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const stored: string[] = [];
  const bus = toyBus({
    bus_groups: [{ attrs: [{ name: 'rescan', mode: 0o200, store: async (b, text) => void stored.push(`${b.name} ${text}`) }] }],
    dev_groups: [{ name: 'info', attrs: [{ name: 'id', mode: 0o444, show: async (dev) => `${dev.name}\n` }, { name: 'hidden', mode: 0o444, is_visible: () => false }] }],
    drv_groups: [{ attrs: [{ name: 'new_id', mode: 0o200, store: async (drv, text) => void stored.push(`${drv.name} ${text}`) }] }],
  });
  await kernel.sh(async (sh) => {
    await k.bus_register(bus);
    const drv = toyDriver(bus, 'd', [], { suppress_bind_attrs: true });
    await k.driver_register(drv);
    const dev = await addDevice(k, { name: 'x', bus });
    expect(await sh.cat('/sys/bus/toy/devices/x/info/id')).toBe('x\n');
    expect(await sh.ls('/sys/bus/toy/devices/x/info')).toBe('id');
    await sh.echo('1', '/sys/bus/toy/rescan');
    await sh.echo('2', '/sys/bus/toy/drivers/d/new_id');
    expect(stored).toEqual(['toy 1', 'd 2']);
    expect(await sh.ls('/sys/bus/toy/drivers/d')).toBe('new_id uevent x');
    await k.device_unregister(dev);
    await k.driver_unregister(drv);
    await k.bus_unregister(bus);
  });
  expect(kernel.leftovers()).toEqual([]);
});
