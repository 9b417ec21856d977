/**
 * What the device sides of a split virtqueue share: state, checks, and every operation in its plain form.
 *
 * The plain form reads the ring through eight small methods, so that it works wherever the ring lies.
 * Checks and their outcomes are those of Linux 6.1 `drivers/vhost/vringh.c`, with two bounds it lacks: an indirect
 * table of length 0 is refused, and a chain is at most `maxChain` descriptors (ENOBUFS).
 */
import {
  EFAULT, EINVAL, ELOOP, EMSGSIZE, ENOBUFS, EPERM, EPROTO,
  VHOST_ACCESS_RO, VHOST_ACCESS_WO,
  VRING_AVAIL_F_NO_INTERRUPT, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE, VRING_USED_F_NO_NOTIFY,
  vring_need_event,
} from '@vdpalab/uapi';
import { ChainBatch, Runs } from './batch.ts';
import { Copier } from './copy.ts';
import { DESC_SIZE } from './defs.ts';
import type { DirtyLog, FrameSink, RingDevice, RingState } from './ring.ts';
import { RECEIVE_MERGEABLE, RECEIVE_TRUNCATE } from './ring.ts';
import type { Translate } from './translate.ts';
import { ExtentCache } from './translate.ts';

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

/** `num_buffers` of `struct virtio_net_hdr_v1`: after flags (1), gso_type (1) and four u16. */
const NUM_BUFFERS_AT = 10;

/** Device side of a split virtqueue, less where the ring lies. */
export abstract class SplitDeviceBase implements RingDevice {
  readonly num: number;
  rule = '';
  reason = '';
  lastHead = -1;
  drainedBytes = 0;

  protected readonly mask: number;
  protected readonly eventIdx: boolean;
  protected readonly raw: boolean;
  protected readonly maxChain: number;
  protected readonly checkIndexJump: boolean;
  protected readonly threaded: boolean;
  /** Where data segments were found last. */
  protected readonly data: ExtentCache;
  /** Where indirect tables were found last. */
  protected readonly tables: ExtentCache;
  protected readonly copier = new Copier();
  protected dirty: DirtyLog | null = null;
  protected usedLogLo = 0;
  protected usedLogHi = 0;

  protected lastAvail = 0;
  /** Next used entry to write. */
  protected lastUsed = 0;
  /** Used entries published since `needInterrupt` was last asked. */
  protected completed = 0;
  /** Used entries written and not published. */
  protected unpublished = 0;

  // One descriptor, as loadDesc and tableDesc leave it.
  protected dLo = 0;
  protected dHi = 0;
  protected dLen = 0;
  protected dFlags = 0;
  protected dNext = 0;

  private readonly one: ChainBatch;
  private readonly runs: Runs;

  constructor(num: number, options: SplitDeviceOptions) {
    this.num = num;
    this.mask = num - 1;
    this.eventIdx = options.eventIdx ?? false;
    this.raw = options.raw ?? false;
    this.maxChain = options.maxChain ?? Math.max(num, 1024);
    this.checkIndexJump = options.checkIndexJump ?? false;
    this.threaded = options.threaded ?? false;
    this.data = new ExtentCache(options.translate);
    this.tables = new ExtentCache(options.translate);
    this.one = new ChainBatch(1, this.maxChain);
    this.runs = new Runs(this.maxChain);
  }

  // Access to the ring. Loads give -1, and descriptor loads and stores a negative errno, when the ring is not there.
  protected abstract loadAvailIndex(): number;
  protected abstract loadAvailFlags(): number;
  protected abstract loadUsedEvent(): number;
  protected abstract loadHead(slot: number): number;
  protected abstract loadDesc(index: number): number;
  protected abstract storeUsed(slot: number, id: number, length: number): number;
  protected abstract storeUsedIndex(index: number): number;
  protected abstract storeUsedFlags(flags: number): number;
  protected abstract storeAvailEvent(index: number): number;

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

  pending(): number {
    const index = this.loadAvailIndex();
    return index < 0 ? 0 : (index - this.lastAvail) & 0xffff;
  }

  walk(batch: ChainBatch, budget: number): number {
    batch.count = 0;
    const index = this.loadAvailIndex();
    if (index < 0) return this.noRing('avail idx');
    const ready = (index - this.lastAvail) & 0xffff;
    if (ready > this.num && this.checkIndexJump) return this.indexJump(index);
    const want = Math.min(ready, budget, batch.maxChains);
    batch.start[0] = 0;
    for (let c = 0; c < want; c++) {
      const before = this.lastAvail;
      const err = this.chain(batch, c);
      if (err === 0) {
        batch.count = c + 1;
        continue;
      }
      if (c === 0) return err;
      this.lastAvail = before;
      return c;
    }
    return want;
  }

