/** The simulators come and go: at each step that may fail, and with devices still there, the tables end empty. */
import { KernelError } from '@vdpalab/abi';
import { bootBuiltins, covers, errnoOf, toyBusDriver, VdpaTool } from '@vdpalab/testing';
import type { BootedKernel, BootOptions, Loadable } from '@vdpalab/testing';
import type { VdpaDevice } from '@vdpalab/vdpa-core';
import type {} from '@vdpalab/fs';
import type {} from '@vdpalab/mm';
import type {} from '@vdpalab/netlink';
import { describe, expect, test } from 'vitest';
import vdpaSim from './module.ts';

const BELOW = ['sched', 'mm', 'fs', 'driver-core', 'iommu', 'netlink', 'vdpa-core', 'vhost-iotlb', 'vringh'] as const;

/** Each class of simulator: its package, its module, its management device. */
const classes = [['vdpa-sim-net', 'vdpa_sim_net', 'vdpasim_net'], ['vdpa-sim-blk', 'vdpa_sim_blk', 'vdpasim_blk']] as const;

async function definition(pkg: string): Promise<Loadable> {
  return ((await import(`../../${pkg}/src/module.ts`)) as { default: Loadable }).default;
}

function tool(kernel: BootedKernel, body: (t: VdpaTool<never>) => Promise<string>): Promise<string> {
  return kernel.user(async (proc) => {
    const t = await VdpaTool.open(kernel.k as never, proc as never); // its calls are those of `fs`
    try {
      return await body(t);
    } finally {
      await t.close();
    }
  });
}

describe.each(classes)('%s', (pkg, name, handle) => {
  test('makes devices, and takes those that are left with it when it is unloaded', async () => {
    covers('2.8.6', '2.3.2');
    const module = await definition(pkg);
    const driver = toyBusDriver<VdpaDevice>();
    const kernel = await bootBuiltins([...BELOW, driver.module]);
    await kernel.run(() => kernel.insmod(vdpaSim as unknown as Loadable));
    await kernel.run(() => kernel.insmod(module));
    expect(kernel.k.vdpa_mgmtdevs().map((m) => [m.device.name, m.device.bus])).toEqual([[handle, null]]);
    expect([await tool(kernel, (t) => t.add('a', handle)), await tool(kernel, (t) => t.add('b', handle)), await tool(kernel, (t) => t.add('b', handle))]).toEqual(['ok', 'ok', 'EEXIST']);
    expect([...driver.devices.keys()]).toEqual(['a', 'b']);
    await kernel.run(() => kernel.rmmod(name));
    await kernel.run(() => kernel.rmmod('vdpa_sim'));
    expect([[...driver.devices.keys()], kernel.k.vdpa_mgmtdevs(), kernel.leftovers()]).toEqual([[], [], []]);
  });

  test('a failure at any step of init or of dev add leaves nothing', async () => {
    covers('1.4.5');
    const module = await definition(pkg);
    const failed = new Set<string>();
    for (let at = 1; ; at++) {
      let calls = 0;
      let what: string | null = null;
      const mayFail = /^(device_add|vdpa_mgmtdev_register|vdpasim_create|__vdpa_alloc_device|_vdpa_register_device|vringh_init_iotlb|dma_set_mask_and_coherent)$/;
      const wrap: BootOptions['wrap'] = (symbol, value, importer) => (!/^vdpa_sim/.test(importer) || !mayFail.test(symbol) ? value : (...args: unknown[]) => {
        if (++calls === at) {
          what = symbol;
          throw new KernelError('ENOMEM', 'test.injected', symbol);
        }
        return (value as (...a: unknown[]) => unknown)(...args);
      });
      const kernel = await bootBuiltins([...BELOW], { wrap });
      await kernel.run(() => kernel.insmod(vdpaSim as unknown as Loadable));
      const loaded = await errnoOf(() => kernel.run(() => kernel.insmod(module)));
      const added = loaded === 'ok' ? await tool(kernel, (t) => t.add('a', handle)) : loaded;
      if (what !== null) {
        failed.add(what);
        expect([at, what, added]).toEqual([at, what, 'ENOMEM']);
        expect(kernel.k.bus_devices(kernel.k.find_bus('vdpa')!)).toEqual([]);
      }
      await kernel.run(async () => {
        if (loaded === 'ok') await kernel.rmmod(name);
        await kernel.rmmod('vdpa_sim');
      });
      expect([at, what, kernel.leftovers()]).toEqual([at, what, []]);
      if (what === null) break;
    }
    expect([...failed].sort()).toEqual([
      '__vdpa_alloc_device', '_vdpa_register_device', 'device_add', 'dma_set_mask_and_coherent', 'vdpa_mgmtdev_register', 'vdpasim_create',
      'vringh_init_iotlb',
    ]);
  });
});

test('the parameters choose how mappings come and how many there may be', async () => {
  covers('2.8.1');
  expect(Object.entries(vdpaSim.params).map(([name, p]) => [name, p.type, p.default, p.perm, p.desc])).toEqual([
    ['batch_mapping', 'int', 1, 0o444, 'Batched mapping 1 -Enable; 0 - Disable'],
    ['max_iotlb_entries', 'int', 2048, 0o444, 'Maximum number of iotlb entries for each address space. (default: 2048)'],
  ]);
  const kernel = await bootBuiltins(BELOW);
  const vdpaSimNet = await definition('vdpa-sim-net');
  await kernel.run(() => kernel.insmod(vdpaSim as unknown as Loadable, { batch_mapping: 0, max_iotlb_entries: 3 }));
  await kernel.run(() => kernel.insmod(vdpaSimNet));
  expect(await tool(kernel, (t) => t.add('vdpa0', 'vdpasim_net'))).toBe('ok');
  const vdpa = kernel.k.dev_to_vdpa(kernel.k.bus_devices(kernel.k.find_bus('vdpa')!)[0]!);
  expect([vdpa.config.set_map === undefined, vdpa.config.dma_map === undefined]).toEqual([true, false]);
  const map = (n: number): Promise<string> => kernel.run(() => errnoOf(() => vdpa.config.dma_map?.(vdpa, 0, BigInt(n) << 12n, 4096n, 0n, 3, null)));
  expect([await map(0), await map(1), await map(2), await map(3)]).toEqual(['ok', 'ok', 'ok', 'ENOSPC']);
});
