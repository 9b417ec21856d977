/**
 * I/O virtual addresses of one DMA domain.
 *
 * Behaves as `drivers/iommu/iova.c` (Linux 6.1): from the top down, aligned to the size, recently freed ranges first.
 * A tree of halves stands for Linux's red-black tree, so that finding the highest fit costs one walk down.
 */

/** Orders (log2 of pages) whose freed ranges are kept at hand; `IOVA_RANGE_CACHE_MAX_SIZE`. */
const CACHED_ORDERS = 6;
/** Ranges kept for each of them; `IOVA_MAG_SIZE`. */
const CACHE_DEPTH = 128;
/** Nothing free below a node. */
const NONE = -1;

/** Ranges of pages: numbers are page numbers, not addresses. */
export class IovaSpace {
  /** Log2 of the pages of the whole space. */
  private readonly order: number;
  // Nodes: both children or none. A childless node is all free (best is its order) or all taken (best is NONE).
  private readonly left: number[] = [0];
  private readonly best: number[];
  private readonly spare: number[] = [];
  private readonly recent: number[][] = Array.from({ length: CACHED_ORDERS }, () => []);
  private taken = 0;
  private wanted = 0;
  private ceiling = 0;

  /** @param pages of the whole space, a power of two */
  constructor(pages: number) {
    this.order = Math.log2(pages);
    if (!Number.isInteger(this.order)) throw new RangeError(`IOVA space of ${pages} pages: not a power of two`);
    this.best = [this.order];
  }

  /** Pages allocated now; reserved ones are not counted. */
  get used(): number {
    return this.taken;
  }

  /**
   * Take the highest range that ends at or below `limit`, aligned to its size rounded up to a power of two.
   *
   * Up to 32 pages are rounded up to a power of two, as by `alloc_iova_fast`. Larger odd sizes prefer a place whose
   * whole aligned block is free, where Linux takes the highest.
   *
   * @param limit last page that may be used
   * @returns its first page, or -1 when there is none
   */
  alloc(pages: number, limit: number): number {
    const order = orderOf(pages);
    if (order < CACHED_ORDERS) {
      const stack = this.recent[order]!;
      const top = stack.length - 1;
      if (top >= 0 && stack[top]! + 2 ** order - 1 <= limit) {
        this.taken += 2 ** order;
        return stack.pop()!;
      }
    }
    const kept = keptPages(pages);
    let start = this.find(order, kept, limit);
    if (start < 0 && this.flush()) start = this.find(order, kept, limit);
    if (start >= 0) this.taken += kept;
    return start;
  }

  /** Give back what {@link alloc} returned for the same number of pages. */
  free(start: number, pages: number): undefined {
    const kept = keptPages(pages);
    this.taken -= kept;
    const order = orderOf(pages);
    if (order < CACHED_ORDERS && this.recent[order]!.length < CACHE_DEPTH) {
      this.recent[order]!.push(start);
      return;
    }
    this.giveBack(start, kept);
  }

  /** Never hand out `[first, last]`; what lies outside the space is ignored. */
  reserve(first: number, last: number): undefined {
    this.exclude(0, this.order, 0, first, last);
  }

  /** An aligned block that is free as a whole, if there is one: its tail goes back. Else one whose first pages are. */
  private find(order: number, kept: number, limit: number): number {
    if (order > this.order) return -1;
    this.wanted = order;
    this.ceiling = limit;
    const start = this.descend(0, this.order, 0);
    const whole = 2 ** order;
    if (kept === whole) return start;
    if (start < 0) return this.descendToPrefix(0, this.order, 0, kept);
    this.giveBack(start + kept, whole - kept);
    return start;
  }

  private descend(node: number, order: number, start: number): number {
    const { wanted, best } = this;
    if (best[node]! < wanted || start + 2 ** wanted - 1 > this.ceiling) return -1;
    if (order === wanted) {
      best[node] = NONE;
      return start;
    }
    const half = order - 1;
    const left = this.split(node, order);
    let found = this.descend(left + 1, half, start + 2 ** half);
    if (found < 0) found = this.descend(left, half, start);
    this.join(node, order);
    return found;
  }

