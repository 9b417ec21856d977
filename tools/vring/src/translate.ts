/**
 * From the addresses in descriptors to memory.
 *
 * A queue keeps the extent it used last ({@link ExtentCache}) in front of whatever knows the mappings
 * ({@link Translate}): a vhost IOTLB, the platform IOMMU, memory keys. Addresses are pairs of u32.
 */
import { EFAULT, EINVAL, EPERM, VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import type { RingMemory } from './memory.ts';

/** A contiguous mapping, filled in by {@link Translate.lookup}. */
export interface Extent {
  /** Bus address of its first byte, as two u32. */
  baseLo: number;
  baseHi: number;
  /** Bytes. */
  length: number;
  /** `VHOST_ACCESS_RO`, `VHOST_ACCESS_WO` or both. */
  perm: number;
  memory: RingMemory | null;
  /** Bytes from the start of `memory` to the byte at the base address. */
  offset: number;
}

/** Knows the mappings of one address space. */
export interface Translate {
  /** Changes whenever a mapping goes away or moves, before the change returns: cached extents are then stale. */
  readonly generation: number;
  /**
   * Find the mapping of an address.
   *
   * Fills `out` with an extent that holds the address and permits the access, the larger the better.
   *
   * @param len bytes the caller would like, a hint; the extent may be shorter
   * @returns 0, or an errno: EINVAL when nothing is mapped there, EPERM when the access is not permitted
   */
  lookup(addrLo: number, addrHi: number, len: number, write: boolean, out: Extent): number;
}

/** What an {@link ExtentCache} needs to know of the mappings it stands for. */
const NONE = 0;

/**
 * The extent a queue used last.
 *
 * The cached part never crosses a 4 GiB boundary of bus addresses, so that a hit is one compare of the upper
 * half and one unsigned subtraction of the lower.
 */
export class ExtentCache implements Extent {
  // As lookup fills it.
  baseLo = 0;
  baseHi = 0;
  length = 0;
  perm = 0;
  memory: RingMemory | null = null;
  offset = 0;
  /** First address of the cached part, as int32 halves. */
  lo = 0;
  hi = 0;
  /** Bytes of the cached part less one, as int32; meaningless while `access` is 0. */
  last = 0;
  /** Permissions of the cached part; 0 when nothing is cached. */
  access = NONE;
  /** Bytes from the start of `memory` to the cached part's first byte, as int32. */
  target = 0;
  generation = 0;
  readonly translate: Translate;

  constructor(translate: Translate) {
    this.translate = translate;
    this.generation = translate.generation;
  }

  /**
   * Make the cached part hold an address.
   *
   * @param want `VHOST_ACCESS_RO` or `VHOST_ACCESS_WO`
   * @param len bytes wanted, a hint
   * @returns 0, or the errno of the lookup
   */
  load(lo: number, hi: number, len: number, want: number): number {
    this.access = NONE;
    this.memory = null;
    const { translate } = this;
    this.generation = translate.generation;
    const err = translate.lookup(lo >>> 0, hi >>> 0, len, want === VHOST_ACCESS_WO, this);
    if (err !== 0) return err;
    return this.clip(lo >>> 0, hi >>> 0, want);
  }

  private clip(lo: number, hi: number, want: number): number {
    const { baseLo, baseHi, length, offset, memory } = this;
    // Distance from base to address. Exact: an extent spans at most two upper halves.
    const into = (hi - baseHi) * 0x1_0000_0000 + (lo - baseLo);
    if (memory === null || into < 0 || into >= length || offset < 0) return EFAULT;
    if (offset + length > memory.u8.length) return EFAULT;
    if ((this.perm & want) === 0) return EPERM;
    const skipped = hi === baseHi ? 0 : (hi - baseHi) * 0x1_0000_0000 - baseLo;
    const first = hi === baseHi ? baseLo : 0;
    const size = Math.min(length - skipped, 0x1_0000_0000 - first);
    this.lo = first | 0;
    this.hi = hi | 0;
    this.last = (size - 1) | 0;
    this.target = (offset + skipped) | 0;
    this.access = this.perm & VHOST_ACCESS_RW;
    return 0;
  }

  /**
   * Bytes that can be used from an address on without another lookup, 0 when the address is refused.
   *
   * Afterwards `memory` and {@link at} say where they are; `error` says why not.
   */
  reach(lo: number, hi: number, len: number, want: number): number {
    if (
      (hi | 0) !== this.hi ||
      (this.access & want) === 0 ||
      ((lo - this.lo) >>> 0) > (this.last >>> 0) ||
      this.generation !== this.translate.generation
    ) {
      const err = this.load(lo, hi, len, want);
      this.error = err;
      if (err !== 0) return 0;
    }
    const into = (lo - this.lo) >>> 0;
    this.at = ((this.target >>> 0) + into) >>> 0;
    const left = (this.last >>> 0) - into + 1;
    return len < left ? len : left;
  }

  /** After {@link reach}: bytes from the start of `memory`. */
  at = 0;
  /** After a refused {@link reach}: the errno. */
  error = 0;

  /** Forget the cached extent. */
  drop(): undefined {
    this.access = NONE;
    this.memory = null;
  }
}

/** One mapping for {@link RegionTranslate}. */
export interface MappedRegion {
  /** Bus address of the first byte, below 2^53. */
  readonly base: number;
  /** Bytes; all of `memory` from `offset` on when absent. */
  readonly size?: number;
  readonly memory: RingMemory;
  /** Bytes from the start of `memory`; 0 when absent. */
  readonly offset?: number;
  /** `VHOST_ACCESS_*`; both when absent. */
  readonly perm?: number;
}

/** A {@link Translate} over a short list of regions: physical memory without an IOMMU, or a test's mappings. */
export class RegionTranslate implements Translate {
  generation = 0;
  private regions: readonly MappedRegion[];

  constructor(regions: readonly MappedRegion[]) {
    this.regions = regions;
  }

  /** Replace all regions. */
  setRegions(regions: readonly MappedRegion[]): undefined {
    this.generation++;
    this.regions = regions;
  }

  lookup(addrLo: number, addrHi: number, _len: number, write: boolean, out: Extent): number {
    const want = write ? VHOST_ACCESS_WO : VHOST_ACCESS_RO;
    const address = addrHi * 0x1_0000_0000 + addrLo;
    for (const region of this.regions) {
      const offset = region.offset ?? 0;
      const size = region.size ?? region.memory.u8.length - offset;
      if (address < region.base || address - region.base >= size) continue;
      const perm = region.perm ?? VHOST_ACCESS_RW;
      if ((perm & want) === 0) return EPERM;
      out.baseLo = region.base >>> 0;
      out.baseHi = Math.floor(region.base / 0x1_0000_0000);
      out.length = size;
      out.perm = perm;
      out.memory = region.memory;
      out.offset = offset;
      return 0;
    }
    return EINVAL;
  }
}
