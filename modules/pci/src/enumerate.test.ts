import { describe, expect, it } from 'vitest';
import { bootPci, n3000, oneCard } from './testing/kernel.ts';

const PORT = '/sys/devices/pci0000:00/0000:00:01.0';
const PF = `${PORT}/0000:07:00.0`;

describe('enumeration', () => {
  it('finds what is on the root bus and behind root ports, in bus order', async () => {
    const { k, leftovers } = await bootPci();
    expect(k.pci_devices().map((fn) => fn.dev.name)).toEqual(['0000:00:00.0', '0000:00:01.0', '0000:07:00.0']);
    expect(k.pci_devices()[2]).toMatchObject({
      domain: 0, bus: 7, devfn: 0, vendor: 0x1af4, device: 0x1041, class: 0x020000, is_virtfn: false, physfn: null,
      driver: null, msix_enabled: false,
    });
    expect(leftovers()).toEqual([]);
  });

  it('says in dmesg what it found and assigned', async () => {
    const kernel = await bootPci();
    const log = kernel.dmesg();
    expect(log).toEqual(expect.arrayContaining([
      'PCI host bridge to bus 0000:00',
      'pci_bus 0000:00: root bus resource [bus 00-ff]',
      'pci 0000:00:01.0: PCI bridge to [bus 07]',
      'pci 0000:07:00.0: [1af4:1041] type 00 class 0x020000',
      'pci 0000:07:00.0: BAR 0 [mem 0x00000000-0x00003fff 64bit]',
      'pci 0000:07:00.0: VF BAR 0 [mem 0x00000000-0x00003fff 64bit]',
      'pci 0000:07:00.0: VF BAR 0 [mem 0x00000000-0x0000ffff 64bit]: contains BAR 0 for 4 VFs',
      'pci 0000:07:00.0: BAR 0 [mem 0xc0000000-0xc0003fff 64bit]: assigned',
      'pci 0000:07:00.0: Adding to iommu group 2',
    ]));
  });

  it('puts functions below their bridges, and links from the bus', async () => {
    const kernel = await bootPci();
    await kernel.sh(async ({ ls, readlink }) => {
      expect(await ls('/sys/bus/pci/devices')).toEqual(['0000:00:00.0', '0000:00:01.0', '0000:07:00.0']);
      expect(await readlink('/sys/bus/pci/devices/0000:07:00.0'))
        .toBe('../../../devices/pci0000:00/0000:00:01.0/0000:07:00.0');
      expect(await readlink(`${PF}/subsystem`)).toBe('../../../../bus/pci');
      expect(await readlink(`${PF}/iommu_group`)).toBe('../../../../kernel/iommu_groups/2');
      expect(await ls('/sys/kernel/iommu_groups/2/devices')).toEqual(['0000:07:00.0']);
      expect(await ls('/sys/bus/pci')).toEqual(['devices', 'drivers', 'drivers_autoprobe', 'drivers_probe', 'rescan', 'uevent']);
    });
  });

  it('shows the attributes of a function', async () => {
    const kernel = await bootPci();
    await kernel.sh(async ({ ls, cat }) => {
      expect(await ls(PF)).toEqual([
        'ari_enabled', 'broken_parity_status', 'class', 'config', 'consistent_dma_mask_bits', 'current_link_speed', 'current_link_width', 'd3cold_allowed', 'device', 'dma_mask_bits',
        'driver_override', 'enable', 'iommu_group', 'irq', 'local_cpulist', 'local_cpus', 'max_link_speed', 'max_link_width', 'modalias', 'msi_bus',
        'numa_node', 'power', 'power_state', 'remove', 'rescan', 'reset', 'reset_method', 'resource', 'resource0', 'resource2', 'resource4', 'revision',
        'sriov_drivers_autoprobe', 'sriov_numvfs', 'sriov_offset', 'sriov_stride', 'sriov_totalvfs', 'sriov_vf_device', 'sriov_vf_total_msix',
        'subsystem', 'subsystem_device', 'subsystem_vendor', 'uevent', 'vendor',
      ]);
      const read = async (...names: string[]): Promise<string[]> => {
        const texts = [];
        for (const name of names) texts.push(await cat(`${PF}/${name}`));
        return texts;
      };
      expect(await read('vendor', 'device', 'subsystem_vendor', 'subsystem_device', 'class', 'revision'))
        .toEqual(['0x1af4\n', '0x1041\n', '0x8086\n', expect.stringMatching(/^0x[0-9a-f]{4}\n$/), '0x020000\n', expect.stringMatching(/^0x[0-9a-f]{2}\n$/)]);
      expect(await read('enable', 'irq', 'numa_node', 'msi_bus', 'driver_override'))
        .toEqual(['0\n', '0\n', '-1\n', '1\n', '(null)\n']);
      expect(await read('power_state', 'dma_mask_bits', 'consistent_dma_mask_bits', 'local_cpus', 'local_cpulist', 'broken_parity_status', 'd3cold_allowed'))
        .toEqual(['unknown\n', '32\n', '32\n', '1\n', '0\n', '0\n', '0\n']);
      expect(await read('sriov_totalvfs', 'sriov_numvfs', 'sriov_offset', 'sriov_stride', 'sriov_vf_device', 'sriov_drivers_autoprobe'))
        .toEqual(['4\n', '0\n', '1\n', '1\n', expect.stringMatching(/^1041\n$/), '1\n']);
      expect((await cat(`${PF}/resource`)).split('\n').slice(0, 3)).toEqual([
        '0x00000000c0000000 0x00000000c0003fff 0x0000000000140204',
        '0x0000000000000000 0x0000000000000000 0x0000000000000000',
        '0x00000000c0014000 0x00000000c0015fff 0x0000000000140204',
      ]);
      expect((await cat(`${PF}/resource`)).trimEnd().split('\n')).toHaveLength(13);
    });
  });

  it('shows bus numbers and windows of a bridge, and nothing of SR-IOV', async () => {
    const kernel = await bootPci({ pci: { ...oneCard, root_ports: [{ at: '00:01.0', bus: 7, buses: 3, acs: true }] } });
    await kernel.sh(async ({ ls, cat }) => {
      expect(await cat(`${PORT}/secondary_bus_number`)).toBe('7\n');
      expect(await cat(`${PORT}/subordinate_bus_number`)).toBe('9\n');
      expect(await ls(PORT)).not.toContain('sriov_numvfs');
      expect(await ls(PORT)).toContain('0000:07:00.0');
      const lines = (await cat(`${PORT}/resource`)).trimEnd().split('\n');
      expect(lines).toHaveLength(17);
      expect(lines[14]).toBe('0x00000000c0000000 0x00000000c00fffff 0x0000000000000200');
    });
  });

  it('writes the lines of a uevent in Linux order', async () => {
    const kernel = await bootPci();
    await kernel.sh(async ({ cat }) => {
      const subsystem = (await cat(`${PF}/subsystem_device`)).slice(2, 6).toUpperCase();
      expect(await cat(`${PF}/uevent`)).toBe([
        'PCI_CLASS=20000', 'PCI_ID=1AF4:1041', `PCI_SUBSYS_ID=8086:${subsystem}`, 'PCI_SLOT_NAME=0000:07:00.0',
        `MODALIAS=pci:v00001AF4d00001041sv00008086sd0000${subsystem}bc02sc00i00`, '',
      ].join('\n'));
      expect(await cat(`${PF}/modalias`)).toBe(`pci:v00001AF4d00001041sv00008086sd0000${subsystem}bc02sc00i00\n`);
    });
  });

  it('gives each of several root ports a window of its own', async () => {
    const kernel = await bootPci({
      pci: {
        root_ports: [{ at: '00:01.0', bus: 1, buses: 1, acs: true }, { at: '00:02.0', bus: 2, buses: 1, acs: true }],
        functions: [n3000('01:00.0', { total: 2, offset: 1, stride: 1 }), n3000('02:00.0', { total: 2, offset: 1, stride: 1 })],
      },
    });
    const [first, second] = kernel.k.pci_devices().filter(({ bus }) => bus > 0);
    expect(first!.resource[0]!.start).toBe(0xc000_0000);
    expect(second!.resource[0]!.start).toBe(0xc010_0000);
    expect(kernel.hw.machine.pci!.configRead(0, 0x10, 0x20, 4)).toBe(0xc010_c010);
  });

  it('keeps an address that firmware assigned', async () => {
    const kernel = await bootPci({
      firmware: (host) => {
        host.configWrite(7, 0, 0x18, 4, 0xc008_0000);
        // A port that is open over a range of its own keeps that range.
        host.configWrite(0, 8, 0x20, 4, 0xc00f_c000);
      },
    });
    const pf = kernel.k.pci_devices().at(-1)!;
    expect(pf.resource[2]!.start).toBe(0xc008_0000);
    expect(pf.resource[0]!.start).toBe(0xc000_0000);
    expect(kernel.dmesg().join('\n')).not.toMatch(/can't claim/);
  });

  it('moves an address that nothing leads to', async () => {
    const kernel = await bootPci({ firmware: (host) => host.configWrite(7, 0, 0x18, 4, 0x8000_0000) });
    const pf = kernel.k.pci_devices().at(-1)!;
    expect(pf.resource[2]!.start).toBeGreaterThanOrEqual(0xc000_0000);
    expect(kernel.dmesg()).toContain(
      "pci 0000:07:00.0: BAR 2 [mem 0x80000000-0x80001fff 64bit]: can't claim; no compatible bridge window");
  });

  it('ignores a bridge whose bus numbers make no sense', async () => {
    const kernel = await bootPci({ firmware: (host) => host.configWrite(0, 8, 0x19, 1, 0) });
    expect(kernel.k.pci_devices().map((fn) => fn.dev.name)).toEqual(['0000:00:00.0', '0000:00:01.0']);
    expect(kernel.dmesg()).toContain('pci 0000:00:01.0: bridge configuration invalid ([bus 00-07])');
  });

  it('switches off VFs that firmware left on', async () => {
    const kernel = await bootPci({
      firmware: (host) => {
        const at = sriovAt(host);
        host.configWrite(7, 0, at + 0x10, 2, 2);
        host.configWrite(7, 0, at + 0x08, 2, 1);
      },
    });
    expect(kernel.hw.machine.pci!.configRead(7, 0, sriovAt(kernel.hw.machine.pci!) + 0x08, 2) & 1).toBe(0);
    expect(kernel.system!.find('07:00.1')).toBeNull();
  });

  it('of a machine without PCI leaves an empty bus', async () => {
    const kernel = await bootPci({ pci: null });
    expect(kernel.k.pci_devices()).toEqual([]);
    await kernel.sh(async ({ ls, echo }) => {
      expect(await ls('/sys/bus/pci/devices')).toEqual([]);
      expect(await echo('1', '/sys/bus/pci/rescan')).toBe('ok');
    });
  });

  it('of a machine without IOMMU makes no groups', async () => {
    const kernel = await bootPci({ iommu: false });
    await kernel.sh(async ({ ls }) => {
      expect(await ls(PF)).not.toContain('iommu_group');
      expect(await ls('/sys/kernel/iommu_groups')).toEqual([]);
    });
    expect(kernel.k.pci_devices()[2]!.dev.dma).toMatchObject({ rid: 0x700, pasid: null });
  });
});

describe('IOMMU groups', () => {
  const groupOf = (kernel: Awaited<ReturnType<typeof bootPci>>): Record<string, number> =>
    Object.fromEntries(kernel.k.pci_devices().map(({ dev }) => [dev.name.slice(5), kernel.k.iommu_group_get(dev)!.id]));

  it('hold one function each behind a root port with ACS', async () => {
    const kernel = await bootPci();
    expect(groupOf(kernel)).toEqual({ '00:00.0': 0, '00:01.0': 1, '07:00.0': 2 });
  });

  it('hold the root port and all behind it when it has no ACS', async () => {
    const kernel = await bootPci({ pci: { ...oneCard, root_ports: [{ at: '00:01.0', bus: 7, buses: 1, acs: false }] } });
    expect(groupOf(kernel)).toEqual({ '00:00.0': 0, '00:01.0': 1, '07:00.0': 1 });
  });
});

/** Offset of the SR-IOV capability of 07:00.0. */
function sriovAt(host: { configRead: (bus: number, devfn: number, where: number, size: 4) => number }): number {
  let at = 0x100;
  while ((host.configRead(7, 0, at, 4) & 0xffff) !== 0x10) at = host.configRead(7, 0, at, 4) >>> 20;
  return at;
}
