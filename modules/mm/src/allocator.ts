/**
 * The page allocator. Serves what `mm/page_alloc.c` (Linux 6.1) does, without orders: any number of pages in one run.
 *
 * First fit from the lowest address, over a sorted list of free runs per RAM region: the same requests always get the
 * same pages. A single page comes from the first run, so that the common case looks at one entry; a free is a binary
 * search. Pages never handed out since power-on are zero already and are not touched.
 */
import { KernelError } from '@vdpalab/abi';
import type { Ram } from '@vdpalab/abi';
import type { PageRun } from './header.ts';
import { PAGE_SIZE, pfn, rangeText } from './page.ts';

/** Free pages of one RAM region; runs never cross regions, because a view cannot. */
class Zone {
  readonly first: number;
  readonly end: number;
  /** Free runs by first page, ascending, never touching. */
  readonly starts: number[];
  readonly counts: number[];
  free: number;
  /** Pages from here on were never allocated. */
  untouched: number;

  constructor(first: number, end: number) {
    this.first = first;
    this.end = end;
    this.starts = [first];
    this.counts = [end - first];
    this.free = end - first;
    this.untouched = first;
  }

  take(pages: number): number | null {
    const at = this.counts.findIndex((count) => count >= pages);
    if (at < 0) return null;
    const start = this.starts[at] as number;
    const count = this.counts[at] as number;
    if (count === pages) {
      this.starts.splice(at, 1);
      this.counts.splice(at, 1);
    } else {
      this.starts[at] = start + pages;
      this.counts[at] = count - pages;
    }
    this.free -= pages;
    return start;
  }

  /** Index of the first free run that starts after `page`. */
  after(page: number): number {
    let low = 0;
    let high = this.starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.starts[middle] as number) > page) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Whether a page of the range is free already. */
  overlapsFree(start: number, pages: number): boolean {
    const next = this.after(start);
    const before = next - 1;
    return (before >= 0 && (this.starts[before] as number) + (this.counts[before] as number) > start)
      || (next < this.starts.length && (this.starts[next] as number) < start + pages);
  }

  give(start: number, pages: number): void {
    const next = this.after(start);
    const before = next - 1;
    const joinsBefore = before >= 0 && (this.starts[before] as number) + (this.counts[before] as number) === start;
    const joinsNext = next < this.starts.length && this.starts[next] === start + pages;
    if (joinsBefore) {
      this.counts[before] = (this.counts[before] as number) + pages + (joinsNext ? (this.counts[next] as number) : 0);
      if (joinsNext) {
        this.starts.splice(next, 1);
        this.counts.splice(next, 1);
      }
    } else if (joinsNext) {
      this.starts[next] = start;
      this.counts[next] = (this.counts[next] as number) + pages;
    } else {
      this.starts.splice(next, 0, start);
      this.counts.splice(next, 0, pages);
    }
    this.free += pages;
  }
}

/** The allocator's own interface. */
export interface PageAllocator {
  /** Zeroed, contiguous. @throws ENOMEM when no free run is that long */
  readonly alloc: (pages: number) => PageRun;
  /**
   * Zeroed, in as few runs as the free memory allows.
   *
   * @throws ENOMEM when fewer pages are free; none are taken then
   */
  readonly allocScattered: (pages: number) => PageRun[];
  /** @throws Error (a lab bug) when a page of the run is free, or not RAM that was allocated from */
  readonly free: (run: PageRun) => void;
  readonly freePages: () => number;
}

/**
 * Make the allocator over the RAM there is now; memory attached later belongs to whoever attached it.
 *
 * Page 0 is never handed out, so that physical address 0 can mean none.
 */
export function createAllocator(ram: Ram): PageAllocator {
  const zones = ram.regions
    .filter((region) => region.kind === 'wasm')
    .map((region) => new Zone(Math.max(pfn(region.base), 1), pfn(region.base + region.size)));

  function freePages(): number {
    return zones.reduce((sum, zone) => sum + zone.free, 0);
  }

  function tryAlloc(pages: number): PageRun | null {
    for (const zone of zones) {
      const start = zone.take(pages);
      if (start === null) continue;
      const used = Math.min(start + pages, zone.untouched) - start;
      if (used > 0) ram.view(start * PAGE_SIZE, used * PAGE_SIZE).fill(0);
      zone.untouched = Math.max(zone.untouched, start + pages);
      return { pa: start * PAGE_SIZE, pages };
    }
    return null;
  }

  function check(pages: number): void {
    if (!Number.isSafeInteger(pages) || pages < 1) throw new Error(`allocation of ${pages} pages`);
  }

  function free(run: PageRun): void {
    const start = pfn(run.pa);
    const zone = zones.find((z) => start >= z.first && start + run.pages <= z.end);
    const range = rangeText(run.pa, run.pages * PAGE_SIZE);
    if (zone === undefined || start * PAGE_SIZE !== run.pa) throw new Error(`free of ${range}: not allocatable pages`);
    if (zone.overlapsFree(start, run.pages)) throw new Error(`double free of pages in ${range}`);
    zone.give(start, run.pages);
  }

  return {
    freePages,
    free,
    alloc: (pages) => {
      check(pages);
      const run = tryAlloc(pages);
      if (run === null) {
        throw new KernelError('ENOMEM', 'mm.alloc.contiguous', `no free run of ${pages} pages, ${freePages()} pages free`);
      }
      return run;
    },
    allocScattered: (pages) => {
      check(pages);
      if (pages > freePages()) {
        throw new KernelError('ENOMEM', 'mm.alloc.free', `${pages} pages wanted, ${freePages()} pages free`);
      }
      const runs: PageRun[] = [];
      for (let left = pages, want = pages; left > 0;) {
        const run = tryAlloc(Math.min(want, left));
        if (run === null) {
          want = Math.ceil(want / 2); // ends at 1, and single pages there are enough
          continue;
        }
        runs.push(run);
        left -= run.pages;
      }
      return runs;
    },
  };
}
