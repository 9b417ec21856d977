/**
 * Driver side of a packed virtqueue (virtio 1.2, section 2.8).
 *
 * Behaves as the packed half of Linux 6.1 `drivers/virtio/virtio_ring.c` does, less DMA mapping, as {@link SplitDriver} does
 * for the split half. Nothing the driver decides by is read back from memory the device can write, except used
 * descriptors, once each.
 */
import {
  EIO, ENOSPC, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE,
  VRING_PACKED_EVENT_FLAG_DESC, VRING_PACKED_EVENT_FLAG_DISABLE, VRING_PACKED_EVENT_FLAG_ENABLE, vring_need_event, vring_packed_desc_event,
} from '@vdpalab/uapi';
import type { RingDriverOptions } from './driver-options.ts';
import { checkBuffers, poolFault } from './driver-options.ts';
import { WordView, int32, uint16 } from './fused/state.ts';
import type { PackedRingAreas } from './packed-defs.ts';
import { PACKED_AVAIL, PACKED_START, PACKED_USED, isPackedUsed, packedAfter, packedAreasFault, packedEventIndex } from './packed-defs.ts';
import type { RingDriver } from './ring.ts';

const NO_TOKEN = -1;
/** AVAIL and USED of a descriptor's last word, whose upper half has the flags. */
const LAP = ((PACKED_AVAIL | PACKED_USED) << 16) | 0;
const EVENT_WORDS = vring_packed_desc_event.size / 2;

/** Places in `slots`, four words for each buffer id. */
const SLOT = {
  /** Next id of the free list. */
  next: 0,
  /** Descriptors of the buffer in flight; 0 when there is none. */
  count: 1,
  token: 2,
} as const;

/** Driver side of a packed virtqueue. */
export class PackedDriver implements RingDriver {
  readonly num: number;
  broken = false;
  brokenReason = '';
  usedLength = 0;
  numFree: number;

  private readonly desc: Int32Array;
  private readonly driver: Uint16Array;
  private readonly device: Uint16Array;
  private readonly tables: Int32Array;
  private readonly tableLo: number;
  private readonly tableHi: number;
  private readonly tableSegments: number;
  private readonly eventIdx: boolean;
  private readonly threaded: boolean;
  private readonly slots: Int32Array;
  private freeHead = 0;
  /** Where the next buffer goes, and where the next used descriptor is expected. */
  private nextAvail = PACKED_START;
  private lastUsed = PACKED_START;
  /** Descriptors added since the last `kickPrepare`. */
  private added = 0;
  private eventFlags = VRING_PACKED_EVENT_FLAG_ENABLE;
  private readonly oneToken = new Int32Array(1);
  private readonly oneLength = new Uint32Array(1);
  private readonly words = new WordView();

  /** @throws RangeError when the areas do not fit their memory or are misaligned */
  constructor(areas: PackedRingAreas, options: RingDriverOptions = {}) {
    const { num } = areas;
    const pool = options.indirect ?? null;
    const fault = packedAreasFault(areas) ?? (pool === null ? null : poolFault(pool, num));
    if (fault !== null) throw new RangeError(`packed driver: ${fault}`);
    this.num = num;
    this.numFree = num;
    this.desc = int32(areas.desc, 0, 4 * num);
    this.driver = uint16(areas.driver, 0, EVENT_WORDS);
    this.device = uint16(areas.device, 0, EVENT_WORDS);
    this.tables = pool === null ? new Int32Array(0) : int32(pool.area, 0, num * pool.segments * 4);
    this.tableLo = pool?.busLo ?? 0;
    this.tableHi = pool?.busHi ?? 0;
    this.tableSegments = pool?.segments ?? 0;
    this.eventIdx = options.eventIdx ?? false;
    this.threaded = options.threaded ?? false;
    this.slots = new Int32Array(4 * num);
    for (let id = 0; id < num; id++) this.slots[4 * id + SLOT.next] = id + 1;
  }

  /** Descriptors of buffers in flight: added and not taken back. */
  get inFlight(): number {
    return this.num - this.numFree;
  }

  /** Start at this position instead of the first, with nothing in flight: a queue that was in use elsewhere. */
  startAt(position: number): undefined {
    this.nextAvail = position;
    this.lastUsed = position;
    const flags = (position & 0x8000) === 0 ? PACKED_AVAIL | PACKED_USED : 0; // as used in the lap before
    for (let i = 0; i < this.num; i++) this.desc[4 * i + 3] = (i < (position & 0x7fff) ? flags ^ (PACKED_AVAIL | PACKED_USED) : flags) << 16;
  }

  add(segments: Uint32Array, start: number, out: number, into: number, token: number): number {
    this.oneToken[0] = token;
    return Math.min(this.addMany(1, segments, start, out, into, this.oneToken, 0), 0);
  }

