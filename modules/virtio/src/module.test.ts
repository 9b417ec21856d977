import { KernelError } from '@vdpalab/abi';
import type { KernelSymbols } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type {} from '@vdpalab/fs';
import { covers } from '@vdpalab/testing';
import type { BootedKernel } from '@vdpalab/testing';
import {
  O_RDONLY, VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FAILED,
  VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET, VIRTIO_F_VERSION_1,
} from '@vdpalab/uapi';
import type { VirtioDevice } from '@vdpalab/virtio-ring';
import { beforeEach, describe, expect, it } from 'vitest';
import type { VirtioDriver } from './header.ts';
import { bootVirtio, fakeDevice, fakeDriver, parentDevice } from './testing/transport.ts';
import type { FakeDevice } from './testing/transport.ts';

const bit = (n: number): bigint => 1n << BigInt(n);
const modern = bit(VIRTIO_F_VERSION_1);

let kernel: BootedKernel;
let k: KernelSymbols;
let parent: Device;
beforeEach(async () => {
  kernel = await bootVirtio();
  ({ k } = kernel);
  parent = await kernel.run(() => parentDevice(k));
});

const add = (device: FakeDevice, id = { device: 1, vendor: 0x1af4 }): Promise<VirtioDevice> => kernel.run(() =>
  k.register_virtio_device({ parent, id, config: device.config, transport: device, release: () => undefined }));
const take = (driver: VirtioDriver): Promise<void> => kernel.run(() => k.register_virtio_driver(driver));
const cat = (path: string): Promise<string> => kernel.user(async (proc) => {
  const fd = await k.ksys_open(proc, path, O_RDONLY);
  const bytes = await k.ksys_read(proc, fd, 4096);
  await k.ksys_close(proc, fd);
  return String.fromCharCode(...bytes);
});

it('the status bits are the specification\'s', () => {
  covers('2.7.1');
  expect([
    VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK,
    VIRTIO_CONFIG_S_NEEDS_RESET, VIRTIO_CONFIG_S_FAILED,
  ]).toEqual([1, 2, 4, 8, 0x40, 0x80]);
});

describe('a probe', () => {
  it('goes step by step from reset to DRIVER_OK', async () => {
    covers('2.7.2');
    const device = fakeDevice(modern | bit(3) | bit(5) | bit(29) | bit(50));
    await take(fakeDriver(device.log, { feature_table: [5, 16], validate: async () => void device.log.push('validate') }));
    const vdev = await add(device);
    expect(vdev.features).toBe(modern | bit(5) | bit(29));
    expect(device.log).toEqual([
      'reset', 'set_status 1', 'set_status 3', 'get_features', 'finalize_features 0x120000020', 'validate', 'set_status 11', 'probe',
      'set_status 15',
    ]);
  });

  it('writes features again when validation took some away', async () => {
    covers('2.7.2');
    const device = fakeDevice(modern | bit(3));
    await take(fakeDriver(device.log, { feature_table: [3], validate: async (vdev) => void (vdev.features &= ~bit(3)) }));
    await add(device);
    expect(device.log.filter((line) => line.startsWith('finalize'))).toEqual(['finalize_features 0x100000008', 'finalize_features 0x100000000']);
  });

  it('asks a legacy device for no FEATURES_OK', async () => {
    const device = fakeDevice(bit(5));
    await take(fakeDriver(device.log, { feature_table: [5] }));
    await add(device);
    expect(device.status).toBe(7);
  });

  it('sets DRIVER_OK once when the driver did so itself', async () => {
    const device = fakeDevice(modern);
    await take(fakeDriver(device.log, { probe: (vdev) => k.virtio_device_ready(vdev) }));
    await add(device);
    expect(device.log.filter((line) => line === 'set_status 15')).toHaveLength(1);
  });

  it('that the device refuses features of leaves FAILED', async () => {
    covers('2.7.2');
    const device = fakeDevice(modern);
    device.refuses = VIRTIO_CONFIG_S_FEATURES_OK;
    await take(fakeDriver(device.log));
    const vdev = await add(device);
    expect(device.log).not.toContain('probe');
    expect([device.status, vdev.dev.driver]).toEqual([0x83, null]);
    expect(kernel.log.map(({ text }) => text)).toContainEqual(expect.stringContaining('virtio: device refuses features: 3'));
  });

  it.each(['get_features', 'finalize_features'])('that fails at %s leaves FAILED and no driver', async (step) => {
    covers('2.7.2');
    const device = fakeDevice(modern);
    device.failing.add(step);
    await take(fakeDriver(device.log));
    const vdev = await add(device);
    expect([device.status & VIRTIO_CONFIG_S_FAILED, vdev.dev.driver]).toEqual([VIRTIO_CONFIG_S_FAILED, null]);
  });

  it.each(['validate', 'probe', 'scan'] as const)('that fails in the driver\'s %s leaves FAILED', async (hook) => {
    covers('2.7.2');
    const device = fakeDevice(modern);
    await take(fakeDriver(device.log, { [hook]: async () => {
      throw new KernelError('EIO', 'test.injected', `${hook} fails`);
    } }));
    const vdev = await add(device);
    expect([device.status & VIRTIO_CONFIG_S_FAILED, vdev.dev.driver]).toEqual([VIRTIO_CONFIG_S_FAILED, null]);
  });
});

