/** Pin counts of pages, and pages that outlive their area because they are pinned: `FOLL_LONGTERM` (Linux 6.1). */
import type { Ram, RamRegion } from '@vdpalab/abi';
import type { PageRun } from './header.ts';
import { PAGE_SIZE, appendRun, pfn, rangeText } from './page.ts';

/** Set in a count when nobody but the pins holds the page any more. */
const ORPHAN = 0x8000_0000;

/** Pins of all pages of one machine. */
export interface Pins {
  readonly pin: (runs: readonly PageRun[]) => void;
  /**
   * Drop one pin of each page.
   *
   * @returns runs nobody holds any more, to be freed
   * @throws Error (a lab bug) when a page is not pinned; nothing is unpinned then
   */
  readonly unpin: (runs: readonly PageRun[]) => readonly PageRun[];
  readonly anyPinned: (run: PageRun) => boolean;
  /** Give pages up. @returns those that are not pinned, to be freed now; the others are freed with their last pin */
  readonly release: (run: PageRun) => readonly PageRun[];
  /** A region is gone for good, with nothing of it pinned. */
  readonly forget: (region: RamRegion) => void;
  readonly leftovers: () => readonly string[];
}

/** Make the pin counts of one machine. */
export function createPins(ram: Ram): Pins {
  const tables = new Map<RamRegion, Uint32Array>();
  let total = 0;

  /** Visit each page's count as `(table, index, pa)`. */
  function each(run: PageRun, visit: (table: Uint32Array, index: number, pa: number) => void): void {
    const region = ram.find(run.pa, run.pages * PAGE_SIZE);
    if (region === null) throw new Error(`pages ${rangeText(run.pa, run.pages * PAGE_SIZE)} are not in one RAM region`);
    let table = tables.get(region);
    if (table === undefined) {
      table = new Uint32Array(region.size / PAGE_SIZE);
      tables.set(region, table);
    }
    const first = pfn(run.pa - region.base);
    for (let i = 0; i < run.pages; i++) visit(table, first + i, run.pa + i * PAGE_SIZE);
  }

  function count(table: Uint32Array, index: number): number {
    return (table[index] as number) & ~ORPHAN;
  }

  return {
    pin: (runs) => {
      for (const run of runs) {
        each(run, (table, index) => {
          table[index] = (table[index] as number) + 1;
        });
        total += run.pages;
      }
    },
    unpin: (runs) => {
      for (const run of runs) {
        each(run, (table, index, pa) => {
          if (count(table, index) === 0) throw new Error(`unpin of page 0x${pa.toString(16)}: it is not pinned`);
        });
      }
      const freed: PageRun[] = [];
      for (const run of runs) {
        each(run, (table, index, pa) => {
          if (count(table, index) === 0) throw new Error(`page 0x${pa.toString(16)} is unpinned twice in one call`);
          table[index] = (table[index] as number) - 1;
          if (table[index] !== ORPHAN) return;
          table[index] = 0;
          appendRun(freed, { pa, pages: 1 });
        });
        total -= run.pages;
      }
      return freed;
    },
    anyPinned: (run) => {
      let any = false;
      if (total > 0) each(run, (table, index) => { any ||= count(table, index) > 0; });
      return any;
    },
    release: (run) => {
      if (total === 0) return [run];
      const free: PageRun[] = [];
      each(run, (table, index, pa) => {
        if (count(table, index) === 0) appendRun(free, { pa, pages: 1 });
        else table[index] = (table[index] as number) | ORPHAN;
      });
      return free;
    },
    forget: (region) => {
      tables.delete(region);
    },
    leftovers: () => {
      if (total === 0) return [];
      const pinned: PageRun[] = [];
      for (const [region, table] of tables) {
        table.forEach((_, index) => {
          if (count(table, index) > 0) appendRun(pinned, { pa: region.base + index * PAGE_SIZE, pages: 1 });
        });
      }
      return pinned.map((run) => `pages ${rangeText(run.pa, run.pages * PAGE_SIZE)} are pinned`);
    },
  };
}
