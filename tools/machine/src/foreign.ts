/** Room in WebAssembly memories where memory of other processes is mapped, so that the machine's devices reach it as RAM. */
import type { RamRegion } from '@vdpalab/abi';
import { FOREIGN_BASE, PAGE_SIZE } from './memory-map.ts';
import { DEVICE_MEMORY, mappedRegion, REGION_MAX } from './ram.ts';
import type { PhysicalMemory } from './ram.ts';
import { sharedMemory } from './wasm.ts';

/** Physical addresses set aside for one arena, and for every memory that lies in none. */
const STRIDE = 2 * REGION_MAX;

/** A free stretch, in bytes from the memory's start. */
interface Gap {
  readonly start: number;
  readonly end: number;
}

/** One WebAssembly memory with free stretches. */
class Arena {
  readonly memory: NonNullable<RamRegion['memory']>;
  /** Physical address of the memory's first byte. */
  readonly base: number;
  #gaps: Gap[];

  constructor(memory: NonNullable<RamRegion['memory']>, base: number, free: Gap) {
    this.memory = memory;
    this.base = base;
    this.#gaps = free.end > free.start ? [free] : [];
  }

  /** First fit, lowest first. @param misfit what a stretch must start above a multiple of `align` */
  take(size: number, align: number, misfit: number): number | null {
    for (const [i, gap] of this.#gaps.entries()) {
      const at = Math.ceil((gap.start - misfit) / align) * align + misfit;
      if (at < gap.start || at + size > gap.end) continue;
      this.#gaps.splice(i, 1, ...[{ start: gap.start, end: at }, { start: at + size, end: gap.end }].filter((g) => g.end > g.start));
      return at;
    }
    return null;
  }

  give(start: number, size: number): void {
    const gaps: Gap[] = [];
    let mine: Gap = { start, end: start + size };
    for (const gap of this.#gaps) {
      if (gap.end === mine.start) mine = { start: gap.start, end: mine.end };
      else if (gap.start === mine.end) mine = { start: mine.start, end: gap.end };
      else gaps.push(gap);
    }
    this.#gaps = [...gaps, mine].sort((a, b) => a.start - b.start);
  }
}

/** A place for foreign memory: put something there before it is attached. */
export interface ForeignPlace {
  readonly buffer: ArrayBufferLike;
  /** Bytes from the buffer's start. */
  readonly byteOffset: number;
  /** Bytes. */
  readonly size: number;
  /** Make it RAM of the machine. @returns the region */
  readonly attach: () => RamRegion;
  /** Detach it when it is attached, and let others have the place. Nothing may be mapped there any more, and no device may use it. */
  readonly free: () => undefined;
}

/** Places for one machine. Those beside RAM come first: copies inside one WebAssembly memory are the quick ones. */
export class ForeignMemory {
  readonly #ram: PhysicalMemory;
  readonly #arenas: Arena[] = [];
  #strides = 0;

  constructor(ram: PhysicalMemory) {
    this.#ram = ram;
    const low = ram.regions[0];
    if (low?.memory == null || low.memory.buffer.byteLength < low.size + DEVICE_MEMORY) return;
    this.#arenas.push(new Arena(low.memory, this.#base(), { start: low.size + DEVICE_MEMORY, end: low.memory.buffer.byteLength }));
  }

  /**
   * A place inside a WebAssembly memory.
   *
   * @param size bytes, whole pages, at most 4 GiB
   * @param align bytes, a power of two: the place starts `misfit` above a multiple of it
   */
  place(size: number, align = PAGE_SIZE, misfit = 0): ForeignPlace {
    if (!(size > 0) || size > REGION_MAX || size % PAGE_SIZE !== 0) throw new RangeError(`foreign memory of ${size} bytes: not whole pages up to 4 GiB`);
    for (const arena of this.#arenas) {
      const at = arena.take(size, align, misfit);
      if (at !== null) return this.#in(arena, at, size);
    }
    const arena = new Arena(sharedMemory(REGION_MAX), this.#base(), { start: 0, end: REGION_MAX });
    this.#arenas.push(arena);
    return this.#in(arena, arena.take(size, PAGE_SIZE, 0) ?? 0, size); // an empty one has room for all of it
  }

  /** A place where the memory lies already, in a buffer of its own. */
  around(buffer: ArrayBufferLike, size: number): ForeignPlace {
    return this.#place(this.#base(), buffer, 0, size, null, () => undefined);
  }

  #base(): number {
    return FOREIGN_BASE + STRIDE * this.#strides++;
  }

  #in(arena: Arena, at: number, size: number): ForeignPlace {
    return this.#place(arena.base + at, arena.memory.buffer, at, size, arena.memory, () => arena.give(at, size));
  }

  #place(base: number, buffer: ArrayBufferLike, byteOffset: number, size: number, memory: RamRegion['memory'], give: () => void): ForeignPlace {
    let region: RamRegion | null = null;
    let mine = true;
    return {
      buffer, byteOffset, size,
      attach: () => {
        region ??= mappedRegion(base, size, buffer, byteOffset, memory);
        this.#ram.attach(region);
        return region;
      },
      free: () => {
        if (!mine) return;
        mine = false;
        if (region !== null) this.#ram.detach(region);
        give();
      },
    };
  }
}
