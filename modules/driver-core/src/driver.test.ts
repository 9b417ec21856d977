import { KernelError } from '@vdpalab/abi';
import type { ErrnoName } from '@vdpalab/abi';
import { errnoOf } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import type { BusNotify } from './header.ts';
import { addDevice, bootDriverCore, toyBus, toyDriver } from './testing/kernel.ts';

function refusing(errno: ErrnoName) {
  return async (): Promise<void> => {
    throw new KernelError(errno, 'test.probe', 'no');
  };
}

test('a failed probe is logged with its errno, undone, and the next driver may try', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const log: string[] = [];
  const bus = toyBus({
    dma_configure: async (dev) => void log.push(`dma ${dev.driver?.name}`),
    dma_cleanup: async (dev) => void log.push(`undma ${dev.driver?.name}`),
  });
  await kernel.sh(async (sh) => {
    await k.bus_register(bus);
    const bad = toyDriver(bus, 'bad', log, {
      probe: async (dev) => {
        k.dev_set_drvdata(dev, 'half');
        k.devm_add_action(dev, 'first', () => void log.push('release first') as undefined);
        k.devm_add_action(dev, 'second', async () => void log.push('release second'));
        throw new KernelError('ENOSPC', 'test.probe', 'full');
      },
    });
    const good = toyDriver(bus, 'good', log);
    await k.driver_register(bad);
    await k.driver_register(good);
    const dev = await addDevice(k, { name: 'x', bus });
    expect(log).toEqual([
      'dma bad', 'bad probe x', 'undma bad', 'release second', 'release first', 'dma good', 'good probe x',
    ]);
    expect([dev.driver?.name, dev.driver_data]).toEqual(['good', null]);
    expect(await sh.ls('/sys/bus/toy/drivers/bad')).toBe('bind uevent unbind');
    await sh.echo('x', '/sys/bus/toy/drivers/good/unbind');
    expect(await sh.echo('x', '/sys/bus/toy/drivers/bad/bind')).toBe('ENOSPC');
    expect([dev.driver, await errnoOf(() => sh.readlink('/sys/devices/x/driver'))]).toEqual([null, 'ENOENT']);
    await k.device_unregister(dev);
    await k.driver_unregister(bad);
    await k.driver_unregister(good);
    await k.bus_unregister(bus);
  });
  expect(kernel.dmesg()).toEqual(['4: bad: probe of x failed with error -28', '4: bad: probe of x failed with error -28']);
  expect(kernel.leftovers()).toEqual([]);
});

test('ENODEV and ENXIO reject the match without a word; bind still hands them on', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.sh(async (sh) => {
    const bus = toyBus();
    await k.bus_register(bus);
    for (const errno of ['ENODEV', 'ENXIO'] as const) await k.driver_register(toyDriver(bus, errno, [], { probe: refusing(errno) }));
    await addDevice(k, { name: 'x', bus });
    for (const errno of ['ENODEV', 'ENXIO']) expect(await sh.echo('x', `/sys/bus/toy/drivers/${errno}/bind`)).toBe(errno);
  });
  expect(kernel.dmesg()).toEqual([]);
});

test('a driver gives back in order: links, attributes, remove, DMA, resources, then the word', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const log: string[] = [];
  const bus = toyBus({ dma_cleanup: async () => void log.push('undma') });
  await kernel.sh(async (sh) => {
    await k.bus_register(bus);
    const drv = toyDriver(bus, 'd', log, {
      dev_groups: [{ attrs: [{ name: 'mine', mode: 0o444, show: async (dev) => `${dev.driver?.name}\n` }] }],
      probe: async (dev) => k.devm_add_action(dev, 'res', () => void log.push(`release, driver ${dev.driver?.name}`) as undefined),
      remove: async () => void log.push(`in remove: ${await sh.ls('/sys/devices/x')}`),
    });
    await k.driver_register(drv);
    const dev = await addDevice(k, { name: 'x', bus });
    expect(await sh.cat('/sys/devices/x/mine')).toBe('d\n');
    k.uevent_listen((event): undefined => void log.push(event.action));
    await k.device_release_driver(dev);
    await k.device_release_driver(dev); // nothing any more
  });
  expect(log).toEqual(['d probe x', 'd remove x', 'in remove: driver_override power subsystem uevent', 'undma', 'release, driver d', 'unbind']);
});

