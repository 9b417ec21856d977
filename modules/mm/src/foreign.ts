/**
 * `struct mm_struct` of a process that is not the lab's: its memory stands behind what the host gives.
 *
 * Pages come into physical memory when they are pinned: part of the area they lie in becomes a RAM region in a window of
 * addresses kept for that, until nothing of it is pinned any more.
 */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, Ram, RamRegion } from '@vdpalab/abi';
import { PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import type { ForeignArea, ForeignMemory, MmStruct, PageRun, VmArea } from './header.ts';
import { pfn, rangeText } from './page.ts';
import type { Pins } from './pins.ts';
import { Window } from './window.ts';

/** Most bytes of one region: a device finds its buffers across them, and a mirror costs addresses only. */
const STRETCH_MAX = 0x4000_0000;

/** Part of an address space that is, or was, a region. */
interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly backing: string;
  readonly region: RamRegion;
  readonly mm: ForeignMm;
  /** Pages pinned, each as often as it is. */
  pinned: number;
}

/** What the address spaces of one kernel share. */
interface ForeignDeps {
  readonly ram: Ram;
  readonly pins: Pins;
  readonly window: Window;
  /** Stretches that are RAM now. */
  readonly attached: Map<RamRegion, Stretch>;
  readonly unpin: (runs: readonly PageRun[]) => void;
}

/** An address space outside. */
export class ForeignMm implements MmStruct {
  readonly id: number;
  locked_vm = 0;
  pinned_vm = 0;
  /** `mm_users` */
  users = 1;
  readonly #memory: ForeignMemory;
  readonly #deps: ForeignDeps;
  readonly #stretches: Stretch[] = [];

  constructor(id: number, memory: ForeignMemory, deps: ForeignDeps) {
    this.id = id;
    this.#memory = memory;
    this.#deps = deps;
  }

