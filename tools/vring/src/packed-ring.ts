/**
 * The device side's rules for a packed virtqueue (virtio 1.2, section 2.8), one descriptor at a time; where the ring lies
 * is left to subclasses.
 *
 * Linux has no device side of it (vringh is split only): what a driver may not do is refused as {@link SplitRing} refuses
 * it, with the same rules where there is the same.
 */
import {
  EINVAL, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE,
  VRING_PACKED_EVENT_FLAG_DESC, VRING_PACKED_EVENT_FLAG_DISABLE, VRING_PACKED_EVENT_FLAG_ENABLE, vring_need_event,
} from '@vdpalab/uapi';
import type { ChainBatch } from './batch.ts';
import { DESC_SIZE } from './defs.ts';
import type { RingDeviceOptions } from './device-core.ts';
import { DEVICE } from './fused/state.ts';
import { PACKED_AVAIL, PACKED_START, PACKED_USED, isPackedAvailable, packedAfter, packedEventIndex } from './packed-defs.ts';
import { RingFrames } from './ring-frames.ts';
import type { RingDevice, RingState } from './ring.ts';

/** Bytes of a descriptor's flags; of an event structure. */
const FLAGS_SIZE = 2;
const EVENT_SIZE = 4;
/** Buffer ids are u16, whatever the queue's size. */
const IDS = 0x1_0000;

/** A device side of a packed virtqueue less where its ring lies. */
export abstract class PackedRing extends RingFrames implements RingDevice {
  /** Descriptors of the chain taken last with each id: its used entry stands for so many. */
  protected counts: Uint16Array;
  /** Descriptors of the chain that ends in front of each index, to put it back. */
  protected readonly endsHere: Uint16Array;
  /** Descriptors of used entries published since `needInterrupt` was last asked. */
  private completed = 0;
  /** Used entries written and not published, and their descriptors. */
  protected unpublished = 0;
  private unpublishedDescriptors = 0;
  /** The first of them, whose flags publish all. */
  private firstIndex = 0;
  private firstFlags = 0;

  constructor(num: number, options: RingDeviceOptions) {
    super(num, options);
    this.counts = new Uint16Array(num);
    this.endsHere = new Uint16Array(num);
    this.lastAvail = PACKED_START;
    this.lastUsed = PACKED_START;
  }

  // Access to the ring. Loads give -1, stores a negative errno, when that part of the ring is not mapped.
  protected abstract loadFlags(index: number): number;
  /** Take a snapshot of a descriptor. @returns 0 or a negative errno */
  protected abstract loadDesc(index: number): number;
  /** Write a used entry less its flags. */
  protected abstract storeUsed(index: number, id: number, length: number): number;
  protected abstract storeFlags(index: number, flags: number): number;
  /** `off_wrap` in bits 15 to 0, flags in bits 31 to 16. */
  protected abstract loadDriverEvent(): number;
  protected abstract storeDeviceEvent(offWrap: number, flags: number): number;

  /** 1 when there is a chain, else 0: a packed ring does not tell how many without a look at each. */
  pending(): number {
    return this.isNext() ? 1 : 0;
  }

  unpop(chains: number): undefined {
    for (let c = 0; c < chains; c++) {
      const { lastAvail, num } = this;
      this.lastAvail = packedAfter(lastAvail, num - this.endsHere[lastAvail & 0x7fff], num) ^ 0x8000; // on to it a lap later, and a lap back
    }
  }

  flush(): undefined {
    if (this.pushes.count > 0) this.pushes.flush(); // also what a frame that did not fit has written
    const { unpublished, firstIndex } = this;
    if (unpublished === 0) return;
    this.completed += this.unpublishedDescriptors;
    this.unpublished = 0;
    this.unpublishedDescriptors = 0;
    this.ringWritten += unpublished * DESC_SIZE;
    if (this.storeFlags(firstIndex, this.firstFlags) < 0) this.noRing('descriptor ring');
    if (this.dirty !== null) this.logRing(firstIndex * DESC_SIZE, DESC_SIZE);
  }

