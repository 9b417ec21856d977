/** Mapping and unmapping. Mirrors `do_mmap` and `do_munmap` in `mm/mmap.c` (Linux 6.1); pages come at once, not on fault. */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import { MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, MAP_TYPE } from '@vdpalab/uapi';
import { AddressSpace, TASK_SIZE } from './address-space.ts';
import type { PageAllocator } from './allocator.ts';
import { Area } from './area.ts';
import type { MmStruct, MmSymbols, PageRun } from './header.ts';
import { PAGE_SIZE, pageAligned, pagesOf, rangeText } from './page.ts';
import type { Pins } from './pins.ts';

function refuse(errno: 'EINVAL' | 'ENOMEM' | 'EEXIST', rule: string, text: string): KernelError {
  return new KernelError(errno, `mm.${rule}`, text);
}

/** Make the mapping symbols of one kernel. */
export function createMapping(
  allocator: PageAllocator, pins: Pins,
): Pick<MmSymbols, 'mm_map' | 'mm_unmap'> & { readonly unmapAll: (mm: AddressSpace) => void } {
  function own(mm: MmStruct): AddressSpace {
    if (mm instanceof AddressSpace) return mm;
    throw new Error(`mm ${mm.id} is not an address space of this kernel`);
  }

  /** Where the new area goes. */
  function place(mm: AddressSpace, addr: number, len: number, flags: number): number {
    if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0) {
      if (!pageAligned(addr)) throw refuse('EINVAL', 'map.fixed', `MAP_FIXED at 0x${addr.toString(16)}: not page-aligned`);
      if (addr < 0 || addr > TASK_SIZE - len) {
        throw refuse('ENOMEM', 'map.fixed', `MAP_FIXED at ${rangeText(addr, len)}: user space ends at 0x${TASK_SIZE.toString(16)}`);
      }
      if ((flags & MAP_FIXED_NOREPLACE) !== 0 && mm.overlapping(addr, addr + len).length > 0) {
        throw refuse('EEXIST', 'map.noreplace', `MAP_FIXED_NOREPLACE at ${rangeText(addr, len)}: taken`);
      }
      return addr;
    }
    const hint = Math.ceil(addr / PAGE_SIZE) * PAGE_SIZE;
    if (hint > 0 && hint <= TASK_SIZE - len && mm.overlapping(hint, hint + len).length === 0) return hint;
    const free = mm.unmappedArea(len);
    if (free === null) throw refuse('ENOMEM', 'map.space', `mm ${mm.id}: no free range of ${len} bytes`);
    return free;
  }

  function freeOwned(runs: readonly PageRun[]): void {
    for (const run of runs) for (const idle of pins.release(run)) allocator.free(idle);
  }

  /** Take `[start, end)` out; the `close` of areas that are gone runs when the list is whole again. */
  function cut(mm: AddressSpace, start: number, end: number): void {
    const gone: Area[] = [];
    for (const area of mm.overlapping(start, end)) {
      const from = Math.max(area.start, start);
      const to = Math.min(area.end, end);
      const lost = area.slice(from, to);
      if (from > area.start && to < area.end) {
        mm.insert(area.split(from, to));
      } else if (from > area.start) {
        area.shrink(area.start, from);
      } else if (to < area.end) {
        area.shrink(to, area.end);
      } else {
        mm.remove(area);
        if (--area.siblings.count === 0) gone.push(area);
      }
      if (area.ownsPages && lost.kind === 'pages') freeOwned(lost.runs);
    }
    for (const area of gone) {
      const { close } = area;
      area.close = null; // told once
      close?.();
    }
  }

  return {
    mm_map: (given, addr, len, prot, flags, pgoff, anonymous) => {
      const mm = own(given);
      if (!Number.isSafeInteger(len) || len <= 0) throw refuse('EINVAL', 'map.length', `mmap of ${len} bytes`);
      const type = flags & MAP_TYPE;
      if (type !== MAP_SHARED && type !== MAP_PRIVATE && (type !== MAP_SHARED_VALIDATE || anonymous)) {
        throw refuse('EINVAL', 'map.type', `mmap flags 0x${flags.toString(16)}: neither MAP_SHARED nor MAP_PRIVATE`);
      }
      const bytes = pagesOf(len) * PAGE_SIZE;
      if (bytes > TASK_SIZE) throw refuse('ENOMEM', 'map.length', `mmap of ${len} bytes: larger than user space`);
      const start = place(mm, addr, bytes, flags);
      const area = new Area({ start, end: start + bytes, prot, flags, pgoff, mm });
      if (anonymous) {
        area.backing = { kind: 'pages', runs: allocator.allocScattered(bytes / PAGE_SIZE) };
        area.ownsPages = true;
      }
      cut(mm, start, area.end);
      mm.insert(area);
      return area;
    },
    mm_unmap: (given, addr, len): Atomic => {
      const mm = own(given);
      if (!pageAligned(addr) || addr < 0) throw refuse('EINVAL', 'unmap.address', `munmap at 0x${addr.toString(16)}: not page-aligned`);
      if (!(len > 0) || addr > TASK_SIZE - len) throw refuse('EINVAL', 'unmap.length', `munmap of ${len} bytes at 0x${addr.toString(16)}`);
      cut(mm, addr, addr + pagesOf(len) * PAGE_SIZE);
    },
    unmapAll: (mm) => cut(mm, 0, TASK_SIZE),
  };
}
