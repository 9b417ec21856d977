/**
 * The device side's rules for a split virtqueue (virtio 1.2, section 2.7), one descriptor at a time; where the ring lies is left to
 * subclasses.
 *
 * Checks, outcomes and notifications are those of Linux 6.1 `drivers/vhost/vringh.c`.
 */
import {
  EFAULT, EINVAL, VRING_AVAIL_F_NO_INTERRUPT, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE, VRING_USED_F_NO_NOTIFY,
  vring_need_event,
} from '@vdpalab/uapi';
import type { ChainBatch } from './batch.ts';
import { DESC_SIZE } from './defs.ts';
import { DEVICE } from './fused/state.ts';
import { RingFrames } from './ring-frames.ts';
import type { RingDevice, RingState } from './ring.ts';

/** Bytes of an index, of a ring's flags, of an available entry and of an event index; of a used entry. */
const INDEX_SIZE = 2;
export const ENTRY_SIZE = 2;
const USED_SIZE = 8;

/** Where a chain goes on after an indirect table: nowhere, or it is not in one. */
const IN_RING = -1;
const TABLE_ENDS_CHAIN = -2;

/** A device side less where its ring lies. */
export abstract class SplitRing extends RingFrames implements RingDevice {
  /** Used entries published since `needInterrupt` was last asked. */
  private completed = 0;
  /** Used entries written and not published. */
  private unpublished = 0;

  // Access to the ring. Loads give -1, stores a negative errno, when that part of the ring is not mapped.
  protected abstract loadAvailIndex(): number;
  protected abstract loadAvailFlags(): number;
  protected abstract loadUsedEvent(): number;
  protected abstract loadHead(slot: number): number;
  protected abstract storeUsed(slot: number, id: number, length: number): number;
  protected abstract storeUsedIndex(index: number): number;
  protected abstract storeUsedFlags(flags: number): number;
  protected abstract storeAvailEvent(index: number): number;

  /** Take a snapshot of a descriptor of the ring. @returns 0 or a negative errno */
  protected abstract loadDesc(index: number): number;

  pending(): number {
    this.ringRead += INDEX_SIZE;
    const index = this.loadAvailIndex();
    return index < 0 ? 0 : (index - this.lastAvail) & 0xffff;
  }

  unpop(chains: number): undefined {
    this.lastAvail = this.lastAvail - chains;
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

  override restore(state: RingState): undefined {
    super.restore(state);
    this.completed = 0;
    this.unpublished = 0;
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

  protected ready(budget: number): number {
    this.ringRead += ENTRY_SIZE;
    const index = this.loadAvailIndex();
    if (index < 0) return this.noRing('avail idx');
    const ready = (index - this.lastAvail) & 0xffff;
    if (ready > this.num && this.checkIndexJump) {
      return this.fail(EFAULT, 'vring.index-jump', `Guest moved avail index from ${this.lastAvail} to ${index}`);
    }
    return ready < budget ? ready : budget > 0 ? budget : 0;
  }

  protected chain(batch: ChainBatch, c: number): number {
    const { num } = this;
    this.ringRead += ENTRY_SIZE;
    const head = this.loadHead(this.lastAvail & (num - 1));
    if (head < 0) return this.noRing('avail ring');
    if (head >= num) return this.fail(EINVAL, 'vring.head-range', `Guest says index ${head} > ${num} is available`);
    this.n[DEVICE.lastHead] = head;
    this.lastAvail = this.lastAvail + 1;
    const first = batch.start[c];
    let s = first;
    let split = -1;
    let i = head;
    let max = num;
    let up = IN_RING;
    let inRing = 0;
    let inTable = 0;
    let total = 0;
    for (;;) {
      const err = up === IN_RING ? this.loadDesc(i) : this.loadTableDesc(i);
      if (err !== 0) return err;
      this.ringRead += DESC_SIZE;
      // Each INDIRECT descriptor counts too: without that a circle of them would have no end.
      if (up === IN_RING && ++inRing > num) return this.loop(num);
      if (++total > this.maxChain) return this.tooLong();
      const flags = this.dLow;
      if ((flags & VRING_DESC_F_INDIRECT) !== 0) {
        if (up !== IN_RING) return this.fail(EINVAL, 'vring.nested-indirect', `Multilevel indirect ${up}->${i}`);
        const bad = this.enterTable();
        if (bad !== 0) return bad;
        up = (flags & VRING_DESC_F_NEXT) === 0 ? TABLE_ENDS_CHAIN : this.dHigh;
        max = this.dLen / DESC_SIZE;
        inTable = 0;
        i = 0;
        continue;
      }
      if (up !== IN_RING && ++inTable > max) return this.loop(max);
      const write = (flags & VRING_DESC_F_WRITE) !== 0;
      if (write) {
        if (split < 0) split = s;
      } else if (split >= 0) {
        return this.fail(EINVAL, 'vring.readable-after-writable', `Readable desc ${i} after writable`);
      }
      s = this.segments(batch, s, first, write);
      if (s < 0) return s;
      if ((flags & VRING_DESC_F_NEXT) !== 0) {
        i = this.dHigh;
      } else if (up > 0) {
        // After a table the ring goes on, unless at descriptor 0: vringh takes 0 for none.
        i = up;
        up = IN_RING;
        max = num;
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

  /** Log the last entries of the used ring and its index: one mark, two when they wrap. */
  private logUsed(entries: number): undefined {
    const count = Math.min(entries, this.num);
    const first = (this.lastUsed - count) & (this.num - 1);
    const before = Math.min(count, this.num - first);
    this.logRing(4 + 8 * first, 8 * before);
    if (before < count) this.logRing(4, 8 * (count - before));
    this.logRing(2, 2);
  }
}
