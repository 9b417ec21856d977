import type { PciHost } from '@vdpalab/abi';
import type { PciBusHost } from '@vdpalab/machine';
import { covers, errnoOf } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import type { PciDriver } from './header.ts';
import { faultInjector } from './testing/faults.ts';
import { bootPci, n3000, oneCard, pciId, toyDriver } from './testing/kernel.ts';
import type { PciKernel } from './testing/kernel.ts';

const PORT = '/sys/devices/pci0000:00/0000:00:01.0';
const PF = `${PORT}/0000:07:00.0`;
const PF_EVENT = '/devices/pci0000:00/0000:00:01.0/0000:07:00.0';
const VF_EVENT = (n: number): string => `/devices/pci0000:00/0000:00:01.0/0000:07:00.${n}`;

/** A PF driver such as pci-pf-stub, which never takes VFs. */
function pfDriver(kernel: PciKernel, log: string[] = [], hooks: Partial<PciDriver> = {}): PciDriver {
  const { pci_sriov_configure_simple } = kernel.k;
  return toyDriver('pf-stub', [pciId(0x1af4, 0x1041)], log, {
    sriov_configure: pci_sriov_configure_simple,
    probe: async (pdev) => {
      if (pdev.is_virtfn) throw new Error('a VF came to the PF driver');
    },
    ...hooks,
  });
}

/** Register a PF driver and leave VFs to be probed by nobody. */
async function withPf(kernel: PciKernel, hooks: Partial<PciDriver> = {}): Promise<PciDriver> {
  const driver = pfDriver(kernel, [], hooks);
  await kernel.run(() => kernel.k.__pci_register_driver(driver));
  await kernel.sh(({ echo }) => echo('0', `${PF}/sriov_drivers_autoprobe`));
  kernel.uevents();
  kernel.dmesg();
  return driver;
}

