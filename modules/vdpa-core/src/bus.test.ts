import { KernelError } from '@vdpalab/abi';
import { createMachine } from '@vdpalab/machine';
import { answerOf, covers, FAKE_PARENT } from '@vdpalab/testing';
import type { BootOptions, FakeOps } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import type { VdpaConfigOps, VdpaDeviceInit } from './header.ts';
import vdpa from './module.ts';
import { bootVdpa, plainDevice, toyDriver } from './testing/kernel.ts';

/** The fake's table is a table of ours: this compiles. */
const asOps = (ops: FakeOps): VdpaConfigOps => ops;

/** A kernel, a plain device, and the ops of a fake device to build others on. */
async function setUp(boot: BootOptions = {}) {
  const kernel = await bootVdpa({}, boot);
  const { k } = kernel;
  return await kernel.tool(async (tool) => {
    await tool.add('model', FAKE_PARENT);
    const [dev] = k.bus_devices(kernel.bus);
    const { free: _, ...ops } = asOps(k.dev_to_vdpa(dev as never).config as FakeOps); // made by the fake
    const dma_dev = await plainDevice(kernel, 'plain');
    const init = (more: Partial<VdpaDeviceInit> = {}): VdpaDeviceInit => ({ parent: dma_dev, dma_dev, config: ops, ngroups: 1, nas: 1, priv: null, ...more });
    await tool.del('model');
    return { kernel, k, ops, dma_dev, init };
  });
}

test('a device without ops, with half a pair of map ops, or with user addresses and no map ops is not made', async () => {
  covers('2.1.1', '2.1.2', '1.3.5');
  const { kernel, k, ops, init } = await setUp();
  await kernel.run(async () => {
    const alloc = (more: Partial<VdpaDeviceInit>) => answerOf(async () => k.vdpa_put_device(await k.__vdpa_alloc_device(init(more))));
    const { set_map: _, ...noMap } = ops;
    expect(await alloc({ config: undefined as never })).toBe('EINVAL'); // as a parent in plain JavaScript might
    expect(await alloc({ config: { ...noMap, dma_map: async () => undefined } })).toBe('EINVAL');
    expect(await alloc({ config: { ...noMap, dma_unmap: async () => undefined } })).toBe('EINVAL');
    expect(await alloc({ config: noMap, use_va: true })).toBe('EINVAL');
    expect([await alloc({ use_va: true }), await alloc({ config: noMap })]).toEqual([0, 0]);
    // Who translates is what the operations say.
    for (const [config, type] of [[ops, 'device'], [noMap, 'platform'], [{ ...noMap, dma_map: async () => undefined, dma_unmap: async () => undefined }, 'device']] as const) {
      const vdev = await k.__vdpa_alloc_device(init({ config: { ...config, free: undefined as never } }));
      expect(vdev.dma_type).toBe(type);
      k.vdpa_put_device(vdev);
    }
    // lowest free number
    const [a, b] = [await k.__vdpa_alloc_device(init()), await k.__vdpa_alloc_device(init({ name: 'named' }))];
    k.vdpa_put_device(a);
    const c = await k.__vdpa_alloc_device(init());
    expect([a.dev.name, b.index, c.dev.name, c.index]).toEqual(['vdpa0', 1, 'vdpa0', 0]);
    expect([c.features_valid, c.use_va, c.nvqs, c.mdev, c.ngroups, c.nas]).toEqual([false, false, 0, null, 1, 1]);
    k.vdpa_put_device(b);
    k.vdpa_put_device(c);
  });
});

test('registering probes before it returns, and a taken name is EEXIST', async () => {
  covers('2.1.3', '2.1.5', '1.4.1');
  const { kernel, k, ops, init } = await setUp();
  const log: string[] = [];
  await kernel.run(async () => {
    const driver = toyDriver('toy', log);
    await k.__vdpa_register_driver(driver);
    const vdev = await k.__vdpa_alloc_device(init({ config: { ...ops, free: () => void log.push('free') as undefined } }));
    await k.vdpa_register_device(vdev, 2);
    expect([vdev.nvqs, vdev.mdev, log.splice(0)]).toEqual([2, null, ['toy probe vdpa0']]);
    const twin = await k.__vdpa_alloc_device(init({ name: 'vdpa0' }));
    expect(await answerOf(() => k.vdpa_register_device(twin, 1))).toBe('EEXIST');
    k.vdpa_put_device(twin);
    k.get_device(vdev.dev);
    await k.vdpa_unregister_device(vdev);
    expect(log.splice(0)).toEqual(['toy remove vdpa0']);
    k.put_device(vdev.dev);
    expect(log).toEqual(['free']); // with the last reference
    await k.vdpa_unregister_driver(driver);
  });
});

