/** The hardware's log of pages it wrote: one bit for each 4 KiB of bus addresses, set by DMA. */
import type { DirtyLog } from '@vdpalab/vring';
import type { DmaPort } from '../dma.ts';
import type { N3000Counters } from './counters.ts';

const TWO_20 = 0x10_0000;
const PAGE_SHIFT = 12;

/** Sets bits in the log of one function. */
export class PageLog implements DirtyLog {
  private port: DmaPort | null = null;
  private base = 0;
  private end = 0;
  private readonly counters: N3000Counters;
  /** Page marked last in this run: nobody clears bits during a run. */
  private last = -1;
  private readonly byte = new Uint8Array(1);

  constructor(counters: N3000Counters) {
    this.counters = counters;
  }

  /** Whether pages are logged. */
  get on(): boolean {
    return this.port !== null;
  }

  /**
   * Log to `[base, end)` from now on.
   *
   * @param port whose DMA writes the log; `null` to stop
   */
  set(port: DmaPort | null, base: number, end: number): undefined {
    this.port = port;
    this.base = base;
    this.end = end;
    this.last = -1;
  }

  /** A run of device work begins: the driver may have cleared bits since the last. */
  begin(): undefined {
    this.last = -1;
  }

  mark(addrLo: number, addrHi: number, len: number): undefined {
    if (this.port === null || len === 0) return;
    const first = addrHi * TWO_20 + (addrLo >>> PAGE_SHIFT);
    const pages = ((addrLo & 0xfff) + len + 0xfff) >>> PAGE_SHIFT;
    for (let page = first; page < first + pages; page++) {
      if (page !== this.last) this.markPage(this.port, page);
      this.last = page;
    }
  }

  private markPage(port: DmaPort, page: number): undefined {
    const at = this.base + Math.floor(page / 8);
    const { byte, counters } = this;
    if (at >= this.end || !Number.isSafeInteger(at) || !port.read(at, 1, byte)) {
      counters.dirtyMissed++;
      return;
    }
    byte[0]! |= 1 << (page % 8);
    if (port.write(at, byte)) counters.dirtyMarked++;
    else counters.dirtyMissed++;
  }
}

/** Two logs that hear the same. */
export class BothLogs implements DirtyLog {
  private readonly first: DirtyLog;
  private readonly second: DirtyLog;

  constructor(first: DirtyLog, second: DirtyLog) {
    this.first = first;
    this.second = second;
  }

  mark(addrLo: number, addrHi: number, len: number): undefined {
    this.first.mark(addrLo, addrHi, len);
    this.second.mark(addrLo, addrHi, len);
  }
}
