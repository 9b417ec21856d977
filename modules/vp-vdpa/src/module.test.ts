import { KernelError } from '@vdpalab/abi';
import { covers, errnoOf } from '@vdpalab/testing';
import {
  VDPA_ATTR_DEV_NET_CFG_MACADDR, VDPA_ATTR_DEV_NET_CFG_MAX_VQP, VDPA_ATTR_DEV_NET_CFG_MTU, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_F_VERSION_1,
} from '@vdpalab/uapi';
import type { VdpaDevice, VdpaVqState } from '@vdpalab/vdpa-core';
import { describe, expect, it } from 'vitest';
import vpVdpa from './module.ts';
import { BDF, bootVpVdpa } from './testing/bench.ts';
import type { Bench, BenchOptions } from './testing/bench.ts';

const driver = '/sys/bus/pci/drivers/vp-vdpa';

/** A function with its vDPA device. */
async function added(options: BenchOptions = {}): Promise<{ b: Bench; vdpa: VdpaDevice; set: (status: number) => Promise<void> }> {
  const b = await bootVpVdpa(options);
  expect(await b.devAdd()).toBe('ok');
  const vdpa = b.vdpa();
  return { b, vdpa, set: (status) => b.run(() => vdpa.config.set_status(vdpa, status)) };
}

/** What is left beside the drivers and the function's pin. */
const left = (b: Bench): string[] => b.leftovers().filter((line) => !/taker|^driver pci:vp-vdpa$|IO-APIC/.test(line));

describe('binding', () => {
  it('is by driver_override or new_id, never by an id of its own', async () => {
    covers('2.8.13');
    expect(vpVdpa.alias).toEqual([]);
    const b = await bootVpVdpa();
    expect(b.bound()).toBe(true);
    expect(await b.echo(BDF, `${driver}/unbind`)).toBe('ok');
    await b.echo('', `/sys/bus/pci/devices/${BDF}/driver_override`);
    expect(await b.echo(BDF, `${driver}/bind`)).toBe('ENODEV');
    expect([await b.echo('1af4 1041', `${driver}/new_id`), b.bound()]).toEqual(['ok', true]);
    expect([await b.echo('1af4 1041', `${driver}/new_id`), await b.echo('junk', `${driver}/new_id`)]).toEqual(['EEXIST', 'EINVAL']);
  });

  it('refuses a function without a modern interface, and one that is no virtio function', async () => {
    covers('2.8.13');
    const legacy = await bootVpVdpa({ function: { disable_modern: true, disable_legacy: false } });
    expect([legacy.bound(), legacy.dmesg().slice(-2)]).toEqual([false, [
      `vp-vdpa ${BDF}: virtio_pci: leaving for legacy driver`, `vp-vdpa ${BDF}: Failed to probe modern PCI device`,
    ]]);
    expect(left(legacy)).toEqual([]);
  });

  it('takes a transitional function, whose subsystem says what it is', async () => {
    covers('1.1.4');
    const { b, vdpa } = await added({ function: { disable_legacy: false } });
    expect([b.ops().get_device_id(vdpa), b.ops().get_vendor_id(vdpa), vdpa.dev.parent?.name]).toEqual([1, 0x1af4, BDF]);
  });
});

describe('the management device', () => {
  it('shows what the function is, and takes no attribute', async () => {
    covers('2.8.13');
    const b = await bootVpVdpa();
    expect(b.k.vdpa_mgmtdevs()).toMatchObject([{ id_table: [1], max_supported_vqs: 3, config_attr_mask: 0n }]);
    const refused = 'EOPNOTSUPP: vdpa: All provided attributes are not supported';
    expect(await b.devAdd('a', (m) => m.putU16(VDPA_ATTR_DEV_NET_CFG_MAX_VQP, 1))).toBe(refused);
    expect(await b.devAdd('a', (m) => m.putU16(VDPA_ATTR_DEV_NET_CFG_MTU, 1500))).toBe(refused);
    expect(await b.devAdd('a', (m) => m.put(VDPA_ATTR_DEV_NET_CFG_MACADDR, Uint8Array.of(2, 0, 0, 0, 0, 1)))).toBe(refused);
  });

  it('makes a second device on the same registers, and none of a name that is taken', async () => {
    const { b, vdpa } = await added();
    expect([vdpa.ngroups, vdpa.nas, vdpa.nvqs, vdpa.dma_dev.name]).toEqual([1, 1, 3, BDF]);
    b.dmesg();
    expect([await b.devAdd(vdpa.dev.name), b.dmesg()]).toEqual(['EEXIST', [`vp-vdpa ${BDF}: Failed to register to vdpa bus`]]);
    expect(await b.devAdd('second')).toBe('ok');
    expect([await b.devDel(), await b.devDel('second'), await b.devAdd()]).toEqual(['ok', 'ok', 'ok']);
  });

  it('deletes all its devices when the function is let go', async () => {
    const { b } = await added();
    expect(await b.devAdd('second')).toBe('ok');
    expect(await b.echo(BDF, `${driver}/unbind`)).toBe('ok');
    expect([b.k.vdpa_mgmtdevs(), b.bound(), left(b)]).toEqual([[], false, []]);
  });

  it('deletes its device when the function is let go, interrupts and all', async () => {
    for (const page_per_vq of [false, true]) {
      const { b, set } = await added({ function: { page_per_vq } });
      await set(15); // and nobody resets it
      expect(b.actions()).toHaveLength(4);
      expect(await b.echo(BDF, `${driver}/unbind`)).toBe('ok');
      expect([b.actions(), b.k.vdpa_mgmtdevs(), b.bound(), left(b)]).toEqual([[], [], false, []]);
    }
  });

  it('goes with the module, its device too', async () => {
    const { b } = await added();
    await b.run(() => b.rmmod('vp_vdpa'));
    expect([b.k.vdpa_mgmtdevs(), b.bound(), left(b)]).toEqual([[], false, []]);
  });
});

