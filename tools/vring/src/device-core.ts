/** What all device sides share, whatever the ring: options, what is left to write back, refusals, the dirty log. */
import { EFAULT } from '@vdpalab/uapi';
import { ExtentCache } from './extent-cache.ts';
import { DEVICE } from './fused/state.ts';
import { Moves } from './moves.ts';
import type { DirtyLog, RingState } from './ring.ts';
import type { Translate } from './translate.ts';

/** What was negotiated, where descriptor addresses lead, and how the memory is shared. */
export interface RingDeviceOptions {
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
  /** Refuse an available index further ahead than the queue is long, as Linux's vhost does; vringh does not. Split rings only. */
  readonly checkIndexJump?: boolean;
  /** The driver runs in another thread or process: indices are published by atomic stores. */
  readonly threaded?: boolean;
}

/** State of a device side; what the ring is like, and where it lies, is left to subclasses. */
export abstract class DeviceCore {
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

  constructor(num: number, options: RingDeviceOptions) {
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
   * @param usedLo where the used ring, or a packed ring, is logged as being, lower half
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

  save(): RingState {
    return { lastAvail: this.lastAvail, lastUsed: this.lastUsed };
  }

  restore(state: RingState): undefined {
    this.lastAvail = state.lastAvail;
    this.lastUsed = state.lastUsed;
    this.pushes.drop();
    this.data.settle();
    this.tables.settle();
  }

  protected fail(errno: number, rule: string, reason: string): number {
    this.rule = rule;
    this.reason = reason;
    return -errno;
  }

  protected noRing(what: string): number {
    return this.fail(EFAULT, 'vring.ring-access', `Failed to access ${what}`);
  }

  /** Log a write into what the device writes of the ring. @param offset bytes from where {@link setDirtyLog} says that it lies */
  protected logRing(offset: number, length: number): undefined {
    const at = this.usedLogLo + offset;
    this.dirty?.mark(at >>> 0, this.usedLogHi + (at > 0xffff_ffff ? 1 : 0), length);
  }
}