  pop(batch: ChainBatch): number {
    return this.walk(batch, 1);
  }

  unpop(chains: number): undefined {
    this.lastAvail = (this.lastAvail - chains) & 0xffff;
  }

  push(head: number, length: number): undefined {
    this.complete(head, length);
    this.flush();
  }

  pushMany(batch: ChainBatch): undefined {
    for (let c = 0; c < batch.count; c++) this.complete(batch.head[c]!, batch.written[c]!);
    this.flush();
  }

  drain(budget: number): number {
    let done = 0;
    let err = 0;
    while (done < budget) {
      err = this.walk(this.one, 1);
      if (err <= 0) break;
      this.drainedBytes += this.one.readable(0);
      this.complete(this.one.head[0]!, 0);
      done++;
    }
    return this.finish(done, err);
  }

  transmit(sink: FrameSink, budget: number): number {
    let done = 0;
    let err = 0;
    const { one, runs } = this;
    while (done < budget) {
      const before = this.lastAvail;
      err = this.walk(one, 1);
      if (err <= 0) break;
      if (one.split[0]! < one.start[1]!) {
        err = this.fail(EPROTO, 'vring.unexpected-writable', 'Unexpected writable desc');
        if (done > 0) this.lastAvail = before;
        break;
      }
      runs.clear();
      for (let s = 0; s < one.start[1]!; s++) runs.add(one.memory[s]!, one.offset[s]!, one.length[s]!);
      if (!sink.frame(runs)) {
        this.lastAvail = before;
        err = 0;
        break;
      }
      this.complete(one.head[0]!, 0);
      done++;
    }
    return this.finish(done, err);
  }

  receive(frame: Runs, flags: number): number {
    const before = this.lastAvail;
    const usedBefore = this.lastUsed;
    const mergeable = (flags & RECEIVE_MERGEABLE) !== 0;
    this.scatterRun = 0;
    this.scatterInto = 0;
    this.countMemory0 = null;
    let left = frame.bytes;
    let chains = 0;
    do {
      const got = this.walk(this.one, 1);
      if (got <= 0) return this.giveBack(before, usedBefore, chains === 0 ? got : got < 0 ? got : 0, got < 0 && chains === 0);
      if (this.one.split[0]! > 0) {
        const err = this.fail(EPROTO, 'vring.unexpected-readable', 'Unexpected readable desc');
        return this.giveBack(before, usedBefore, err, chains === 0);
      }
      const written = this.scatter(frame, left, chains === 0);
      left -= written;
      this.complete(this.one.head[0]!, written);
      chains++;
      if (!mergeable && left > 0) {
        if ((flags & RECEIVE_TRUNCATE) === 0) return this.giveBack(before, usedBefore, -EMSGSIZE, false);
        left = 0;
      }
    } while (left > 0);
    if (mergeable) this.storeCount(chains);
    return chains;
  }

  flush(): undefined {
    if (this.unpublished === 0) return;
    this.completed += this.unpublished;
    this.unpublished = 0;
    this.storeUsedIndex(this.lastUsed);
    if (this.dirty !== null) this.markUsed(2, 2);
  }

  needInterrupt(): boolean {
    const { completed } = this;
    if (!this.eventIdx) {
      this.completed = 0;
      const flags = this.loadAvailFlags();
      return flags >= 0 && (flags & VRING_AVAIL_F_NO_INTERRUPT) === 0;
    }
    const event = this.loadUsedEvent();
    this.completed = 0;
    if (event < 0) return false;
    return completed > 0xffff || vring_need_event(event, this.lastUsed, (this.lastUsed - completed) & 0xffff);
  }

  enableNotify(): boolean {
    if (this.eventIdx) this.storeAvailEvent(this.lastAvail);
    else this.storeUsedFlags(0);
    const index = this.loadAvailIndex();
    return index < 0 || index === this.lastAvail;
  }

  disableNotify(): undefined {
    if (!this.eventIdx) this.storeUsedFlags(VRING_USED_F_NO_NOTIFY);
  }

  save(): RingState {
    return { lastAvail: this.lastAvail, lastUsed: this.lastUsed };
  }

  restore(state: RingState): undefined {
    this.lastAvail = state.lastAvail & 0xffff;
    this.lastUsed = state.lastUsed & 0xffff;
    this.completed = 0;
    this.unpublished = 0;
  }

