/** Device side of a split virtqueue whose three areas are contiguous in memory: views over them, and fused loops. */
import type { SplitRingAreas } from './areas.ts';
import { splitAreasFault } from './areas.ts';
import { VHOST_ACCESS_WO, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from '@vdpalab/uapi';
import type { ChainBatch, Runs } from './batch.ts';
import { AVAIL_IDX, DESC_SIZE, USED_IDX, availEventAt, usedEventAt } from './defs.ts';
import {
  drainDirect, drainDirectRaw, drainTables, drainTablesRaw, push, walkDirect, walkDirectRaw, walkTables, walkTablesRaw,
} from './fused/device.ts';
import type { DeviceState } from './fused/state.ts';
import { DEVICE, SplitViews } from './fused/state.ts';
import type { RingDeviceOptions } from './device-core.ts';
import { RECEIVE_MERGEABLE } from './ring.ts';
import type { RingState } from './ring.ts';
import { NUM_BUFFERS_AT } from './ring-frames.ts';
import { ENTRY_SIZE, SplitRing } from './split-ring.ts';

const ANY_FLAG = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT;

/** Device side of a split virtqueue, on views laid over its areas. */
export class SplitDevice extends SplitRing {
  private readonly state: DeviceState;
  private readonly avail: Uint16Array;
  private readonly used: Uint16Array;
  /** The available index as it was seen last; a driver at work at the same time has its line in another cache. */
  private seen = 0;

  /** @throws RangeError when the areas do not fit their memory or are misaligned */
  constructor(areas: SplitRingAreas, options: RingDeviceOptions) {
    const fault = splitAreasFault(areas);
    if (fault !== null) throw new RangeError(`split device: ${fault}`);
    super(areas.num, options);
    const views = new SplitViews(areas);
    this.avail = views.avail;
    this.used = views.usedHalf;
    this.state = { n: this.n, views, data: this.data, tables: this.tables };
  }

  protected override walkOn(batch: ChainBatch, from: number, want: number): number {
    const { state, raw } = this;
    const direct = raw ? walkDirectRaw(state, batch, from, want - from) : walkDirect(state, batch, from, want - from);
    const left = want - direct;
    const c = left === 0 || this.tables.remote ? direct : raw ? walkTablesRaw(state, batch, direct, left) : walkTables(state, batch, direct, left);
    // The loops leave what takes more than one segment for a descriptor; a table has one descriptor in the ring besides.
    this.ringRead += (c - from) * ENTRY_SIZE + (batch.start[c] - batch.start[from] + c - direct) * DESC_SIZE;
    return c;
  }

  override pushMany(batch: ChainBatch): undefined {
    const { count } = batch;
    if (this.data.remote) this.pushWritten(batch);
    if (count > 0) push(this.state, batch, count);
    this.wrote(count);
    this.flush();
  }

  protected override drainOn(want: number): number {
    const { state, raw, n } = this;
    const before = n[DEVICE.lastAvail];
    this.drainedBytes += raw ? drainDirectRaw(state, want) : drainDirect(state, want);
    const direct = (n[DEVICE.lastAvail] - before) & 0xffff;
    if (direct < want && !this.tables.remote) {
      this.drainedBytes += raw ? drainTablesRaw(state, want - direct) : drainTables(state, want - direct);
    }
    const drained = (n[DEVICE.lastAvail] - before) & 0xffff;
    this.wrote(drained);
    return drained;
  }

  /** The usual case, a frame that fits one descriptor, without a walk; anything else is left to the plain form. */
  override receive(frame: Runs, flags: number): number {
    const { n, state, data } = this;
    const { availRing, desc } = state.views;
    const { bytes, count } = frame;
    const last = n[DEVICE.lastAvail];
    let ready = (this.seen - last) & 0xffff;
    if (!this.threaded || ready === 0 || ready > this.num) {
      this.seen = this.loadAvailIndex();
      ready = (this.seen - last) & 0xffff;
    }
    const head = availRing[last & n[DEVICE.mask]];
    if (ready === 0 && !this.raw) {
      this.ringRead += ENTRY_SIZE;
      return 0;
    }
    if (ready > this.num || head >= this.num || this.raw) return super.receive(frame, flags);
    const d = head << 2;
    const word = desc[d + 3];
    const length = desc[d + 2] >>> 0;
    if ((word & ANY_FLAG) !== VRING_DESC_F_WRITE || length < bytes || bytes === 0) return super.receive(frame, flags);
    const lo = desc[d];
    const hi = desc[d + 1];
    if (!data.cover(lo, hi, length, VHOST_ACCESS_WO) || data.remote) return super.receive(frame, flags);
    const memory = data.memory!;
    const at = data.place(lo);
    for (let r = 0, done = 0; r < count; r++) {
      this.copier.copy(memory, at + done, frame.memory[r], frame.offset[r], frame.length[r]);
      done += frame.length[r];
    }
    if ((flags & RECEIVE_MERGEABLE) !== 0 && bytes >= NUM_BUFFERS_AT + 2) {
      memory.u8[at + NUM_BUFFERS_AT] = 1;
      memory.u8[at + NUM_BUFFERS_AT + 1] = 0;
    }
    if (this.dirty !== null) this.dirty.mark(lo >>> 0, hi >>> 0, bytes);
    n[DEVICE.lastHead] = head;
    n[DEVICE.lastAvail] = (last + 1) & 0xffff;
    this.ringRead += 2 * ENTRY_SIZE + DESC_SIZE;
    this.complete(head, bytes);
    return 1;
  }

  override restore(state: RingState): undefined {
    super.restore(state);
    this.seen = this.lastAvail;
  }

  protected loadAvailIndex(): number {
    return this.threaded ? Atomics.load(this.avail, AVAIL_IDX) : this.avail[AVAIL_IDX];
  }

  protected loadAvailFlags(): number {
    return this.threaded ? Atomics.load(this.avail, 0) : this.avail[0];
  }

  protected loadUsedEvent(): number {
    const at = usedEventAt(this.num);
    return this.threaded ? Atomics.load(this.avail, at) : this.avail[at];
  }

  protected loadHead(slot: number): number {
    return this.state.views.availRing[slot];
  }

  protected loadDesc(index: number): number {
    const { desc } = this.state.views;
    const d = index << 2;
    const word = desc[d + 3];
    this.dLo = desc[d] >>> 0;
    this.dHi = desc[d + 1] >>> 0;
    this.dLen = desc[d + 2] >>> 0;
    this.dLow = word & 0xffff;
    this.dHigh = word >>> 16;
    return 0;
  }

  protected storeUsed(slot: number, id: number, length: number): number {
    const { usedRing } = this.state.views;
    usedRing[2 * slot] = id;
    usedRing[2 * slot + 1] = length;
    return 0;
  }

  protected storeUsedIndex(index: number): number {
    return this.store(USED_IDX, index);
  }

  protected storeUsedFlags(flags: number): number {
    return this.store(0, flags);
  }

  protected storeAvailEvent(index: number): number {
    return this.store(availEventAt(this.num), index);
  }

  private store(at: number, value: number): number {
    if (this.threaded) Atomics.store(this.used, at, value);
    else this.used[at] = value;
    return 0;
  }
}