test('registering from dev_add wants a management device and its lock', async () => {
  covers('2.1.4');
  const { kernel, k, init } = await setUp();
  await kernel.run(async () => {
    const vdev = await k.__vdpa_alloc_device(init());
    expect(await answerOf(() => k._vdpa_register_device(vdev, 1))).toBe('EINVAL');
    vdev.mdev = k.vdpa_mgmtdevs()[0] ?? null;
    expect(await answerOf(() => k._vdpa_register_device(vdev, 1))).toBe('EINVAL'); // the lock is not held
    k.vdpa_put_device(vdev);
  });
});

test('the bus refuses a device whose largest queue is smaller than its smallest, and sets the DMA mask', async () => {
  covers('2.1.7', '2.1.8');
  const { kernel, k, ops, dma_dev, init } = await setUp();
  const log: string[] = [];
  await kernel.run(async () => {
    k.iommu_probe_device(dma_dev, 0xfffe, null);
    const driver = toyDriver('toy', log);
    await k.__vdpa_register_driver(driver);
    kernel.dmesg();
    const bad = await k.__vdpa_alloc_device(init({ config: { ...ops, get_vq_num_min: () => 257 } }));
    await k.vdpa_register_device(bad, 1);
    expect([bad.dev.driver, log, kernel.dmesg()]).toEqual([null, [], ['4: toy: probe of vdpa0 failed with error -22']]);
    await k.vdpa_unregister_device(bad);
    const good = await k.__vdpa_alloc_device(init({ config: { ...ops, get_vq_num_min: () => 256 } }));
    await k.vdpa_register_device(good, 1);
    expect([good.dev.driver?.name, dma_dev.dma?.mask]).toEqual(['toy', Number.MAX_SAFE_INTEGER]);
    await k.vdpa_unregister_device(good);
    expect(log).toEqual(['toy probe vdpa0', 'toy remove vdpa0']);
    await k.vdpa_unregister_driver(driver);
    k.iommu_release_device(dma_dev);
  });
});

test('a driver of the kernel\'s own claims the DMA of its device, one for VFIO leaves it to user space', async () => {
  const { machine } = createMachine({ seed: 1, ramBytes: 16 << 20, iommu: true, cmdline: '', release: '6.1.0', consoleSink: () => undefined });
  const { kernel, k, dma_dev, init } = await setUp({ machine });
  await kernel.run(async () => {
    k.iommu_probe_device(dma_dev, 0xfffd, null);
    const group = k.iommu_group_get(dma_dev)!;
    const vdev = await k.__vdpa_alloc_device(init());
    await k.vdpa_register_device(vdev, 1);
    const log: string[] = [];
    for (const [model, claims] of [['vhost', 1], ['virtio', 1], ['vfio', 0]] as const) {
      const driver = toyDriver(`toy_${model}`, log, { model });
      await k.__vdpa_register_driver(driver);
      expect([vdev.dev.driver?.name, group.owner_cnt]).toEqual([`toy_${model}`, claims]);
      await k.vdpa_unregister_driver(driver);
      expect(group.owner_cnt).toBe(0);
    }
    const failing = toyDriver('toy_failing', log, { probe: async () => { throw new KernelError('EIO', 'test.probe', 'no'); } });
    await k.__vdpa_register_driver(failing);
    expect(group.owner_cnt).toBe(0);
    await k.vdpa_unregister_driver(failing);
    k.iommu_group_claim_dma_owner(group, 'user space');
    const late = toyDriver('toy_late', log);
    await k.__vdpa_register_driver(late);
    expect(vdev.dev.driver).toBeNull(); // EBUSY
    await k.vdpa_unregister_driver(late);
    k.iommu_group_release_dma_owner(group);
    await k.vdpa_unregister_device(vdev);
    k.iommu_release_device(dma_dev);
  });
});

