/**
 * Driver side of a split virtqueue (virtio 1.2, section 2.7).
 *
 * Behaves as Linux 6.1 `drivers/virtio/virtio_ring.c` does, less DMA mapping: addresses come from the caller, who
 * also keeps the buffers; here they are tokens.
 */
import {
  EIO, ENOSPC,
  VRING_AVAIL_F_NO_INTERRUPT, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE, VRING_USED_F_NO_NOTIFY,
  vring_need_event,
} from '@vdpalab/uapi';
import type { SplitRingAreas } from './areas.ts';
import { splitAreasFault } from './areas.ts';
import { AVAIL_IDX, AVAIL_RING, DESC_SIZE, USED_IDX, USED_RING, availEventAt, usedEventAt } from './defs.ts';
import type { RingArea } from './memory.ts';
import type { RingDriver } from './ring.ts';

/** Memory for indirect descriptor tables: one table per descriptor of the queue. */
export interface IndirectPool {
  /** `num * segments * 16` bytes, 16-byte aligned. */
  readonly area: RingArea;
  /** Address of the area as the device sees it; the area does not cross a 4 GiB boundary. */
  readonly busLo: number;
  readonly busHi: number;
  /** Descriptors in each table. */
  readonly segments: number;
}

/** What was negotiated, and how the memory is shared. */
export interface SplitDriverOptions {
  /** VIRTIO_RING_F_EVENT_IDX. */
  readonly eventIdx?: boolean;
  /** VIRTIO_RING_F_INDIRECT_DESC: buffers of more than one segment use these tables where they fit. */
  readonly indirect?: IndirectPool | null;
  /** The device runs in another thread or process: indices are published by atomic stores. */
  readonly threaded?: boolean;
}

/** `avail_idx_shadow` has moved so far that the event index could wrap past it: kick just in case. */
const ADDED_MAX = 0xffff;
const NO_TOKEN = -1;

/** Driver side of a split virtqueue. */
export class SplitDriver implements RingDriver {
  readonly num: number;
  numFree: number;
  broken = false;
  brokenReason = '';
  /** Length the device wrote into the buffer `get` gave last, in bytes. */
  usedLength = 0;
  /** Buffers added since the last `kickPrepare`. */
  numAdded = 0;

  private readonly mask: number;
  private readonly desc: Uint32Array;
  private readonly avail: Uint16Array;
  private readonly usedIndex: Uint16Array;
  private readonly used: Uint32Array;
  private readonly eventIdx: boolean;
  private readonly threaded: boolean;
  private readonly table: Uint32Array | null;
  private readonly tableSegments: number;
  private readonly tableLo: number;
  private readonly tableHi: number;

  // Nothing the driver decides by is read back from memory the device can write.
  private freeHead = 0;
  private availShadow = 0;
  private availFlags = 0;
  private lastUsed = 0;
  /** Next descriptor of the free list or of a chain. */
  private readonly next: Uint16Array;
  /** Last descriptor of the chain that starts here. */
  private readonly tail: Uint16Array;
  /** Descriptors of the chain that starts here. */
  private readonly size: Uint16Array;
  private readonly token: Int32Array;

  /** @throws RangeError when the areas do not fit their memory or are misaligned */
  constructor(areas: SplitRingAreas, options: SplitDriverOptions = {}) {
    const fault = splitAreasFault(areas);
    if (fault !== null) throw new RangeError(`split driver: ${fault}`);
    const { num } = areas;
    this.num = num;
    this.numFree = num;
    this.mask = num - 1;
    this.desc = words(areas.desc, num * 4);
    this.avail = halves(areas.avail, usedEventAt(num) + 1);
    this.usedIndex = halves(areas.used, availEventAt(num) + 1);
    this.used = words(areas.used, USED_RING + 2 * num);
    this.eventIdx = options.eventIdx ?? false;
    this.threaded = options.threaded ?? false;
    const pool = options.indirect ?? null;
    this.table = pool === null ? null : words(pool.area, num * pool.segments * 4);
    this.tableSegments = pool?.segments ?? 0;
    this.tableLo = pool?.busLo ?? 0;
    this.tableHi = pool?.busHi ?? 0;
    this.next = new Uint16Array(num);
    for (let i = 0; i < num; i++) this.next[i] = i + 1;
    this.tail = new Uint16Array(num);
    this.size = new Uint16Array(num);
    this.token = new Int32Array(num).fill(NO_TOKEN);
  }

  /** Start at these indices instead of 0: a ring that was in use elsewhere. Both areas must say the same. */
  startAt(index: number): undefined {
    this.availShadow = index & 0xffff;
    this.lastUsed = index & 0xffff;
  }

