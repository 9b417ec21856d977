import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import { covers, startModule } from '@vdpalab/testing';
import { VIRTIO_F_RING_PACKED } from '@vdpalab/uapi';
import type { VdpaCallback, VdpaConfigOps, VdpaDevice, VdpaDriver } from '@vdpalab/vdpa-core';
import type { VirtioDeviceInit, VqRequest } from '@vdpalab/virtio';
import type { VirtioDevice, Virtqueue, VringInit } from '@vdpalab/virtio-ring';
import { beforeEach, describe, expect, it } from 'vitest';
import virtioVdpa from './module.ts';

const device = (name: string): Device => ({ name }) as Device; // nothing but its name is looked at

/** Calls of the parent's ops and of the rings, in order; calls named here fail. */
let log: string[];
let failing: Set<string>;
let callbacks: (VdpaCallback | null)[];
let configCallback: VdpaCallback | null;
let interrupts: number[];
let configChanges: number;
let registered: VirtioDeviceInit[];
let rings: VringInit[];
let more: Partial<VdpaConfigOps>;
let driver: VdpaDriver;
let leave: () => Promise<void>;

function call(name: string, ...args: readonly unknown[]): Atomic {
  log.push([name, ...args].join(' '));
  if (failing.has([name, ...args].join(' ')) || failing.has(name)) throw new KernelError('EIO', 'test.injected', `${name} fails`);
  return undefined;
}

function parent(): VdpaDevice {
  const ready = new Set<number>();
  const ops: Partial<VdpaConfigOps> = {
    get_device_id: () => 1,
    get_vendor_id: () => 0x8086,
    get_vq_num_max: () => 256,
    get_vq_align: () => 4096,
    get_vq_ready: (_, idx) => ready.has(idx),
    set_vq_cb(_, idx, cb) {
      callbacks[idx] = cb;
      return call('set_vq_cb', idx, cb === null ? 'none' : 'some');
    },
    set_vq_num: (_, idx, num) => call('set_vq_num', idx, num),
    set_vq_address: (_, idx, desc, avail, used) => call('set_vq_address', idx, desc, avail, used),
    set_vq_state: async (_, idx, state) => call('set_vq_state', idx, JSON.stringify(state)),
    async set_vq_ready(_, idx, on) {
      call('set_vq_ready', idx, on);
      if (on) ready.add(idx);
      else ready.delete(idx);
    },
    kick_vq: (_, idx) => call('kick_vq', idx),
    set_config_cb(_, cb) {
      configCallback = cb;
      return call('set_config_cb', cb === null ? 'none' : 'some');
    },
    get_status: () => 3,
    get_device_features: () => 0x1_0000_0020n,
    ...more,
  };
  return {
    dev: device('vdpa0'), dma_dev: device('0000:07:00.1'), nvqs: 3, config: ops as VdpaConfigOps,
    set_features: async (features: bigint) => call('vdpa_set_features', features),
    reset: async () => call('vdpa_reset'),
  } as unknown as VdpaDevice; // what the tested path uses
}

beforeEach(async () => {
  [log, failing, callbacks, configCallback, interrupts, configChanges] = [[], new Set(), [], null, [], 0];
  [registered, rings, more] = [[], [], {}];
  const drvdata = new Map<Device, unknown>();
  const address = (nth: number) => (vq: Virtqueue) => 0x1000 * (vq.index + 1) + 0x100 * nth;
  const running = await startModule(virtioVdpa, {
    __vdpa_register_driver: async (drv) => void (driver = drv),
    vdpa_unregister_driver: async (drv) => call('vdpa_unregister_driver', drv.name),
    vdpa_get_config: async (_, offset, len) => {
      call('vdpa_get_config', offset, len);
      return new Uint8Array(len).fill(7);
    },
    vdpa_set_config: async (_, offset, bytes) => call('vdpa_set_config', offset, bytes.join()),
    vdpa_set_status: async (_, status) => call('vdpa_set_status', status),
    dev_get_drvdata: (dev) => drvdata.get(dev),
    dev_set_drvdata: (dev, data) => void drvdata.set(dev, data) as undefined,
    async register_virtio_device(init) {
      call('register_virtio_device');
      registered.push(init);
      return { dev: device('virtio0'), config: init.config, features: 0n } as VirtioDevice;
    },
    unregister_virtio_device: async (vdev) => call('unregister_virtio_device', vdev.dev.name),
    virtio_config_changed: (): undefined => void configChanges++,
    vring_create_virtqueue(init) {
      call('vring_create', init.index);
      rings.push(init);
      return { name: init.name, index: init.index } as Virtqueue;
    },
    vring_del_virtqueue: (vq) => call('vring_del', vq.index),
    vring_interrupt: (vq) => interrupts.push(vq.index) > 0,
    vring_transport_features: (features) => features & ~(1n << 40n),
    virtqueue_get_vring_size: () => 128,
    virtqueue_get_desc_addr: address(0),
    virtqueue_get_avail_addr: address(1),
    virtqueue_get_used_addr: address(2),
  });
  leave = running.exit;
});