  /** Not one walk down, but one for each block whose first half is free: for large odd sizes in a crowded space. */
  private descendToPrefix(node: number, order: number, start: number, kept: number): number {
    const { wanted } = this;
    if (this.best[node]! < wanted - 1 || start + kept - 1 > this.ceiling) return -1;
    if (order === wanted) {
      if (!this.isFree(node, order, kept)) return -1;
      this.exclude(node, order, start, start, start + kept - 1);
      return start;
    }
    const left = this.split(node, order);
    let found = this.descendToPrefix(left + 1, order - 1, start + 2 ** (order - 1), kept);
    if (found < 0) found = this.descendToPrefix(left, order - 1, start, kept);
    this.join(node, order);
    return found;
  }

  /** Whether the first pages of a node are free. */
  private isFree(node: number, order: number, pages: number): boolean {
    if (this.best[node] === order) return true;
    const children = this.left[node]!;
    if (children === 0) return false;
    const half = 2 ** (order - 1);
    if (pages <= half) return this.isFree(children, order - 1, pages);
    return this.best[children] === order - 1 && this.isFree(children + 1, order - 1, pages - half);
  }

  private giveBack(start: number, pages: number): undefined {
    let at = start;
    let rest = pages;
    while (rest > 0) {
      const order = Math.min(alignment(at), Math.floor(Math.log2(rest)));
      this.release(0, this.order, at, order);
      at += 2 ** order;
      rest -= 2 ** order;
    }
  }

  /** @param offset of the range from the node's first page */
  private release(node: number, order: number, offset: number, size: number): undefined {
    if (order === size) {
      if (this.left[node] !== 0 || this.best[node] !== NONE) throw new Error(`IOVA range at ${offset}: freed twice`);
      this.best[node] = order;
      return;
    }
    const half = 2 ** (order - 1);
    const left = this.split(node, order);
    if (offset >= half) this.release(left + 1, order - 1, offset - half, size);
    else this.release(left, order - 1, offset, size);
    this.join(node, order);
  }

  private exclude(node: number, order: number, start: number, first: number, last: number): undefined {
    const end = start + 2 ** order - 1;
    if (last < start || first > end || this.best[node] === NONE) return;
    if (first <= start && last >= end && this.left[node] === 0) {
      this.best[node] = NONE;
      return;
    }
    const left = this.split(node, order);
    this.exclude(left, order - 1, start, first, last);
    this.exclude(left + 1, order - 1, start + 2 ** (order - 1), first, last);
    this.join(node, order);
  }

  /** Give a childless node its two halves, alike to it. @returns the left one; the right one is next to it */
  private split(node: number, order: number): number {
    const { left, best } = this;
    const children = left[node]!;
    if (children !== 0) return children;
    const at = this.spare.pop() ?? left.push(0, 0) - 2;
    const value = best[node] === NONE ? NONE : order - 1;
    left[at] = 0;
    left[at + 1] = 0;
    best[at] = value;
    best[at + 1] = value;
    left[node] = at;
    return at;
  }

  /** Take the best of the halves; two halves of a kind become one again. */
  private join(node: number, order: number): undefined {
    const { left, best } = this;
    const at = left[node]!;
    const a = best[at]!;
    const b = best[at + 1]!;
    const whole = a === b && left[at] === 0 && left[at + 1] === 0 && (a === NONE || a === order - 1);
    if (whole) {
      left[node] = 0;
      this.spare.push(at);
      best[node] = a === NONE ? NONE : order;
      return;
    }
    best[node] = Math.max(a, b);
  }

  /** Return the ranges kept at hand to the tree. @returns whether there were any */
  private flush(): boolean {
    let any = false;
    this.recent.forEach((stack, order) => {
      for (const start of stack.splice(0)) {
        this.giveBack(start, 2 ** order);
        any = true;
      }
    });
    return any;
  }
}

/** Log2 of the power of two that holds `pages`. */
function orderOf(pages: number): number {
  return pages <= 1 ? 0 : 32 - Math.clz32(pages - 1);
}

/** Pages a request really takes. */
function keptPages(pages: number): number {
  const order = orderOf(pages);
  return order < CACHED_ORDERS ? 2 ** order : pages;
}

/** Log2 of the largest power of two that divides a page number. */
function alignment(page: number): number {
  const low = page >>> 0;
  if (low !== 0) return 31 - Math.clz32(low & -low);
  const high = Math.floor(page / 0x1_0000_0000);
  return high === 0 ? 52 : 63 - Math.clz32(high & -high);
}