describe('sriov_numvfs', () => {
  it('makes VFs beside the PF, refuses another number, and removes them at 0', async () => {
    covers('F10');
    const kernel = await bootPci();
    const driver = await withPf(kernel);
    await kernel.sh(async ({ echo, cat, ls, readlink }) => {
      expect(await echo('2', `${PF}/sriov_numvfs`)).toBe('ok');
      expect(await cat(`${PF}/sriov_numvfs`)).toBe('2\n');
      expect(await ls('/sys/bus/pci/devices')).toEqual(
        ['0000:00:00.0', '0000:00:01.0', '0000:07:00.0', '0000:07:00.1', '0000:07:00.2']);
      expect(await readlink(`${PF}/virtfn0`)).toBe('../0000:07:00.1');
      expect(await readlink(`${PF}/virtfn1`)).toBe('../0000:07:00.2');
      expect(await readlink(`${PORT}/0000:07:00.2/physfn`)).toBe('../0000:07:00.0');
      expect(await readlink(`${PORT}/0000:07:00.2/iommu_group`)).toBe('../../../../kernel/iommu_groups/4');
      expect(await ls(`${PORT}/0000:07:00.2`)).not.toContain('sriov_numvfs');

      expect(await echo('3', `${PF}/sriov_numvfs`)).toBe('EBUSY');
      expect(await cat(`${PF}/sriov_numvfs`)).toBe('2\n');
      expect(await echo('2', `${PF}/sriov_numvfs`)).toBe('ok');

      expect(await echo('0', `${PF}/sriov_numvfs`)).toBe('ok');
      expect(await ls('/sys/bus/pci/devices')).toEqual(['0000:00:00.0', '0000:00:01.0', '0000:07:00.0']);
      expect((await ls(PF)).filter((name) => name.startsWith('virtfn'))).toEqual([]);
      expect(await ls('/sys/kernel/iommu_groups')).toEqual(['0', '1', '2']);
    });
    expect(kernel.dmesg()).toContain('pf-stub 0000:07:00.0: 2 VFs already enabled. Disable before enabling 3 VFs');
    expect(kernel.system!.find('07:00.1')).toBeNull();
    await kernel.run(() => kernel.k.pci_unregister_driver(driver));
    expect(kernel.leftovers()).toEqual([]);
  });

  it('refuses what is no number of 16 bits, more than there are, and a PF nobody drives', async () => {
    const kernel = await bootPci();
    await kernel.sh(async ({ echo }) => {
      for (const text of ['', 'two', '-1', '1x', '65536']) {
        expect(`${text} ${await echo(`${text}\n`, `${PF}/sriov_numvfs`)}`).toBe(`${text} EINVAL`);
      }
      expect(await echo('5', `${PF}/sriov_numvfs`)).toBe('ERANGE');
      expect(await echo('0', `${PF}/sriov_numvfs`)).toBe('ok');
      expect(await echo('1', `${PF}/sriov_numvfs`)).toBe('ENOENT');
    });
    expect(kernel.dmesg()).toContain('pci 0000:07:00.0: no driver bound to device; cannot configure SR-IOV');
  });

  it('refuses a driver that takes no part', async () => {
    const kernel = await bootPci();
    await kernel.run(() => kernel.k.__pci_register_driver(toyDriver('plain', [pciId(0x1af4, 0x1041)])));
    expect(await kernel.sh(({ echo }) => echo('1', `${PF}/sriov_numvfs`))).toBe('ENOENT');
    expect(kernel.dmesg()).toContain('plain 0000:07:00.0: driver does not support SR-IOV configuration via sysfs');
  });

  it('passes the errno of the driver on, and warns when it made fewer', async () => {
    const kernel = await bootPci();
    const { pci_enable_sriov } = kernel.k;
    await withPf(kernel, {
      sriov_configure: async (pdev, count) => {
        await pci_enable_sriov(pdev, count > 3 ? 17 : 1);
        return 1;
      },
    });
    expect(await kernel.sh(({ echo }) => echo('4', `${PF}/sriov_numvfs`))).toBe('EINVAL');
    expect(await kernel.sh(({ echo }) => echo('2', `${PF}/sriov_numvfs`))).toBe('ok');
    expect(kernel.dmesg()).toContain('pf-stub 0000:07:00.0: 2 VFs requested; only 1 enabled');
  });

  it('sends uevents in the order of the VFs, both ways, with a change of each and of the PF', async () => {
    const kernel = await bootPci();
    await withPf(kernel);
    await kernel.sh(({ echo }) => echo('2', `${PF}/sriov_numvfs`));
    expect(kernel.uevents()).toEqual([`add@${VF_EVENT(1)}`, `change@${VF_EVENT(1)}`, `add@${VF_EVENT(2)}`, `change@${VF_EVENT(2)}`, `change@${PF_EVENT}`]);
    await kernel.sh(({ echo }) => echo('0', `${PF}/sriov_numvfs`));
    expect(kernel.uevents()).toEqual([`remove@${VF_EVENT(1)}`, `remove@${VF_EVENT(2)}`]);
  });

  it('writes NumVFs, then VF Enable, waits 100 ms, and a second after switching off', async () => {
    const kernel = await bootPci();
    await withPf(kernel);
    const before = kernel.machine.sched.now;
    await kernel.sh(({ echo }) => echo('2', `${PF}/sriov_numvfs`));
    expect(kernel.machine.sched.now - before).toBe(100_000_000);
    expect(kernel.system!.find('07:00.2')).not.toBeNull();
    await kernel.sh(({ echo }) => echo('0', `${PF}/sriov_numvfs`));
    expect(kernel.machine.sched.now - before).toBe(1_100_000_000);
  });

  it('waits for a change that is under way before it shows the number', async () => {
    const kernel = await bootPci();
    await withPf(kernel);
    const seen: string[] = [];
    kernel.spawn('writer', async () => {
      await kernel.k.device_lock(kernel.k.pci_devices()[2]!.dev);
      await kernel.k.pci_sriov_configure_simple(kernel.k.pci_devices()[2]!, 2);
      kernel.k.device_unlock(kernel.k.pci_devices()[2]!.dev);
    });
    kernel.spawn('reader', async () => {
      await kernel.k.msleep(10);
      const proc = kernel.k.process_create('cat');
      seen.push(String.fromCharCode(...await kernel.k.ksys_read(proc, await kernel.k.ksys_open(proc, `${PF}/sriov_numvfs`, 0), 9)));
      await kernel.k.process_exit(proc);
    });
    await kernel.settle();
    expect(seen).toEqual(['2\n']);
  });

  it('leaves VFs to nobody while sriov_drivers_autoprobe is off, but for driver_override', async () => {
    const kernel = await bootPci();
    const log: string[] = [];
    await withPf(kernel);
    await kernel.run(() => kernel.k.__pci_register_driver(toyDriver('vf', [pciId(0x1af4, 0x1041)], log)));
    await kernel.sh(async ({ echo }) => {
      expect(await echo('maybe', `${PF}/sriov_drivers_autoprobe`)).toBe('EINVAL');
      await echo('2', `${PF}/sriov_numvfs`);
      expect(log).toEqual([]);
      expect(await echo('0000:07:00.1', '/sys/bus/pci/drivers/vf/bind')).toBe('ENODEV');
      await echo('vf', `${PORT}/0000:07:00.1/driver_override`);
      expect(await echo('0000:07:00.1', '/sys/bus/pci/drivers_probe')).toBe('ok');
    });
    expect(log).toEqual(['vf probe 0000:07:00.1']);
  });
});

