import { MAP_SHARED, PCI_COMMAND, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import { bootPci, pciId, toyDriver } from './testing/kernel.ts';

const PF = '/sys/devices/pci0000:00/0000:00:01.0/0000:07:00.0';
const USER = { uid: 1000, caps: [] };

describe('the file config', () => {
  it('has the header for everybody and the rest for CAP_SYS_ADMIN', async () => {
    const kernel = await bootPci();
    await kernel.sh(async ({ bytes, mode }) => {
      expect((await bytes(`${PF}/config`, 0, 5000)).length).toBe(4096);
      expect(await bytes(`${PF}/config`, 1, 3)).toEqual([0x1a, 0x41, 0x10]);
      expect(await bytes(`${PF}/config`, 4090, 100)).toHaveLength(6);
      expect(await bytes(`${PF}/config`, 4096, 1)).toEqual([]);
      expect(await mode(`${PF}/config`)).toBe('644');
      expect((await bytes('/sys/bus/pci/devices/0000:00:00.0/config', 0, 5000)).length).toBe(256);
    });
    await kernel.sh(async ({ bytes }) => {
      expect(await bytes(`${PF}/config`, 0, 5000)).toHaveLength(64);
      expect(await bytes(`${PF}/config`, 60, 8)).toHaveLength(4);
      expect(await bytes(`${PF}/config`, 64, 8)).toEqual([]);
    }, USER);
  });

  it('is written register by register', async () => {
    const kernel = await bootPci();
    const pf = kernel.k.pci_devices()[2]!;
    await kernel.user(async (proc) => {
      const fd = await kernel.k.ksys_open(proc, `${PF}/config`, 2);
      expect(await kernel.k.ksys_pwrite(proc, fd, Uint8Array.of(0x06, 0x04), PCI_COMMAND)).toBe(2);
      expect(kernel.k.pci_read_config_word(pf, PCI_COMMAND)).toBe(0x406);
      // Bytes that are not a whole register leave their neighbours alone.
      expect(await kernel.k.ksys_pwrite(proc, fd, Uint8Array.of(0), PCI_COMMAND + 1)).toBe(1);
      expect(kernel.k.pci_read_config_word(pf, PCI_COMMAND)).toBe(0x006);
      await kernel.k.ksys_close(proc, fd);
    });
  });
});

describe('the file resourceN', () => {
  it('maps the registers of a BAR', async () => {
    const kernel = await bootPci();
    const { k } = kernel;
    k.pcim_enable_device(k.pci_devices()[2]!);
    await kernel.user(async (proc) => {
      const fd = await k.ksys_open(proc, `${PF}/resource0`, 2);
      const va = await k.ksys_mmap(proc, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      proc.mm.store(va + 22, 2, 1);
      expect(proc.mm.load(va + 22, 2)).toBe(1);
      expect(kernel.machine.mmio.read(k.pci_resource_start(k.pci_devices()[2]!, 0) + 22, 2)).toBe(1);
      await expect(k.ksys_mmap(proc, 0, 0x5000, PROT_READ, MAP_SHARED, fd, 0)).rejects.toMatchObject({ errno: 'EINVAL' });
      await expect(k.ksys_mmap(proc, 0, 0x1000, PROT_READ, MAP_SHARED, fd, 0x4000)).rejects.toMatchObject({ errno: 'EINVAL' });
      await expect(k.ksys_read(proc, fd, 4)).rejects.toMatchObject({ errno: 'EIO' });
      await k.ksys_munmap(proc, va, 4096);
      await k.ksys_close(proc, fd);
    });
    await kernel.sh(async ({ mode }) => expect(await mode(`${PF}/resource0`)).toBe('600'));
  });
});

describe('the file enable', () => {
  it('enables and disables a function that nobody drives', async () => {
    const kernel = await bootPci();
    const pf = kernel.k.pci_devices()[2]!;
    await kernel.sh(async ({ echo, cat }) => {
      expect(await echo('0', `${PF}/enable`)).toBe('EIO');
      expect(await echo('x', `${PF}/enable`)).toBe('EINVAL');
      expect(await echo('1', `${PF}/enable`)).toBe('ok');
      expect(await cat(`${PF}/enable`)).toBe('1\n');
      expect(kernel.k.pci_read_config_word(pf, PCI_COMMAND) & 2).toBe(2);
      expect(await echo('0', `${PF}/enable`)).toBe('ok');
      expect(await cat(`${PF}/enable`)).toBe('0\n');
    });
    await kernel.run(() => kernel.k.__pci_register_driver(toyDriver('toy', [pciId(0x1af4, 0x1041)])));
    expect(await kernel.sh(({ echo }) => echo('1', `${PF}/enable`))).toBe('EBUSY');
  });

  it('needs CAP_SYS_ADMIN, and so do numa_node and msi_bus', async () => {
    const kernel = await bootPci();
    await kernel.sh(async ({ echo }) => {
      expect(await echo('1', `${PF}/enable`)).toBe('EPERM');
      expect(await echo('-1', `${PF}/numa_node`)).toBe('EPERM');
      expect(await echo('1', `${PF}/msi_bus`)).toBe('EPERM');
    }, { uid: 0, caps: [] });
    await kernel.sh(async ({ echo }) => {
      expect(await echo('-1', `${PF}/numa_node`)).toBe('ok');
      expect(await echo('0', `${PF}/numa_node`)).toBe('ok');
      expect(await echo('1', `${PF}/numa_node`)).toBe('EINVAL');
    });
  });
});

describe('what a function keeps for others', () => {
  it.each(['broken_parity_status', 'd3cold_allowed'])('%s is a number, kept as 0 or 1', async (name) => {
    const kernel = await bootPci();
    await kernel.sh(async ({ cat, echo }) => {
      expect([await echo('7', `${PF}/${name}`), await cat(`${PF}/${name}`)]).toEqual(['ok', '1\n']);
      expect([await echo('junk', `${PF}/${name}`), await cat(`${PF}/${name}`)]).toEqual(['EINVAL', '1\n']);
      expect([await echo('0', `${PF}/${name}`), await cat(`${PF}/${name}`)]).toEqual(['ok', '0\n']);
    });
  });

  it('power_state and the masks follow the driver', async () => {
    const kernel = await bootPci();
    const driver = toyDriver('toy', [pciId(0x1af4, 0x1041)]);
    await kernel.run(() => kernel.k.__pci_register_driver({
      ...driver,
      probe: async (pdev) => {
        kernel.k.pci_enable_device(pdev);
        kernel.k.dma_set_mask_and_coherent(pdev.dev, 2 ** 44 - 1);
      },
      remove: async (pdev) => kernel.k.pci_disable_device(pdev),
    }));
    await kernel.sh(async ({ cat, echo }) => {
      expect([await cat(`${PF}/power_state`), await cat(`${PF}/dma_mask_bits`)]).toEqual(['D0\n', '44\n']);
      expect([await echo('0000:07:00.0', '/sys/bus/pci/drivers/toy/unbind'), await cat(`${PF}/power_state`)]).toEqual(['ok', 'unknown\n']);
    });
  });
});

describe('remove and rescan', () => {
  it('take a function away and find it again', async () => {
    const kernel = await bootPci();
    const log: string[] = [];
    await kernel.run(() => kernel.k.__pci_register_driver(toyDriver('toy', [pciId(0x1af4, 0x1041)], log)));
    const before = kernel.k.pci_devices()[2]!.resource.map(({ start }) => start);
    kernel.uevents();
    await kernel.sh(async ({ echo, ls }) => {
      expect(await echo('x', `${PF}/remove`)).toBe('EINVAL');
      expect(await echo('0', `${PF}/remove`)).toBe('ok');
      expect(await echo('1', `${PF}/remove`)).toBe('ok');
      expect(await ls(PF)).toEqual(['ENOENT']);
      expect(await ls('/sys/kernel/iommu_groups')).toEqual(['0', '1']);
      expect(await echo('1', '/sys/bus/pci/rescan')).toBe('ok');
      expect(await ls('/sys/kernel/iommu_groups')).toEqual(['0', '1', '2']);
    });
    expect(log).toEqual(['toy probe 0000:07:00.0', 'toy remove 0000:07:00.0', 'toy probe 0000:07:00.0']);
    expect(kernel.uevents().map((event) => event.split('@')[0])).toEqual(['unbind', 'remove', 'add', 'bind']);
    expect(kernel.k.pci_devices()[2]!.resource.map(({ start }) => start)).toEqual(before);
  });

  it('of a root port take all that is behind it, last one first', async () => {
    const kernel = await bootPci();
    const log: string[] = [];
    await kernel.run(() => kernel.k.__pci_register_driver(toyDriver('toy', [pciId(0x1af4, 0x1041)], log, {
      sriov_configure: kernel.k.pci_sriov_configure_simple,
    })));
    await kernel.sh(async ({ echo, ls }) => {
      await echo('2', `${PF}/sriov_numvfs`);
      log.length = 0;
      expect(await echo('1', '/sys/bus/pci/devices/0000:00:01.0/remove')).toBe('ok');
      expect(await ls('/sys/bus/pci/devices')).toEqual(['0000:00:00.0']);
      expect(log).toEqual(['toy remove 0000:07:00.2', 'toy remove 0000:07:00.1', 'toy remove 0000:07:00.0']);
      expect(await echo('1', '/sys/bus/pci/rescan')).toBe('ok');
      expect(await ls('/sys/bus/pci/devices')).toEqual(['0000:00:00.0', '0000:00:01.0', '0000:07:00.0']);
    });
    expect(kernel.hw.iommu!.tables()).toHaveLength(3);
  });

  it('of one VF are not offered: the PF alone removes it', async () => {
    const kernel = await bootPci();
    await kernel.run(() => kernel.k.__pci_register_driver(toyDriver('toy', [pciId(0x1af4, 0x1041)], [], {
      sriov_configure: kernel.k.pci_sriov_configure_simple,
    })));
    await kernel.sh(async ({ echo, ls }) => {
      await echo('3', `${PF}/sriov_numvfs`);
      expect(await ls('/sys/bus/pci/devices/0000:07:00.2')).not.toEqual(expect.arrayContaining(['remove']));
      expect((await ls(PF)).filter((name) => name.startsWith('virtfn'))).toEqual(['virtfn0', 'virtfn1', 'virtfn2']);
      expect(await echo('1', '/sys/bus/pci/rescan')).toBe('ok');
      expect(await echo('0', `${PF}/sriov_numvfs`)).toBe('ok');
      expect(await ls('/sys/bus/pci/devices')).toEqual(['0000:00:00.0', '0000:00:01.0', '0000:07:00.0']);
    });
  });
});

describe('reset', () => {
  it('resets the function and brings its configuration and vectors back', async () => {
    const kernel = await bootPci();
    const { k } = kernel;
    const pf = k.pci_devices()[2]!;
    await kernel.run(async () => {
      k.pcim_enable_device(pf);
      k.pci_set_master(pf);
      await k.pci_alloc_irq_vectors(pf, 1, 2);
      await k.request_irq(k.pci_irq_vector(pf, 1), () => 'IRQ_HANDLED', 0, 'toy', pf);
    });
    const bar = kernel.machine.mmio;
    bar.write(pf.resource[0]!.start + 20, 1, 1); // device status: acknowledge
    await kernel.sh(async ({ echo, mode }) => {
      expect(await mode(`${PF}/reset`)).toBe('200');
      expect(await echo('2', `${PF}/reset`)).toBe('EINVAL');
      expect(await echo('x', `${PF}/reset`)).toBe('EINVAL');
      expect(await echo('1', `${PF}/reset`)).toBe('ok');
    });
    expect(bar.read(pf.resource[0]!.start + 20, 1)).toBe(0);
    expect(k.pci_read_config_word(pf, PCI_COMMAND) & 6).toBe(6);
    kernel.system!.find('07:00.0')!.msix!.fire(1);
    await kernel.settle();
    expect(k.irq_info()[1]!.count).toBe(1);
  });

  it('keeps the VFs of a PF', async () => {
    const kernel = await bootPci();
    const { k } = kernel;
    const pf = k.pci_devices()[2]!;
    await kernel.run(() => k.pci_enable_sriov(pf, 2));
    expect(await kernel.sh(({ echo }) => echo('1', `${PF}/reset`))).toBe('ok');
    expect(kernel.system!.find('07:00.2')).not.toBeNull();
    const vf = k.pci_devices().at(-1)!;
    expect(kernel.machine.mmio.read(vf.resource[0]!.start + 18, 2)).not.toBe(0xffff);
  });

  it('is not there without the capability, and refused to drivers', async () => {
    const kernel = await bootPci();
    const bridge = kernel.k.pci_devices()[0]!;
    await expect(kernel.run(() => kernel.k.pcie_flr(bridge))).rejects.toMatchObject({ errno: 'ENOTTY' });
    expect(await kernel.sh(({ ls }) => ls('/sys/bus/pci/devices/0000:00:00.0'))).not.toContain('reset');
  });

  it('waits for transactions under way, then resets anyway; and gives up on a function that does not come back', async () => {
    const kernel = await bootPci();
    const pf = kernel.k.pci_devices()[2]!;
    const { config } = kernel.system!.find('07:00.0')!;
    const express = kernel.k.pci_find_capability(pf, 0x10);
    kernel.dmesg();
    config.set(express + 0x0a, 2, 0x20);
    await kernel.run(() => kernel.k.pcie_flr(pf));
    expect(kernel.dmesg()).toEqual([
      'pci 0000:07:00.0: timed out waiting for pending transaction; performing function level reset anyway']);
    config.onWrite(express + 0x08, 2, () => config.set(PCI_COMMAND, 4, 0xffff_ffff));
    await expect(kernel.run(() => kernel.k.pcie_flr(pf))).rejects.toMatchObject({ errno: 'ENOTTY' });
    expect(kernel.dmesg()).toEqual(['pci 0000:07:00.0: not ready 65535ms after FLR; giving up']);
  });
});
