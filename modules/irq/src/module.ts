/** Interrupts. Mirrors `kernel/irq` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import type { Atomic, VmlinuxSymbols } from '@vdpalab/abi';
import type { FsSymbols } from '@vdpalab/fs';
import type { IrqInfo } from './header.ts';
import { procInterrupts } from './proc-interrupts.ts';
import { IrqTable } from './table.ts';

/** What it asks of the kernel. */
const imports = ['machine', '_printk', 'proc_create', 'kernfs_remove'] as const satisfies readonly (keyof VmlinuxSymbols | keyof FsSymbols)[];

export default defineModule({
  name: 'irq',
  license: 'GPL',
  description: 'Interrupt descriptors, handlers and /proc/interrupts',
  builtin: true,
  imports,
  exports: ['request_irq', 'free_irq', 'disable_irq', 'enable_irq'],
  exportsGpl: ['irq_alloc_msi', 'irq_free_msi', 'irq_set_vcpu_affinity', 'irq_info', 'irq_leftovers'],

  module_init(k, mod) {
    const { sched, irq: chip } = k.machine;
    const table = new IrqTable(k);

    function info(): IrqInfo[] {
      return table.descs().map((desc) => ({
        irq: desc.irq, count: desc.count, posted: desc.posted, chip: desc.chip, actions: desc.actions.map((action) => action.name),
      }));
    }

    chip.onInterrupt = (vector) => table.onVector(vector);
    mod.undo.push('interrupt entry', () => {
      chip.onInterrupt = null;
    });
    const file = k.proc_create('/proc/interrupts', 0o444, () => {
      const spurious = table.descs().reduce((sum, desc) => sum + desc.spurious, table.spurious);
      return procInterrupts(info(), (irq) => table.desc(irq).hwirq, spurious);
    });
    mod.undo.push('/proc/interrupts', () => k.kernfs_remove(file));

    return {
      ksymtab: {
        irq_alloc_msi: (name, hwirq, source) => table.alloc(name, hwirq, source),
        irq_free_msi: (irq): Atomic => table.free(irq) as undefined,
        request_irq: async (irq, handler, flags, name, devId) => table.request(irq, { handler, flags, name, devId }),
        // Handlers run to their end before any task goes on, so none is running here: what is pending may come first.
        free_irq: async (irq, devId) => {
          await sched.point();
          table.release(irq, devId);
        },
        disable_irq: async (irq) => {
          table.desc(irq).depth++;
          await sched.point();
        },
        enable_irq: (irq): Atomic => table.desc(irq).enable() as undefined,
        irq_set_vcpu_affinity: (irq, vcpu): Atomic => void (table.desc(irq).vcpu = vcpu),
        irq_info: info,
        irq_leftovers: () => table.leftovers(),
      },
      module_exit: null,
    };
  },
});
