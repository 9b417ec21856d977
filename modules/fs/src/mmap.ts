/** Mapping files. Mirrors `ksys_mmap_pgoff` and `do_mmap` in `mm/mmap.c` (Linux 6.1). */
import type { Atomic, KernelSymbols } from '@vdpalab/abi';
import type { VmArea } from '@vdpalab/mm';
import { MAP_ANONYMOUS, MAP_SHARED, MAP_SHARED_VALIDATE, MAP_TYPE, PROT_WRITE } from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { FsSymbols } from './header.ts';
import type { OpenFile, OpenFiles } from './open-file.ts';

const PAGE_SIZE = 4096;

/**
 * Files whose last reference may go where nobody can sleep: an area's `close`.
 *
 * As `fput` does, the release is put off: to the end of the system call that unmapped, or to a work.
 */
export interface DelayedFput {
  /** Run `action`; files put meanwhile are the caller's to put for good. */
  readonly collect: (action: () => Atomic) => readonly OpenFile[];
  readonly put: (file: OpenFile) => Atomic;
}

/** Make the delayed puts of one kernel. */
export function createDelayedFput(
  k: Pick<KernelSymbols, 'INIT_WORK' | 'queue_work' | 'system_wq'>, files: OpenFiles,
): DelayedFput {
  const late: OpenFile[] = [];
  let collector: OpenFile[] | null = null;
  const work = k.INIT_WORK('delayed_fput', async () => {
    for (let file = late.shift(); file !== undefined; file = late.shift()) await files.fput(file);
  });
  return {
    collect: (action) => {
      const outer = collector;
      const mine: OpenFile[] = [];
      collector = mine;
      try {
        action();
      } finally {
        collector = outer;
      }
      return mine;
    },
    put: (file): Atomic => {
      if (collector !== null) {
        collector.push(file);
        return;
      }
      late.push(file);
      k.queue_work(k.system_wq, work);
    },
  };
}

/** Make the mapping calls of one kernel. */
export function createMmap(
  k: Pick<KernelSymbols, 'mm_map' | 'mm_unmap'>, files: OpenFiles, fputs: DelayedFput,
): Pick<FsSymbols, 'ksys_mmap' | 'ksys_munmap'> {
  /** @throws EACCES when the file was not opened for what the mapping may do; ENODEV when it cannot be mapped */
  function checkFile(file: OpenFile, prot: number, flags: number): void {
    const type = flags & MAP_TYPE;
    const shared = type === MAP_SHARED || type === MAP_SHARED_VALIDATE;
    if (shared && (prot & PROT_WRITE) !== 0 && !file.writable) {
      throw fail('EACCES', 'mmap.write', `${file.path}: shared writable mapping, not opened for writing`);
    }
    if (!file.readable) throw fail('EACCES', 'mmap.read', `${file.path}: mapping, not opened for reading`);
    if (file.ops.mmap === undefined) throw fail('ENODEV', 'mmap.no-op', `${file.path} cannot be mapped`);
  }

  /** The file lives as long as the mapping. */
  function keepFile(area: VmArea, file: OpenFile): void {
    const close = area.close;
    area.close = (): Atomic => {
      close?.();
      return fputs.put(file);
    };
  }

  return {
    ksys_mmap: async (proc, addr, len, prot, flags, fd, offset) => {
      if (!Number.isSafeInteger(offset) || offset < 0 || offset % PAGE_SIZE !== 0) {
        throw fail('EINVAL', 'mmap.offset', `mmap offset ${offset}: not page-aligned`);
      }
      if ((flags & MAP_ANONYMOUS) !== 0) return k.mm_map(proc.mm, addr, len, prot, flags, 0, true).start;
      const file = files.fget(proc, fd);
      let area: VmArea | null = null;
      try {
        if (len === 0) throw fail('EINVAL', 'mmap.length', 'mmap of 0 bytes');
        checkFile(file, prot, flags);
        area = k.mm_map(proc.mm, addr, len, prot, flags, offset / PAGE_SIZE, false);
        await file.ops.mmap?.(file, area, proc);
        if (!proc.mm.areas.includes(area)) {
          area.close?.();
          throw fail('ENOMEM', 'mmap.raced', `${file.path}: unmapped by another task while it was being mapped`);
        }
        keepFile(area, file);
        return area.start;
      } catch (error) {
        if (area !== null && proc.mm.areas.includes(area)) {
          area.close = null; // a failed mmap is not told of its end
          k.mm_unmap(proc.mm, area.start, area.end - area.start);
        }
        await files.fput(file);
        throw error;
      }
    },
    ksys_munmap: async (proc, addr, len) => {
      for (const file of fputs.collect(() => k.mm_unmap(proc.mm, addr, len))) await files.fput(file);
    },
  };
}
