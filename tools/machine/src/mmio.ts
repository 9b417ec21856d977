/** Routing of memory-mapped I/O to the devices that claim it. */
import type { Atomic, Mmio, Scheduler } from '@vdpalab/abi';
import type { Counters } from './counters.ts';

/** A device's registers. Offsets count from the start of the range. */
export interface MmioHandler {
  /** Whose registers, for reports: `0000:02:00.1 BAR 0`. */
  readonly name: string;
  /** A function's BAR: open while the function decodes, which no driver that leaves switches off. */
  readonly bar?: boolean;
  /** @param size 1, 2 or 4 bytes; naturally aligned */
  readonly read: (offset: number, size: 1 | 2 | 4) => number;
  readonly write: (offset: number, size: 1 | 2 | 4, value: number) => Atomic;
}

/** A claimed range. */
export interface MmioRange {
  readonly base: number;
  readonly size: number;
  readonly handler: MmioHandler;
}

/** The bus behind {@link Mmio}: claims are added when a BAR is enabled and removed when it is not. */
export class MmioBus implements Mmio {
  private sorted: MmioRange[] = [];
  private last: MmioRange | null = null;
  private readonly sched: Scheduler;
  private readonly counters: Counters;

  constructor(sched: Scheduler, counters: Counters) {
    this.sched = sched;
    this.counters = counters;
  }

  /**
   * Claim a range.
   *
   * @param base physical address, 4-byte aligned
   * @param size bytes
   * @returns the claim, for {@link remove}
   * @throws RangeError when it is empty, unaligned or overlaps another
   */
  add(base: number, size: number, handler: MmioHandler): MmioRange {
    if (!Number.isSafeInteger(base + size) || base < 0 || size <= 0 || base % 4 !== 0 || size % 4 !== 0) {
      throw new RangeError(`${handler.name}: MMIO range 0x${base.toString(16)}+${size} is not a range of words`);
    }
    const other = this.sorted.find((r) => base < r.base + r.size && r.base < base + size);
    if (other !== undefined) {
      throw new RangeError(`${handler.name}: MMIO range 0x${base.toString(16)} overlaps that of ${other.handler.name}`);
    }
    const range = { base, size, handler };
    this.sorted = [...this.sorted, range].sort((a, b) => a.base - b.base);
    return range;
  }

  /** Give a claim back; nothing when it is not there. */
  remove(range: MmioRange): undefined {
    this.sorted = this.sorted.filter((r) => r !== range);
    if (this.last === range) this.last = null;
  }

  /** All claims, by address. */
  ranges(): readonly MmioRange[] {
    return this.sorted;
  }

  /** @throws RangeError when the access is not naturally aligned */
  read(pa: number, size: 1 | 2 | 4): number {
    checkAligned(pa, size);
    this.sched.atomicPoint();
    this.counters.mmioReads++;
    const range = this.at(pa);
    if (range === null) {
      this.counters.unclaimed++;
      return ones(size);
    }
    return (range.handler.read(pa - range.base, size) & ones(size)) >>> 0;
  }

  /** @throws RangeError when the access is not naturally aligned */
  write(pa: number, size: 1 | 2 | 4, value: number): undefined {
    checkAligned(pa, size);
    this.counters.mmioWrites++;
    const range = this.at(pa);
    if (range === null) this.counters.unclaimed++;
    else range.handler.write(pa - range.base, size, (value & ones(size)) >>> 0);
    this.sched.atomicPoint();
  }

  private at(pa: number): MmioRange | null {
    const { last } = this;
    if (last !== null && pa >= last.base && pa < last.base + last.size) return last;
    let low = 0;
    let high = this.sorted.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const range = this.sorted[middle]!;
      if (pa < range.base) high = middle - 1;
      else if (pa >= range.base + range.size) low = middle + 1;
      else {
        this.last = range;
        return range;
      }
    }
    return null;
  }
}

function ones(size: 1 | 2 | 4): number {
  return size === 4 ? 0xffff_ffff : size === 2 ? 0xffff : 0xff;
}

function checkAligned(pa: number, size: 1 | 2 | 4): undefined {
  if (!Number.isSafeInteger(pa) || pa < 0 || (pa & (size - 1)) !== 0) {
    throw new RangeError(`MMIO access of ${size} bytes at 0x${pa.toString(16)}: not naturally aligned`);
  }
}
