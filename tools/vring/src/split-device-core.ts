/**
 * What all device sides of a split virtqueue share: options, indices, used entries, notifications, state.
 *
 * Notification rules are those of Linux 6.1 `drivers/vhost/vringh.c`.
 */
import { EFAULT, VRING_AVAIL_F_NO_INTERRUPT, VRING_USED_F_NO_NOTIFY, vring_need_event } from '@vdpalab/uapi';
import { ExtentCache } from './extent-cache.ts';
import { DEVICE } from './fused/state.ts';
import { Moves } from './moves.ts';
import type { DirtyLog, RingState } from './ring.ts';
import type { Translate } from './translate.ts';

/** Bytes of an index, of a ring's flags, of an available entry and of an event index; of a used entry. */
const INDEX_SIZE = 2;
const USED_SIZE = 8;

/** What was negotiated, where descriptor addresses lead, and how the memory is shared. */
export interface SplitDeviceOptions {
  /** VIRTIO_RING_F_EVENT_IDX. */
  readonly eventIdx?: boolean;
  /** Mappings for addresses in descriptors. */
  readonly translate: Translate;
  /**
   * Leave segments as bus addresses (`memory` null in batches) and translate only indirect tables, as vringh does;
   * then `transmit` and `receive` cannot be used.
   */
  readonly raw?: boolean;
  /** Most descriptors, and most segments, of one chain; the larger of queue size and 1024 when absent. */
  readonly maxChain?: number;
  /** Refuse an available index further ahead than the queue is long, as Linux's vhost does; vringh does not. */
  readonly checkIndexJump?: boolean;
  /** The driver runs in another thread or process: indices are published by atomic stores. */
  readonly threaded?: boolean;
}

/** State and notifications of a device side; where the ring lies is left to subclasses. */
export abstract class SplitDeviceCore {
  readonly num: number;
  rule = '';
  reason = '';
  drainedBytes = 0;

  /** Bytes of ring structures read and written since {@link takeRingRead} and {@link takeRingWritten}; `drain` counts none. */
  protected ringRead = 0;
  protected ringWritten = 0;
  protected readonly eventIdx: boolean;
  protected readonly raw: boolean;
  protected readonly checkIndexJump: boolean;
  protected readonly threaded: boolean;
  /** See {@link DEVICE}. */
  protected readonly n = new Int32Array(6);
  /** Where data segments were found last. */
  protected readonly data: ExtentCache;
  /** Where indirect tables were found last. */
  protected readonly tables: ExtentCache;
  protected dirty: DirtyLog | null = null;
  /** What was written into mirrors of buffers, to be pushed before its used entries are published. */
  protected readonly pushes = new Moves(true);
  private usedLogLo = 0;
  private usedLogHi = 0;

  /** Used entries published since `needInterrupt` was last asked. */
  private completed = 0;
  /** Used entries written and not published. */
  private unpublished = 0;

  constructor(num: number, options: SplitDeviceOptions) {
    this.num = num;
    this.eventIdx = options.eventIdx ?? false;
    this.raw = options.raw ?? false;
    this.checkIndexJump = options.checkIndexJump ?? false;
    this.threaded = options.threaded ?? false;
    this.data = new ExtentCache(options.translate);
    this.tables = new ExtentCache(options.translate, true);
    this.n[DEVICE.num] = num;
    this.n[DEVICE.mask] = num - 1;
    this.n[DEVICE.maxChain] = options.maxChain ?? Math.max(num, 1024);
    this.n[DEVICE.lastHead] = -1;
  }

  // Access to the ring. Loads give -1, stores a negative errno, when that part of the ring is not mapped.
  protected abstract loadAvailIndex(): number;
  protected abstract loadAvailFlags(): number;
  protected abstract loadUsedEvent(): number;
  protected abstract loadHead(slot: number): number;
  protected abstract storeUsed(slot: number, id: number, length: number): number;
  protected abstract storeUsedIndex(index: number): number;
  protected abstract storeUsedFlags(flags: number): number;
  protected abstract storeAvailEvent(index: number): number;

  get lastHead(): number {
    return this.n[DEVICE.lastHead];
  }

  protected get lastAvail(): number {
    return this.n[DEVICE.lastAvail];
  }

  protected set lastAvail(index: number) {
    this.n[DEVICE.lastAvail] = index & 0xffff;
  }

  protected get lastUsed(): number {
    return this.n[DEVICE.lastUsed];
  }

  protected set lastUsed(index: number) {
    this.n[DEVICE.lastUsed] = index & 0xffff;
  }

  protected get maxChain(): number {
    return this.n[DEVICE.maxChain];
  }