  needInterrupt(): boolean {
    const { completed, lastUsed, num } = this;
    this.completed = 0;
    this.ringRead += EVENT_SIZE;
    const event = this.loadDriverEvent();
    if (event < 0) return false;
    const flags = event >>> 16;
    if (flags === VRING_PACKED_EVENT_FLAG_DISABLE) return false;
    if (!this.eventIdx || flags !== VRING_PACKED_EVENT_FLAG_DESC) return true;
    const index = lastUsed & 0x7fff;
    return completed > num || vring_need_event(packedEventIndex(event & 0xffff, lastUsed >>> 15, num), index, index - completed);
  }

  enableNotify(): boolean {
    const err = this.eventIdx
      ? this.storeDeviceEvent(this.lastAvail, VRING_PACKED_EVENT_FLAG_DESC)
      : this.storeDeviceEvent(0, VRING_PACKED_EVENT_FLAG_ENABLE);
    if (err < 0) this.noRing('device event');
    this.ringWritten += EVENT_SIZE;
    return !this.isNext();
  }

  disableNotify(): undefined {
    this.ringWritten += EVENT_SIZE;
    if (this.storeDeviceEvent(0, VRING_PACKED_EVENT_FLAG_DISABLE) < 0) this.noRing('device event');
  }

  /** An index that the queue does not have is taken modulo its size. */
  override restore({ lastAvail, lastUsed }: RingState): undefined {
    const { num } = this;
    const inside = (position: number): number => (position & 0x8000) | ((position & 0x7fff) % num);
    super.restore({ lastAvail: inside(lastAvail), lastUsed: inside(lastUsed) });
    this.completed = 0;
    this.unpublished = 0;
    this.unpublishedDescriptors = 0;
  }

  protected ready(budget: number): number {
    return budget > 0 ? budget : 0;
  }

  protected complete(head: number, length: number): undefined {
    const { lastUsed, num } = this;
    const index = lastUsed & 0x7fff;
    const flags = usedFlags(lastUsed) | (length > 0 ? VRING_DESC_F_WRITE : 0);
    const count = Math.min(head < this.counts.length ? this.counts[head] || 1 : 1, num);
    let err = this.storeUsed(index, head, length);
    if (this.unpublished === 0) {
      this.firstIndex = index;
      this.firstFlags = flags;
    } else {
      err = Math.min(err, this.storeFlags(index, flags));
      if (this.dirty !== null) this.logRing(index * DESC_SIZE, DESC_SIZE);
    }
    if (err < 0) this.noRing('descriptor ring');
    this.lastUsed = packedAfter(lastUsed, count, num);
    this.unpublished++;
    this.unpublishedDescriptors += count;
  }

  /** Count used entries a loop has written from a position on, with their flags but for those of the first. */
  protected wrote(entries: number, from: number): undefined {
    const { lastUsed, num } = this;
    if (this.unpublished === 0) {
      this.firstIndex = from & 0x7fff;
      this.firstFlags = usedFlags(from);
    }
    this.unpublished += entries;
    const first = from & 0x7fff;
    const moved = ((lastUsed ^ from) & 0x8000) === 0 ? (lastUsed & 0x7fff) - first : (lastUsed & 0x7fff) - first + num;
    this.unpublishedDescriptors += moved;
    if (this.dirty === null) return;
    const before = Math.min(moved, num - first);
    this.logRing(first * DESC_SIZE, before * DESC_SIZE);
    if (before < moved) this.logRing(0, (moved - before) * DESC_SIZE);
  }