  addMany(
    count: number, segments: Uint32Array, start: number, out: number, into: number,
    tokens: Int32Array, tokenStart: number,
  ): number {
    if (this.broken) return -EIO;
    const total = out + into;
    checkBuffers('packed driver', count, total, segments, start, tokens, tokenStart);
    if (count === 0) return 0;
    const direct = total === 1 || total > this.tableSegments;
    const each = direct ? total : 1;
    const some = Math.min(count, Math.floor(this.numFree / each));
    if (some === 0) return -ENOSPC;
    const words = this.words.of(segments);
    if (direct) this.putChains(some, words, start, out, total, tokens, tokenStart);
    else this.putTables(some, words, start, out, total, tokens, tokenStart);
    this.numFree -= some * each;
    this.added += some * each;
    return some;
  }

  kickPrepare(): boolean {
    const { added, num, nextAvail } = this;
    this.added = 0;
    const flags = this.load(this.device, 1);
    if (flags !== VRING_PACKED_EVENT_FLAG_DESC) return flags !== VRING_PACKED_EVENT_FLAG_DISABLE;
    const now = nextAvail & 0x7fff;
    return added > num || vring_need_event(packedEventIndex(this.load(this.device, 0), nextAvail >>> 15, num), now, now - added);
  }

  moreUsed(): boolean {
    return this.isUsed(this.lastUsed);
  }

  get(): number {
    if (this.broken) return NO_TOKEN;
    const { oneToken, oneLength } = this;
    if (this.getMany(oneToken, oneLength, 1) !== 1) return NO_TOKEN;
    this.usedLength = oneLength[0];
    return oneToken[0];
  }

  getMany(tokens: Int32Array, lengths: Uint32Array, max: number): number {
    if (this.broken) return -EIO;
    const want = Math.min(max, tokens.length, lengths.length);
    const { desc, num, slots, threaded } = this;
    let index = this.lastUsed & 0x7fff;
    let lap = (this.lastUsed & 0x8000) === 0 ? 0 : LAP;
    let { freeHead, numFree } = this;
    let got = 0;
    for (; got < want; got++) {
      const d = index << 2;
      const word = threaded ? Atomics.load(desc, d + 3) : desc[d + 3];
      if ((word & LAP) !== lap) break;
      const id = word & 0xffff;
      const slot = id << 2;
      const count = id < num ? slots[slot + SLOT.count] : 0;
      if (count === 0) {
        this.noHead(id);
        break;
      }
      tokens[got] = slots[slot + SLOT.token];
      lengths[got] = desc[d + 2];
      slots[slot + SLOT.count] = 0;
      slots[slot + SLOT.next] = freeHead;
      freeHead = id;
      numFree = (numFree + count) | 0;
      index = (index + count) | 0;
      if (index >= num) {
        index = (index - num) | 0;
        lap ^= LAP;
      }
    }
    this.freeHead = freeHead;
    this.numFree = numFree;
    this.lastUsed = index | (lap === 0 ? 0 : 0x8000);
    if (got > 0) this.askForNext();
    return got === 0 && this.broken ? -EIO : got;
  }

  detachUnused(): number {
    const { slots } = this;
    for (let id = 0; id < this.num; id++) {
      if (slots[(id << 2) + SLOT.count] === 0) continue;
      this.release(id);
      return slots[(id << 2) + SLOT.token];
    }
    return NO_TOKEN;
  }

  disableCallbacks(): undefined {
    this.setEventFlags(VRING_PACKED_EVENT_FLAG_DISABLE);
  }

  enableCallbacksPrepare(): number {
    this.askAt(this.lastUsed);
    return this.lastUsed;
  }

  poll(mark: number): boolean {
    return !this.broken && this.isUsed(mark);
  }

  enableCallbacks(): boolean {
    return !this.poll(this.enableCallbacksPrepare());
  }

  enableCallbacksDelayed(): boolean {
    this.askAt(packedAfter(this.lastUsed, (this.inFlight * 3) >>> 2, this.num));
    return !this.isUsed(this.lastUsed);
  }

  breakRing(): undefined {
    this.broken = true;
  }