/** Probe, and the virtio device the driver would have. */
async function probed(features = 0n): Promise<{ vdev: VirtioDevice; vdpa: VdpaDevice; find: (...names: (string | null)[]) => Promise<(Virtqueue | null)[]> }> {
  const vdpa = parent();
  await driver.probe(vdpa);
  const { config } = registered.at(-1)!;
  const vdev = { dev: device('virtio0'), config, features } as VirtioDevice;
  log.length = 0;
  return {
    vdev, vdpa,
    find: (...names) => config.find_vqs(vdev, names.map((name): VqRequest => ({ name, callback: () => undefined }))),
  };
}

/** What a refusal says. */
async function refusal(body: Promise<unknown>): Promise<string> {
  try {
    await body;
    return 'ok';
  } catch (error) {
    return error instanceof KernelError ? `${error.errno} ${error.rule}` : String(error);
  }
}

describe('the bus driver', () => {
  it('is for the virtio model, and registers a virtio device under the device that does the DMA', async () => {
    covers('2.7.13');
    expect([driver.name, driver.model]).toEqual(['virtio_vdpa', 'virtio']);
    const { vdpa } = await probed();
    expect(registered).toMatchObject([{ id: { device: 1, vendor: 0x8086 }, transport: vdpa }]);
    expect(registered[0]?.parent).toBe(vdpa.dma_dev);
    await driver.remove?.(vdpa);
    expect(log).toEqual(['unregister_virtio_device virtio0']);
    await leave();
    expect(log.at(-1)).toBe('vdpa_unregister_driver virtio_vdpa');
  });

  it('refuses a device of id 0', async () => {
    covers('2.7.13');
    more = { get_device_id: () => 0 };
    expect(await refusal(driver.probe(parent()))).toBe('EINVAL virtio_vdpa.probe.id');
    expect(registered).toEqual([]);
  });

  it('passes on that the virtio device could not be registered', async () => {
    covers('2.7.13');
    failing.add('register_virtio_device');
    expect(await refusal(driver.probe(parent()))).toBe('EIO test.injected');
  });
});

describe('the transport', () => {
  it('maps each operation to one of the vDPA device', async () => {
    covers('2.7.9');
    more = { get_generation: () => 4 };
    const { vdev } = await probed(1n << 40n | 32n);
    const { config } = vdev;
    expect([...await config.get(vdev, 6, 2)]).toEqual([7, 7]);
    await config.set(vdev, 8, Uint8Array.of(1, 2));
    await config.set_status(vdev, 7);
    await config.reset(vdev);
    await config.finalize_features(vdev);
    expect(log).toEqual(['vdpa_get_config 6 2', 'vdpa_set_config 8 1,2', 'vdpa_set_status 7', 'vdpa_reset', 'vdpa_set_features 32']);
    expect([await config.generation?.(vdev), await config.get_status(vdev), await config.get_features(vdev), config.bus_name?.(vdev)])
      .toEqual([4, 3, 0x1_0000_0020n, 'vdpa0']);
  });

  it('has no word for a reset that the parent refuses', async () => {
    const { vdev } = await probed();
    failing.add('vdpa_reset');
    await expect(vdev.config.reset(vdev)).resolves.toBeUndefined();
  });

  it('says generation 0 for a parent without one', async () => {
    covers('2.7.9');
    const { vdev } = await probed();
    expect(await vdev.config.generation?.(vdev)).toBe(0);
  });

  it('tells the parent of a kick, the ring of an interrupt and the bus of a configuration change', async () => {
    covers('1.1.16');
    const { find } = await probed();
    const found = await find('a', 'b');
    log.length = 0;
    expect(rings[1]?.notify(found[1]!)).toBe(true);
    expect(log).toEqual(['kick_vq 1']);
    callbacks[0]?.callback();
    configCallback?.callback();
    expect([interrupts, configChanges]).toEqual([[0], 1]);
  });
});