  /**
   * Report writes into driver memory to a dirty log.
   *
   * @param log `null` to stop
   * @param usedLo where the used ring is logged as being, lower half
   */
  setDirtyLog(log: DirtyLog | null, usedLo: number, usedHi: number): undefined {
    this.dirty = log;
    this.usedLogLo = usedLo >>> 0;
    this.usedLogHi = usedHi >>> 0;
  }

  /** Bytes of descriptors, indirect tables, available entries, indices and flags read since the last call. */
  takeRingRead(): number {
    const { ringRead } = this;
    this.ringRead = 0;
    return ringRead;
  }

  /** Bytes of used entries, indices and flags written since the last call. */
  takeRingWritten(): number {
    const { ringWritten } = this;
    this.ringWritten = 0;
    return ringWritten;
  }

  pending(): number {
    this.ringRead += INDEX_SIZE;
    const index = this.loadAvailIndex();
    return index < 0 ? 0 : (index - this.lastAvail) & 0xffff;
  }

  unpop(chains: number): undefined {
    this.lastAvail = this.lastAvail - chains;
  }

  push(head: number, length: number): undefined {
    this.complete(head, length);
    this.flush();
  }

  flush(): undefined {
    if (this.pushes.count > 0) this.pushes.flush(); // also what a frame that did not fit has written
    const count = this.unpublished;
    if (count === 0) return;
    this.completed += count;
    this.unpublished = 0;
    this.ringWritten += count * USED_SIZE + INDEX_SIZE;
    if (this.storeUsedIndex(this.lastUsed) < 0) this.noRing('used idx');
    if (this.dirty !== null) this.logUsed(count);
  }

  needInterrupt(): boolean {
    const { completed } = this;
    this.completed = 0;
    this.ringRead += INDEX_SIZE;
    if (!this.eventIdx) {
      const flags = this.loadAvailFlags();
      return flags >= 0 && (flags & VRING_AVAIL_F_NO_INTERRUPT) === 0;
    }
    const event = this.loadUsedEvent();
    if (event < 0) return false;
    return completed > 0xffff || vring_need_event(event, this.lastUsed, (this.lastUsed - completed) & 0xffff);
  }

  enableNotify(): boolean {
    const err = this.eventIdx ? this.storeAvailEvent(this.lastAvail) : this.storeUsedFlags(0);
    if (err < 0) this.noRing('used flags');
    this.ringWritten += INDEX_SIZE;
    this.ringRead += INDEX_SIZE;
    const index = this.loadAvailIndex();
    return index < 0 || index === this.lastAvail;
  }

  disableNotify(): undefined {
    if (this.eventIdx) return;
    this.ringWritten += INDEX_SIZE;
    if (this.storeUsedFlags(VRING_USED_F_NO_NOTIFY) < 0) this.noRing('used flags');
  }

  save(): RingState {
    return { lastAvail: this.lastAvail, lastUsed: this.lastUsed };
  }

  restore(state: RingState): undefined {
    this.lastAvail = state.lastAvail;
    this.lastUsed = state.lastUsed;
    this.completed = 0;
    this.unpublished = 0;
    this.pushes.drop();
    this.data.settle();
    this.tables.settle();
  }

  /** Write a used entry, unpublished. */
  protected complete(head: number, length: number): undefined {
    if (this.storeUsed(this.lastUsed & (this.num - 1), head, length) < 0) this.noRing('used ring');
    this.lastUsed = this.lastUsed + 1;
    this.unpublished++;
  }

  /** Count used entries a loop has written. */
  protected wrote(entries: number): undefined {
    this.unpublished += entries;
  }

  protected fail(errno: number, rule: string, reason: string): number {
    this.rule = rule;
    this.reason = reason;
    return -errno;
  }

  protected noRing(what: string): number {
    return this.fail(EFAULT, 'vring.ring-access', `Failed to access ${what}`);
  }

  /** Log the last entries of the used ring and its index: one mark, two when they wrap. */
  private logUsed(entries: number): undefined {
    const count = Math.min(entries, this.num);
    const first = (this.lastUsed - count) & (this.num - 1);
    const before = Math.min(count, this.num - first);
    this.logUsedBytes(4 + 8 * first, 8 * before);
    if (before < count) this.logUsedBytes(4, 8 * (count - before));
    this.logUsedBytes(2, 2);
  }

  private logUsedBytes(offset: number, length: number): undefined {
    const at = this.usedLogLo + offset;
    this.dirty?.mark(at >>> 0, this.usedLogHi + (at > 0xffff_ffff ? 1 : 0), length);
  }
}