test("a bus's probe and remove are called instead of the driver's, and doubles are warned of", async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const log: string[] = [];
  const bus = toyBus({ probe: async (dev) => void log.push(`bus probe ${dev.name}`), remove: async (dev) => void log.push(`bus remove ${dev.name}`) });
  await kernel.run(async () => {
    await k.bus_register(bus);
    await k.driver_register(toyDriver(bus, 'd', log));
    await k.device_unregister(await addDevice(k, { name: 'x', bus }));
  });
  expect(log).toEqual(['bus probe x', 'bus remove x']);
  expect(kernel.dmesg()).toEqual(["4: Driver 'd' needs updating - please use bus_type methods"]);
});

test('a second driver of the same name, or one whose bus is not there, is refused', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.run(async () => {
    const bus = toyBus();
    const drv = toyDriver(bus, 'd', []);
    expect(await errnoOf(() => k.driver_register(drv))).toBe('EINVAL');
    await k.bus_register(bus);
    await k.driver_register(drv);
    expect(await errnoOf(() => k.driver_register(toyDriver(bus, 'd', [])))).toBe('EBUSY');
    expect(k.bus_drivers(bus)).toEqual([drv]);
    await k.driver_unregister(drv);
    await k.bus_unregister(bus);
  });
  expect(kernel.dmesg()).toEqual([
    "3: Driver 'd' was unable to register with bus_type 'toy' because the bus was not initialized.",
    "3: Error: Driver 'd' is already registered, aborting...",
  ]);
  expect(kernel.leftovers()).toEqual([]);
});

test('a driver whose files cannot be made lets its devices go again', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const log: string[] = [];
  await kernel.sh(async (sh) => {
    const bus = toyBus();
    await k.bus_register(bus);
    const dev = await addDevice(k, { name: 'x', bus });
    const twice = { name: 'new_id', mode: 0o200 };
    const drv = toyDriver(bus, 'd', log, { groups: [{ attrs: [twice, twice] }] });
    expect(await errnoOf(() => k.driver_register(drv))).toBe('EEXIST');
    expect([dev.driver, k.bus_drivers(bus), await sh.ls('/sys/bus/toy/drivers')]).toEqual([null, [], '']);
    await k.device_unregister(dev);
    await k.bus_unregister(bus);
  });
  expect(log).toEqual(['d probe x', 'd remove x']);
  expect(kernel.leftovers()).toEqual([]);
});

test('a mistake in a probe is not taken for a refusal: it comes out, and the device is free again', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.run(async () => {
    const bus = toyBus();
    await k.bus_register(bus);
    const dev = await addDevice(k, { name: 'x', bus });
    const drv = toyDriver(bus, 'd', [], { probe: async () => void (undefined as unknown as { a: number }).a });
    await expect(k.driver_register(drv)).rejects.toThrow(TypeError);
    expect([dev.driver, k.bus_drivers(bus)]).toEqual([null, []]);
    await k.device_unregister(dev);
    await k.bus_unregister(bus);
  });
  expect(kernel.leftovers()).toEqual([]);
});

test('resources left on an unbound device keep every driver away', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.run(async () => {
    const bus = toyBus();
    await k.bus_register(bus);
    const dev = await addDevice(k, { name: 'x', bus });
    k.devm_add_action(dev, 'stray', () => undefined);
    const drv = toyDriver(bus, 'd', []);
    await k.driver_register(drv);
    expect(dev.driver).toBeNull();
    expect(k.driver_core_leftovers()).toContain('device /devices/x: resource stray');
    await k.device_unregister(dev); // device_del gives them back
    await k.driver_unregister(drv);
    await k.bus_unregister(bus);
  });
  expect(kernel.dmesg()).toEqual(['2: toy x: Resources present before probing']);
  expect(kernel.leftovers()).toEqual([]);
});

