/** What the machine counts, always. */

/** Totals since power-on. */
export interface Counters {
  /** Bytes devices read from RAM. */
  dmaRead: number;
  /** Bytes devices wrote to RAM. */
  dmaWritten: number;
  /** Interrupt messages that fired a vector. */
  interrupts: number;
  /** Interrupt messages for a vector nobody has. */
  spurious: number;
  mmioReads: number;
  mmioWrites: number;
  /** MMIO accesses nobody claimed. */
  unclaimed: number;
  /** DMA accesses and interrupt messages the platform IOMMU refused. */
  faults: number;
  /** DMA accesses that were let through to an address without RAM. */
  aborts: number;
}

/** Counters at zero. */
export function newCounters(): Counters {
  return {
    dmaRead: 0, dmaWritten: 0, interrupts: 0, spurious: 0, mmioReads: 0, mmioWrites: 0, unclaimed: 0, faults: 0,
    aborts: 0,
  };
}