  protected chain(batch: ChainBatch, c: number): number {
    const { num, lastAvail: before } = this;
    const first = batch.start[c];
    let at = before;
    let s = first;
    let err = 0;
    let count = 0;
    let id = 0;
    let flags = 0;
    batch.split[c] = -1;
    do {
      this.ringRead += FLAGS_SIZE;
      flags = this.loadFlags(at & 0x7fff);
      if (flags < 0) return this.noRing('descriptor ring');
      if (!isPackedAvailable(flags, at >>> 15)) {
        if (count === 0) return 1;
        err = this.fail(EINVAL, 'vring.next-unavailable', `Chained descriptor ${at & 0x7fff} is not available`);
        break;
      }
      if (this.loadDesc(at & 0x7fff) < 0) return this.noRing('descriptor ring');
      this.ringRead += DESC_SIZE - FLAGS_SIZE;
      id = this.dLow;
      flags = this.dHigh;
      count++;
      at = packedAfter(at, 1, num);
      if (err !== 0) continue; // on to the chain's end
      s = this.describe(batch, c, s, count);
      if (s < 0) err = s;
    } while ((flags & VRING_DESC_F_NEXT) !== 0 && count < num);
    if (err === 0 && (flags & VRING_DESC_F_NEXT) !== 0) err = this.loop(num);
    this.n[DEVICE.lastHead] = id;
    this.remember(id, count, at);
    if (err !== 0) return err;
    batch.head[c] = id;
    batch.split[c] = batch.split[c] < 0 ? s : batch.split[c];
    batch.written[c] = 0;
    batch.start[c + 1] = s;
    return 0;
  }

  /** Add what the descriptor at hand leads to, the `count`th of its chain. @returns the next free segment, or a negative errno */
  private describe(batch: ChainBatch, c: number, s: number, count: number): number {
    if (count > this.maxChain) return this.tooLong();
    if ((this.dHigh & VRING_DESC_F_INDIRECT) === 0) return this.piece(batch, c, s, count - 1);
    if (count > 1 || (this.dHigh & VRING_DESC_F_NEXT) !== 0) return this.fail(EINVAL, 'vring.indirect-chained', 'Indirect descriptor in a chain');
    const bad = this.enterTable();
    if (bad !== 0) return bad;
    const entries = this.dLen / DESC_SIZE;
    if (entries >= this.maxChain) return this.tooLong();
    let next = s;
    for (let i = 0; i < entries && next >= 0; i++) {
      const err = this.loadTableDesc(i);
      if (err !== 0) return err;
      this.ringRead += DESC_SIZE;
      if ((this.dHigh & VRING_DESC_F_INDIRECT) !== 0) return this.fail(EINVAL, 'vring.nested-indirect', `Multilevel indirect, descriptor ${i}`);
      next = this.piece(batch, c, next, i);
    }
    return next;
  }

  /** Add the segments of one descriptor that holds data. */
  private piece(batch: ChainBatch, c: number, s: number, i: number): number {
    const write = (this.dHigh & VRING_DESC_F_WRITE) !== 0;
    if (write && batch.split[c] < 0) batch.split[c] = s;
    if (!write && batch.split[c] >= 0) return this.fail(EINVAL, 'vring.readable-after-writable', `Readable desc ${i} after writable`);
    return this.segments(batch, s, batch.start[c], write);
  }

  private remember(id: number, count: number, at: number): undefined {
    if (id >= this.counts.length) {
      const grown = new Uint16Array(IDS);
      grown.set(this.counts);
      this.counts = grown;
    }
    this.counts[id] = count;
    this.lastAvail = at;
    this.endsHere[at & 0x7fff] = count;
  }

  private isNext(): boolean {
    this.ringRead += FLAGS_SIZE;
    const flags = this.loadFlags(this.lastAvail & 0x7fff);
    return flags >= 0 && isPackedAvailable(flags, this.lastAvail >>> 15);
  }
}

/** The flags of a used descriptor at a position. */
function usedFlags(position: number): number {
  return (position & 0x8000) === 0 ? 0 : PACKED_AVAIL | PACKED_USED;
}
