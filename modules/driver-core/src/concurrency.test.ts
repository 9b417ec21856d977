import { isKernelError } from '@vdpalab/abi';
import { errnoOf } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import type { Device } from './header.ts';
import { addDevice, bootDriverCore, toyBus, toyDriver } from './testing/kernel.ts';

test('taking a driver away waits for a write to its bind file that is probing', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const log: string[] = [];
  const bus = toyBus({ match: () => true });
  await kernel.sh(async (sh) => {
    await k.bus_register(bus);
    const dev = await addDevice(k, { name: 'x', bus });
    const drv = toyDriver(bus, 'slow', log, {
      probe: async () => {
        await k.msleep(10);
        log.push('probed');
      },
    });
    await sh.echo('0', '/sys/bus/toy/drivers_autoprobe');
    await k.driver_register(drv);
    const writer = kernel.spawn('writer', async () => {
      const proc = k.process_create('writer');
      const fd = await k.ksys_open(proc, '/sys/bus/toy/drivers/slow/bind', 1);
      await k.ksys_write(proc, fd, Uint8Array.of(120));
      await k.process_exit(proc);
    });
    await k.msleep(1);
    expect(log).toEqual(['slow probe x']);
    await k.driver_unregister(drv);
    expect([log, dev.driver]).toEqual([['slow probe x', 'probed', 'slow remove x'], null]);
    while (writer.state !== 'done') await k.cond_resched();
    await k.device_unregister(dev);
    await k.bus_unregister(bus);
  });
  expect(kernel.leftovers()).toEqual([]);
});

test('taking a driver away waits for the probe of a new device', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const log: string[] = [];
  const bus = toyBus();
  await kernel.run(async () => {
    await k.bus_register(bus);
    const drv = toyDriver(bus, 'slow', log, { probe: () => k.msleep(10) });
    await k.driver_register(drv);
    const dev = k.device_initialize({ name: 'x', bus });
    const adder = kernel.spawn('adder', () => k.device_add(dev));
    await k.msleep(1);
    await k.driver_unregister(drv);
    expect([dev.driver, log]).toEqual([null, ['slow probe x', 'slow remove x']]);
    while (adder.state !== 'done') await k.cond_resched();
    await k.device_unregister(dev);
    await k.bus_unregister(bus);
  });
  expect(kernel.leftovers()).toEqual([]);
});

test('an unbind that waits shows whom it waits for, with node and link gone already', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const bus = toyBus();
  const dev: Device[] = [];
  let open = true;
  await kernel.run(async () => {
    await k.bus_register(bus);
    const wq = k.init_waitqueue_head('close');
    await k.driver_register(toyDriver(bus, 'd', [], {
      probe: async (d) => {
        const child = await addDevice(k, { name: 'node', parent: d, devt: { major: 240, minor: 0 } });
        k.dev_set_drvdata(d, child);
      },
      remove: async (d) => {
        await k.device_unregister(k.dev_get_drvdata(d) as Device);
        await k.wait_event(wq, () => !open, 'last close of /dev/node');
      },
    }));
    dev.push(await addDevice(k, { name: 'x', bus }));
    kernel.spawn('closer', async () => {
      await k.msleep(5);
      expect(await errnoOf(async () => k.kernfs_find(k.dev_root, 'node') === null || Promise.reject(new Error('still there')))).toBe('ok');
      open = false;
      k.wake_up(wq);
    });
    await k.device_release_driver(dev[0] as Device);
    expect(kernel.machine.sched.now).toBe(5_000_000);
  });
});

test('whatever the order, adding, binding, unbinding and deleting leave nothing behind', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const kernel = await bootDriverCore({ seed });
    const { k } = kernel;
    const bus = toyBus();
    const bound = new Set<string>();
    const driver = (name: string) => toyDriver(bus, name, [], {
      probe: async (dev) => {
        expect(bound.has(dev.name)).toBe(false);
        bound.add(dev.name);
        await k.cond_resched();
      },
      remove: async (dev) => {
        await k.cond_resched();
        expect(bound.delete(dev.name)).toBe(true);
      },
    });
    const drivers = [driver('a'), driver('b')];
    const refusals: unknown[] = [];
    const attempt = async (body: () => Promise<unknown>): Promise<void> => {
      try {
        await body();
      } catch (error) {
        if (!isKernelError(error)) throw error;
        refusals.push(error.errno);
      }
    };
    await kernel.run(async () => {
      await k.bus_register(bus);
      const tasks = ['x', 'y', 'z'].map((name) => kernel.spawn(`device ${name}`, async () => {
        const dev = await addDevice(k, { name, bus });
        await k.cond_resched();
        await attempt(() => k.device_attach(dev));
        await k.device_unregister(dev);
      }));
      for (const drv of drivers) {
        tasks.push(kernel.spawn(`driver ${drv.name}`, async () => {
          await k.driver_register(drv);
          for (const dev of k.bus_devices(bus).map((d) => k.get_device(d))) {
            await attempt(() => k.device_driver_attach(drv, dev));
            await k.device_release_driver(dev);
            k.put_device(dev);
          }
          await k.driver_unregister(drv);
        }));
      }
      for (const task of tasks) {
        await k.kthread_join(task);
        if (task.failure !== undefined) throw task.failure;
      }
      await k.bus_unregister(bus);
    });
    expect([seed, [...bound], kernel.leftovers()]).toEqual([seed, [], []]);
    expect(refusals.every((errno) => errno === 'EBUSY' || errno === 'ENODEV')).toBe(true);
  }
});
