/** Page arithmetic: `include/asm-generic/page.h` (Linux 6.1), with division because addresses exceed 32 bits. */
import type { PageRun } from './header.ts';

/** Bytes of a page. */
export const PAGE_SIZE = 4096;

/** Number of the page that holds `address`. */
export function pfn(address: number): number {
  return Math.floor(address / PAGE_SIZE);
}

/** Bytes rounded up to whole pages, in pages. */
export function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE);
}

/** `PAGE_ALIGNED` */
export function pageAligned(address: number): boolean {
  return address % PAGE_SIZE === 0;
}

/** Pages `[from, to)` of a list of runs, counted from its start. */
export function sliceRuns(runs: readonly PageRun[], from: number, to: number): PageRun[] {
  const out: PageRun[] = [];
  let at = 0;
  for (const run of runs) {
    const first = Math.max(from - at, 0);
    const last = Math.min(to - at, run.pages);
    if (first < last) out.push({ pa: run.pa + first * PAGE_SIZE, pages: last - first });
    at += run.pages;
  }
  return out;
}

/** Append a run, joining it to the last one when they touch. */
export function appendRun(runs: PageRun[], run: PageRun): void {
  const last = runs.at(-1);
  if (last !== undefined && last.pa + last.pages * PAGE_SIZE === run.pa) {
    runs[runs.length - 1] = { pa: last.pa, pages: last.pages + run.pages };
  } else {
    runs.push(run);
  }
}

/** `0x1000-0x2fff`, for messages. */
export function rangeText(start: number, bytes: number): string {
  return `0x${start.toString(16)}-0x${(start + bytes - 1).toString(16)}`;
}
