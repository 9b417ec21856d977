import { describe, expect, it } from 'vitest';
import { bootPci, n3000, pciId, toyDriver } from './testing/kernel.ts';
import type { PciKernel } from './testing/kernel.ts';

/** Node's; packages under modules/ do without its types. */
declare const process: { readonly cpuUsage: (since?: object) => { readonly user: number; readonly system: number } };

const PF = '/sys/devices/pci0000:00/0000:00:01.0/0000:07:00.0';

/** A PF with room for 1,024 VFs on five bus numbers. */
async function boot(): Promise<PciKernel> {
  const pf = { ...n3000('07:00.0', { total: 1024, offset: 1, stride: 1 }), ids: { device: 0x0b30 }, queue_size: 64 };
  const kernel = await bootPci({
    pci: { root_ports: [{ at: '00:01.0', bus: 7, buses: 5, acs: true }], functions: [pf] },
  });
  await kernel.run(() => kernel.k.__pci_register_driver(
    toyDriver('pf', [pciId(0x1af4, 0x0b30)], [], { sriov_configure: kernel.k.pci_sriov_configure_simple })));
  return kernel;
}

/** Milliseconds of CPU to make and remove that many VFs, on average: collecting garbage is part of it. */
async function cycle(kernel: PciKernel, count: number, times: number): Promise<number> {
  const before = process.cpuUsage();
  await kernel.sh(async ({ echo }) => {
    for (let i = 0; i < times; i++) {
      expect(await echo(String(count), `${PF}/sriov_numvfs`)).toBe('ok');
      expect(await echo('0', `${PF}/sriov_numvfs`)).toBe('ok');
    }
  });
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / times;
}

describe('1,024 VFs', () => {
  it('come and go in time that grows with their number', async () => {
    const kernel = await boot();
    await cycle(kernel, 64, 6); // compiled from here on
    const few = await cycle(kernel, 64, 6);
    const many = await cycle(kernel, 1024, 1);
    expect(many / few, `64 VFs in ${few} ms, 1024 in ${many} ms`).toBeLessThanOrEqual(20);
    expect(kernel.hw.iommu!.tables()).toHaveLength(3);
  }, 120_000);
});
