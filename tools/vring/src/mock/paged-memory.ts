/** Memory behind page mappings, in any order, with guards: what a test puts under a ring. */
import { EINVAL, EPERM, VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import type { RingMemory } from '../memory.ts';
import { ringMemory } from '../memory.ts';
import type { Extent, Translate } from '../translate.ts';
import { Mirror } from './mirror.ts';
import type { MockBytes } from './mock-ring.ts';

const TWO_32 = 0x1_0000_0000;
/** What guard bytes hold: between pages, and in pages nothing maps. */
const GUARD = 0xa5;

/** How a {@link PagedMemory} is made. */
export interface PagedMemoryOptions {
  /** Bytes of a page, a power of two, at least 16. */
  readonly pageSize: number;
  /** Address of the first page. */
  readonly base: number;
  /** Place in memory of each page, in pages: distinct numbers. */
  readonly places: readonly number[];
  /** `VHOST_ACCESS_*` of each page; 0 is unmapped; all are allowed both when absent. */
  readonly perms?: readonly number[];
  /** Whether lookups give as much as is contiguous, or a page each. */
  readonly merge?: boolean;
  /** First page of which a device sees a mirror only; none is so when absent. */
  readonly remoteFrom?: number;
}

/**
 * Addresses from `base` on, page by page anywhere in one memory, one page of guard bytes in front of all.
 *
 * Counts its lookups, and those it refused.
 */
export class PagedMemory implements Translate, MockBytes {
  generation = 0;
  lookups = 0;
  refusals = 0;
  readonly memory: RingMemory;
  readonly size: number;
  private readonly mirror: Mirror | null;
  private readonly options: PagedMemoryOptions;
  private readonly perms: number[];

  constructor(options: PagedMemoryOptions) {
    const { pageSize, places } = options;
    this.options = options;
    this.perms = places.map((_, page) => options.perms?.[page] ?? VHOST_ACCESS_RW);
    this.size = pageSize * places.length;
    const pages = Math.max(0, ...places) + 3;
    this.memory = ringMemory(new SharedArrayBuffer(pages * pageSize));
    this.mirror = options.remoteFrom === undefined ? null : new Mirror(this.memory.u8);
    this.memory.u8.fill(GUARD);
    for (const place of places) this.memory.u8.fill(0, this.start(place), this.start(place) + pageSize);
  }

  /** Change what is permitted on a page. */
  setPerm(page: number, perm: number): undefined {
    this.perms[page] = perm;
    this.generation++;
  }

  lookup(addrLo: number, addrHi: number, _len: number, write: boolean, out: Extent): number {
    this.lookups++;
    const { base, pageSize, places } = this.options;
    const address = addrHi * TWO_32 + addrLo;
    const page = Math.floor((address - base) / pageSize);
    const perm = address < base ? 0 : (this.perms[page] ?? 0);
    const want = write ? VHOST_ACCESS_WO : VHOST_ACCESS_RO;
    if ((perm & want) === 0) {
      this.refusals++;
      return perm === 0 ? EINVAL : EPERM;
    }
    let pages = 1;
    if (this.options.merge === true) {
      const end = page < this.remoteFrom ? this.remoteFrom : places.length;
      while (page + pages < end && this.perms[page + pages] === perm && places[page + pages] === places[page] + pages) pages++;
    }
    const first = base + page * pageSize;
    out.baseLo = first >>> 0;
    out.baseHi = Math.floor(first / TWO_32);
    out.length = pages * pageSize;
    out.perm = perm;
    out.memory = this.mirror === null || page < this.remoteFrom ? this.memory : this.mirror.memory;
    out.offset = this.start(places[page]);
    return 0;
  }

  read(address: number, length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, i) => this.memory.u8[this.placeOf(address + i)]);
  }

  write(address: number, bytes: Uint8Array): undefined {
    bytes.forEach((byte, i) => {
      this.memory.u8[this.placeOf(address + i)] = byte;
    });
  }

  /** All bytes by address. */
  contents(): Uint8Array {
    return this.read(this.options.base, this.size);
  }

  /** Whether every byte outside the pages still is what it was. */
  guardsHold(): boolean {
    const { pageSize, places } = this.options;
    const inside = new Set(places);
    return this.memory.u8.every((byte, at) => inside.has(Math.floor(at / pageSize) - 1) || byte === GUARD);
  }

  private get remoteFrom(): number {
    return this.options.remoteFrom ?? this.options.places.length;
  }

  /** Where a byte lies in {@link memory}. */
  placeOf(address: number): number {
    const { base, pageSize, places } = this.options;
    const at = address - base;
    if (at < 0 || at >= this.size) throw new RangeError(`paged memory: ${address} is outside`);
    return this.start(places[Math.floor(at / pageSize)]) + (at % pageSize);
  }

  private start(place: number): number {
    return (place + 1) * this.options.pageSize;
  }
}
