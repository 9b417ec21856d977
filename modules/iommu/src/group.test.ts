import { KernelError } from '@vdpalab/abi';
import { O_RDONLY, O_WRONLY } from '@vdpalab/uapi';
import { errnoOf, errnoOfSync } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import type { IommuKernel } from './testing/kernel.ts';
import { bootIommu } from './testing/kernel.ts';

const GROUPS = '/sys/kernel/iommu_groups';

async function ls(kernel: IommuKernel, path: string): Promise<string[]> {
  return await kernel.user(async (proc) => (await kernel.k.ksys_readdir(proc, path)).map(({ name }) => name).toSorted());
}

async function cat(kernel: IommuKernel, path: string): Promise<string> {
  return await kernel.user(async (proc) =>
    String.fromCharCode(...await kernel.k.ksys_read(proc, await kernel.k.ksys_open(proc, path, O_RDONLY), 4096)));
}

/** The errno, or 'ok'. */
async function echo(kernel: IommuKernel, text: string, path: string, caps?: readonly number[]): Promise<string> {
  return await kernel.user(async (proc) => {
    try {
      const fd = await kernel.k.ksys_open(proc, path, O_WRONLY);
      await kernel.k.ksys_write(proc, fd, Uint8Array.from(text, (c) => c.charCodeAt(0)));
      return 'ok';
    } catch (error) {
      return (error as KernelError).errno;
    }
  }, caps === undefined ? {} : { uid: 0, caps });
}

describe('groups', () => {
  it('take the lowest free number, and go with their last device', async () => {
    const kernel = await bootIommu();
    const a = await kernel.device('a', 0x100);
    const b = await kernel.device('b', 0x200);
    expect(kernel.dmesg().slice(-2)).toEqual([' a: Adding to iommu group 0', ' b: Adding to iommu group 1']);
    await kernel.remove(a);
    expect(kernel.dmesg()).toEqual([' a: Removing from iommu group 0']);
    const c = await kernel.device('c', 0x300);
    expect(kernel.k.iommu_groups().map(({ id, devices }) => [id, devices.map(({ name }) => name)])).toEqual([[0, ['c']], [1, ['b']]]);
    await kernel.remove(b);
    await kernel.remove(c);
    expect([kernel.k.iommu_groups(), kernel.hw.iommu!.tables(), kernel.hw.iommu!.attachments()]).toEqual([[], [], []]);
    expect(kernel.leftovers()).toEqual([]);
  });

  it('hold devices that cannot be told apart', async () => {
    const kernel = await bootIommu();
    const a = await kernel.device('a', 0x100);
    const b = await kernel.device('b', 0x101, a);
    expect(kernel.k.iommu_group_get(b)).toBe(kernel.k.iommu_group_get(a));
    expect(kernel.hw.iommu!.tables()).toHaveLength(1);
    await kernel.remove(a);
    expect(kernel.k.iommu_group_get(b)!.devices).toEqual([b]);
    await kernel.remove(b);
    await expect(kernel.device('d', 1, a)).rejects.toThrow('has no iommu group');
  });

  it('are shown in sysfs, with links both ways', async () => {
    const kernel = await bootIommu();
    const dev = await kernel.device('a', 0x100);
    expect(await ls(kernel, GROUPS)).toEqual(['0']);
    expect(await ls(kernel, `${GROUPS}/0`)).toEqual(['devices', 'reserved_regions', 'type']);
    expect(await ls(kernel, `${GROUPS}/0/devices`)).toEqual(['a']);
    await kernel.user(async (proc) => {
      expect(await kernel.k.ksys_readlink(proc, '/sys/devices/a/iommu_group')).toBe('../../kernel/iommu_groups/0');
      expect(await kernel.k.ksys_readlink(proc, `${GROUPS}/0/devices/a`)).toBe('../../../../devices/a');
    });
    expect(await cat(kernel, `${GROUPS}/0/type`)).toBe('DMA\n');
    expect(await cat(kernel, `${GROUPS}/0/reserved_regions`)).toBe('0x00000000fee00000 0x00000000feefffff msi\n');
    await kernel.remove(dev);
    expect(await ls(kernel, GROUPS)).toEqual([]);
  });

  it('are all or nothing when a device cannot be added', async () => {
    let left = 0;
    const kernel = await bootIommu({}, {
      wrap: (symbol, value, importer) => (importer !== 'iommu' || !symbol.startsWith('kernfs_create') ? value : (...args: unknown[]) => {
        if (left > 0 && --left === 0) throw new KernelError('ENOMEM', 'test.injected', symbol);
        return (value as (...args: unknown[]) => unknown)(...args);
      }),
    });
    const peer = await kernel.device('peer', 1);
    for (const shared of [null, peer]) {
      for (let n = 1; ; n++) {
        left = n;
        const failed = await kernel.device('a', 0x100, shared).then(() => false, () => true);
        const fired = left === 0;
        left = 0;
        expect(failed).toBe(fired);
        if (!fired) break;
        expect(kernel.k.iommu_groups()).toHaveLength(1);
        expect(kernel.hw.iommu!.tables()).toHaveLength(1);
        expect(kernel.hw.iommu!.attachments()).toHaveLength(1);
        expect(await ls(kernel, `${GROUPS}/0/devices`)).toEqual(['peer']);
      }
      const [dev] = kernel.k.all_devices().filter(({ name }) => name === 'a');
      await kernel.remove(dev!);
    }
    await expect(kernel.device('b', 0x1_0000)).rejects.toMatchObject({ errno: 'EINVAL' });
    expect(kernel.k.iommu_groups()).toHaveLength(1);
  });
});

