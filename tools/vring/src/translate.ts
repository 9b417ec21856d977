/**
 * From the addresses in descriptors to memory.
 *
 * A queue keeps the extent it used last (`ExtentCache`) in front of whatever knows the mappings ({@link Translate}): a
 * vhost IOTLB, the platform IOMMU, memory keys. Addresses are pairs of u32.
 */
import { EINVAL, EPERM, VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO } from '@vdpalab/uapi';
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
