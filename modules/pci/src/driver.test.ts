import { errnoOf } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { KernelError } from '@vdpalab/abi';
import type { PciDeviceId } from './header.ts';
import { bootPci, pciId, toyDriver } from './testing/kernel.ts';

const PF = '/sys/devices/pci0000:00/0000:00:01.0/0000:07:00.0';
const NET = pciId(0x1af4, 0x1041);

describe('a PCI driver', () => {
  it('gets the functions its table names, and gives them back when it goes', async () => {
    const kernel = await bootPci();
    const log: string[] = [];
    const ids: PciDeviceId[] = [];
    const drv = toyDriver('toy', [NET], log, { probe: async (_pdev, id) => void ids.push(id) });
    kernel.uevents();
    await kernel.run(() => kernel.k.__pci_register_driver(drv));
    const pf = kernel.k.pci_devices()[2]!;
    expect(log).toEqual(['toy probe 0000:07:00.0']);
    expect(ids).toEqual([NET]);
    expect(pf.driver).toBe(drv);
    await kernel.sh(async ({ ls, readlink }) => {
      expect(await readlink(`${PF}/driver`)).toBe('../../../../bus/pci/drivers/toy');
      expect(await ls('/sys/bus/pci/drivers/toy')).toEqual(expect.arrayContaining(['0000:07:00.0', 'bind', 'new_id', 'remove_id', 'unbind']));
    });
    await kernel.run(() => kernel.k.pci_unregister_driver(drv));
    expect(log).toEqual(['toy probe 0000:07:00.0', 'toy remove 0000:07:00.0']);
    expect(pf.driver).toBeNull();
    expect(kernel.uevents().map((e) => e.split('@')[0])).toEqual(['bind', 'add', 'unbind', 'remove']);
    expect(kernel.leftovers()).toEqual([]);
  });

  it('that refuses is logged with its errno, and everything managed is given back', async () => {
    const kernel = await bootPci();
    kernel.dmesg();
    const { k } = kernel;
    const drv = toyDriver('toy', [NET], [], {
      async probe(pdev) {
        k.pcim_enable_device(pdev);
        k.pcim_iomap_regions(pdev, 0b10101, 'toy');
        k.pci_set_master(pdev);
        await k.pci_alloc_irq_vectors(pdev, 1, 3);
        throw new KernelError('EIO', 'test.probe', 'no');
      },
    });
    await kernel.run(() => k.__pci_register_driver(drv));
    expect(kernel.dmesg()).toContain('toy: probe of 0000:07:00.0 failed with error -5');
    const pf = k.pci_devices()[2]!;
    expect([pf.driver, pf.msix_enabled, k.pci_read_config_word(pf, 4) & 4]).toEqual([null, false, 0]);
    await kernel.sh(async ({ ls, cat }) => {
      expect(await ls(PF)).not.toContain('msi_irqs');
      expect(await cat(`${PF}/enable`)).toBe('0\n');
    });
    await kernel.run(() => k.pci_unregister_driver(drv));
    expect(kernel.leftovers()).toEqual([]);
    expect(kernel.hw.leftovers().filter(({ kind }) => kind === 'vector')).toEqual([]);
  });

  it('of a taken name is refused', async () => {
    const kernel = await bootPci();
    await kernel.run(async () => {
      await kernel.k.__pci_register_driver(toyDriver('toy', []));
      expect(await errnoOf(() => kernel.k.__pci_register_driver(toyDriver('toy', [])))).toBe('EBUSY');
    });
  });

  it('keeps its data with the device', async () => {
    const kernel = await bootPci();
    const pf = kernel.k.pci_devices()[2]!;
    kernel.k.pci_set_drvdata(pf, { x: 1 });
    expect(kernel.k.pci_get_drvdata(pf)).toEqual({ x: 1 });
    expect(kernel.k.to_pci_dev(pf.dev)).toBe(pf);
    expect(kernel.k.pci_name(pf)).toBe('0000:07:00.0');
    expect(() => kernel.k.to_pci_dev(pf.dev.parent!.parent!)).toThrow('not a PCI function');
    await kernel.settle();
  });
});