  add(segments: Uint32Array, start: number, out: number, into: number, token: number): number {
    const err = this.put(segments, start, out, into, token);
    if (err === 0) this.publish();
    return err;
  }

  addMany(
    count: number, segments: Uint32Array, start: number, out: number, into: number,
    tokens: Int32Array, tokenStart: number,
  ): number {
    const stride = 3 * (out + into);
    let added = 0;
    let err = 0;
    for (; added < count; added++) {
      err = this.put(segments, start + added * stride, out, into, tokens[tokenStart + added]!);
      if (err !== 0) break;
    }
    if (added === 0) return err;
    this.publish();
    return added;
  }

  /**
   * Make a buffer available whose indirect table the caller has written.
   *
   * @param length bytes of the table, a multiple of 16
   * @returns 0, -EIO or -ENOSPC
   */
  addTable(tableLo: number, tableHi: number, length: number, token: number): number {
    if (this.broken) return -EIO;
    if (this.numFree < 1) return -ENOSPC;
    this.putTable(tableLo, tableHi, length, token);
    this.publish();
    return 0;
  }

  kickPrepare(): boolean {
    const event = this.threaded ? Atomics.load(this.usedIndex, availEventAt(this.num)) : this.usedIndex[availEventAt(this.num)]!;
    const now = this.availShadow;
    const added = this.numAdded;
    this.numAdded = 0;
    if (!this.eventIdx) return (this.usedIndex[0]! & VRING_USED_F_NO_NOTIFY) === 0;
    return added >= ADDED_MAX || vring_need_event(event, now, (now - added) & 0xffff);
  }

  moreUsed(): boolean {
    return this.usedNow() !== this.lastUsed;
  }

  get(): number {
    if (this.broken || !this.moreUsed()) return NO_TOKEN;
    const slot = USED_RING + 2 * (this.lastUsed & this.mask);
    const id = this.used[slot]!;
    if (!this.checkId(id)) return NO_TOKEN;
    this.usedLength = this.used[slot + 1]!;
    const token = this.token[id]!;
    this.release(id);
    this.lastUsed = (this.lastUsed + 1) & 0xffff;
    this.publishUsedEvent();
    return token;
  }

  getMany(tokens: Int32Array, lengths: Uint32Array, max: number): number {
    if (this.broken) return -EIO;
    const ready = (this.usedNow() - this.lastUsed) & 0xffff;
    const want = ready < max ? ready : max;
    let got = 0;
    for (; got < want; got++) {
      const slot = USED_RING + 2 * (this.lastUsed & this.mask);
      const id = this.used[slot]!;
      if (!this.checkId(id)) break;
      tokens[got] = this.token[id]!;
      lengths[got] = this.used[slot + 1]!;
      this.release(id);
      this.lastUsed = (this.lastUsed + 1) & 0xffff;
    }
    if (got > 0) this.publishUsedEvent();
    return got === 0 && this.broken ? -EIO : got;
  }

  detachUnused(): number {
    for (let id = 0; id < this.num; id++) {
      const token = this.token[id]!;
      if (token === NO_TOKEN) continue;
      this.release(id);
      this.availShadow = (this.availShadow - 1) & 0xffff;
      this.storeAvailIndex();
      return token;
    }
    return NO_TOKEN;
  }

  disableCallbacks(): undefined {
    if ((this.availFlags & VRING_AVAIL_F_NO_INTERRUPT) !== 0) return;
    this.availFlags |= VRING_AVAIL_F_NO_INTERRUPT;
    // An event index that has gone by: no cleaner value exists.
    if (this.eventIdx) this.avail[usedEventAt(this.num)] = 0;
    else this.avail[0] = this.availFlags;
  }

  enableCallbacksPrepare(): number {
    this.clearNoInterrupt();
    this.storeUsedEvent(this.lastUsed);
    return this.lastUsed;
  }

  poll(mark: number): boolean {
    return !this.broken && this.usedNow() !== (mark & 0xffff);
  }

  enableCallbacks(): boolean {
    return !this.poll(this.enableCallbacksPrepare());
  }

  enableCallbacksDelayed(): boolean {
    this.clearNoInterrupt();
    const buffers = (((this.availShadow - this.lastUsed) & 0xffff) * 3) >>> 2;
    this.storeUsedEvent((this.lastUsed + buffers) & 0xffff);
    return ((this.usedNow() - this.lastUsed) & 0xffff) <= buffers;
  }

  breakRing(): undefined {
    this.broken = true;
  }

