/** What a range of the IOTLB leads to, as a file that can be handed out. Mirrors `struct vdpa_map_file` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import type { MmSymbols, PageRun, VmArea, VmBacking } from '@vdpalab/mm';

/** Pages that outlive the mapping they were found by: descriptors and mappings of them count as users. */
export interface MapSource {
  readonly name: string;
  /** What stands behind a mapping of `len` bytes from byte `offset` of the file. @throws EINVAL beyond its end */
  readonly backing: (offset: number, len: number) => VmBacking;
  readonly get: () => Atomic;
  /** The last put gives the pages back. */
  readonly put: () => Atomic;
}

/** `struct vdpa_map_file`: a source, and where in it the range of the IOTLB begins. */
export interface MapFile {
  readonly source: MapSource;
  /** Bytes. */
  readonly offset: bigint;
}

const PAGE_SIZE = 4096;

/**
 * Memory a process shares with the device: its pages stay where they are until the last user is gone.
 *
 * @throws EFAULT when a page of it is not there
 */
export function sharedPages(k: Pick<MmSymbols, 'pin_user_pages' | 'unpin_user_pages'>, area: VmArea, va: number, size: number, write: boolean): MapSource {
  const runs = k.pin_user_pages(area.mm, va, size, write);
  let users = 1;
  return {
    name: 'vduse-memory',
    backing: (offset, len) => ({ kind: 'pages', runs: pagesFrom(runs, offset / PAGE_SIZE, Math.ceil(len / PAGE_SIZE)) }),
    get: () => void users++ as undefined,
    put: () => (--users === 0 ? k.unpin_user_pages(runs, write) : undefined),
  };
}

/** `count` pages from page `first` on; fewer when there are no more. */
function pagesFrom(runs: readonly PageRun[], first: number, count: number): PageRun[] {
  const found: PageRun[] = [];
  let skip = first;
  let left = count;
  for (const run of runs) {
    const from = Math.min(skip, run.pages);
    const take = Math.min(run.pages - from, left);
    if (take > 0) found.push({ pa: run.pa + from * PAGE_SIZE, pages: take });
    skip -= from;
    left -= take;
  }
  return found;
}
