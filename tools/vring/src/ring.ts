/** What every ring offers, split or packed. */
import type { ChainBatch, Runs } from './batch.ts';

/** Where a device was in its ring, enough to go on elsewhere. */
export interface RingState {
  /** Next available entry to look at, u16; of a packed ring its position, wrap counter in bit 15. */
  readonly lastAvail: number;
  /** Next used entry to write, u16; of a packed ring its position. */
  readonly lastUsed: number;
}

/** Takes frames from {@link RingDevice.transmit}. */
export interface FrameSink {
  /**
   * Take a frame; its pieces are valid only during the call.
   *
   * @returns false to leave it in the ring and stop
   */
  frame(runs: Runs): boolean;
}

/** Hears of every write the device does into driver memory. */
export interface DirtyLog {
  /** @param addrLo address as the driver gave it; @param len bytes, at least 1 */
  mark(addrLo: number, addrHi: number, len: number): undefined;
}

/** {@link RingDevice.receive}: a frame may take several chains, counted in `num_buffers` (VIRTIO_NET_F_MRG_RXBUF). */
export const RECEIVE_MERGEABLE = 1;
/** {@link RingDevice.receive}: a frame longer than its buffer is cut, as Linux's simulator does, instead of refused. */
export const RECEIVE_TRUNCATE = 2;

/**
 * The device side of a virtqueue.
 *
 * Bulk calls return how many chains they took, 0 when there is none, or a negative errno about the first chain; `rule`
 * and `reason` then say which check failed. A bad chain behind good ones is met by the next call. A bad chain is
 * taken out of the ring and gets no used entry, except that an index out of range stays where it is, as in
 * Linux 6.1 `drivers/vhost/vringh.c`.
 */
export interface RingDevice {
  /** Queue size, in descriptors. */
  readonly num: number;
  /** Stable id of the check that failed last, such as `vring.desc-loop`; empty when none did. */
  readonly rule: string;
  /** The values that were compared. */
  readonly reason: string;
  /** Head of the chain looked at last, also of one refused: to complete it all the same. -1 before the first. */
  readonly lastHead: number;

  /** Chains the driver has made available and the device has not taken; of a packed ring at most 1 is told. */
  pending(): number;
  /** Take up to `budget` chains, describing them in `batch`. */
  walk(batch: ChainBatch, budget: number): number;
  /** Take one chain: `walk` with a budget of 1. */
  pop(batch: ChainBatch): number;
  /** Put back the last `chains` chains taken, none of which was pushed. */
  unpop(chains: number): undefined;
  /** Write a used entry and publish it. @param length bytes written into the chain */
  push(head: number, length: number): undefined;
  /** Write used entries for all chains of a batch with their `written` lengths, and publish once. */
  pushMany(batch: ChainBatch): undefined;

  /** Take up to `budget` chains, use them up unread, and publish: a sink for traffic. */
  drain(budget: number): number;
  /** Bytes in the segments of chains taken by `drain`, since the start. */
  readonly drainedBytes: number;
  /** Hand each chain's readable bytes to `sink`, use it up with length 0, and publish once. */
  transmit(sink: FrameSink, budget: number): number;
  /**
   * Copy a frame into available chains; used entries are published by {@link flush}.
   *
   * When a chain behind the first is bad, that one is taken out and those before it go back to the driver with length 0.
   *
   * @param flags `RECEIVE_*`
   * @returns chains used; 0 when the ring has too few; -EMSGSIZE when the buffer is too short, which stays available
   */
  receive(frame: Runs, flags: number): number;
  /** Publish the used entries written by `receive`. */
  flush(): undefined;

  /** Whether the driver wants an interrupt for what was published since the last call. */
  needInterrupt(): boolean;
  /** Ask for kicks. @returns false when a chain slipped in and the ring must be looked at again */
  enableNotify(): boolean;
  /** Ask for no kicks; only a hint, and with event index none at all. */
  disableNotify(): undefined;

  save(): RingState;
  restore(state: RingState): undefined;
}

/**
 * The driver side of a virtqueue. Buffers are known by tokens, integers from 0 up that the caller gives.
 *
 * Segments are u32 triples in one array: address low, address high, length.
 */
export interface RingDriver {
  /** Queue size, in descriptors. */
  readonly num: number;
  /** Descriptors free now. */
  readonly numFree: number;
  /** Set by a device that breaks the protocol, or by {@link breakRing}; then nothing is added or taken. */
  readonly broken: boolean;
  /** What the device did, in Linux's words; empty unless broken by the device. */
  readonly brokenReason: string;

  /**
   * Make one buffer available.
   *
   * @param segments triples; device-readable ones first
   * @param start index in `segments` of the first triple's first word
   * @returns 0, -EIO when broken, -ENOSPC when full (kick then if `out` is not 0)
   */
  add(segments: Uint32Array, start: number, out: number, into: number, token: number): number;
  /**
   * Make `count` buffers of one shape available and publish once.
   *
   * @returns buffers added, fewer when the ring fills up; -EIO when broken; -ENOSPC when not one fitted
   */
  addMany(
    count: number, segments: Uint32Array, start: number, out: number, into: number,
    tokens: Int32Array, tokenStart: number,
  ): number;
  /** Whether the device wants a kick for what was added since the last call. */
  kickPrepare(): boolean;
  /** Take one buffer the device has used. @returns its token, or -1; `usedLength` is the length the device wrote */
  get(): number;
  readonly usedLength: number;
  /** Take up to `max` used buffers. @returns how many; -EIO when broken and none was taken */
  getMany(tokens: Int32Array, lengths: Uint32Array, max: number): number;
  /** Take back one buffer the device never used; only once the device is stopped. @returns its token, or -1 */
  detachUnused(): number;

  /** Ask for no interrupts; only a hint. */
  disableCallbacks(): undefined;
  /** Ask for interrupts. @returns false when used buffers are waiting already */
  enableCallbacks(): boolean;
  /** Ask for an interrupt once most of the buffers are used. @returns false when they are already */
  enableCallbacksDelayed(): boolean;
  /** Ask for interrupts. @returns a mark for {@link poll} */
  enableCallbacksPrepare(): number;
  /** Whether the device used a buffer since the mark was taken. */
  poll(mark: number): boolean;
  /** Whether a used buffer is waiting. */
  moreUsed(): boolean;
  breakRing(): undefined;
}
