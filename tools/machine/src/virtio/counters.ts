/** What virtio functions count. */

/** Totals of any virtio function since it was plugged in; resets do not clear them. */
export interface VirtioCounters {
  /** Doorbell writes. */
  kicks: number;
  /** Doorbell writes that name another queue than the doorbell's, or none. */
  badKicks: number;
  /** Chains given back empty because a buffer could not be reached by DMA. */
  bufferFaults: number;
  /** Interrupts asked for, by queue or configuration. */
  interrupts: number;
  configInterrupts: number;
  resets: number;
  /** Times the function gave up and asked for a reset. */
  needsReset: number;
}

/** Totals of a network function. */
export interface NetCounters extends VirtioCounters {
  txFrames: number;
  txBytes: number;
  /** Header too short, or asking for an offload that was not offered. */
  txBadHeader: number;
  /** Shorter than 14 bytes, or longer than the MTU, a header and a VLAN tag. */
  txBadLength: number;
  /** Link down, or no network. */
  txNoLink: number;
  /** Times the ring had to wait because too many frames were in flight. */
  txWaits: number;
  rxFrames: number;
  rxBytes: number;
  /** For another address. */
  rxFiltered: number;
  /** No buffer was available. */
  rxNoBuffer: number;
  /** Longer than the MTU allows, or than the buffer. */
  rxTooLong: number;
  /** The driver was not ready, the queue not enabled or the link down. */
  rxStopped: number;
  /** Control queue commands. */
  commands: number;
}

/** A virtio function's counters at zero. */
export function newVirtioCounters(): VirtioCounters {
  return { kicks: 0, badKicks: 0, bufferFaults: 0, interrupts: 0, configInterrupts: 0, resets: 0, needsReset: 0 };
}

/** A network function's counters at zero. */
export function newNetCounters(): NetCounters {
  return {
    ...newVirtioCounters(),
    txFrames: 0, txBytes: 0, txBadHeader: 0, txBadLength: 0, txNoLink: 0, txWaits: 0,
    rxFrames: 0, rxBytes: 0, rxFiltered: 0, rxNoBuffer: 0, rxTooLong: 0, rxStopped: 0, commands: 0,
  };
}
