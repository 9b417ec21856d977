import { PCI_COMMAND, PCI_COMMAND_MEMORY, PCI_COMMAND_SERR } from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import type { PciDev } from './header.ts';
import { faultInjector } from './testing/faults.ts';
import { bootPci, pciId, toyDriver } from './testing/kernel.ts';

const errno = (name: string): Error => expect.objectContaining({ errno: name }) as Error;

describe('BARs', () => {
  it('are reserved by one driver at a time', async () => {
    const { k, dmesg } = await bootPci();
    const pf = k.pci_devices()[2]!;
    k.pci_request_region(pf, 0, 'me');
    expect(() => k.pci_request_region(pf, 0, 'you')).toThrow(errno('EBUSY'));
    expect(dmesg()).toContain("pci 0000:07:00.0: BAR 0: can't reserve [mem 0xc0000000-0xc0003fff 64bit]");
    expect(k.pci_leftovers()).toEqual(['0000:07:00.0: BAR 0 reserved by me']);
    k.pci_release_region(pf, 0);
    k.pci_request_region(pf, 0, 'you');
    k.pci_release_region(pf, 0);
    k.pci_request_region(pf, 1, 'nobody'); // absent: nothing to reserve
    expect(k.pci_leftovers()).toEqual([]);
  });

  it('are mapped as windows that end where the BAR ends, and with the mapping', async () => {
    const { k, machine } = await bootPci();
    const pf = k.pci_devices()[2]!;
    k.pcim_enable_device(pf);
    const mem = k.pci_iomap(pf, 0);
    expect([mem.pa, mem.size]).toEqual([k.pci_resource_start(pf, 0), k.pci_resource_len(pf, 0)]);
    // The queue select register of the common configuration takes what is written.
    mem.write16(22, 1);
    expect(mem.read16(22)).toBe(1);
    expect(mem.read8(22)).toBe(machine.mmio.read(mem.pa + 22, 1));
    mem.write32(0, 1);
    expect(mem.read32(0)).toBe(1);
    mem.write8(20, 1);
    expect(() => mem.read32(mem.size - 2)).toThrow(RangeError);
    expect(() => mem.write8(-1, 0)).toThrow(RangeError);
    expect(k.pci_leftovers()).toEqual(['0000:07:00.0: 1 windows mapped']);
    k.pci_iounmap(pf, mem);
    expect(() => mem.read8(0)).toThrow('unmapped');
    expect(() => k.pci_iounmap(pf, mem)).toThrow('has not');
    expect(() => k.pci_iomap(pf, 1)).toThrow(errno('ENOMEM'));
    expect([k.pci_resource_start(pf, 1), k.pci_resource_len(pf, 9)]).toEqual([0, 0]);
  });

  it('of a managed driver are all mapped or none', async () => {
    const { k } = await bootPci();
    const pf = k.pci_devices()[2]!;
    expect(() => k.pcim_iomap_regions(pf, 0b00111, 'toy')).toThrow(errno('EINVAL'));
    expect(k.pcim_iomap_table(pf)).toEqual([null, null, null, null, null, null]);
    k.pci_request_region(pf, 4, 'other');
    expect(() => k.pcim_iomap_regions(pf, 0b10101, 'toy')).toThrow(errno('EBUSY'));
    expect(k.pci_leftovers()).toEqual(['0000:07:00.0: BAR 4 reserved by other']);
  });

  it('go with the managed driver', async () => {
    const kernel = await bootPci();
    const { k } = kernel;
    const drv = toyDriver('toy', [pciId(0x1af4, 0x1041)], [], {
      async probe(pdev) {
        k.pcim_enable_device(pdev);
        k.pcim_iomap_regions(pdev, 0b00101, 'toy');
      },
    });
    await kernel.run(() => k.__pci_register_driver(drv));
    const [bar0, none, bar2] = k.pcim_iomap_table(k.pci_devices()[2]!);
    expect([bar0!.pa, none, bar2!.size]).toEqual([0xc000_0000, null, 0x2000]);
    await kernel.run(() => k.pci_unregister_driver(drv));
    expect(() => bar0!.read8(0)).toThrow('unmapped');
    expect(kernel.leftovers()).toEqual([]);
  });

  it('are given back when a step of mapping fails', async () => {
    const inject = faultInjector({ pci: ['devm_add_action'] });
    const { k } = await bootPci({ wrap: inject.wrap });
    const pf = k.pci_devices()[2]!;
    inject.arm(1);
    expect(() => k.pcim_iomap_regions(pf, 0b00101, 'toy')).toThrow(errno('ENOMEM'));
    expect(k.pci_leftovers()).toEqual([]);
  });
});

