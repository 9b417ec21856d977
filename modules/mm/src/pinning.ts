/** Pinning user pages and accounting them. Mirrors `mm/gup.c` and `account_locked_vm` in `mm/util.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, Ram } from '@vdpalab/abi';
import { PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import type { PageAllocator } from './allocator.ts';
import { ForeignMm, type Foreigners } from './foreign.ts';
import type { MmStruct, MmSymbols, PageRun, VmArea } from './header.ts';
import { PAGE_SIZE, appendRun, pfn, sliceRuns } from './page.ts';
import type { Pins } from './pins.ts';

function fault(mm: MmStruct, va: number, why: string): KernelError {
  return new KernelError('EFAULT', 'mm.pin.page', `mm ${mm.id}: pin of page 0x${va.toString(16)}: ${why}`);
}

/** `check_vma_flags`: what GUP wants of an area. */
function checkArea(mm: MmStruct, area: VmArea, va: number, write: boolean): readonly PageRun[] {
  if (write && (area.prot & PROT_WRITE) === 0) throw fault(mm, va, `not writable (prot ${area.prot})`);
  if (!write && (area.prot & PROT_READ) === 0) throw fault(mm, va, `not readable (prot ${area.prot})`);
  if (area.backing.kind !== 'pages') throw fault(mm, va, area.backing.kind === 'io' ? 'device registers' : 'nothing behind it');
  return area.backing.runs;
}

function findArea(mm: MmStruct, va: number): VmArea | undefined {
  const { areas } = mm;
  let low = 0;
  let high = areas.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((areas[middle] as VmArea).end > va) high = middle;
    else low = middle + 1;
  }
  const area = areas[low];
  return area !== undefined && area.start <= va ? area : undefined;
}

/** Make the pinning symbols of one kernel; they work on any {@link MmStruct} whose areas name their pages. */
export function createPinning(
  ram: Ram, allocator: PageAllocator, pins: Pins, foreigners: Foreigners,
): Pick<MmSymbols, 'pin_user_pages' | 'unpin_user_pages' | 'account_locked_vm'> {
  /** Physical runs of the whole pages of `[start, end)`. */
  function gather(mm: MmStruct, start: number, end: number, write: boolean): PageRun[] {
    const out: PageRun[] = [];
    for (let va = start; va < end;) {
      const area = findArea(mm, va);
      if (area === undefined) throw fault(mm, va, 'not mapped');
      const to = Math.min(area.end, end);
      const runs = sliceRuns(checkArea(mm, area, va, write), pfn(va - area.start), pfn(to - area.start));
      if (runs.reduce((sum, run) => sum + run.pages, 0) !== pfn(to - va)) throw fault(mm, va, 'nothing behind a page of the area');
      for (const run of runs) {
        if (ram.find(run.pa, run.pages * PAGE_SIZE) === null) throw fault(mm, va, `no RAM at 0x${run.pa.toString(16)}`);
        // Regions lie in different buffers: a run must not cross from one into the next.
        const last = out.at(-1);
        const joinable = last !== undefined && ram.find(last.pa, (last.pages + run.pages) * PAGE_SIZE) !== null;
        if (joinable) appendRun(out, run);
        else out.push(run);
      }
      va = to;
    }
    return out;
  }

  return {
    pin_user_pages: (mm, va, len, write) => {
      if (!Number.isSafeInteger(va) || !Number.isSafeInteger(len) || va < 0 || len < 0) throw fault(mm, va, `${len} bytes from there`);
      if (len === 0) return [];
      const [start, end] = [pfn(va) * PAGE_SIZE, Math.ceil((va + len) / PAGE_SIZE) * PAGE_SIZE];
      if (mm instanceof ForeignMm) return mm.pin(start, end, write);
      const runs = gather(mm, start, end, write);
      pins.pin(runs);
      return runs;
    },
    unpin_user_pages: (runs, _dirty): Atomic => {
      for (const run of pins.unpin(runs)) allocator.free(run);
      foreigners.unpinned(runs);
    },
    account_locked_vm: (mm, pages, limit): Atomic => {
      const locked = mm.locked_vm + pages;
      if (locked < 0) throw new Error(`mm ${mm.id}: ${-pages} pages given back, ${mm.locked_vm} accounted`);
      if (pages > 0 && locked * PAGE_SIZE > limit) {
        throw new KernelError('ENOMEM', 'mm.locked.limit',
          `mm ${mm.id}: ${mm.locked_vm} + ${pages} pages locked, RLIMIT_MEMLOCK ${limit} bytes`);
      }
      mm.locked_vm = locked;
    },
  };
}