  /** Take one chain into slot `c` of a batch. @returns 0 or a negative errno */
  private chain(batch: ChainBatch, c: number): number {
    const head = this.loadHead(this.lastAvail & this.mask);
    if (head < 0) return this.noRing('avail ring');
    if (head >= this.num) {
      return this.fail(EINVAL, 'vring.head-range', `Guest says index ${head} > ${this.num} is available`);
    }
    this.lastHead = head;
    this.lastAvail = (this.lastAvail + 1) & 0xffff;
    const first = batch.start[c]!;
    let s = first;
    let split = -1;
    let i = head;
    let max = this.num;
    let count = 0;
    let tableCount = 0;
    let total = 0;
    // -1: in the ring's own table; -2: in an indirect table that ends the chain; else where to go on after it.
    let up = -1;
    for (;;) {
      const err = up === -1 ? this.loadDesc(i) : this.tableDesc(i);
      if (err !== 0) return err;
      const flags = this.dFlags;
      if (up === -1) count++;
      if (count > this.num) return this.loop();
      if (++total > this.maxChain) return this.tooLong();
      if ((flags & VRING_DESC_F_INDIRECT) !== 0) {
        const length = this.dLen;
        if (up !== -1) return this.fail(EINVAL, 'vring.nested-indirect', `Multilevel indirect ${up}->${i}`);
        if (length === 0 || length % DESC_SIZE !== 0) {
          return this.fail(EINVAL, 'vring.indirect-length', `Strange indirect len ${length}`);
        }
        up = (flags & VRING_DESC_F_NEXT) === 0 ? -2 : this.dNext;
        this.tableLo = this.dLo;
        this.tableHi = this.dHi;
        max = length / DESC_SIZE;
        tableCount = 0;
        i = 0;
        continue;
      }
      if (up !== -1 && ++tableCount > max) return this.loop();
      const write = (flags & VRING_DESC_F_WRITE) !== 0;
      if (write) {
        if (split < 0) split = s;
      } else if (split >= 0) {
        return this.fail(EINVAL, 'vring.readable-after-writable', `Readable desc ${i} after writable`);
      }
      s = this.segment(batch, s, first, write);
      if (s < 0) return s;
      if ((flags & VRING_DESC_F_NEXT) !== 0) {
        i = this.dNext;
      } else if (up > 0) {
        i = up;
        up = -1;
        max = this.num;
      } else {
        break;
      }
      if (i >= max) return this.fail(EINVAL, 'vring.next-range', `Chained index ${i} > ${max}`);
    }
    batch.head[c] = head;
    batch.split[c] = split < 0 ? s : split;
    batch.written[c] = 0;
    batch.start[c + 1] = s;
    return 0;
  }

  protected tableLo = 0;
  protected tableHi = 0;

  /** Snapshot a descriptor of the current indirect table. @returns 0 or a negative errno */
  protected tableDesc(index: number): number {
    const at = this.tableLo + index * DESC_SIZE;
    let lo = at >>> 0;
    let hi = this.tableHi + (at > 0xffff_ffff ? 1 : 0);
    const { tables } = this;
    let word = 0;
    for (let b = 0; b < DESC_SIZE; b++) {
      if (hi > 0xffff_ffff || tables.reach(lo, hi, DESC_SIZE - b, VHOST_ACCESS_RO) === 0) {
        return this.unmapped(hi > 0xffff_ffff ? EINVAL : tables.error, lo, hi);
      }
      word = (word >>> 8) | (tables.memory!.u8[tables.at]! << 24);
      if (b === 3) this.dLo = word >>> 0;
      else if (b === 7) this.dHi = word >>> 0;
      else if (b === 11) this.dLen = word >>> 0;
      lo = (lo + 1) >>> 0;
      if (lo === 0) hi++;
    }
    this.dFlags = word & 0xffff;
    this.dNext = word >>> 16;
    return 0;
  }

  /** Add the current descriptor's segments to a batch. @returns the next free segment, or a negative errno */
  private segment(batch: ChainBatch, from: number, first: number, write: boolean): number {
    let s = from;
    let lo = this.dLo;
    let hi = this.dHi;
    let left = this.dLen;
    const want = write ? VHOST_ACCESS_WO : VHOST_ACCESS_RO;
    while (left > 0) {
      if (s >= batch.maxSegments || s - first >= this.maxChain) return this.tooLong();
      let reach = left;
      if (this.raw) {
        batch.memory[s] = null;
        batch.offset[s] = 0;
      } else {
        reach = hi > 0xffff_ffff ? 0 : this.data.reach(lo, hi, left, want);
        if (reach === 0) return this.unmapped(hi > 0xffff_ffff ? EINVAL : this.data.error, lo, hi);
        batch.memory[s] = this.data.memory;
        batch.offset[s] = this.data.at;
      }
      batch.addrLo[s] = lo;
      batch.addrHi[s] = hi;
      batch.length[s] = reach;
      s++;
      left -= reach;
      const end = lo + reach;
      lo = end >>> 0;
      if (end > 0xffff_ffff) hi++;
    }
    return s;
  }

