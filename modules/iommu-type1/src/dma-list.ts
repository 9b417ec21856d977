/**
 * Ranges that do not overlap, in order of their start.
 *
 * A tree of two levels: leaves of at most 128 ranges, and the list of leaves. Finding costs O(log n) comparisons; inserting and
 * removing move at most a leaf, and the list of leaves only when one splits or empties.
 */

/** What the list keeps: bytes `[iova, iova + size)`. */
export interface Range {
  readonly iova: bigint;
  readonly size: bigint;
}

const LEAF = 128;

/** `dma_list` */
export class DmaList<T extends Range> {
  readonly #leaves: T[][] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** First range that ends above `iova`: it holds the address or comes after it. */
  atOrAfter(iova: bigint): T | null {
    const leaf = this.#leaves[this.#leafFor(iova)];
    return leaf?.[lowest(leaf, (range) => range.iova + range.size > iova)] ?? null;
  }

  /** First range that overlaps `[iova, iova + size)`. @param size at least 1 */
  first(iova: bigint, size: bigint): T | null {
    const found = this.atOrAfter(iova);
    return found !== null && found.iova < iova + size ? found : null;
  }

  /** All ranges that begin below `end`, from the first that ends above `iova` on. The list may change meanwhile. */
  *overlapping(iova: bigint, end: bigint): Generator<T> {
    for (let range = this.atOrAfter(iova); range !== null && range.iova < end; range = this.atOrAfter(range.iova + range.size)) yield range;
  }

  /** @throws Error (a lab bug) when it overlaps another */
  insert(range: T): void {
    if (this.first(range.iova, range.size) !== null) throw new Error(`0x${range.iova.toString(16)} overlaps a range of the list`);
    const at = Math.min(this.#leafFor(range.iova), Math.max(0, this.#leaves.length - 1));
    const leaf = (this.#leaves[at] ??= []);
    leaf.splice(lowest(leaf, (other) => other.iova > range.iova), 0, range);
    if (leaf.length > LEAF) this.#leaves.splice(at + 1, 0, leaf.splice(LEAF / 2));
    this.#size++;
  }

  /** @throws Error (a lab bug) when it is not there */
  remove(range: T): void {
    const at = this.#leafFor(range.iova);
    const leaf = this.#leaves[at] ?? [];
    const i = lowest(leaf, (other) => other.iova >= range.iova);
    if (leaf[i] !== range) throw new Error(`0x${range.iova.toString(16)} is not a range of the list`);
    leaf.splice(i, 1);
    if (leaf.length === 0) this.#leaves.splice(at, 1);
    this.#size--;
  }

  /** The first leaf whose last range ends above `iova`. */
  #leafFor(iova: bigint): number {
    return lowest(this.#leaves, (leaf) => {
      const last = leaf.at(-1);
      return last !== undefined && last.iova + last.size > iova;
    });
  }
}

/** Index of the first element for which `holds`, which holds for all after it; the length when there is none. */
function lowest<E>(list: readonly E[], holds: (element: E) => boolean): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const element = list[middle];
    if (element !== undefined && holds(element)) high = middle;
    else low = middle + 1;
  }
  return low;
}
