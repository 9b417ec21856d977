/**
 * Driver side of a split virtqueue (virtio 1.2, section 2.7).
 *
 * Behaves as Linux 6.1 `drivers/virtio/virtio_ring.c` does, less DMA mapping: addresses come from the caller, who
 * also keeps the buffers; here they are tokens. Nothing the driver decides by is read back from memory the device can
 * write, except used entries, once each.
 */
import {
  EIO, ENOSPC,
  VRING_AVAIL_F_NO_INTERRUPT, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE, VRING_USED_F_NO_NOTIFY,
  vring_need_event,
} from '@vdpalab/uapi';
import type { SplitRingAreas } from './areas.ts';
import { splitAreasFault } from './areas.ts';
import { AVAIL_IDX, DESC_SIZE, USED_IDX, availEventAt, usedEventAt } from './defs.ts';
import { putChains, putOnes, putTables, take } from './fused/driver.ts';
import type { RingDriverOptions } from './driver-options.ts';
import { checkBuffers, poolFault } from './driver-options.ts';
import { DRIVER, DriverState, SLOT, SplitViews, WordView, int32 } from './fused/state.ts';
import type { RingArea } from './memory.ts';
import type { RingDriver } from './ring.ts';

/** So many buffers unannounced that the event index may have been passed unseen: kick just in case. */
const ADDED_MAX = 0xffff;
const NO_TOKEN = -1;

/** Driver side of a split virtqueue. */
export class SplitDriver implements RingDriver {
  readonly num: number;
  broken = false;
  brokenReason = '';
  usedLength = 0;
  /** Buffers added since the last `kickPrepare`. */
  numAdded = 0;
  numFree: number;

  private readonly state: DriverState;
  // The numbers of `state`, where single calls want them; bulk calls carry them over and back.
  private freeHead = 0;
  private availShadow = 0;
  private lastUsed = 0;
  private readonly avail: Uint16Array;
  private readonly used: Uint16Array;
  private readonly mask: number;
  private readonly eventIdx: boolean;
  private readonly threaded: boolean;
  private readonly tableSegments: number;
  private availFlags = 0;
  private readonly words = new WordView();
  private readonly lengthWords = new WordView();
  private readonly oneToken = new Int32Array(1);
  private readonly oneSegment = new Uint32Array(3);

  /** @throws RangeError when the areas do not fit their memory or are misaligned */
  constructor(areas: SplitRingAreas, options: RingDriverOptions = {}) {
    const pool = options.indirect ?? null;
    const fault = splitAreasFault(areas) ?? (pool === null ? null : poolFault(pool, areas.num));
    if (fault !== null) throw new RangeError(`split driver: ${fault}`);
    const { num } = areas;
    this.num = num;
    this.numFree = num;
    this.mask = num - 1;
    const views = new SplitViews(areas);
    this.avail = views.avail;
    this.used = views.usedHalf;
    const tables = pool === null ? new Int32Array(0) : int32(pool.area, 0, num * pool.segments * 4);
    this.state = new DriverState(num, views, tables);
    this.tableSegments = pool?.segments ?? 0;
    this.state.n[DRIVER.tableLo] = pool?.busLo ?? 0;
    this.state.n[DRIVER.tableHi] = pool?.busHi ?? 0;
    this.state.n[DRIVER.tableWords] = this.tableSegments * 4;
    this.eventIdx = options.eventIdx ?? false;
    this.threaded = options.threaded ?? false;
  }

  /** Buffers in flight: added and not taken back. */
  get inFlight(): number {
    return (this.availShadow - this.lastUsed) & 0xffff;
  }

  /**
   * Start at this index instead of 0, with nothing in flight: a queue that was in use elsewhere.
   *
   * The device must start there too; both indices in memory are written.
   */
  startAt(index: number): undefined {
    this.availShadow = index & 0xffff;
    this.lastUsed = index & 0xffff;
    this.storeAvailIndex();
    this.used[USED_IDX] = index;
  }

  add(segments: Uint32Array, start: number, out: number, into: number, token: number): number {
    if (this.broken) return -EIO;
    const total = out + into;
    if (total === 1) {
      if (this.numFree < 1) return -ENOSPC;
      this.putOne(segments, start, out === 0 ? VRING_DESC_F_WRITE : 0, token);
      return 0;
    }
    this.oneToken[0] = token;
    return Math.min(this.addMany(1, segments, start, out, into, this.oneToken, 0), 0);
  }