  /** Write a used entry, unpublished. */
  protected complete(head: number, length: number): undefined {
    const slot = this.lastUsed & this.mask;
    this.storeUsed(slot, head, length);
    if (this.dirty !== null) this.markUsed(4 + 8 * slot, 8);
    this.lastUsed = (this.lastUsed + 1) & 0xffff;
    this.unpublished++;
  }

  private markUsed(offset: number, length: number): undefined {
    const at = this.usedLogLo + offset;
    this.dirty?.mark(at >>> 0, this.usedLogHi + (at > 0xffff_ffff ? 1 : 0), length);
  }

  private scatterRun = 0;
  private scatterInto = 0;
  // Where the two bytes of num_buffers went: they may be in two segments.
  private countMemory0: ChainBatch['memory'][number] = null;
  private countMemory1: ChainBatch['memory'][number] = null;
  private countAt0 = 0;
  private countAt1 = 0;

  /** Copy the next part of a frame into the current chain. @returns bytes copied */
  private scatter(frame: Runs, left: number, first: boolean): number {
    const { one } = this;
    let done = 0;
    for (let s = one.split[0]!; s < one.start[1]! && done < left; s++) {
      const memory = one.memory[s]!;
      const room = Math.min(one.length[s]!, left - done);
      const offset = one.offset[s]!;
      if (first) this.noteCount(memory, offset, done, room);
      let filled = 0;
      while (filled < room) {
        const r = this.scatterRun;
        const n = Math.min(frame.length[r]! - this.scatterInto, room - filled);
        this.copier.copy(memory, offset + filled, frame.memory[r]!, frame.offset[r]! + this.scatterInto, n);
        filled += n;
        this.scatterInto += n;
        if (this.scatterInto === frame.length[r]!) {
          this.scatterRun = r + 1;
          this.scatterInto = 0;
        }
      }
      if (this.dirty !== null) this.dirty.mark(one.addrLo[s]!, one.addrHi[s]!, room);
      done += room;
    }
    return done;
  }

  private noteCount(memory: NonNullable<ChainBatch['memory'][number]>, offset: number, done: number, room: number): undefined {
    const at0 = NUM_BUFFERS_AT - done;
    if (at0 >= 0 && at0 < room) {
      this.countMemory0 = memory;
      this.countAt0 = offset + at0;
    }
    if (at0 + 1 >= 0 && at0 + 1 < room) {
      this.countMemory1 = memory;
      this.countAt1 = offset + at0 + 1;
    }
  }

  private storeCount(chains: number): undefined {
    if (this.countMemory0 === null || this.countMemory1 === null) return;
    this.countMemory0.u8[this.countAt0] = chains & 0xff;
    this.countMemory1.u8[this.countAt1] = chains >>> 8;
  }

  /** End `receive` without using buffers. */
  private giveBack(lastAvail: number, lastUsed: number, result: number, keepTaken: boolean): number {
    if (!keepTaken) this.lastAvail = lastAvail;
    this.unpublished -= (this.lastUsed - lastUsed) & 0xffff;
    this.lastUsed = lastUsed;
    return result;
  }

  private finish(done: number, err: number): number {
    if (done === 0) return err;
    this.flush();
    return done;
  }

  protected fail(errno: number, rule: string, reason: string): number {
    this.rule = rule;
    this.reason = reason;
    return -errno;
  }

  protected loop(): number {
    return this.fail(ELOOP, 'vring.desc-loop', `Descriptor loop in a chain of more than ${this.num}`);
  }

  protected tooLong(): number {
    return this.fail(ENOBUFS, 'vring.chain-length', `chain of more than ${this.maxChain} segments`);
  }

  protected noRing(what: string): number {
    return this.fail(EFAULT, 'vring.ring-access', `Failed to access ${what}`);
  }

  protected indexJump(index: number): number {
    return this.fail(EFAULT, 'vring.index-jump', `Guest moved avail index from ${this.lastAvail} to ${index}`);
  }

  protected unmapped(errno: number, lo: number, hi: number): number {
    const address = `0x${((BigInt(hi) << 32n) | BigInt(lo)).toString(16)}`;
    const rule = errno === EPERM ? 'vring.permission' : 'vring.unmapped';
    return this.fail(errno, rule, errno === EPERM ? `${address}: access not permitted` : `${address}: not mapped`);
  }
}
