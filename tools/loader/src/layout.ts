/** Where modules lie in the kernel's module area: first fit, with a guard page. Mirrors `module_alloc` on x86-64 (Linux 6.1). */

const PAGE = 4096n;
const FIRST = 0xffff_ffff_c020_1000n;

/** Addresses of the module area. */
export class ModuleArea {
  /** Taken ranges, ascending. */
  readonly #ranges: { readonly base: bigint; readonly end: bigint }[] = [];

  /** Number of ranges taken. */
  get size(): number {
    return this.#ranges.length;
  }

  /** Take the lowest gap. @param size bytes, rounded up to pages; a guard page follows */
  alloc(size: number): bigint {
    const span = (BigInt(Math.max(size, 1)) + PAGE - 1n) / PAGE * PAGE + PAGE;
    let base = FIRST;
    let at = 0;
    for (; at < this.#ranges.length; at++) {
      const range = this.#ranges[at];
      if (range === undefined || base + span <= range.base) break;
      base = range.end;
    }
    this.#ranges.splice(at, 0, { base, end: base + span });
    return base;
  }

  /** Give back what {@link alloc} returned. */
  free(base: bigint): void {
    const at = this.#ranges.findIndex((range) => range.base === base);
    if (at < 0) throw new Error(`module area: 0x${base.toString(16)} is not taken`);
    this.#ranges.splice(at, 1);
  }
}