describe('the type of a group', () => {
  it('is the command line\'s choice', async () => {
    const kernel = await bootIommu({ cmdline: 'iommu=pt' });
    expect(kernel.dmesg()).toContain('iommu: Default domain type: Passthrough (set via kernel command line)');
    const dev = await kernel.device('a', 0x100);
    expect(await cat(kernel, `${GROUPS}/0/type`)).toBe('identity\n');
    expect(kernel.hw.iommu!.tables()).toEqual([]);
    expect(kernel.k.dma_map_single(dev, 0x1234, 16, 'DMA_TO_DEVICE')).toBe(0x1234);
  });

  it('can be changed while no driver has the device', async () => {
    const kernel = await bootIommu();
    const dev = await kernel.device('a', 0x100);
    expect(await echo(kernel, 'identity\n', `${GROUPS}/0/type`)).toBe('ok');
    expect(await cat(kernel, `${GROUPS}/0/type`)).toBe('identity\n');
    expect(kernel.hw.iommu!.tables()).toEqual([]);
    expect(await echo(kernel, 'identity', `${GROUPS}/0/type`)).toBe('ok');
    expect(await echo(kernel, 'auto', `${GROUPS}/0/type`)).toBe('ok');
    expect(await cat(kernel, `${GROUPS}/0/type`)).toBe('DMA\n');
    expect(await echo(kernel, 'blocked', `${GROUPS}/0/type`)).toBe('EINVAL');
    expect(await echo(kernel, 'DMA', `${GROUPS}/0/type`, [])).toBe('EACCES');
    await kernel.device('b', 0x101, dev);
    expect(await echo(kernel, 'identity', `${GROUPS}/0/type`)).toBe('EINVAL');
    expect(kernel.dmesg()).toContain('iommu: Cannot change default domain: Group has more than one device');
  });

  it('is fixed where nothing translates, and where the device leaves meanwhile', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    const plain = k.device_initialize({ name: 'b' });
    await kernel.run(() => k.device_add(plain));
    const group = k.iommu_group_alloc('driver-made');
    expect(errnoOfSync(() => k.iommu_group_add_device(group, dev))).toBe('EEXIST'); // it is in one
    k.iommu_group_add_device(group, plain);
    expect(await echo(kernel, 'DMA', `${GROUPS}/${group.id}/type`)).toBe('EINVAL');
    k.iommu_group_remove_device(plain);
    await kernel.run(() => k.device_unregister(plain));

    const written: string[] = [];
    await kernel.run(async () => {
      await k.device_lock(dev);
      const proc = k.process_create('writer');
      const fd = await k.ksys_open(proc, `${GROUPS}/0/type`, O_WRONLY);
      const task = kernel.spawn('writer', async () => {
        written.push(await errnoOf(() => k.ksys_write(proc, fd, Uint8Array.from('identity', (c) => c.charCodeAt(0)))));
        await k.process_exit(proc);
      });
      while (task.wait === null) await k.cpu_relax();
      k.iommu_release_device(dev);
      k.device_unlock(dev);
    });
    await kernel.settle();
    expect(written).toEqual(['EBUSY']);
  });

  it('stays while a driver is bound or a user has attached a domain', async () => {
    const kernel = await bootIommu();
    const { k } = kernel;
    const bus = { name: 'toy' };
    const dev = await kernel.run(async () => {
      await k.bus_register(bus);
      await k.driver_register({ name: 'toy', bus, owner: null });
      const made = k.device_initialize({ name: 'a', bus });
      await k.device_add(made);
      k.iommu_probe_device(made, 0x100, null);
      return made;
    });
    expect(await echo(kernel, 'identity', `${GROUPS}/0/type`)).toBe('EBUSY');
    expect(kernel.dmesg()).toContain('iommu: Device is still bound to driver');
    await kernel.run(() => k.device_release_driver(dev));
    const domain = k.iommu_domain_alloc(dev);
    k.iommu_attach_device(domain, dev);
    expect(await echo(kernel, 'identity', `${GROUPS}/0/type`)).toBe('EBUSY');
    k.iommu_detach_device(domain, dev);
    k.iommu_domain_free(domain);
    expect(await echo(kernel, 'identity', `${GROUPS}/0/type`)).toBe('ok');
  });
});

describe('a machine without an IOMMU', () => {
  it('has no groups, and every claim is granted', async () => {
    const kernel = await bootIommu({ iommu: false });
    const { k } = kernel;
    const dev = await kernel.device('a', 0x100);
    expect([k.iommu_present(), k.iommu_group_get(dev), k.iommu_groups(), k.iommu_faults()]).toEqual([false, null, [], []]);
    expect(k.device_iommu_capable(dev, 'IOMMU_CAP_CACHE_COHERENCY')).toBe(false);
    k.iommu_device_use_default_domain(dev);
    k.iommu_device_unuse_default_domain(dev);
    expect(errnoOfSync(() => k.iommu_domain_alloc(dev))).toBe('ENODEV');
    expect(errnoOfSync(() => k.iommu_attach_device({} as never, dev))).toBe('ENODEV');
    k.iommu_detach_device({} as never, dev);
    expect(() => k.iommu_group_claim_dma_owner({} as never, 1)).toThrow('no IOMMU');
    expect(await ls(kernel, GROUPS)).toEqual([]);
    expect(dev.dma).toMatchObject({ rid: 0x100, pasid: null, mask: 0xffff_ffff });
    await kernel.remove(dev);
    expect(dev.dma).toBeNull();
  });
});
