/** Pages, address spaces and pinning. Mirrors `mm/{page_alloc,mmap,gup,util}.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import { AddressSpace } from './address-space.ts';
import { createAllocator } from './allocator.ts';
import { createForeigners, ForeignMm } from './foreign.ts';
import { createMapping } from './mapping.ts';
import { PAGE_SIZE, rangeText } from './page.ts';
import type { MmStruct } from './header.ts';
import { createPinning } from './pinning.ts';
import { createPins } from './pins.ts';

export default defineModule({
  name: 'mm',
  license: 'GPL',
  description: 'Page allocator, address spaces and page pinning',
  builtin: true,
  imports: ['machine'],
  exports: ['alloc_pages', 'free_pages', 'phys_view', 'mmput', 'pin_user_pages', 'unpin_user_pages'],
  exportsGpl: [
    'nr_free_pages', 'mm_alloc', 'mm_foreign', 'mmget', 'mm_map', 'mm_unmap', 'account_locked_vm', 'mm_leftovers',
  ],

  module_init({ machine }) {
    const { ram, mmio, sched } = machine;
    const allocator = createAllocator(ram);
    const pins = createPins(ram);
    const { unmapAll, ...mapping } = createMapping(allocator, pins);
    const foreigners = createForeigners(ram, pins);
    const spaces = new Set<AddressSpace | ForeignMm>();
    /** Runs handed out by alloc_pages, with the task that asked. */
    const kernelRuns = new Map<number, { readonly pages: number; readonly owner: string }>();
    let nextId = 1;

    function own(mm: MmStruct): AddressSpace | ForeignMm {
      if (mm instanceof AddressSpace || mm instanceof ForeignMm) return mm;
      throw new Error(`mm ${mm.id} is not of this kernel`);
    }

    return {
      ksymtab: {
        alloc_pages: (pages) => {
          const run = allocator.alloc(pages);
          kernelRuns.set(run.pa, { pages, owner: sched.current?.name ?? 'boot' });
          return run;
        },
        free_pages: (run): Atomic => {
          const range = rangeText(run.pa, run.pages * PAGE_SIZE);
          if (kernelRuns.get(run.pa)?.pages !== run.pages) throw new Error(`free of ${range}: alloc_pages gave no such run`);
          if (pins.anyPinned(run)) throw new Error(`free of ${range}: pinned`);
          kernelRuns.delete(run.pa);
          allocator.free(run);
        },
        phys_view: (pa, len) => ram.view(pa, len),
        nr_free_pages: () => allocator.freePages(),
        mm_alloc: () => {
          const mm = new AddressSpace(nextId++, ram, mmio);
          spaces.add(mm);
          return mm;
        },
        mm_foreign: (memory) => {
          const mm = foreigners.make(nextId++, memory);
          spaces.add(mm);
          return mm;
        },
        mmget: (given): Atomic => {
          const mm = own(given);
          if (mm.users === 0) throw new Error(`mmget of mm ${mm.id}: it is gone`);
          mm.users++;
        },
        mmput: (given): Atomic => {
          const mm = own(given);
          if (mm.users === 0) throw new Error(`mmput of mm ${mm.id}: it is gone`);
          if (--mm.users > 0) return;
          if (mm instanceof ForeignMm) mm.end();
          else unmapAll(mm);
          spaces.delete(mm);
        },
        ...mapping,
        ...createPinning(ram, allocator, pins, foreigners),
        mm_leftovers: () => [
          ...[...spaces].map((mm) => `mm ${mm.id}: ${mm.users} users, ${mm instanceof ForeignMm ? 'of a process outside' : `${mm.areas.length} areas`}`),
          ...[...kernelRuns].map(([pa, run]) => `pages ${rangeText(pa, run.pages * PAGE_SIZE)} allocated by ${run.owner}`),
          ...pins.leftovers(),
        ],
      },
      module_exit: null,
    };
  },
});
