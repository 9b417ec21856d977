/**
 * A four-level radix tree from page to page, with large leaves, in one typed array.
 *
 * Shaped as VT-d second-level tables are: 512 entries per node, leaves of 4 KiB, 2 MiB and 1 GiB, 48 address bits.
 * An entry is two words: flags and the low half of the address, then the high half.
 */

/** Address bits the tree resolves. */
export const ADDRESS_BITS = 48;

const FANOUT = 512;
const NODE_WORDS = FANOUT * 2;
const NODE_SHIFT = 10;
const PAGE_SPAN = 0x1000;
const ROOT_LEVEL = 3;
/** The largest leaf: 1 GiB. */
const LEAF_LEVEL_MAX = 2;
const PROT = 3;
/** The entry points to a node; its index is the second word. */
const POINTER = 4;
const TWO_32 = 0x1_0000_0000;
const PER_2_32 = 1 / TWO_32;
/** Bytes an entry covers, by level. */
const SPAN = [0x1000, 0x20_0000, 0x4000_0000, 0x80_0000_0000] as const;

/** Integers only; {@link find} leaves its answer in the fields, so that nothing is allocated. */
export class Radix {
  /** After {@link find}: address bits of the leaf's target, low half, at the leaf's start. */
  targetLo = 0;
  targetHi = 0;
  prot = 0;
  /** Level of the leaf: 0 is 4 KiB, 1 is 2 MiB, 2 is 1 GiB. */
  level = 0;

  private words = new Uint32Array(4 * NODE_WORDS);
  private used = new Uint16Array(4);
  /** Nodes given back, all zero. */
  private readonly spare: number[] = [];
  private nodes = 1; // node 0 is the root
  // The last descent, by level: the nodes and the entries in them.
  private readonly path = new Int32Array(ROOT_LEVEL + 1);
  private readonly slots = new Int32Array(ROOT_LEVEL + 1);

  /** Look an address up. @returns whether a page is mapped there */
  find(lo: number, hi: number): boolean {
    const { words } = this;
    let at = ((hi >>> 7) & 511) << 1;
    let entry = words[at]!;
    let level = ROOT_LEVEL;
    if ((entry & POINTER) !== 0) {
      at = words[at + 1]! * NODE_WORDS + ((((hi << 2) | (lo >>> 30)) & 511) << 1);
      entry = words[at]!;
      level = 2;
      if ((entry & POINTER) !== 0) {
        at = words[at + 1]! * NODE_WORDS + (((lo >>> 21) & 511) << 1);
        entry = words[at]!;
        level = 1;
        if ((entry & POINTER) !== 0) {
          at = words[at + 1]! * NODE_WORDS + (((lo >>> 12) & 511) << 1);
          entry = words[at]!;
          level = 0;
        }
      }
    }
    if ((entry & PROT) === 0) return false;
    this.targetLo = (entry & 0xffff_f000) >>> 0;
    this.targetHi = words[at + 1]!;
    this.prot = entry & PROT;
    this.level = level;
    return true;
  }

  /** The first mapped address in a range, or -1. */
  firstMapped(iova: number, size: number): number {
    if (size === PAGE_SPAN) return this.find(iova >>> 0, (iova * PER_2_32) | 0) ? iova : -1;
    const end = iova + size;
    for (let at = iova; at < end; ) {
      const slot = this.descend(at);
      if ((this.words[slot]! & PROT) !== 0) return at;
      at = entryEnd(at, this.level);
    }
    return -1;
  }

  /** Map a range of which nothing is mapped; all arguments page-aligned. */
  map(iova: number, pa: number, size: number, prot: number): undefined {
    if (size === PAGE_SPAN) {
      const slot = this.pageSlot(iova >>> 0, (iova * PER_2_32) | 0);
      if (slot >= 0) {
        this.words[slot] = (pa >>> 0) | prot;
        this.words[slot + 1] = (pa * PER_2_32) | 0;
        this.used[slot >>> NODE_SHIFT]!++;
        return;
      }
    }
    const end = iova + size;
    let target = pa;
    for (let at = iova; at < end; ) {
      const level = leafLevel(at, target, end - at);
      const slot = this.grow(at, level);
      this.words[slot] = (target >>> 0) | prot;
      this.words[slot + 1] = (target * PER_2_32) | 0;
      const span = SPAN[level]!;
      at += span;
      target += span;
    }
  }

  /** Unmap a page-aligned range, splitting large leaves it cuts. @returns bytes that were mapped */
  unmap(iova: number, size: number): number {
    if (size === PAGE_SPAN) {
      const slot = this.pageSlot(iova >>> 0, (iova * PER_2_32) | 0);
      if (slot >= 0) {
        if ((this.words[slot]! & PROT) === 0) return 0;
        if (this.used[slot >>> NODE_SHIFT]! > 1) {
          this.words[slot] = 0;
          this.words[slot + 1] = 0;
          this.used[slot >>> NODE_SHIFT]!--;
          return PAGE_SPAN;
        }
      }
    }
    const end = iova + size;
    let removed = 0;
    for (let at = iova; at < end; ) {
      const slot = this.descend(at);
      const { level } = this;
      const next = entryEnd(at, level);
      if ((this.words[slot]! & PROT) === 0) {
        at = next;
        continue;
      }
      if (next - SPAN[level]! < at || next > end) {
        this.split(slot, level);
        continue;
      }
      this.clear(level);
      removed += SPAN[level]!;
      at = next;
    }
    return removed;
  }