describe('VFs', () => {
  it('have their share of the PF\'s VF BARs, and answer there', async () => {
    const kernel = await bootPci();
    await withPf(kernel);
    await kernel.sh(({ echo }) => echo('3', `${PF}/sriov_numvfs`));
    const [pf, , vf1, vf2] = kernel.k.pci_devices().filter(({ bus }) => bus === 7);
    expect(vf2!.resource[0]!.start - vf1!.resource[0]!.start).toBe(vf1!.resource[0]!.size);
    expect(vf1!.physfn).toBe(pf);
    expect([vf1!.is_virtfn, vf1!.vendor, vf1!.device, vf1!.devfn]).toEqual([true, 0x1af4, 0x1041, 2]);
    // Number of queues in the common configuration, at offset 18: a register of the VF's own.
    const { pa } = await kernel.run(async () => kernel.k.pci_iomap(vf2!, 0));
    expect(kernel.machine.mmio.read(pa + 18, 2)).not.toBe(0xffff);
  });

  it('are on further bus numbers that the root port has in reserve, and stay beside the PF in sysfs', async () => {
    const kernel = await bootPci({
      pci: {
        root_ports: [{ at: '00:01.0', bus: 7, buses: 2, acs: true }],
        functions: [n3000('07:00.0', { total: 4, offset: 0xfe, stride: 1 })],
      },
    });
    await withPf(kernel);
    await kernel.sh(async ({ echo, readlink }) => {
      expect(await echo('4', `${PF}/sriov_numvfs`)).toBe('ok');
      expect(await readlink(`${PF}/virtfn1`)).toBe('../0000:07:1f.7');
      expect(await readlink(`${PF}/virtfn2`)).toBe('../0000:08:00.0');
      expect(await readlink('/sys/bus/pci/devices/0000:08:00.1')).toBe('../../../devices/pci0000:00/0000:00:01.0/0000:08:00.1');
    });
    expect(kernel.k.pci_devices().at(-1)!.bus).toBe(8);
  });

  it('are refused beyond the bus numbers of the root port', async () => {
    const kernel = await bootPci({ pci: { ...oneCard, functions: [n3000('07:00.0', { total: 4, offset: 0xfe, stride: 1 })] } });
    await withPf(kernel);
    expect(await kernel.sh(({ echo }) => echo('3', `${PF}/sriov_numvfs`))).toBe('ENOMEM');
    expect(kernel.dmesg()).toContain("pf-stub 0000:07:00.0: can't enable 3 VFs (bus 08 out of range of [bus 07])");
    expect(await kernel.sh(({ echo }) => echo('2', `${PF}/sriov_numvfs`))).toBe('ok');
  });

  it('are refused when their BARs have no addresses', async () => {
    // A window of 1 MiB, which two bits of firmware leave to the port, holds the PF's BARs but not those of 64 VFs.
    const kernel = await bootPci({
      pci: { ...oneCard, functions: [n3000('07:00.0', { total: 64, offset: 1, stride: 1 })] },
      firmware: (host) => host.configWrite(0, 8, 0x20, 4, 0xc000_c000),
    });
    expect(kernel.dmesg()).toContain('pci 0000:07:00.0: VF BAR 0 [mem size 0x00100000 64bit]: failed to assign');
    await withPf(kernel);
    expect(await kernel.sh(({ echo }) => echo('1', `${PF}/sriov_numvfs`))).toBe('ENOMEM');
    expect(kernel.dmesg()).toContain('pf-stub 0000:07:00.0: not enough MMIO resources for SR-IOV');
  });

  it('stay with a warning when the PF\'s driver goes, and can be removed with the next one', async () => {
    const kernel = await bootPci();
    const driver = await withPf(kernel);
    await kernel.sh(async ({ echo, ls, cat }) => {
      await echo('2', `${PF}/sriov_numvfs`);
      expect(await echo('0000:07:00.0', '/sys/bus/pci/drivers/pf-stub/unbind')).toBe('ok');
      expect(await ls('/sys/bus/pci/devices')).toContain('0000:07:00.2');
      expect(await cat(`${PF}/sriov_numvfs`)).toBe('2\n');
      expect(await echo('0', `${PF}/sriov_numvfs`)).toBe('ENOENT');
      expect(kernel.dmesg()).toContain('pf-stub 0000:07:00.0: driver left SR-IOV enabled after remove');
      expect(await echo('0000:07:00.0', '/sys/bus/pci/drivers/pf-stub/bind')).toBe('ok');
      expect(await echo('0', `${PF}/sriov_numvfs`)).toBe('ok');
    });
    await kernel.run(() => kernel.k.pci_unregister_driver(driver));
    expect(kernel.leftovers()).toEqual([]);
  });

  it('let their drivers go before they do', async () => {
    const kernel = await bootPci();
    const log: string[] = [];
    await kernel.run(async () => {
      await kernel.k.__pci_register_driver(toyDriver('vf', [pciId(0x1af4, 0x1041)], log, {
        sriov_configure: kernel.k.pci_sriov_configure_simple,
      }));
    });
    await kernel.sh(({ echo }) => echo('2', `${PF}/sriov_numvfs`));
    kernel.uevents();
    await kernel.sh(({ echo }) => echo('0', `${PF}/sriov_numvfs`));
    expect(log).toEqual([
      'vf probe 0000:07:00.0', 'vf probe 0000:07:00.1', 'vf probe 0000:07:00.2',
      'vf remove 0000:07:00.1', 'vf remove 0000:07:00.2',
    ]);
    expect(kernel.uevents()).toEqual([
      `unbind@${VF_EVENT(1)}`, `remove@${VF_EVENT(1)}`, `unbind@${VF_EVENT(2)}`, `remove@${VF_EVENT(2)}`,
    ]);
  });

  it('are refused by functions without the capability', async () => {
    const kernel = await bootPci();
    const port = kernel.k.pci_devices()[1]!;
    const { k } = kernel;
    expect(await kernel.run(() => errnoOf(() => k.pci_enable_sriov(port, 1)))).toBe('ENOSYS');
    expect(await kernel.run(() => errnoOf(() => k.pci_sriov_configure_simple(port, 1)))).toBe('ENODEV');
    expect(await kernel.run(() => errnoOf(() => k.pci_disable_sriov(port)))).toBe('ok');
    expect(k.pci_num_vf(port)).toBe(0);
    expect(k.pci_vfs_assigned(port)).toBe(0);
  });

  it('are refused by a capability that contradicts itself', async () => {
    const kernel = await bootPci();
    await withPf(kernel);
    const pf = kernel.k.pci_devices().at(-1)!;
    const { config } = kernel.system!.find('07:00.0')!;
    config.set(kernel.k.pci_find_ext_capability(pf, 0x10) + 0x0c, 2, 3);
    expect(await kernel.sh(({ echo }) => echo('1', `${PF}/sriov_numvfs`))).toBe('EIO');
  });

  it('that depend on another PF show it, and are refused without it', async () => {
    const kernel = await bootPci({
      pci: { ...oneCard, functions: [n3000('07:00.0', { total: 4, offset: 8, stride: 1 }), n3000('07:00.1', { total: 2, offset: 16, stride: 1 })] },
      // Function Dependency Link of 07:00.1: the function it depends on.
      firmware: (host) => (host as PciBusHost).at(0x701)!.config.set(sriovAt(host, 1) + 0x12, 1, 0),
    });
    await withPf(kernel);
    const second = `${PORT}/0000:07:00.1`;
    await kernel.sh(async ({ echo, ls, readlink }) => {
      await echo('0', `${second}/sriov_drivers_autoprobe`);
      expect(await echo('1', `${second}/sriov_numvfs`)).toBe('ok');
      expect(await readlink(`${second}/dep_link`)).toBe('../0000:07:00.0');
      expect(await echo('0', `${second}/sriov_numvfs`)).toBe('ok');
      expect(await ls(second)).not.toContain('dep_link');
      expect(await echo('1', `${PF}/remove`)).toBe('ok');
      expect(await echo('1', `${second}/sriov_numvfs`)).toBe('ENODEV');
    });
  });
});