  addMany(
    count: number, segments: Uint32Array, start: number, out: number, into: number,
    tokens: Int32Array, tokenStart: number,
  ): number {
    if (this.broken) return -EIO;
    const total = out + into;
    checkBuffers('split driver', count, total, segments, start, tokens, tokenStart);
    if (count === 0) return 0;
    const { state } = this;
    const free = this.numFree;
    const direct = total === 1 || total > this.tableSegments;
    const each = direct ? total : 1;
    const room = each === 1 ? free : Math.floor(free / each);
    const some = count < room ? count : room;
    if (some === 0) return -ENOSPC;
    state.n[DRIVER.freeHead] = this.freeHead;
    state.n[DRIVER.availShadow] = this.availShadow;
    const words = this.words.of(segments);
    if (total === 1) putOnes(state, some, words, start, out === 0 ? VRING_DESC_F_WRITE : 0, tokens, tokenStart);
    else if (direct) putChains(state, some, words, start, into, total, tokens, tokenStart);
    else putTables(state, some, words, start, into, total, tokens, tokenStart);
    this.freeHead = state.n[DRIVER.freeHead];
    this.availShadow = state.n[DRIVER.availShadow];
    this.numFree = free - some * each;
    this.numAdded += some;
    this.storeAvailIndex();
    return some;
  }

  /**
   * Make a buffer available whose indirect table the caller has written.
   *
   * @param length bytes of the table, a multiple of 16
   * @returns 0, -EIO when broken, -ENOSPC when full
   */
  addTable(tableLo: number, tableHi: number, length: number, token: number): number {
    if (this.broken) return -EIO;
    if (this.numFree < 1) return -ENOSPC;
    this.oneSegment[0] = tableLo;
    this.oneSegment[1] = tableHi;
    this.oneSegment[2] = length;
    this.putOne(this.oneSegment, 0, VRING_DESC_F_INDIRECT, token);
    return 0;
  }

  kickPrepare(): boolean {
    const added = this.numAdded;
    this.numAdded = 0;
    if (!this.eventIdx) return (this.load(this.used, 0) & VRING_USED_F_NO_NOTIFY) === 0;
    const now = this.availShadow;
    const event = this.load(this.used, availEventAt(this.num));
    return added >= ADDED_MAX || vring_need_event(event, now, (now - added) & 0xffff);
  }

  moreUsed(): boolean {
    return this.load(this.used, USED_IDX) !== this.lastUsed;
  }

  get(): number {
    if (this.broken || !this.moreUsed()) return NO_TOKEN;
    const { slots, views } = this.state;
    const u = (this.lastUsed & this.mask) << 1;
    const id = views.usedRing[u] >>> 0;
    if (!this.isHead(id)) return NO_TOKEN;
    this.usedLength = views.usedRing[u + 1] >>> 0;
    const token = slots[(id << 2) + SLOT.token];
    this.release(id);
    this.lastUsed = (this.lastUsed + 1) & 0xffff;
    this.askForNext();
    return token;
  }

  getMany(tokens: Int32Array, lengths: Uint32Array, max: number): number {
    if (this.broken) return -EIO;
    const { n, views } = this.state;
    let want = (this.load(this.used, USED_IDX) - this.lastUsed) & 0xffff;
    if (want > max) want = max;
    if (want > tokens.length) want = tokens.length;
    if (want > lengths.length) want = lengths.length;
    if (want <= 0) return 0;
    n[DRIVER.freeHead] = this.freeHead;
    n[DRIVER.numFree] = this.numFree;
    n[DRIVER.lastUsed] = this.lastUsed;
    const got = take(this.state, tokens, this.lengthWords.of(lengths), want);
    this.freeHead = n[DRIVER.freeHead];
    this.numFree = n[DRIVER.numFree];
    this.lastUsed = n[DRIVER.lastUsed];
    if (got > 0) this.askForNext();
    if (got < want) this.isHead(views.usedRing[(this.lastUsed & this.mask) << 1] >>> 0);
    return got === 0 ? -EIO : got;
  }

