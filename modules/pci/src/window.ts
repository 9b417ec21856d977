/** Address space to hand out to BARs. Mirrors `kernel/resource.c`, `drivers/pci/setup-bus.c` (Linux 6.1). */

/** A range and what of it is taken. Empty when its size is 0. */
export class AddressWindow {
  base: number;
  size: number;
  private readonly taken: { start: number; end: number }[] = [];

  constructor(base: number, size: number) {
    this.base = base;
    this.size = size;
  }

  /** Take this very range. @returns false when it is not inside, or not free */
  claim(start: number, size: number): boolean {
    const end = start + size;
    if (start < this.base || end > this.base + this.size) return false;
    const at = this.taken.findIndex((range) => range.end > start);
    if (at >= 0 && this.taken[at]!.start < end) return false;
    this.taken.splice(at < 0 ? this.taken.length : at, 0, { start, end });
    return true;
  }

  /**
   * Take the lowest free range.
   *
   * @param align a power of two
   * @returns its address, 0 when there is none
   */
  alloc(size: number, align: number): number {
    let at = roundUp(this.base, align);
    for (const range of this.taken) {
      if (at + size <= range.start) break;
      at = Math.max(at, roundUp(range.end, align));
    }
    return this.claim(at, size) ? at : 0;
  }

  /** Give a range back. */
  release(start: number): undefined {
    const at = this.taken.findIndex((range) => range.start === start);
    if (at >= 0) this.taken.splice(at, 1);
  }
}

/** The next multiple of a power of two. */
export function roundUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}