describe('a VF that cannot be added', () => {
  it('takes those before it along, wherever it fails, and leaves nothing', async () => {
    const inject = faultInjector({
      pci: ['device_add', 'kernfs_create_link', 'iommu_probe_device'],
      iommu: ['kernfs_create_dir', 'kernfs_create_file', 'kernfs_create_link'],
      driver_core: ['kernfs_create_dir', 'kernfs_create_file', 'kernfs_create_bin_file', 'kernfs_create_link'],
    });
    const pf = { ...n3000('07:00.0', { total: 4, offset: 1, stride: 1 }), ids: { device: 0x0b30 } };
    const kernel = await bootPci({ wrap: inject.wrap, pci: { ...oneCard, functions: [pf] } });
    const driver = await withPf(kernel, { id_table: [pciId(0x1af4, 0x0b30)] });
    const state = (): unknown => ({
      devices: kernel.k.pci_devices().map(({ dev }) => dev.name),
      groups: kernel.k.iommu_groups().map(({ id }) => id),
      tables: kernel.hw.iommu!.tables().length,
      attachments: kernel.hw.iommu!.attachments().length,
      vfs: kernel.system!.host.functions().length,
      leftovers: kernel.leftovers(),
    });
    const files = (): Promise<string[][]> => kernel.sh(async ({ ls }) => [await ls(PF), await ls(PORT), await ls('/sys/bus/pci/devices')]);
    const before = { ...state() as object, files: await files() };
    const failedAt: string[] = [];
    for (let n = 1; ; n++) {
      inject.arm(n);
      const errno = await kernel.sh(({ echo }) => echo('2', `${PF}/sriov_numvfs`));
      const fired = inject.fired();
      inject.arm(0);
      if (fired === null) {
        expect(errno).toBe('ok');
        break;
      }
      failedAt.push(fired);
      expect(`${n} ${fired}: ${errno}`).toBe(`${n} ${fired}: ENOMEM`);
      expect({ ...state() as object, files: await files() }).toEqual(before);
    }
    expect(new Set(failedAt)).toEqual(new Set([
      'pci device_add', 'pci kernfs_create_link', 'pci iommu_probe_device', 'iommu kernfs_create_dir', 'iommu kernfs_create_file',
      'iommu kernfs_create_link', 'driver_core kernfs_create_dir', 'driver_core kernfs_create_file',
      'driver_core kernfs_create_bin_file', 'driver_core kernfs_create_link',
    ]));
    await kernel.sh(({ echo }) => echo('0', `${PF}/sriov_numvfs`));
    expect({ ...state() as object, files: await files() }).toEqual(before);
    await kernel.run(() => kernel.k.pci_unregister_driver(driver));
    expect(kernel.leftovers()).toEqual([]);
  });
});

/** Offset of the SR-IOV capability of a function in 07:00. */
function sriovAt(host: PciHost, devfn: number): number {
  let at = 0x100;
  while ((host.configRead(7, devfn, at, 4) & 0xffff) !== 0x10) at = host.configRead(7, devfn, at, 4) >>> 20;
  return at;
}