describe('a device', () => {
  it('shows its ids, status and features in sysfs and its modalias in uevents', async () => {
    covers('2.7.3');
    const env: string[] = [];
    k.uevent_listen((event): undefined => void env.push(...event.env));
    const device = fakeDevice(modern | bit(5));
    await add(device, { device: 1, vendor: 0xab });
    const dir = '/sys/bus/virtio/devices/virtio0';
    expect(await cat(`${dir}/device`)).toBe('0x0001\n');
    expect(await cat(`${dir}/vendor`)).toBe('0x00ab\n');
    expect(await cat(`${dir}/modalias`)).toBe('virtio:d00000001v000000AB\n');
    expect(env).toContain('MODALIAS=virtio:d00000001v000000AB');
    expect(await cat(`${dir}/status`)).toBe('0x00000001\n');
    expect(await cat(`${dir}/features`)).toBe(`${'0'.repeat(64)}\n`);
    const driver = fakeDriver([], { feature_table: [5] });
    await take(driver);
    const negotiated = Array.from({ length: 64 }, (_, i) => (i === 5 || i === 32 ? '1' : '0')).join('');
    expect(await cat(`${dir}/status`)).toBe('0x0000000f\n');
    expect(await cat(`${dir}/features`)).toBe(`${negotiated}\n`);
    await kernel.run(() => k.unregister_virtio_driver(driver));
    expect(await cat(`${dir}/status`)).toBe('0x00000001\n');
    expect(await cat(`${dir}/features`)).toBe(`${negotiated}\n`);
  });

  it('is taken by the driver that names its id and vendor, or any vendor, and by no other', async () => {
    covers('2.7.3');
    const log: string[] = [];
    await take(fakeDriver(log, { name: 'two', id_table: [{ device: 2, vendor: null }, { device: 4, vendor: 7 }] }));
    const ids = [{ device: 2, vendor: 9 }, { device: 4, vendor: 7 }, { device: 4, vendor: 8 }, { device: 20, vendor: 0 }];
    const devices: VirtioDevice[] = [];
    for (const id of ids) devices.push(await add(fakeDevice(modern), id));
    expect(devices.map((v) => v.dev.driver?.name ?? null)).toEqual(['two', 'two', null, null]);
    expect(log).toEqual(['probe', 'probe']);
  });

  it('of network, block and crypto kind finds its driver; one of another kind waits for one', async () => {
    covers('1.2.2');
    for (const device of [1, 2, 20]) await take(fakeDriver([], { name: `driver of ${device}`, id_table: [{ device, vendor: null }] }));
    const devices: VirtioDevice[] = [];
    for (const device of [20, 2, 1, 19]) devices.push(await add(fakeDevice(modern), { device, vendor: 0 }));
    expect(devices.map((v) => v.dev.driver?.name ?? null)).toEqual(['driver of 20', 'driver of 2', 'driver of 1', null]);
    expect(kernel.log.filter(({ level }) => level <= 4)).toEqual([]);
  });

  it('has the lowest free number', async () => {
    const devices = [await add(fakeDevice(modern)), await add(fakeDevice(modern)), await add(fakeDevice(modern))];
    await kernel.run(() => k.unregister_virtio_device(devices[1]!));
    expect((await add(fakeDevice(modern))).dev.name).toBe('virtio1');
    expect((await add(fakeDevice(modern))).dev.name).toBe('virtio3');
  });

  it.each(['reset', 'set_status'])('whose %s fails is not registered, and its number is free', async (step) => {
    const device = fakeDevice(modern);
    device.failing.add(step);
    await expect(add(device)).rejects.toThrow();
    expect((await add(fakeDevice(modern))).dev.name).toBe('virtio0');
    expect(kernel.leftovers().filter((line) => line.includes('virtio1'))).toEqual([]);
  });

  it('keeps the queues found, and forgets them when they are deleted', async () => {
    const device = fakeDevice(modern);
    const vdev = await add(device);
    const found = await kernel.run(() => k.virtio_find_vqs(vdev, [{ name: 'a', callback: null }, { name: null, callback: null }]));
    expect([found.map((vq) => vq?.name ?? null), vdev.vqs.map((vq) => vq.name)]).toEqual([['a', null], ['a']]);
    await kernel.run(() => k.virtio_del_vqs(vdev));
    expect(vdev.vqs).toEqual([]);
  });
});

describe('a configuration change', () => {
  it('reaches the driver once it is ready, and not after it went', async () => {
    const device = fakeDevice(modern);
    const changed = (vdev: VirtioDevice): undefined => void device.log.push(`changed ${vdev.dev.name}`);
    const driver = fakeDriver(device.log, {
      config_changed: changed,
      async probe(vdev) {
        k.virtio_config_changed(vdev);
        k.virtio_config_changed(vdev);
        device.log.push('probed');
      },
    });
    await take(driver);
    const vdev = await add(device);
    const tail = (): string[] => device.log.splice(device.log.indexOf('probe'));
    expect(tail()).toEqual(['probe', 'probed', 'set_status 15', 'changed virtio0']);
    k.virtio_config_changed(vdev);
    expect(device.log.at(-1)).toBe('changed virtio0');
    await kernel.run(() => k.unregister_virtio_driver(driver));
    const before = device.log.length;
    k.virtio_config_changed(vdev);
    expect(device.log).toHaveLength(before);
  });
});

it('the bus and its devices leave nothing behind', async () => {
  const driver = fakeDriver([]);
  await take(driver);
  const vdev = await add(fakeDevice(modern));
  await expect(kernel.run(() => k.virtio_device_ready(vdev))).rejects.toThrow('DRIVER_OK is set already');
  await kernel.run(async () => {
    await k.unregister_virtio_device(vdev);
    await k.unregister_virtio_driver(driver);
    await k.device_unregister(parent);
    await kernel.rmmod('virtio');
    await kernel.rmmod('virtio_ring');
  });
  expect(kernel.leftovers()).toEqual([]);
});