  /** Buffers of `total` segments in the ring itself; there is room. The flags of the first descriptor are written last. */
  private putChains(
    count: number, segments: Int32Array, start: number, out: number, total: number, tokens: Int32Array, tokenStart: number,
  ): undefined {
    const { desc, slots, num, nextAvail } = this;
    const first = nextAvail & 0x7fff;
    let firstWord = 0;
    let flags = availFlags(nextAvail);
    let i = first;
    let s = start;
    let id = this.freeHead;
    for (let b = 0; b < count; b++) {
      for (let k = 0; k < total; k++) {
        const d = i << 2;
        const more = k + 1 < total ? VRING_DESC_F_NEXT : 0;
        const word = id | ((flags | more | (k < out ? 0 : VRING_DESC_F_WRITE)) << 16);
        desc[d] = segments[s];
        desc[d + 1] = segments[s + 1];
        desc[d + 2] = segments[s + 2];
        if (b === 0 && k === 0) firstWord = word;
        else desc[d + 3] = word;
        s += 3;
        if (++i === num) {
          i = 0;
          flags ^= PACKED_AVAIL | PACKED_USED;
        }
      }
      const slot = id << 2;
      slots[slot + SLOT.count] = total;
      slots[slot + SLOT.token] = tokens[tokenStart + b];
      id = slots[slot + SLOT.next];
    }
    this.freeHead = id;
    this.nextAvail = i | ((flags & PACKED_AVAIL) === 0 ? 0 : 0x8000);
    this.storeWord(first, firstWord);
  }

  /** Buffers of `total` segments in tables, one descriptor each; there is room. */
  private putTables(
    count: number, segments: Int32Array, start: number, out: number, total: number, tokens: Int32Array, tokenStart: number,
  ): undefined {
    const { desc, slots, num, nextAvail, tables } = this;
    const words = this.tableSegments << 2;
    const first = nextAvail & 0x7fff;
    let firstWord = 0;
    let flags = availFlags(nextAvail);
    let i = first;
    let s = start;
    let id = this.freeHead;
    for (let b = 0; b < count; b++) {
      let t = id * words;
      for (let k = 0; k < total; k++) {
        tables[t] = segments[s];
        tables[t + 1] = segments[s + 1];
        tables[t + 2] = segments[s + 2];
        tables[t + 3] = (k < out ? 0 : VRING_DESC_F_WRITE) << 16;
        t += 4;
        s += 3;
      }
      const d = i << 2;
      const word = id | ((flags | VRING_DESC_F_INDIRECT) << 16);
      desc[d] = this.tableLo + id * words * 4;
      desc[d + 1] = this.tableHi;
      desc[d + 2] = total << 4;
      if (b === 0) firstWord = word;
      else desc[d + 3] = word;
      if (++i === num) {
        i = 0;
        flags ^= PACKED_AVAIL | PACKED_USED;
      }
      const slot = id << 2;
      slots[slot + SLOT.count] = 1;
      slots[slot + SLOT.token] = tokens[tokenStart + b];
      id = slots[slot + SLOT.next];
    }
    this.freeHead = id;
    this.nextAvail = i | ((flags & PACKED_AVAIL) === 0 ? 0 : 0x8000);
    this.storeWord(first, firstWord);
  }

  private release(id: number): undefined {
    const { slots } = this;
    const slot = id << 2;
    this.numFree += slots[slot + SLOT.count];
    slots[slot + SLOT.count] = 0;
    slots[slot + SLOT.next] = this.freeHead;
    this.freeHead = id;
  }

  private noHead(id: number): undefined {
    this.broken = true;
    this.brokenReason = id < this.num ? `id ${id} is not a head!` : `id ${id} out of range`;
  }

  /** Ask to hear of the next used descriptor, unless callbacks are off. */
  private askForNext(): undefined {
    if (this.eventFlags === VRING_PACKED_EVENT_FLAG_DESC) this.store(this.driver, 0, this.lastUsed);
  }

  /** Ask for callbacks, from a position on if the event index was negotiated. */
  private askAt(position: number): undefined {
    if (this.eventIdx) this.store(this.driver, 0, position);
    this.setEventFlags(this.eventIdx ? VRING_PACKED_EVENT_FLAG_DESC : VRING_PACKED_EVENT_FLAG_ENABLE);
  }

  private setEventFlags(flags: number): undefined {
    if (this.eventFlags === flags) return;
    this.eventFlags = flags;
    this.store(this.driver, 1, flags);
  }

  private isUsed(position: number): boolean {
    return isPackedUsed(this.loadWord(position) >>> 16, position >>> 15);
  }

  /** Id and flags of the descriptor at a position. */
  private loadWord(position: number): number {
    const at = ((position & 0x7fff) << 2) + 3;
    return this.threaded ? Atomics.load(this.desc, at) : this.desc[at];
  }

  private storeWord(index: number, word: number): undefined {
    const at = (index << 2) + 3;
    if (this.threaded) Atomics.store(this.desc, at, word);
    else this.desc[at] = word;
  }

  private load(view: Uint16Array, at: number): number {
    return this.threaded ? Atomics.load(view, at) : view[at];
  }

  private store(view: Uint16Array, at: number, value: number): undefined {
    if (this.threaded) Atomics.store(view, at, value);
    else view[at] = value;
  }
}

/** The flags that make a descriptor available at a position. */
function availFlags(position: number): number {
  return (position & 0x8000) === 0 ? PACKED_USED : PACKED_AVAIL;
}
