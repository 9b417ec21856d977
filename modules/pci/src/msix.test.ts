import { errnoOf } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { faultInjector } from './testing/faults.ts';
import { bootPci } from './testing/kernel.ts';
import type { PciKernel } from './testing/kernel.ts';

const PF = '/sys/bus/pci/devices/0000:07:00.0';
const MSIX = 0x11;

/** The PF, decoding and mastering. */
async function ready(kernel: PciKernel) {
  const { k } = kernel;
  const pf = k.pci_devices()[2]!;
  await kernel.run(async () => {
    k.pcim_enable_device(pf);
    k.pci_set_master(pf);
  });
  return { k, pf, model: kernel.system!.find('07:00.0')!, at: k.pci_find_capability(pf, MSIX) };
}

describe('MSI-X', () => {
  it('delivers what the device fires to the handler of that vector', async () => {
    const kernel = await bootPci();
    const { k, pf, model } = await ready(kernel);
    const seen: number[] = [];
    await kernel.run(async () => {
      expect(await k.pci_alloc_irq_vectors(pf, 1, 2)).toBe(2);
      for (const nr of [0, 1]) {
        await k.request_irq(k.pci_irq_vector(pf, nr), () => {
          seen.push(nr);
          return 'IRQ_HANDLED';
        }, 0, `toy-${nr}`, pf);
      }
    });
    model.msix!.fire(1);
    model.msix!.fire(0);
    await kernel.settle();
    expect(seen.toSorted()).toEqual([0, 1]);
    expect(k.irq_info().map(({ chip, count }) => [chip, count])).toEqual([['PCI-MSI', 1], ['PCI-MSI', 1]]);
    await kernel.sh(async ({ cat }) => {
      expect((await cat('/proc/interrupts')).match(/PCI-MSI .*/g)).toEqual(['PCI-MSI 3670016-edge      toy-0', 'PCI-MSI 3670017-edge      toy-1']);
    });
    await kernel.run(async () => {
      await expect(k.pci_free_irq_vectors(pf)).rejects.toThrow('freed while');
      for (const nr of [0, 1]) await k.free_irq(k.pci_irq_vector(pf, nr), pf);
      await k.pci_free_irq_vectors(pf);
      await k.pci_free_irq_vectors(pf);
    });
    expect(pf.msix_enabled).toBe(false);
    expect(kernel.hw.leftovers().filter(({ kind }) => kind === 'vector')).toEqual([]);
  });

  it('switches the capability on and INTx off, shows its numbers, and takes all that back', async () => {
    const kernel = await bootPci();
    const { k, pf, model, at } = await ready(kernel);
    await kernel.run(() => k.pci_alloc_irq_vectors(pf, 1, 2));
    expect(k.pci_read_config_word(pf, at + 2) & 0xc000).toBe(0x8000);
    expect(k.pci_read_config_word(pf, 4) & 0x400).toBe(0x400);
    expect([model.msix!.on, pf.msix_enabled]).toEqual([true, true]);
    await kernel.sh(async ({ ls, cat }) => {
      expect(await ls(`${PF}/msi_irqs`)).toEqual([0, 1].map((nr) => String(k.pci_irq_vector(pf, nr))));
      expect(await cat(`${PF}/msi_irqs/${k.pci_irq_vector(pf, 1)}`)).toBe('msix\n');
      expect(await cat(`${PF}/irq`)).toBe(`${k.pci_irq_vector(pf, 0)}\n`);
    });
    expect(k.pci_leftovers()).toEqual(['0000:07:00.0: 2 MSI-X vectors']);
    await kernel.run(() => k.pci_free_irq_vectors(pf));
    expect(k.pci_read_config_word(pf, at + 2) & 0xc000).toBe(0);
    expect(k.pci_read_config_word(pf, 4) & 0x400).toBe(0);
    expect(await kernel.sh(({ ls }) => ls(PF))).not.toContain('msi_irqs');
  });

  it('writes messages into the table by MMIO, and masks what is not used', async () => {
    const kernel = await bootPci();
    const { k, pf, at } = await ready(kernel);
    const total = k.pci_msix_vec_count(pf);
    await kernel.run(() => k.pci_alloc_irq_vectors(pf, 1, 1));
    const where = k.pci_read_config_dword(pf, at + 4);
    const table = pf.resource[where & 7]!.start + (where & ~7);
    const entry = (i: number): number[] => [0, 4, 8, 12].map((offset) => kernel.machine.mmio.read(table + 16 * i + offset, 4));
    expect(entry(0)[0]! >>> 20).toBe(0xfee);
    expect(entry(0)[3]).toBe(0);
    expect(entry(total - 1)[3]).toBe(1);
  });

  it('refuses what the function cannot do', async () => {
    const kernel = await bootPci();
    const { k, pf } = await ready(kernel);
    const total = k.pci_msix_vec_count(pf);
    const alloc = (min: number, max: number): Promise<string> => kernel.run(() => errnoOf(() => k.pci_alloc_irq_vectors(pf, min, max)));
    expect(await alloc(total + 1, total + 5)).toBe('ENOSPC');
    expect(await alloc(2, 1)).toBe('ERANGE');
    expect(await alloc(0, 1)).toBe('EINVAL');
    expect(await alloc(1, 999)).toBe('ok');
    expect(await alloc(1, 1)).toBe('EINVAL');
    expect(() => k.pci_irq_vector(pf, total)).toThrow(expect.objectContaining({ errno: 'EINVAL' }) as Error);
    const bridge = k.pci_devices()[0]!;
    expect(() => k.pci_msix_vec_count(bridge)).toThrow(expect.objectContaining({ errno: 'EINVAL' }) as Error);
    expect(await kernel.run(() => errnoOf(() => k.pci_alloc_irq_vectors(bridge, 1, 1)))).toBe('EINVAL');
  });

  it('is refused while the table has no address', async () => {
    const kernel = await bootPci();
    const { k, pf, at } = await ready(kernel);
    (pf.resource[k.pci_read_config_dword(pf, at + 4) & 7] as { start: number }).start = 0;
    expect(await kernel.run(() => errnoOf(() => k.pci_alloc_irq_vectors(pf, 1, 1)))).toBe('ENOMEM');
  });

  it('takes fewer vectors when the machine has no more, but not fewer than the least', async () => {
    const kernel = await bootPci({ vectors: 1 });
    const { k, pf, at } = await ready(kernel);
    expect(await kernel.run(() => errnoOf(() => k.pci_alloc_irq_vectors(pf, 2, 2)))).toBe('ENOSPC');
    expect([pf.msix_enabled, k.pci_read_config_word(pf, at + 2) & 0xc000]).toEqual([false, 0]);
    expect(await kernel.run(() => k.pci_alloc_irq_vectors(pf, 1, 2))).toBe(1);
  });

  it('leaves nothing when a step fails', async () => {
    const inject = faultInjector({ pci: ['irq_alloc_msi', 'kernfs_create_dir', 'kernfs_create_file'] });
    const kernel = await bootPci({ wrap: inject.wrap });
    const { k, pf, at } = await ready(kernel);
    const failed: string[] = [];
    for (let n = 1; ; n++) {
      inject.arm(n);
      const result = await kernel.run(() => errnoOf(() => k.pci_alloc_irq_vectors(pf, 2, 2)));
      const fired = inject.fired();
      inject.arm(0);
      if (fired === null) break;
      failed.push(`${fired} ${result}`);
      expect([pf.msix_enabled, k.pci_read_config_word(pf, at + 2) & 0xc000, k.pci_leftovers(), k.irq_leftovers()]).toEqual([false, 0, [], []]);
      expect(await kernel.sh(({ ls }) => ls(PF))).not.toContain('msi_irqs');
      expect(kernel.hw.leftovers().filter(({ kind }) => kind === 'vector')).toEqual([]);
    }
    expect(failed).toEqual([
      'pci irq_alloc_msi ENOMEM', 'pci irq_alloc_msi ENOMEM', 'pci kernfs_create_dir ENOMEM', 'pci kernfs_create_file ENOMEM',
      'pci kernfs_create_file ENOMEM',
    ]);
  });

  it('is forbidden by msi_bus', async () => {
    const kernel = await bootPci();
    const { k, pf } = await ready(kernel);
    kernel.dmesg();
    await kernel.sh(async ({ echo, cat }) => {
      expect(await echo('x', `${PF}/msi_bus`)).toBe('EINVAL');
      expect(await echo('0', `${PF}/msi_bus`)).toBe('ok');
      expect(await cat(`${PF}/msi_bus`)).toBe('0\n');
    });
    expect(kernel.dmesg()).toEqual(['pci 0000:07:00.0: MSI/MSI-X disallowed for future drivers']);
    expect(await kernel.run(() => errnoOf(() => k.pci_alloc_irq_vectors(pf, 1, 1)))).toBe('EINVAL');
  });
});