  /** Write a buffer's descriptors and its entry in the available ring, unpublished. */
  private put(segments: Uint32Array, start: number, out: number, into: number, token: number): number {
    if (this.broken) return -EIO;
    const total = out + into;
    if (total === 0) throw new RangeError('split driver: a buffer without segments');
    if (this.table !== null && total > 1 && total <= this.tableSegments && this.numFree > 0) {
      const at = this.freeHead * this.tableSegments;
      this.fillTable(this.table, at * 4, segments, start, out, total);
      this.putTable(this.tableLo + at * DESC_SIZE, this.tableHi, total * DESC_SIZE, token);
      return 0;
    }
    if (this.numFree < total) return -ENOSPC;
    const { desc, next } = this;
    const head = this.freeHead;
    let i = head;
    let last = head;
    let s = start;
    for (let k = 0; k < total; k++) {
      const d = i << 2;
      const flags = (k < out ? 0 : VRING_DESC_F_WRITE) | (k + 1 < total ? VRING_DESC_F_NEXT : 0);
      desc[d] = segments[s]!;
      desc[d + 1] = segments[s + 1]!;
      desc[d + 2] = segments[s + 2]!;
      desc[d + 3] = flags | (k + 1 < total ? next[i]! << 16 : 0);
      s += 3;
      last = i;
      i = next[i]!;
    }
    this.freeHead = i;
    this.take(head, last, total, token);
    return 0;
  }

  private fillTable(table: Uint32Array, at: number, segments: Uint32Array, start: number, out: number, total: number): undefined {
    let d = at;
    let s = start;
    for (let k = 0; k < total; k++) {
      const flags = (k < out ? 0 : VRING_DESC_F_WRITE) | (k + 1 < total ? VRING_DESC_F_NEXT | ((k + 1) << 16) : 0);
      table[d] = segments[s]!;
      table[d + 1] = segments[s + 1]!;
      table[d + 2] = segments[s + 2]!;
      table[d + 3] = flags;
      s += 3;
      d += 4;
    }
  }

  private putTable(lo: number, hi: number, length: number, token: number): undefined {
    const head = this.freeHead;
    const d = head << 2;
    this.desc[d] = lo;
    this.desc[d + 1] = hi;
    this.desc[d + 2] = length;
    this.desc[d + 3] = VRING_DESC_F_INDIRECT;
    this.freeHead = this.next[head]!;
    this.take(head, head, 1, token);
  }

  private take(head: number, last: number, count: number, token: number): undefined {
    this.tail[head] = last;
    this.size[head] = count;
    this.token[head] = token;
    this.numFree -= count;
    this.avail[AVAIL_RING + (this.availShadow & this.mask)] = head;
    this.availShadow = (this.availShadow + 1) & 0xffff;
    this.numAdded++;
  }

  /** Give a chain back to the free list, in front, in its own order. */
  private release(head: number): undefined {
    this.next[this.tail[head]!] = this.freeHead;
    this.freeHead = head;
    this.numFree += this.size[head]!;
    this.token[head] = NO_TOKEN;
  }

  private checkId(id: number): boolean {
    if (id >= this.num) return this.bad(`id ${id} out of range`);
    return this.token[id] === NO_TOKEN ? this.bad(`id ${id} is not a head!`) : true;
  }

  private bad(reason: string): false {
    this.broken = true;
    this.brokenReason = reason;
    return false;
  }

  private publish(): undefined {
    this.storeAvailIndex();
  }

  private storeAvailIndex(): undefined {
    if (this.threaded) Atomics.store(this.avail, AVAIL_IDX, this.availShadow);
    else this.avail[AVAIL_IDX] = this.availShadow;
  }

  private usedNow(): number {
    return this.threaded ? Atomics.load(this.usedIndex, USED_IDX) : this.usedIndex[USED_IDX]!;
  }

  /** Ask to hear of the next used entry, unless callbacks are off. */
  private publishUsedEvent(): undefined {
    if ((this.availFlags & VRING_AVAIL_F_NO_INTERRUPT) === 0) this.storeUsedEvent(this.lastUsed);
  }

  private storeUsedEvent(index: number): undefined {
    if (this.threaded) Atomics.store(this.avail, usedEventAt(this.num), index);
    else this.avail[usedEventAt(this.num)] = index;
  }

  private clearNoInterrupt(): undefined {
    if ((this.availFlags & VRING_AVAIL_F_NO_INTERRUPT) === 0) return;
    this.availFlags &= ~VRING_AVAIL_F_NO_INTERRUPT;
    if (!this.eventIdx) this.avail[0] = this.availFlags;
  }
}

function words(area: RingArea, count: number): Uint32Array {
  return new Uint32Array(area.memory.buffer, area.memory.byteOffset + area.offset, count);
}

function halves(area: RingArea, count: number): Uint16Array {
  return new Uint16Array(area.memory.buffer, area.memory.byteOffset + area.offset, count);
}