test('a deferred probe is tried again when another device is bound, and bind tells EAGAIN', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const log: string[] = [];
  const supplied = new Set<string>();
  await kernel.sh(async (sh) => {
    const bus = toyBus();
    await k.bus_register(bus);
    const consumer = toyDriver(bus, 'consumer', log, {
      probe: async () => {
        if (!supplied.has('clock')) throw new KernelError('EPROBE_DEFER', 'test.supplier', 'no clock yet');
      },
    });
    const clock = toyBus({ name: 'clocks' });
    await k.bus_register(clock);
    await k.driver_register(consumer);
    const dev = await addDevice(k, { name: 'x', bus });
    expect([dev.driver, k.driver_core_leftovers().at(-1)]).toEqual([null, 'deferred probe of x']);
    expect(await sh.echo('x', '/sys/bus/toy/drivers/consumer/bind')).toBe('EAGAIN');
    await k.driver_register(toyDriver(clock, 'supplier', log, { probe: async () => void supplied.add('clock') }));
    await addDevice(k, { name: 'clk', bus: clock });
  });
  expect(log).toEqual(['consumer probe x', 'consumer probe x', 'supplier probe clk', 'consumer probe x']);
  expect(kernel.k.all_devices().map((dev) => dev.driver?.name)).toEqual(['consumer', 'supplier']);
  expect(kernel.dmesg()).toEqual([]);
});

test('a supplier that comes while its consumer is deferring is not missed', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  let tries = 0;
  await kernel.run(async () => {
    const bus = toyBus();
    const clocks = toyBus({ name: 'clocks' });
    await k.bus_register(bus);
    await k.bus_register(clocks);
    await k.driver_register(toyDriver(clocks, 'supplier', []));
    await k.driver_register(toyDriver(bus, 'consumer', [], {
      probe: async () => {
        if (tries++ > 0) return;
        await addDevice(k, { name: 'clk', bus: clocks }); // bound before the refusal is known
        throw new KernelError('EPROBE_DEFER', 'test.supplier', 'no clock yet');
      },
    }));
    await addDevice(k, { name: 'x', bus });
  });
  expect(kernel.k.all_devices().map((dev) => [dev.name, dev.driver?.name])).toEqual([['x', 'consumer'], ['clk', 'supplier']]);
});

test('a deferred device that is deleted is not tried again', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const log: string[] = [];
  await kernel.run(async () => {
    const bus = toyBus();
    await k.bus_register(bus);
    const drv = toyDriver(bus, 'd', log, { probe: async (dev) => (dev.name === 'x' ? refusing('EPROBE_DEFER')() : undefined) });
    await k.driver_register(drv);
    await k.device_unregister(await addDevice(k, { name: 'x', bus }));
    expect(k.driver_core_leftovers()).not.toContain('deferred probe of x');
    await addDevice(k, { name: 'y', bus });
  });
  expect(log).toEqual(['d probe x', 'd probe y']);
  expect(kernel.leftovers().filter((line) => line.startsWith('deferred'))).toEqual([]);
});

test('notifiers of a bus see each stage of a device', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const log: string[] = [];
  const bus = toyBus();
  await kernel.run(async () => {
    await k.bus_register(bus);
    const notify = async (action: BusNotify): Promise<void> => void log.push(action);
    k.bus_register_notifier(bus, notify);
    const drv = toyDriver(bus, 'd', log);
    await k.driver_register(drv);
    const dev = await addDevice(k, { name: 'x', bus });
    await k.device_unregister(dev);
    k.bus_unregister_notifier(bus, notify);
    await k.device_unregister(await addDevice(k, { name: 'y', bus }));
  });
  expect(log).toEqual([
    'ADD_DEVICE', 'BIND_DRIVER', 'd probe x', 'BOUND_DRIVER', 'DEL_DEVICE', 'UNBIND_DRIVER', 'd remove x', 'UNBOUND_DRIVER', 'REMOVED_DEVICE',
    'd probe y', 'd remove y',
  ]);
});