  /** Nodes in use, the root included: what the tables cost. */
  get nodeCount(): number {
    return this.nodes - this.spare.length;
  }

  /** Word index of a small page's entry, or -1 when there is no node for it: the short way for single pages. */
  private pageSlot(lo: number, hi: number): number {
    const { words } = this;
    let at = ((hi >>> 7) & 511) << 1;
    if ((words[at]! & POINTER) === 0) return -1;
    at = (words[at + 1]! << NODE_SHIFT) + ((((hi << 2) | (lo >>> 30)) & 511) << 1);
    if ((words[at]! & POINTER) === 0) return -1;
    at = (words[at + 1]! << NODE_SHIFT) + (((lo >>> 21) & 511) << 1);
    if ((words[at]! & POINTER) === 0) return -1;
    return (words[at + 1]! << NODE_SHIFT) + (((lo >>> 12) & 511) << 1);
  }

  /** Walk down as far as there are nodes; sets `level` and `path`. @returns word index of the entry */
  private descend(address: number): number {
    const lo = address >>> 0;
    const hi = (address * PER_2_32) | 0;
    const { words, path, slots } = this;
    let node = 0;
    let level = ROOT_LEVEL;
    for (;;) {
      path[level] = node;
      const slot = node * NODE_WORDS + (indexAt(lo, hi, level) << 1);
      slots[level] = slot;
      if ((words[slot]! & POINTER) === 0) {
        this.level = level;
        return slot;
      }
      node = words[slot + 1]!;
      level--;
    }
  }

  /** Make the nodes down to `level` and count the entry as used. @returns its word index */
  private grow(address: number, level: number): number {
    const lo = address >>> 0;
    const hi = (address * PER_2_32) | 0;
    let node = 0;
    for (let l = ROOT_LEVEL; ; l--) {
      const slot = node * NODE_WORDS + (indexAt(lo, hi, l) << 1);
      if (l === level) {
        this.used[node]!++;
        return slot;
      }
      if ((this.words[slot]! & POINTER) === 0) {
        const child = this.take();
        this.words[slot] = POINTER;
        this.words[slot + 1] = child;
        this.used[node]!++;
        node = child;
      } else {
        node = this.words[slot + 1]!;
      }
    }
  }

  /** Empty the entry of the last descent, and give back the nodes of the path that this empties. */
  private clear(level: number): undefined {
    for (let l = level; ; l++) {
      const slot = this.slots[l]!;
      this.words[slot] = 0;
      this.words[slot + 1] = 0;
      const node = this.path[l]!;
      const left = --this.used[node]!;
      if (left > 0 || l === ROOT_LEVEL) return;
      this.spare.push(node);
    }
  }

  /** Replace a large leaf by a node of leaves one level down. */
  private split(slot: number, level: number): undefined {
    const entry = this.words[slot]!;
    const target = this.words[slot + 1]! * TWO_32 + ((entry & 0xffff_f000) >>> 0);
    const child = this.take();
    const span = SPAN[level - 1]!;
    for (let i = 0; i < FANOUT; i++) {
      const pa = target + i * span;
      const at = child * NODE_WORDS + i * 2;
      this.words[at] = (pa >>> 0) | (entry & PROT);
      this.words[at + 1] = (pa * PER_2_32) | 0;
    }
    this.used[child] = FANOUT;
    this.words[slot] = POINTER;
    this.words[slot + 1] = child;
  }

  /** An empty node. */
  private take(): number {
    const old = this.spare.pop();
    if (old !== undefined) return old;
    const node = this.nodes++;
    if (node === this.used.length) {
      const words = new Uint32Array(this.words.length * 2);
      words.set(this.words);
      this.words = words;
      const used = new Uint16Array(this.used.length * 2);
      used.set(this.used);
      this.used = used;
    }
    return node;
  }
}

function indexAt(lo: number, hi: number, level: number): number {
  switch (level) {
    case 0: return (lo >>> 12) & 511;
    case 1: return (lo >>> 21) & 511;
    case 2: return ((hi << 2) | (lo >>> 30)) & 511;
    default: return (hi >>> 7) & 511;
  }
}

/** The largest leaf that both addresses are aligned to and that fits. */
function leafLevel(iova: number, pa: number, left: number): number {
  const low = (iova | pa) >>> 0;
  let level = 0;
  while (level < LEAF_LEVEL_MAX && left >= SPAN[level + 1]! && (low & (SPAN[level + 1]! - 1)) === 0) level++;
  return level;
}

/** Where the entry that covers an address ends. */
function entryEnd(address: number, level: number): number {
  const lo = address >>> 0;
  if (level < ROOT_LEVEL) return address - (lo & (SPAN[level]! - 1)) + SPAN[level]!;
  const hi = (address * PER_2_32) | 0;
  return address - ((hi & 0x7f) * TWO_32 + lo) + SPAN[ROOT_LEVEL]!;
}