  detachUnused(): number {
    const { slots } = this.state;
    for (let id = 0; id < this.num; id++) {
      if (slots[(id << 2) + SLOT.chain] === 0) continue;
      const token = slots[(id << 2) + SLOT.token];
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
    // With event index there is no "never": an index that has gone by comes closest.
    if (this.eventIdx) this.store(this.avail, usedEventAt(this.num), 0);
    else this.store(this.avail, 0, this.availFlags);
  }

  enableCallbacksPrepare(): number {
    const mark = this.lastUsed;
    this.clearNoInterrupt();
    this.store(this.avail, usedEventAt(this.num), mark);
    return mark;
  }

  poll(mark: number): boolean {
    return !this.broken && this.load(this.used, USED_IDX) !== (mark & 0xffff);
  }

  enableCallbacks(): boolean {
    return !this.poll(this.enableCallbacksPrepare());
  }

  enableCallbacksDelayed(): boolean {
    const last = this.lastUsed;
    this.clearNoInterrupt();
    const most = (this.inFlight * 3) >>> 2;
    this.store(this.avail, usedEventAt(this.num), last + most);
    return ((this.load(this.used, USED_IDX) - last) & 0xffff) <= most;
  }

  breakRing(): undefined {
    this.broken = true;
  }

  /** One descriptor, one buffer, published. */
  private putOne(segments: Uint32Array, start: number, flags: number, token: number): undefined {
    const { slots, views } = this.state;
    const { desc } = views;
    const head = this.freeHead;
    const d = head << 2;
    desc[d + 3] = flags;
    desc[d] = segments[start];
    desc[d + 1] = segments[start + 1];
    desc[d + 2] = segments[start + 2];
    slots[d + SLOT.chain] = 0x1_0000 | head;
    slots[d + SLOT.token] = token;
    this.freeHead = slots[d + SLOT.next];
    this.numFree--;
    const shadow = this.availShadow;
    views.availRing[shadow & this.mask] = head;
    this.availShadow = (shadow + 1) & 0xffff;
    this.numAdded++;
    this.storeAvailIndex();
  }

  /** Give a buffer's descriptors back to the free list, in front, in their order. */
  private release(head: number): undefined {
    const { slots } = this.state;
    const chain = slots[(head << 2) + SLOT.chain];
    slots[(head << 2) + SLOT.chain] = 0;
    slots[((chain & 0x7fff) << 2) + SLOT.next] = this.freeHead;
    this.freeHead = head;
    this.numFree += chain >>> 16;
  }

  private isHead(id: number): boolean {
    if (id >= this.num) return this.bad(`id ${id} out of range`);
    return this.state.slots[(id << 2) + SLOT.chain] === 0 ? this.bad(`id ${id} is not a head!`) : true;
  }

  private bad(reason: string): false {
    this.broken = true;
    this.brokenReason = reason;
    return false;
  }

  /** Ask to hear of the next used entry, unless callbacks are off. */
  private askForNext(): undefined {
    if ((this.availFlags & VRING_AVAIL_F_NO_INTERRUPT) !== 0) return;
    this.store(this.avail, usedEventAt(this.num), this.lastUsed);
  }

  private clearNoInterrupt(): undefined {
    if ((this.availFlags & VRING_AVAIL_F_NO_INTERRUPT) === 0) return;
    this.availFlags &= ~VRING_AVAIL_F_NO_INTERRUPT;
    if (!this.eventIdx) this.store(this.avail, 0, this.availFlags);
  }

  private storeAvailIndex(): undefined {
    this.store(this.avail, AVAIL_IDX, this.availShadow);
  }

  private load(view: Uint16Array, at: number): number {
    return this.threaded ? Atomics.load(view, at) : view[at];
  }

  private store(view: Uint16Array, at: number, value: number): undefined {
    if (this.threaded) Atomics.store(view, at, value);
    else view[at] = value;
  }
}

/**
 * Write an indirect descriptor table, for {@link SplitDriver.addTable}.
 *
 * @param at where, 4-byte aligned
 * @param segments triples; device-readable ones first
 * @param start index in `segments` of the first triple's first word
 * @returns bytes of the table
 */
export function writeTable(at: RingArea, segments: Uint32Array, start: number, out: number, into: number): number {
  const total = out + into;
  const table = int32(at, 0, 4 * total);
  for (let k = 0; k < total; k++) {
    const more = k + 1 < total ? VRING_DESC_F_NEXT | ((k + 1) << 16) : 0;
    table[4 * k] = segments[start + 3 * k];
    table[4 * k + 1] = segments[start + 3 * k + 1];
    table[4 * k + 2] = segments[start + 3 * k + 2];
    table[4 * k + 3] = (k < out ? 0 : VRING_DESC_F_WRITE) | more;
  }
  return total * DESC_SIZE;
}