test('models: a parent says which bus drivers it supports, and others are refused with the reason', async () => {
  covers('1.3.7', '1.2.7');
  const { kernel, k, init } = await setUp();
  const log: string[] = [];
  await kernel.run(async () => {
    for (const models of [['vhost', 'nonsense'], []]) expect(await answerOf(async () => void (await k.__vdpa_alloc_device(init({ models }))))).toBe('EINVAL');
    const vfio = toyDriver('toy_vfio', log, { model: 'vfio' });
    const vhost = toyDriver('toy_vhost', log, { model: 'vhost' });
    await k.__vdpa_register_driver(vfio);
    await k.__vdpa_register_driver(vhost);
    kernel.dmesg();
    const vdev = await k.__vdpa_alloc_device(init({ models: ['vhost', 'virtio'] }));
    await k.vdpa_register_device(vdev, 1);
    expect([vdev.dev.driver?.name, log]).toEqual(['toy_vhost', ['toy_vhost probe vdpa0']]);
    expect(kernel.dmesg()).toEqual([
      '3: toy_vfio vdpa0: toy_vfio needs a parent that supports "vfio", this one declares vhost, virtio',
      '4: toy_vfio: probe of vdpa0 failed with error -95',
    ]);
    await k.device_release_driver(vdev.dev);
    const drv = k.bus_drivers(kernel.bus).find((d) => d.name === 'toy_vfio');
    await expect(k.device_driver_attach(drv as never, vdev.dev)).rejects.toMatchObject({ // found just now
      errno: 'EOPNOTSUPP', rule: 'vdpa.probe.model', message: 'vdpa0: toy_vfio needs "vfio", the parent declares vhost, virtio',
    });
    await k.vdpa_unregister_device(vdev);
    const silent = await k.__vdpa_alloc_device(init()); // as all parents of today: whoever was registered first
    await k.vdpa_register_device(silent, 1);
    expect(silent.dev.driver?.name).toBe('toy_vfio');
    await k.vdpa_unregister_device(silent);
    await k.vdpa_unregister_driver(vhost);
    await k.vdpa_unregister_driver(vfio);
  });
});

test('every driver matches every device, the first one registered wins, and an override names another or none', async () => {
  covers('2.1.6', '2.1.9', '2.1.10', '2.1.12', '1.1.1', '1.1.21');
  const kernel = await bootVdpa();
  const { k } = kernel;
  const log: string[] = [];
  const [first, second] = [toyDriver('first', log), toyDriver('second', log)];
  await kernel.tool(async (tool, proc) => {
    const bytes = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
    const echo = (text: string, path: string) => answerOf(async () => {
      const fd = await k.ksys_open(proc, `/sys/bus/vdpa/${path}`, uapi.O_WRONLY);
      try {
        await k.ksys_write(proc, fd, bytes(text));
      } finally {
        await k.ksys_close(proc, fd);
      }
    });
    const names = async (path: string) => (await k.ksys_readdir(proc, `/sys/bus/vdpa/${path}`)).map((entry) => entry.name);
    await tool.add('vdpa0', FAKE_PARENT);
    expect([await names('devices'), await names('drivers')]).toEqual([['vdpa0'], []]);
    const dev = k.bus_devices(kernel.bus)[0];
    expect([dev?.driver, (await names('devices/vdpa0')).includes('modalias')]).toEqual([null, false]); // no alias, nobody loads a driver
    await k.__vdpa_register_driver(first);
    await k.__vdpa_register_driver(second);
    expect([dev?.driver?.name, await names('drivers')]).toEqual(['first', expect.arrayContaining(['first', 'second'])]);
    expect(await echo('vdpa0', 'drivers/second/bind')).toBe('EBUSY');
    await tool.add('vdpa1', FAKE_PARENT);
    expect(log).toEqual(['first probe vdpa0', 'first probe vdpa1']);
    expect(await echo('second', 'devices/vdpa0/driver_override')).toBe(0);
    expect(dev?.driver?.name).toBe('first'); // nothing is rebound by itself
    expect([await echo('vdpa0', 'drivers/first/unbind'), await echo('vdpa0', 'drivers/first/bind'), await echo('vdpa0', 'drivers_probe')])
      .toEqual([0, 'ENODEV', 0]);
    expect(dev?.driver?.name).toBe('second');
    await echo('vdpa0', 'drivers/second/unbind');
    await echo('nosuch', 'devices/vdpa0/driver_override');
    await echo('vdpa0', 'drivers_probe');
    expect(dev?.driver).toBeNull();
    await echo('\n', 'devices/vdpa0/driver_override');
    await echo('0', 'drivers_autoprobe');
    await tool.add('vdpa2', FAKE_PARENT);
    expect(k.bus_devices(kernel.bus)[2]?.driver).toBeNull();
    expect([await echo('vdpa2', 'drivers_probe'), k.bus_devices(kernel.bus)[2]?.driver?.name]).toEqual([0, 'first']);
    await echo('1', 'drivers_autoprobe');
    await k.vdpa_unregister_driver(first);
    expect(k.bus_devices(kernel.bus).map((d) => d.driver)).toEqual([null, null, null]);
    await k.vdpa_unregister_driver(second);
    await expect(kernel.rmmod('vdpa')).rejects.toThrow('in use');
    for (const name of ['vdpa0', 'vdpa1', 'vdpa2']) await tool.del(name);
  });
  expect(await kernel.gone()).toEqual([]);
});

