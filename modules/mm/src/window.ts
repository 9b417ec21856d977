/** Physical addresses for memory that is attached later: above any RAM of the machine's own, below its 64-bit BARs. */
const FIRST = 0x1000_0000_0000;
const LAST = 0x3000_0000_0000;

/** Hands out ranges, the lowest first. */
export class Window {
  /** Ranges in use, ascending. */
  readonly #taken: { start: number; end: number }[] = [];

  /** @param size bytes, whole pages. @throws Error when the window is full: 32 TiB are in use */
  take(size: number): number {
    let start = FIRST;
    let at = 0;
    for (; at < this.#taken.length; at++) {
      const next = this.#taken[at] as { start: number; end: number };
      if (next.start - start >= size) break;
      start = next.end;
    }
    if (start + size > LAST) throw new Error(`no room for ${size} bytes of foreign memory`);
    this.#taken.splice(at, 0, { start, end: start + size });
    return start;
  }

  give(start: number, size: number): void {
    const at = this.#taken.findIndex((range) => range.start === start && range.end === start + size);
    if (at < 0) throw new Error(`0x${start.toString(16)} was not taken`);
    this.#taken.splice(at, 1);
  }
}
