/**
 * An interval tree: entries by start, each subtree knowing its largest end. Overlaps are allowed.
 *
 * A treap whose priorities are a mix of the insertion count, so that one history gives one shape. Insert, remove and
 * the first overlap cost O(log n).
 */

/** What the tree stores: inclusive bounds. */
export interface Interval {
  readonly start: bigint;
  readonly last: bigint;
}

interface Twig<T extends Interval> {
  readonly entry: T;
  /** Ties among equal starts: older first. */
  readonly seq: number;
  readonly priority: number;
  left: Twig<T> | null;
  right: Twig<T> | null;
  /** Largest `last` in this subtree. */
  reach: bigint;
}

/** A well-spread 32-bit number from a counter. */
function mix(n: number): number {
  let x = Math.imul(n ^ (n >>> 16), 0x45d9f3b);
  x = Math.imul(x ^ (x >>> 16), 0x45d9f3b);
  return (x ^ (x >>> 16)) >>> 0;
}

function refresh<T extends Interval>(twig: Twig<T>): void {
  let reach = twig.entry.last;
  if (twig.left !== null && twig.left.reach > reach) reach = twig.left.reach;
  if (twig.right !== null && twig.right.reach > reach) reach = twig.right.reach;
  twig.reach = reach;
}

/** Intervals in order of their start. */
export class IntervalTree<T extends Interval> {
  #root: Twig<T> | null = null;
  #seq = 0;
  /** Insertion order, which is also what finds an entry's place again. */
  readonly #seqs = new Map<T, number>();

  get size(): number {
    return this.#seqs.size;
  }

  /** Entries in the order they were inserted. */
  oldest(): T | undefined {
    return this.#seqs.keys().next().value;
  }

  has(entry: T): boolean {
    return this.#seqs.has(entry);
  }

  insert(entry: T): void {
    const seq = ++this.#seq;
    this.#seqs.set(entry, seq);
    const twig: Twig<T> = { entry, seq, priority: mix(seq), left: null, right: null, reach: entry.last };
    this.#root = this.#insert(this.#root, twig);
  }

  /** @returns whether it was there */
  remove(entry: T): boolean {
    const seq = this.#seqs.get(entry);
    if (seq === undefined) return false;
    this.#seqs.delete(entry);
    this.#root = this.#remove(this.#root, entry.start, seq);
    return true;
  }

  clear(): void {
    this.#root = null;
    this.#seqs.clear();
  }

  /** The first entry, by start and then age, that overlaps `[start, last]`. */
  first(start: bigint, last: bigint): T | null {
    return this.#first(this.#root, start, last)?.entry ?? null;
  }

  /** The first overlapping entry after `entry`, in the same order. */
  next(entry: T, start: bigint, last: bigint): T | null {
    const seq = this.#seqs.get(entry);
    return seq === undefined ? null : (this.#after(this.#root, entry.start, seq, start, last)?.entry ?? null);
  }

  #before(start: bigint, seq: number, twig: Twig<T>): boolean {
    return start < twig.entry.start || (start === twig.entry.start && seq < twig.seq);
  }

  #insert(at: Twig<T> | null, twig: Twig<T>): Twig<T> {
    if (at === null) return twig;
    if (twig.priority > at.priority) {
      [twig.left, twig.right] = this.#split(at, twig.entry.start, twig.seq);
      refresh(twig);
      return twig;
    }
    if (this.#before(twig.entry.start, twig.seq, at)) at.left = this.#insert(at.left, twig);
    else at.right = this.#insert(at.right, twig);
    refresh(at);
    return at;
  }

  #split(at: Twig<T> | null, start: bigint, seq: number): [Twig<T> | null, Twig<T> | null] {
    if (at === null) return [null, null];
    if (this.#before(start, seq, at)) {
      const [low, high] = this.#split(at.left, start, seq);
      at.left = high;
      refresh(at);
      return [low, at];
    }
    const [low, high] = this.#split(at.right, start, seq);
    at.right = low;
    refresh(at);
    return [at, high];
  }

  #remove(at: Twig<T> | null, start: bigint, seq: number): Twig<T> | null {
    if (at === null) return null;
    if (at.seq === seq) return this.#merge(at.left, at.right);
    if (this.#before(start, seq, at)) at.left = this.#remove(at.left, start, seq);
    else at.right = this.#remove(at.right, start, seq);
    refresh(at);
    return at;
  }

  #merge(low: Twig<T> | null, high: Twig<T> | null): Twig<T> | null {
    if (low === null) return high;
    if (high === null) return low;
    if (low.priority > high.priority) {
      low.right = this.#merge(low.right, high);
      refresh(low);
      return low;
    }
    high.left = this.#merge(low, high.left);
    refresh(high);
    return high;
  }

  #first(at: Twig<T> | null, start: bigint, last: bigint): Twig<T> | null {
    let twig = at;
    while (twig !== null && twig.reach >= start) {
      if (twig.left !== null && twig.left.reach >= start) {
        twig = twig.left; // the lowest start that reaches into the range is here, if any start is low enough
        continue;
      }
      if (twig.entry.start > last) return null;
      if (twig.entry.last >= start) return twig;
      twig = twig.right;
    }
    return null;
  }

  #after(at: Twig<T> | null, fromStart: bigint, fromSeq: number, start: bigint, last: bigint): Twig<T> | null {
    if (at === null || at.reach < start) return null;
    if (this.#before(fromStart, fromSeq, at)) {
      const lower = this.#after(at.left, fromStart, fromSeq, start, last);
      if (lower !== null) return lower;
      if (at.entry.start > last) return null;
      if (at.entry.last >= start) return at;
      return this.#first(at.right, start, last);
    }
    return this.#after(at.right, fromStart, fromSeq, start, last);
  }
}