describe('setting queues up', () => {
  it('allocates the ring for the parent, then callback, size, addresses, state and ready, in that order', async () => {
    covers('2.7.10', '1.1.20'); // of a parent without interrupt numbers, notification areas and mappings
    const { find, vdpa } = await probed();
    await find('rx', 'tx');
    expect(log).toEqual([
      'vring_create 0', 'set_vq_cb 0 some', 'set_vq_num 0 128', 'set_vq_address 0 4096 4352 4608',
      'set_vq_state 0 {"kind":"split","avail_index":0}', 'set_vq_ready 0 true',
      'vring_create 1', 'set_vq_cb 1 some', 'set_vq_num 1 128', 'set_vq_address 1 8192 8448 8704',
      'set_vq_state 1 {"kind":"split","avail_index":0}', 'set_vq_ready 1 true',
      'set_config_cb some',
    ]);
    expect(rings[0]).toMatchObject({ num: 256, align: 4096, may_reduce_num: true, name: 'rx' });
    expect(rings[0]?.dma_dev).toBe(vdpa.dma_dev);
  });

  it('starts a packed queue at wrap counters of 1', async () => {
    covers('2.7.10');
    const { find } = await probed(1n << BigInt(VIRTIO_F_RING_PACKED));
    await find('rx');
    expect(log).toContain('set_vq_state 0 {"kind":"packed","last_avail_counter":1,"last_avail_idx":0,"last_used_counter":1,"last_used_idx":0}');
  });

  it('skips a queue without a name, and numbers the others one after the other', async () => {
    covers('2.7.10');
    const { find } = await probed();
    expect((await find('a', null, 'c')).map((vq) => vq && `${vq.name} ${vq.index}`)).toEqual(['a 0', null, 'c 1']);
  });

  it('takes size and DMA device of each queue where the parent tells them', async () => {
    covers('2.7.10');
    const own = device('own');
    more = { get_vq_size: (_, idx) => 64 << idx, get_vq_dma_dev: () => own, get_vq_num_min: () => 64 };
    const { find } = await probed();
    await find('a', 'b');
    expect(rings.map((r) => [r.num, r.may_reduce_num, r.dma_dev])).toEqual([[64, false, own], [128, true, own]]);
  });

  it.each([
    ['beyond those there are', 'index', ['a', 'b', 'c', 'd'], {}, 3],
    ['that is ready already', 'ready', ['a'], { get_vq_ready: () => true }, 0],
    ['of size 0', 'size', ['a'], { get_vq_num_max: () => 0 }, 0],
  ] as const)('refuses a queue %s, and takes the others down', async (_, rule, names, ops, made) => {
    covers('2.7.10');
    more = ops;
    const { find } = await probed();
    expect(await refusal(find(...names))).toBe(`ENOENT virtio_vdpa.vq.${rule}`);
    expect(log.filter((line) => line.startsWith('vring_create'))).toHaveLength(made);
    expect(log.filter((line) => line.startsWith('vring_del'))).toHaveLength(made);
    expect(configCallback).toBeNull();
  });

  it.each(['vring_create 1', 'set_vq_address 1 8192 8448 8704', 'set_vq_state 1 {"kind":"split","avail_index":0}', 'set_vq_ready 1 true'])(
    'that fails at %s leaves no queue', async (step) => {
      covers('2.7.10');
      const { find, vdev } = await probed();
      failing.add(step);
      expect(await refusal(find('a', 'b'))).toBe(step.startsWith('set_vq_address') ? 'EINVAL virtio_vdpa.vq.address' : 'EIO test.injected');
      const count = (what: string): number => log.filter((line) => line.startsWith(what)).length;
      expect(count('vring_del')).toBe(step.startsWith('vring') ? 1 : 2);
      expect([callbacks.filter((cb) => cb !== null), configCallback]).toEqual([[], null]);
      failing.clear();
      log.length = 0;
      await vdev.config.del_vqs(vdev);
      expect(count('vring_del')).toBe(0);
    });
});

describe('deleting queues', () => {
  it('switches each off, then frees its ring', async () => {
    covers('2.7.11');
    const { find, vdev } = await probed();
    await find('a', 'b');
    log.length = 0;
    await vdev.config.del_vqs(vdev);
    expect(log).toEqual([
      'set_vq_ready 0 false', 'set_vq_cb 0 none', 'vring_del 0', 'set_vq_ready 1 false', 'set_vq_cb 1 none', 'vring_del 1', 'set_config_cb none',
    ]);
  });

  it('frees every ring even when the parent does not switch one off', async () => {
    const { find, vdev } = await probed();
    await find('a', 'b');
    failing.add('set_vq_ready 0 false');
    expect(await refusal(vdev.config.del_vqs(vdev))).toBe('EIO test.injected');
    expect(log.filter((line) => line.startsWith('vring_del'))).toEqual(['vring_del 0', 'vring_del 1']);
  });
});