describe('enabling', () => {
  it('switches decoding and the bridge above on, once', async () => {
    const kernel = await bootPci();
    const { k } = kernel;
    const [, port, pf] = k.pci_devices() as [unknown, PciDev, PciDev];
    expect(k.pci_read_config_word(pf, PCI_COMMAND)).toBe(PCI_COMMAND_MEMORY | PCI_COMMAND_SERR); // firmware left it on
    for (const fn of [port, pf]) k.pci_write_config_word(fn, PCI_COMMAND, 0);
    kernel.dmesg();
    k.pcim_enable_device(pf);
    k.pcim_enable_device(pf);
    expect(k.pci_read_config_word(pf, 4) & 7).toBe(2);
    expect(kernel.machine.pci!.configRead(0, 8, 4, 2) & 6).toBe(6);
    expect(kernel.dmesg()).toEqual([
      expect.stringMatching(/^pci 0000:00:01\.0: enabling device \(/), 'pci 0000:07:00.0: enabling device (0000 -> 0002)',
    ]);
    expect(await kernel.sh(({ cat }) => cat('/sys/bus/pci/devices/0000:07:00.0/enable'))).toBe('2\n');
  });

  it('is refused without an address', async () => {
    const kernel = await bootPci({ firmware: (host) => host.configWrite(0, 8, 0x20, 4, 0xbff0_bff0) });
    const pf = kernel.k.pci_devices()[2]!;
    // The port's window lies outside the host's: it is dropped, and a new one is made.
    expect(pf.resource[0]!.start).toBeGreaterThan(0);
    (pf.resource[2] as { start: number }).start = 0;
    expect(() => kernel.k.pcim_enable_device(pf)).toThrow(errno('EINVAL'));
    expect(kernel.dmesg()).toContain("pci 0000:07:00.0: can't enable device: BAR 2 [mem size 0x00002000 64bit] not assigned");
  });

  it('of bus mastering writes the command register', async () => {
    const { k } = await bootPci();
    const pf = k.pci_devices()[2]!;
    k.pci_set_master(pf);
    expect(k.pci_read_config_word(pf, 4) & 4).toBe(4);
    k.pci_clear_master(pf);
    expect(k.pci_read_config_word(pf, 4) & 4).toBe(0);
  });
});

describe('configuration space', () => {
  it('is read and written by byte, word and dword, and holds capabilities', async () => {
    const { k } = await bootPci();
    const pf = k.pci_devices()[2]!;
    expect([k.pci_read_config_dword(pf, 0), k.pci_read_config_word(pf, 2), k.pci_read_config_byte(pf, 0)])
      .toEqual([0x1041_1af4, 0x1041, 0xf4]);
    k.pci_write_config_word(pf, 4, 2);
    k.pci_write_config_byte(pf, 4, 0);
    k.pci_write_config_dword(pf, 0, 0); // ids do not change
    expect(k.pci_read_config_word(pf, 4)).toBe(0);
    expect([k.pci_read_config_word(pf, 1), k.pci_read_config_dword(pf, 4096), k.pci_read_config_byte(pf, -1)])
      .toEqual([0xffff, 0xffff_ffff, 0xff]);
    const first = k.pci_find_capability(pf, 0x09);
    expect(first).toBeGreaterThan(0x3f);
    expect(k.pci_find_next_capability(pf, first, 0x09)).not.toBe(first);
    expect(k.pci_find_ext_capability(pf, 0x10)).toBeGreaterThan(0xff);
    expect(() => k.pci_name({ ...pf } as typeof pf)).toThrow('not a function');
  });
});