describe('the operations', () => {
  it('tell no ring state, and take only the one a fresh queue has', async () => {
    covers('2.8.13', '2.2.7');
    const { b, vdpa, set } = await added();
    const to = (state: VdpaVqState): Promise<string> => b.run(() => errnoOf(() => b.ops().set_vq_state(vdpa, 0, state)));
    const fresh: VdpaVqState = { kind: 'split', avail_index: 0 };
    expect(await b.run(() => errnoOf(() => b.ops().get_vq_state(vdpa, 0)))).toBe('EOPNOTSUPP');
    expect(await to(fresh)).toBe('EOPNOTSUPP'); // before FEATURES_OK
    await b.run(() => b.ops().set_driver_features(vdpa, 1n << BigInt(VIRTIO_F_VERSION_1)));
    await set(11);
    expect([await to(fresh), await to({ kind: 'split', avail_index: 1 })]).toEqual(['ok', 'EOPNOTSUPP']);
    expect(await to({ kind: 'packed', last_avail_counter: 1, last_avail_idx: 0, last_used_counter: 1, last_used_idx: 0 })).toBe('EOPNOTSUPP');
    await b.run(() => b.ops().set_vq_ready(vdpa, 0, true));
    expect(await to(fresh)).toBe('EOPNOTSUPP');
  });

  it('take any features, and leave it to the device to refuse', async () => {
    const { b, vdpa, set } = await added();
    await b.run(() => b.ops().set_driver_features(vdpa, 1n << 62n));
    expect(b.ops().get_driver_features(vdpa)).toBe(1n << 62n);
    await set(11);
    expect(b.ops().get_status(vdpa)).toBe(3);
  });

  it('show the whole window as the configuration', async () => {
    const { b, vdpa } = await added();
    expect(b.ops().get_config_size(vdpa)).toBe(4096);
    expect([...b.ops().get_config(vdpa, 0, 6)]).toEqual([0x52, 0x54, 0, 0, 0, 0x10]);
    expect([...b.ops().get_config(vdpa, 4090, 6)]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('read the configuration again when it changed under the reader', async () => {
    const { b, vdpa } = await added();
    const read = b.fn.net.read.bind(b.fn.net);
    let nth = 0;
    b.fn.net.read = (offset, size) => {
      const value = read(offset, size);
      if (++nth === 3) b.fn.setLink(true); // between two bytes
      return value;
    };
    expect([b.ops().get_config(vdpa, 0, 8)[6], nth]).toEqual([1, 16]);
  });

  it('name the limits: 256 descriptors, page-aligned rings, no groups, no mapping, no suspend', async () => {
    const { b, vdpa } = await added({ function: { queue_size: 1024 } });
    const ops = b.ops();
    expect([ops.get_vq_num_max(vdpa), ops.get_vq_align(vdpa), ops.get_vq_num_min]).toEqual([256, 4096, undefined]);
    expect([ops.set_map, ops.dma_map, ops.suspend, ops.resume, ops.get_vendor_vq_stats, ops.get_vq_group]).toEqual(Array(6).fill(undefined));
  });

  it.each([[false, 4], [true, 4096]])('ring the doorbells (a page each: %s)', async (page_per_vq, stride) => {
    const { b, vdpa } = await added({ function: { page_per_vq } });
    const bar = b.k.pci_devices().find((pdev) => pdev.dev.name === BDF)!.resource[4]!.start;
    expect([0, 1, 2].map((q) => b.ops().get_vq_notification!(vdpa, q)))
      .toEqual([0, 1, 2].map((q) => ({ addr: bar + 0x3000 + q * stride, size: stride })));
    b.ops().kick_vq(vdpa, 2);
    b.ops().kick_vq(vdpa, 1);
    expect([b.fn.counters.kicks, b.fn.counters.badKicks]).toEqual([2, 0]);
  });
});

describe('interrupts', () => {
  it('are taken at DRIVER_OK, one for each queue and one for the configuration, and given back at reset', async () => {
    covers('1.4.7');
    const { b, vdpa, set } = await added();
    const calls: string[] = [];
    for (let q = 0; q < 3; q++) b.ops().set_vq_cb(vdpa, q, { callback: (): undefined => void calls.push(`vq ${q}`) });
    b.ops().set_config_cb(vdpa, { callback: (): undefined => void calls.push('config') });
    expect(await errnoOf(() => b.ops().get_vq_irq?.(vdpa, 0))).toBe('EINVAL');
    for (const status of [1, 3, 11]) await set(status);
    expect(b.actions()).toEqual([]);
    await set(15);
    await set(15);
    expect(b.actions()).toEqual([0, 1, 2, 'config'].map((what) => `vp-vdpa[${BDF}]-${what}`));
    expect([b.fn.queues.map((q) => q.vector), b.fn.common.configVector]).toEqual([[0, 1, 2], 3]);
    expect(new Set([0, 1, 2].map((q) => b.ops().get_vq_irq?.(vdpa, q))).size).toBe(3);
    for (const vector of [1, 3, 0]) b.fn.msix!.fire(vector);
    await b.settle();
    expect(calls.toSorted()).toEqual(['config', 'vq 0', 'vq 1']);
    await b.run(() => b.ops().reset(vdpa));
    expect([b.actions(), b.fn.common.status, b.fn.queues.map((q) => q.vector)]).toEqual([[], 0, [0xffff, 0xffff, 0xffff]]);
  });

  it('that cannot be had are only logged: the device runs without', async () => {
    const { b, vdpa, set } = await added({ function: { vectors: 2 } });
    await set(15);
    expect(b.dmesg().at(-1)).toBe(`vp-vdpa ${BDF}: vp_vdpa: fail to allocate irq vectors want 4 but -28`);
    expect([b.actions(), b.ops().get_status(vdpa) & VIRTIO_CONFIG_S_DRIVER_OK]).toEqual([[], VIRTIO_CONFIG_S_DRIVER_OK]);
  });

  it.each([1, 2, 3, 4])('are all given back when request %i fails', async (n) => {
    let nth = 0;
    const { b, set } = await added({
      wrap: (symbol, value, importer) => (importer !== 'vp_vdpa' || symbol !== 'request_irq' ? value : async (...args: never[]) => {
        if (++nth === n) throw new KernelError('ENOMEM', 'test.injected', symbol);
        await (value as (...a: never[]) => Promise<void>)(...args);
      }),
    });
    await set(15);
    expect([b.dmesg().at(-1), b.actions(), b.k.irq_leftovers().filter((line) => line.includes('MSIX'))]).toEqual([`vp-vdpa ${BDF}: vp_vdpa: fail to request irq for vq ${n - 1}`, [], []]);
  });
});

describe('a failing step', () => {
  it.each([
    ['pcim_enable_device', null], ['vp_modern_probe', 'Failed to probe modern PCI device'],
    ['vdpa_mgmtdev_register', 'Failed to register vdpa mgmtdev device'],
  ])('of the probe, %s, leaves nothing', async (failing, line) => {
    covers('1.4.5');
    const b = await bootVpVdpa({
      wrap: (symbol, value, importer) => (importer !== 'vp_vdpa' || symbol !== failing ? value : () => {
        throw new KernelError('ENOMEM', 'test.injected', symbol);
      }),
    });
    const lines = b.dmesg();
    expect([b.bound(), b.k.vdpa_mgmtdevs(), left(b)]).toEqual([false, [], []]);
    if (line !== null) expect(lines).toContain(`vp-vdpa ${BDF}: ${line}`);
  });

  it.each(['__vdpa_alloc_device', '_vdpa_register_device'])('of dev add, %s, leaves no device, and the next one is made', async (failing) => {
    let fails = true;
    const b = await bootVpVdpa({
      function: { page_per_vq: true },
      wrap: (symbol, value, importer) => (importer !== 'vp_vdpa' || symbol !== failing ? value : async (...args: never[]) => {
        if (fails) throw new KernelError('ENOMEM', 'test.injected', symbol);
        return await (value as (...a: never[]) => Promise<unknown>)(...args);
      }),
    });
    expect(await b.devAdd()).toBe('ENOMEM');
    fails = false;
    expect([await b.devAdd(), await b.devDel()]).toEqual(['ok', 'ok']);
    await b.run(() => b.rmmod('vp_vdpa'));
    expect(left(b)).toEqual([]);
  });

  it.each([
    [18, 0xffff, 'a number of queues that cannot be'], [30, 0x8000, 'a doorbell far away'],
  ])('of dev add: register %i says %i, %s', async (offset, value) => {
    for (const page_per_vq of [false, true]) {
      const b = await bootVpVdpa({ function: { page_per_vq } });
      const read = b.fn.common.read.bind(b.fn.common);
      b.fn.common.read = (at, size) => (at === offset ? value : at === 30 ? 3 + read(22, 2) : read(at, size));
      expect(await b.devAdd()).toBe('EINVAL');
      expect(b.dmesg().at(-1)).toMatch(new RegExp(`^vp-vdpa ${BDF}: Fail to map vq notify \\d+$`));
      await b.run(() => b.rmmod('vp_vdpa'));
      expect(left(b)).toEqual([]);
    }
  });
});
