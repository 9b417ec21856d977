/** A direct-mapped cache of page translations, one per table, as the IOMMU's own IOTLB is tagged by domain. */

const ENTRIES = 4096;
const MASK = ENTRIES - 1;
/** Above this many pages an invalidation empties everything. */
const FLUSH_PAGES = ENTRIES;

/** 4096 entries of four words: page tag low, tag high + 1 (0 is empty), target low | prot, target high. */
export class Iotlb {
  /** After a hit in {@link probe}: the page's target and permissions. */
  targetLo = 0;
  targetHi = 0;
  prot = 0;
  private words: Int32Array | null = null;

  /** Look a page up. */
  probe(lo: number, hi: number): boolean {
    const { words } = this;
    if (words === null) return false;
    const at = ((lo >>> 12) & MASK) << 2;
    if (words[at] !== ((hi << 20) | (lo >>> 12)) || words[at + 1] !== (hi >>> 12) + 1) return false;
    const low = words[at + 2]!;
    this.targetLo = (low & 0xffff_f000) >>> 0;
    this.targetHi = words[at + 3]!;
    this.prot = low & 3;
    return true;
  }

  /** Remember a page. @param targetLo page-aligned */
  fill(lo: number, hi: number, targetLo: number, targetHi: number, prot: number): undefined {
    const words = (this.words ??= new Int32Array(ENTRIES * 4));
    const at = ((lo >>> 12) & MASK) << 2;
    words[at] = (hi << 20) | (lo >>> 12);
    words[at + 1] = (hi >>> 12) + 1;
    words[at + 2] = targetLo | prot;
    words[at + 3] = targetHi;
  }

  /** Forget the pages of a range. @param iova page-aligned */
  invalidate(iova: number, size: number): undefined {
    const { words } = this;
    if (words === null) return;
    const pages = size / 4096;
    if (pages > FLUSH_PAGES) {
      words.fill(0);
      return;
    }
    // Whatever sits in the slots of the range is forgotten: a neighbour lost is only a miss.
    const first = iova >>> 12;
    for (let i = 0; i < pages; i++) words[(((first + i) & MASK) << 2) + 1] = 0;
  }
}