describe('new_id and remove_id', () => {
  it('teach a driver an id and offer it, and no other, what is free', async () => {
    const kernel = await bootPci();
    const log: string[] = [];
    await kernel.run(async () => {
      await kernel.k.__pci_register_driver(toyDriver('first', [NET], log));
      await kernel.k.__pci_register_driver(toyDriver('second', [], log));
    });
    await kernel.sh(async ({ echo }) => {
      expect(await echo('0000:07:00.0', '/sys/bus/pci/drivers/first/unbind')).toBe('ok');
      expect(await echo('1af4 1041', '/sys/bus/pci/drivers/second/new_id')).toBe('ok');
    });
    expect(log).toEqual(['first probe 0000:07:00.0', 'first remove 0000:07:00.0', 'second probe 0000:07:00.0']);
  });

  it('refuse junk, what is known and what is not', async () => {
    const kernel = await bootPci();
    await kernel.run(() => kernel.k.__pci_register_driver(toyDriver('toy', [{ ...NET, subvendor: 0x8086, subdevice: 0x1a }])));
    await kernel.sh(async ({ echo, cat }) => {
      const dir = '/sys/bus/pci/drivers/toy';
      for (const text of ['', 'junk', '1af4']) expect(await echo(`${text}\n`, `${dir}/new_id`)).toBe('EINVAL');
      expect(await echo('1af4 1041 8086 1a', `${dir}/new_id`)).toBe('EEXIST');
      expect(await echo('1af4 1041', `${dir}/new_id`)).toBe('ok');
      expect(await echo('1af4 1041', `${dir}/new_id`)).toBe('EEXIST');
      expect(await echo('1af4 1041 0 0 0 0 0', `${dir}/new_id`)).toBe('ok');
      expect(await echo('1af4 1042 0 0 0 0 7', `${dir}/new_id`)).toBe('EINVAL');
      expect(await echo('1af4', `${dir}/remove_id`)).toBe('EINVAL');
      expect(await echo('1af4 1042', `${dir}/remove_id`)).toBe('ENODEV');
      expect(await echo('1af4 1041', `${dir}/remove_id`)).toBe('ok');
      expect(await echo('1af4 1041', `${dir}/remove_id`)).toBe('ok');
      expect(await echo('1af4 1041', `${dir}/remove_id`)).toBe('ENODEV');
      await expect(cat(`${dir}/new_id`)).rejects.toMatchObject({ errno: 'EACCES' });
    });
  });

  it('go on to the next function when a driver refuses one', async () => {
    const kernel = await bootPci();
    const log: string[] = [];
    const drv = toyDriver('toy', [], log, {
      async probe() {
        throw new KernelError('EINVAL', 'test.probe', 'no');
      },
    });
    await kernel.run(() => kernel.k.__pci_register_driver(drv));
    expect(await kernel.sh(({ echo }) => echo('1b36 000c', '/sys/bus/pci/drivers/toy/new_id'))).toBe('ok');
    expect(await kernel.sh(({ echo }) => echo('ffffffff ffffffff', '/sys/bus/pci/drivers/toy/new_id'))).toBe('ok');
    expect(log).toEqual([
      'toy probe 0000:00:01.0', 'toy probe 0000:00:00.0', 'toy probe 0000:00:01.0', 'toy probe 0000:07:00.0',
    ]);
  });
});

describe('driver_override', () => {
  it('binds a function to a driver whose table does not have it, and keeps others away', async () => {
    const kernel = await bootPci();
    const log: string[] = [];
    await kernel.run(async () => {
      await kernel.k.__pci_register_driver(toyDriver('stub', [], log));
      await kernel.k.__pci_register_driver(toyDriver('net', [NET], log));
    });
    await kernel.sh(async ({ echo }) => {
      await echo('stub', `${PF}/driver_override`);
      expect(await echo('0000:07:00.0', '/sys/bus/pci/drivers/net/unbind')).toBe('ok');
      expect(await echo('0000:07:00.0', '/sys/bus/pci/drivers/net/bind')).toBe('ENODEV');
      expect(await echo('0000:07:00.0', '/sys/bus/pci/drivers_probe')).toBe('ok');
    });
    expect(log).toEqual(['net probe 0000:07:00.0', 'net remove 0000:07:00.0', 'stub probe 0000:07:00.0']);
  });
});

describe('DMA ownership', () => {
  it('is shared by host drivers, and keeps them away once user space has it', async () => {
    const kernel = await bootPci();
    const { k } = kernel;
    const log: string[] = [];
    const pf = k.pci_devices()[2]!;
    const group = k.iommu_group_get(pf.dev)!;
    await kernel.run(() => k.__pci_register_driver(toyDriver('net', [NET], log)));
    expect(() => k.iommu_group_claim_dma_owner(group, 'me')).toThrow(expect.objectContaining({ errno: 'EPERM' }) as Error);
    await kernel.sh(({ echo }) => echo('0000:07:00.0', '/sys/bus/pci/drivers/net/unbind'));
    k.iommu_group_claim_dma_owner(group, 'me');
    expect(await kernel.sh(({ echo }) => echo('0000:07:00.0', '/sys/bus/pci/drivers/net/bind'))).toBe('EBUSY');
    expect(log).toEqual(['net probe 0000:07:00.0', 'net remove 0000:07:00.0']);
    k.iommu_group_release_dma_owner(group);
    expect(await kernel.sh(({ echo }) => echo('0000:07:00.0', '/sys/bus/pci/drivers/net/bind'))).toBe('ok');
  });

  it('is left to a driver that manages it itself', async () => {
    const kernel = await bootPci();
    const pf = kernel.k.pci_devices()[2]!;
    const drv = toyDriver('vfio-pci', [NET], [], { driver_managed_dma: true });
    await kernel.run(() => kernel.k.__pci_register_driver(drv));
    expect(kernel.k.iommu_group_get(pf.dev)!.owner_cnt).toBe(0);
    await kernel.run(() => kernel.k.pci_unregister_driver(drv));
    expect(kernel.leftovers()).toEqual([]);
  });
});
