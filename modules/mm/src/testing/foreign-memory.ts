/** A process outside, in the test's own hands. */
import type { RamRegion } from '@vdpalab/abi';
import { mappedRegion, remoteRegion } from '@vdpalab/machine';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_WRITE } from '@vdpalab/uapi';
import type { ForeignArea, ForeignMemory } from '../header.ts';

/** Memory from `start` on, of which some areas are mapped. */
export class FakeOutside implements ForeignMemory {
  readonly start: number;
  readonly bytes: Uint8Array;
  readonly regions: RamRegion[] = [];
  closed = false;
  /** Whether regions are mapped, not mirrored. */
  mapped = false;
  readonly #areas: ForeignArea[] = [];

  constructor(start: number, size: number) {
    this.start = start;
    this.bytes = new Uint8Array(new SharedArrayBuffer(size));
  }

  /** Map a range. */
  area(start: number, size: number, prot: number, backing = ''): void {
    this.#areas.push({ start, end: start + size, prot, flags: MAP_PRIVATE | MAP_ANONYMOUS, pgoff: 0, backing });
    this.#areas.sort((a, b) => a.start - b.start);
  }

  unmap(start: number): void {
    this.#areas.splice(this.#areas.findIndex((area) => area.start === start), 1);
  }

  areas = (): readonly ForeignArea[] => this.#areas;

  read = (va: number, len: number): Uint8Array | null => (this.#reaches(va, len, 7) ? this.bytes.slice(va - this.start, va - this.start + len) : null);

  write = (va: number, bytes: Uint8Array): boolean => {
    if (!this.#reaches(va, bytes.length, PROT_WRITE)) return false;
    this.bytes.set(bytes, va - this.start);
    return true;
  };

  region = (base: number, va: number, size: number): RamRegion => {
    const at = va - this.start;
    const region = this.mapped
      ? mappedRegion(base, size, this.bytes.buffer, at)
      : remoteRegion(base, size, (mirror) => ({
        pull: (offset, length) => void mirror.set(this.bytes.subarray(at + offset, at + offset + length), offset) as undefined,
        push: (offset, length) => void this.bytes.set(mirror.subarray(offset, offset + length), at + offset) as undefined,
      }));
    this.regions.push(region);
    return region;
  };

  release = (region: RamRegion): undefined => {
    this.regions.splice(this.regions.indexOf(region), 1);
  };

  close = (): undefined => {
    this.closed = true;
  };

  #reaches(va: number, len: number, prot: number): boolean {
    let at = va;
    for (const area of this.#areas) if (area.start <= at && at < area.end && (area.prot & prot) !== 0) at = area.end;
    return at >= va + len;
  }
}