test('config, status, features and reset go through the device\'s lock', async () => {
  covers('2.1.14', '2.1.15');
  const kernel = await bootVdpa({ parks: true });
  const { k } = kernel;
  await kernel.tool(async (tool) => {
    await tool.add('vdpa0', FAKE_PARENT);
    const vdev = k.dev_to_vdpa(k.bus_devices(kernel.bus)[0] as never); // there is one
    const device = kernel.parent.devices.get('vdpa0');
    await k.vdpa_set_features(vdev, 0x3_0000_0028n);
    expect([vdev.features_valid, device?.driver_features]).toEqual([true, 0x3_0000_0028n]);
    await k.vdpa_set_config(vdev, 0, Uint8Array.of(9));
    expect([...await k.vdpa_get_config(vdev, 0, 1)]).toEqual([9]);
    await k.vdpa_set_status(vdev, 0xb);
    await k.vdpa_reset(vdev);
    expect([vdev.features_valid, device?.status]).toEqual([false, 0]);
    await k.down_read(vdev.cf_lock);
    const writer = kernel.spawn('writer', () => k.vdpa_set_status(vdev, 1));
    await k.msleep(1);
    expect([device?.status, writer.wait?.what]).toEqual([0, expect.stringContaining('cf_lock of vdpa0')]);
    k.up_read(vdev.cf_lock);
    await k.msleep(1);
    expect(device?.status).toBe(1);
    k.vdpa_set_drvdata(vdev, 'mine');
    expect(k.vdpa_get_drvdata(vdev)).toBe('mine');
    await tool.del('vdpa0');
  });
  expect(await kernel.gone()).toEqual([]);
});

test('a reset makes features invalid; flags reach a parent that has the compatible one, else it is the plain one', async () => {
  covers('2.1.16');
  for (const [having, wanted] of [[[], 'reset'], [['compat_reset'], 'compat_reset 1']] as const) {
    const kernel = await bootVdpa({ having });
    const { k } = kernel;
    await kernel.tool(async (tool) => {
      await tool.add('vdpa0', FAKE_PARENT);
      const vdev = k.dev_to_vdpa(k.bus_devices(kernel.bus)[0] as never); // there is one
      for (const flags of [undefined, uapi.VDPA_RESET_F_CLEAN_MAP]) {
        await k.vdpa_set_features(vdev, 0x3_0000_0028n);
        kernel.parent.calls.take();
        await k.vdpa_reset(vdev, flags);
        expect([vdev.features_valid, kernel.parent.calls.take()]).toEqual([false, [flags === undefined ? 'reset' : wanted]]);
      }
      await tool.del('vdpa0');
    });
  }
});

test('vdpa_set_status is for everybody, all other symbols are for the GPL', () => {
  covers('2.1.17');
  expect(vdpa.exports).toEqual(['vdpa_set_status']);
  expect(vdpa.exportsGpl).toContain('vdpa_reset');
  expect(vdpa.exportsGpl.length).toBeGreaterThan(15);
});
