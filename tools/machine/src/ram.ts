/** Physical memory: regions of at most 4 GiB, each in one buffer. */
import type { Ram, RamRegion, RemoteMemory } from '@vdpalab/abi';
import { HIGH_RAM_BASE, LOW_RAM_END, PAGE_SIZE } from './memory-map.ts';
import { sharedMemory } from './wasm.ts';

/** Most bytes of one region: what a typed array can hold. */
export const REGION_MAX = 0x1_0000_0000;
/** Bytes behind low RAM, in the same WebAssembly memory, that no address leads to: device models keep frames there. */
export const DEVICE_MEMORY = 0x100_0000;

/**
 * RAM in a shared WebAssembly memory of its own.
 *
 * @param base physical address, page-aligned
 * @param size bytes, a multiple of the page size, at most 4 GiB
 * @param spare bytes of the memory behind the region, for devices: copies inside one memory are the quick ones
 * @throws RangeError when base or size are not
 */
export function wasmRegion(base: number, size: number, spare = 0): RamRegion {
  checkRange(base, size);
  const memory = sharedMemory(Math.min(size + spare, REGION_MAX));
  return regionOf(base, size, 'wasm', memory.buffer, 0, memory);
}

/**
 * RAM in somebody else's buffer, for instance another process's memory mapped here.
 *
 * @param byteOffset where in `buffer` the region starts, a multiple of 4
 * @param memory the WebAssembly memory that `buffer` is of, when it is of one
 * @throws RangeError when base or size are not page-aligned, or the buffer is too short
 */
export function mappedRegion(
  base: number, size: number, buffer: ArrayBufferLike, byteOffset = 0, memory: RamRegion['memory'] = null,
): RamRegion {
  checkRange(base, size);
  if (byteOffset % 4 !== 0) throw new RangeError(`RAM region at offset ${byteOffset}: not 4-byte aligned`);
  return regionOf(base, size, 'mapped', buffer, byteOffset, memory);
}

/** A {@link RemoteMemory} that need not know how to move many pieces at once. */
export type RemoteSource = Pick<RemoteMemory, 'pull' | 'push'> & Partial<RemoteMemory>;

function each(move: RemoteMemory['pull']): RemoteMemory['pullMany'] {
  return (offsets, lengths, count) => {
    for (let i = 0; i < count; i++) move(offsets[i]!, lengths[i]!);
  };
}

/**
 * RAM that is another process's memory, reached by copies: its views are of a mirror, of which only pages that were
 * pulled take up memory.
 *
 * @throws RangeError when base or size are not page-aligned
 */
export function remoteRegion(base: number, size: number, source: (mirror: Uint8Array) => RemoteSource): RamRegion {
  checkRange(base, size);
  // No WebAssembly memory: those reserve many times their size, and there may be many regions.
  const region = regionOf(base, size, 'remote', new SharedArrayBuffer(size), 0, null);
  const one = source(region.u8);
  return { ...region, remote: { pullMany: each(one.pull), pushMany: each(one.push), ...one } };
}

/**
 * The regions of a PC: up to 3 GiB below 4 GiB, the rest from 4 GiB on.
 *
 * @param bytes a multiple of the page size
 * @param window whether the memory of low RAM has room for other processes' memory behind it
 * @throws RangeError when it is not
 */
export function pcRegions(bytes: number, window = false): RamRegion[] {
  checkRange(0, Math.min(bytes, LOW_RAM_END));
  const regions = [wasmRegion(0, Math.min(bytes, LOW_RAM_END), window ? REGION_MAX : DEVICE_MEMORY)];
  for (let base = HIGH_RAM_BASE, left = bytes - LOW_RAM_END; left > 0; left -= REGION_MAX, base += REGION_MAX) {
    regions.push(wasmRegion(base, Math.min(left, REGION_MAX)));
  }
  return regions;
}

function checkRange(base: number, size: number): undefined {
  const aligned = (n: number): boolean => Number.isSafeInteger(n) && n % PAGE_SIZE === 0;
  if (!aligned(base) || base < 0) throw new RangeError(`RAM region at ${base}: not page-aligned`);
  if (!aligned(size) || size <= 0 || size > REGION_MAX) {
    throw new RangeError(`RAM region of ${size} bytes: not whole pages up to 4 GiB`);
  }
}

function regionOf(
  base: number, size: number, kind: RamRegion['kind'], buffer: ArrayBufferLike, byteOffset: number,
  memory: RamRegion['memory'],
): RamRegion {
  return {
    base, size, kind, memory, buffer, byteOffset,
    u8: new Uint8Array(buffer, byteOffset, size),
    u16: new Uint16Array(buffer, byteOffset, size / 2),
    u32: new Uint32Array(buffer, byteOffset, size / 4),
    remote: null,
  };
}

/** {@link Ram} over a sorted list of regions. */
export class PhysicalMemory implements Ram {
  generation = 0;
  private sorted: RamRegion[] = [];
  private last: RamRegion | null = null;
  private readonly listeners: (() => undefined)[] = [];

  constructor(regions: readonly RamRegion[]) {
    for (const region of regions) this.attach(region);
  }

  get regions(): readonly RamRegion[] {
    return this.sorted;
  }

  find(pa: number, len: number): RamRegion | null {
    const { last } = this;
    if (last !== null && pa >= last.base && len >= 0 && pa + len <= last.base + last.size) return last;
    const { sorted } = this;
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sorted[middle]!.base <= pa) low = middle + 1;
      else high = middle;
    }
    const region = sorted[low - 1];
    if (region === undefined || !(len >= 0 && pa + len <= region.base + region.size)) return null;
    this.last = region;
    return region;
  }

  view(pa: number, len: number): Uint8Array {
    const region = this.find(pa, len);
    if (region === null) throw new RangeError(`physical range 0x${pa.toString(16)}+${len}: not inside one RAM region`);
    return new Uint8Array(region.buffer, region.byteOffset + (pa - region.base), len);
  }

  /** @throws RangeError when the region overlaps another */
  attach(region: RamRegion): undefined {
    const other = this.sorted.find((r) => region.base < r.base + r.size && r.base < region.base + region.size);
    if (other !== undefined) {
      throw new RangeError(`RAM region at 0x${region.base.toString(16)} overlaps that at 0x${other.base.toString(16)}`);
    }
    this.sorted = [...this.sorted, region].sort((a, b) => a.base - b.base);
    this.changed();
  }

  /** @throws RangeError when the region is not attached */
  detach(region: RamRegion): undefined {
    if (!this.sorted.includes(region)) throw new RangeError(`RAM region at 0x${region.base.toString(16)}: not attached`);
    this.sorted = this.sorted.filter((r) => r !== region);
    this.changed();
  }

  /** Call `changed` whenever a region comes or goes, before the call returns. */
  onChange(changed: () => undefined): undefined {
    this.listeners.push(changed);
  }

  private changed(): undefined {
    this.generation++;
    this.last = null;
    for (const listener of this.listeners) listener();
  }
}
