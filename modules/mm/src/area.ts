/** `struct vm_area_struct`: one range of an address space and what its pages are. */
import type { Atomic } from '@vdpalab/abi';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import type { MmStruct, VmArea, VmBacking } from './header.ts';
import { PAGE_SIZE, pfn, sliceRuns } from './page.ts';

/** What a new area is. */
export interface AreaInit {
  readonly start: number;
  readonly end: number;
  readonly prot: number;
  readonly flags: number;
  readonly pgoff: number;
  readonly mm: MmStruct;
}

/** A {@link VmArea} that can shrink, split and translate. */
export class Area implements VmArea {
  start: number;
  end: number;
  pgoff: number;
  readonly prot: number;
  readonly flags: number;
  readonly mm: MmStruct;
  close: (() => Atomic) | null = null;
  /** Whether the pages are the area's own, to be freed with it. */
  ownsPages = false;
  /** Areas that one mmap made, after splits: `close` is told when the last one goes. */
  siblings = { count: 1 };
  #backing: VmBacking = { kind: 'none' };
  /** Byte offset at which each run ends; one entry per run. */
  #ends: number[] = [];

  constructor(init: AreaInit) {
    this.start = init.start;
    this.end = init.end;
    this.prot = init.prot;
    this.flags = init.flags;
    this.pgoff = init.pgoff;
    this.mm = init.mm;
  }

  get backing(): VmBacking {
    return this.#backing;
  }

  set backing(backing: VmBacking) {
    this.#backing = backing;
    this.#ends = [];
    let end = 0;
    if (backing.kind === 'pages') for (const run of backing.runs) this.#ends.push(end += run.pages * PAGE_SIZE);
  }

  /** `access_error` of x86: any access right makes a page readable, only PROT_WRITE makes it writable. */
  allows(write: boolean): boolean {
    return (this.prot & (write ? PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC)) !== 0;
  }

  /** Physical address of `va`, or -1 when nothing stands behind it. */
  physical(va: number): number {
    const offset = va - this.start;
    const backing = this.#backing;
    if (backing.kind === 'io') return offset < backing.size ? backing.pa + offset : -1;
    if (backing.kind === 'none') return -1;
    if (backing.kind === 'fault') {
      const page = backing.fault(this.pgoff + Math.floor(offset / PAGE_SIZE));
      return page === null ? -1 : page + offset % PAGE_SIZE;
    }
    const at = this.#run(offset);
    const run = backing.runs[at];
    return run === undefined ? -1 : run.pa + offset - this.#begin(at);
  }

  /** Bytes from `va` on that are physically contiguous and inside the area. */
  contiguous(va: number): number {
    const offset = va - this.start;
    const backing = this.#backing;
    const inside = this.end - va;
    if (backing.kind === 'io') return Math.min(backing.size - offset, inside);
    if (backing.kind === 'none') return 0;
    if (backing.kind === 'fault') return this.physical(va) < 0 ? 0 : PAGE_SIZE - offset % PAGE_SIZE;
    const end = this.#ends[this.#run(offset)];
    return end === undefined ? 0 : Math.min(end - offset, inside);
  }

  /** Backing of `[start, end)` of this area, both page-aligned. */
  slice(start: number, end: number): VmBacking {
    const backing = this.#backing;
    const from = start - this.start;
    if (backing.kind === 'io') {
      return { kind: 'io', pa: backing.pa + from, size: Math.max(0, Math.min(end - start, backing.size - from)) };
    }
    if (backing.kind === 'none' || backing.kind === 'fault') return backing; // the page offset moves with the area
    return { kind: 'pages', runs: sliceRuns(backing.runs, pfn(from), pfn(end - this.start)) };
  }

  /** Keep only `[start, end)`. */
  shrink(start: number, end: number): void {
    this.backing = this.slice(start, end);
    this.pgoff += pfn(start - this.start);
    this.start = start;
    this.end = end;
  }

  /** Keep what is before `start` and return a new area for what is from `end` on. */
  split(start: number, end: number): Area {
    const tail = new Area({
      start: end, end: this.end, prot: this.prot, flags: this.flags, mm: this.mm,
      pgoff: this.pgoff + pfn(end - this.start),
    });
    tail.backing = this.slice(end, this.end);
    tail.ownsPages = this.ownsPages;
    tail.close = this.close;
    tail.siblings = this.siblings;
    this.siblings.count++;
    this.shrink(this.start, start);
    return tail;
  }

  /** Index of the run that holds byte `offset`; the number of runs when there is none. */
  #run(offset: number): number {
    const ends = this.#ends;
    if (ends.length === 1) return offset < (ends[0] as number) ? 0 : 1;
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ends[middle] as number) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #begin(run: number): number {
    return run === 0 ? 0 : (this.#ends[run - 1] as number);
  }
}