test('an attach by name of a driver refuses dead and bound devices', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.run(async () => {
    const bus = toyBus({ match: () => false }); // as mdev: only an explicit attach binds
    await k.bus_register(bus);
    const drv = toyDriver(bus, 'd', []);
    await k.driver_register(drv);
    const dev = await addDevice(k, { name: 'x', bus });
    expect(dev.driver).toBeNull();
    await k.device_driver_attach(drv, dev);
    expect([dev.driver, k.driver_devices(drv)]).toEqual([drv, [dev]]);
    expect(await errnoOf(() => k.device_driver_attach(drv, dev))).toBe('EBUSY');
    expect(await k.device_attach(dev)).toBe(true);
    k.get_device(dev);
    await k.device_unregister(dev);
    expect(await errnoOf(() => k.device_driver_attach(drv, dev))).toBe('ENODEV');
    expect(await k.device_attach(dev)).toBe(false);
    k.put_device(dev);
  });
});

test('nobody binds a device any more once its deletion has begun', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const log: string[] = [];
  await kernel.run(async () => {
    const bus = toyBus();
    await k.bus_register(bus);
    const drv = toyDriver(bus, 'd', log);
    await k.driver_register(drv);
    k.bus_register_notifier(bus, async (action, dev) => {
      if (action === 'REMOVED_DEVICE') log.push(await errnoOf(() => k.device_driver_attach(drv, dev)), String(await k.device_attach(dev)));
    });
    await k.device_unregister(await addDevice(k, { name: 'x', bus }));
  });
  expect(log).toEqual(['d probe x', 'd remove x', 'ENODEV', 'false']);
});

test('cdev_device_add makes the node, and open files keep the device after cdev_device_del', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const log: string[] = [];
  await kernel.sh(async (sh) => {
    const major = k.alloc_chrdev_region('toy', 0, 1);
    const dev = k.device_initialize({ name: 'toy0', devt: { major, minor: 0 }, release: (d) => void log.push(`release ${d.name}`) as undefined });
    let busy = false;
    await k.cdev_device_add(dev, {
      open: async () => {
        if (busy) throw new KernelError('EBUSY', 'test.open', 'one at a time');
        busy = true;
      },
      release: async () => void log.push('close'),
    }, null, null);
    const fd = await k.ksys_open(sh.proc, '/dev/toy0', 2);
    expect(await errnoOf(() => k.ksys_open(sh.proc, '/dev/toy0', 2))).toBe('EBUSY');
    expect(dev.refcount).toBe(3);
    await k.cdev_device_del(dev);
    expect(await sh.ls('/dev')).not.toContain('toy0');
    k.put_device(dev);
    expect(log).toEqual([]);
    await k.ksys_close(sh.proc, fd);
    expect(log).toEqual(['close', 'release toy0']);
    k.unregister_chrdev_region(major);
  });
  expect(kernel.leftovers()).toEqual([]);
});

test('a character device whose device cannot be added is taken back', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.sh(async () => {
    const major = k.alloc_chrdev_region('toy', 0, 1);
    const other = await addDevice(k, { name: 'toy0' });
    const dev = k.device_initialize({ name: 'toy0', devt: { major, minor: 0 } });
    expect(await errnoOf(() => k.cdev_device_add(dev, {}, null, null))).toBe('EEXIST');
    k.put_device(dev);
    const again = k.device_initialize({ name: 'toy1', devt: { major, minor: 0 } });
    await k.cdev_device_add(again, {}, null, null); // the number is free
    await k.cdev_device_del(again);
    k.put_device(again);
    await k.device_unregister(other);
    k.unregister_chrdev_region(major);
  });
  expect(kernel.leftovers()).toEqual([]);
});