  get areas(): readonly VmArea[] {
    return this.#memory.areas().map(({ start, end, prot, flags, pgoff }) => ({
      start, end, prot, flags, pgoff, mm: this, backing: { kind: 'none' }, close: null,
    }));
  }

  read(va: number, len: number): Uint8Array {
    if (len === 0) return new Uint8Array(0);
    const bytes = isRange(va, len) ? this.#memory.read(va, len) : null;
    if (bytes === null) throw this.#fault('access.read', va, `read of ${len} bytes`);
    return bytes;
  }

  write(va: number, bytes: Uint8Array): Atomic {
    if (bytes.length === 0) return;
    if (!isRange(va, bytes.length) || !this.#memory.write(va, bytes)) throw this.#fault('access.write', va, `write of ${bytes.length} bytes`);
  }

  view(): null {
    return null;
  }

  /** Physical address of one byte of a pinned page. @throws EFAULT for others: nobody holds them in place */
  translate(va: number, write: boolean): number {
    const found = this.#stretches.find((s) => s.pinned > 0 && s.start <= va && va < s.end);
    if (found === undefined) throw this.#fault(write ? 'access.write' : 'access.read', va, 'not pinned');
    return found.region.base + (va - found.start);
  }

  load(va: number, size: 1 | 2 | 4): number {
    return this.read(va, size).reduce((value, byte, i) => value + byte * 2 ** (8 * i), 0);
  }

  store(va: number, size: 1 | 2 | 4, value: number): Atomic {
    this.write(va, Uint8Array.from({ length: size }, (_, i) => value >>> (8 * i)));
  }

  /**
   * Pin whole pages.
   *
   * @param start, end page-aligned
   * @throws EFAULT when a page is not mapped so; nothing is pinned then
   */
  pin(start: number, end: number, write: boolean): readonly PageRun[] {
    const areas = this.#memory.areas();
    const want = write ? PROT_WRITE : PROT_READ;
    const pieces: { area: ForeignArea; from: number; to: number }[] = [];
    for (let va = start; va < end;) {
      const area = areas.find((a) => a.start <= va && va < a.end);
      if (area === undefined) throw this.#fault('pin.page', va, 'not mapped');
      if ((area.prot & want) === 0) throw this.#fault('pin.page', va, `not ${write ? 'writable' : 'readable'} (prot ${area.prot})`);
      const to = Math.min(area.end, end, (Math.floor(va / STRETCH_MAX) + 1) * STRETCH_MAX);
      pieces.push({ area, from: va, to });
      va = to;
    }
    const runs: PageRun[] = [];
    try {
      for (const { area, from, to } of pieces) runs.push(this.#pinPiece(area, from, to));
    } catch (error) {
      this.#deps.unpin(runs);
      throw error;
    }
    return runs;
  }

  #pinPiece(area: ForeignArea, from: number, to: number): PageRun {
    const { ram, pins, attached } = this.#deps;
    const stretch = this.#stretches.find((s) => s.start <= from && to <= s.end && s.backing === area.backing) ?? this.#newStretch(area, from);
    if (stretch.pinned === 0) {
      ram.attach(stretch.region);
      attached.set(stretch.region, stretch);
    }
    const run = { pa: stretch.region.base + (from - stretch.start), pages: pfn(to - from) };
    stretch.pinned += run.pages;
    pins.pin([run]);
    return run;
  }

  /** The part of an area round an address, as RAM. */
  #newStretch(area: ForeignArea, va: number): Stretch {
    const chunk = Math.floor(va / STRETCH_MAX) * STRETCH_MAX;
    const start = Math.max(area.start, chunk);
    const end = Math.min(area.end, chunk + STRETCH_MAX);
    const { window } = this.#deps;
    const base = window.take(end - start);
    try {
      const region = this.#memory.region(base, start, end - start, area);
      const stretch = { start, end, backing: area.backing, region, mm: this, pinned: 0 };
      this.#stretches.push(stretch);
      return stretch;
    } catch (error) {
      window.give(base, end - start);
      throw new KernelError('ENOMEM', 'mm.pin.region', `mm ${this.id}: ${rangeText(start, end - start)}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** Pages of a stretch are not pinned any more, once each. */
  unpinned(stretch: Stretch, pages: number): void {
    stretch.pinned -= pages;
    if (stretch.pinned > 0) return;
    this.#deps.ram.detach(stretch.region);
    this.#deps.attached.delete(stretch.region);
    if (this.users === 0) this.end();
    // A mirror may serve again; a mapping would keep its file alive.
    else if (stretch.region.kind !== 'remote') this.#forget(stretch);
  }

  #forget(stretch: Stretch): void {
    const { pins, window } = this.#deps;
    this.#stretches.splice(this.#stretches.indexOf(stretch), 1);
    this.#memory.release(stretch.region);
    pins.forget(stretch.region);
    window.give(stretch.region.base, stretch.region.size);
  }

  /** The last user has gone: forget what is not pinned, and all once nothing is. */
  end(): void {
    for (const stretch of this.#stretches.filter((s) => s.pinned === 0)) this.#forget(stretch);
    if (this.#stretches.length === 0) this.#memory.close();
  }

  #fault(rule: string, va: number, why: string): KernelError {
    return new KernelError('EFAULT', `mm.${rule}`, `mm ${this.id}: 0x${va.toString(16)}: ${why}`);
  }
}

function isRange(va: number, len: number): boolean {
  return Number.isSafeInteger(va) && Number.isSafeInteger(len) && va >= 0 && len >= 0 && va <= Number.MAX_SAFE_INTEGER - len;
}

/** Address spaces outside, of one kernel. */
export interface Foreigners {
  readonly make: (id: number, memory: ForeignMemory) => ForeignMm;
  /** Tell who owns runs that have just been unpinned. */
  readonly unpinned: (runs: readonly PageRun[]) => void;
}

/** Make them. */
export function createForeigners(ram: Ram, pins: Pins): Foreigners {
  const attached = new Map<RamRegion, Stretch>();

  function unpinned(runs: readonly PageRun[]): void {
    if (attached.size === 0) return;
    for (const run of runs) {
      const region = ram.find(run.pa, 1);
      const stretch = region === null ? undefined : attached.get(region);
      stretch?.mm.unpinned(stretch, run.pages);
    }
  }

  function unpin(runs: readonly PageRun[]): void {
    pins.unpin(runs);
    unpinned(runs);
  }

  const deps: ForeignDeps = { ram, pins, window: new Window(), attached, unpin };
  return { make: (id, memory) => new ForeignMm(id, memory, deps), unpinned };
}
