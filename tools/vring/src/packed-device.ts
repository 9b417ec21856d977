/** Device side of a packed virtqueue whose three areas are contiguous in memory: views over them, and fused loops. */
import { vring_packed_desc_event } from '@vdpalab/uapi';
import type { ChainBatch } from './batch.ts';
import type { RingDeviceOptions } from './device-core.ts';
import { DESC_SIZE } from './defs.ts';
import {
  drainPackedDirect, drainPackedDirectRaw, drainPackedTables, drainPackedTablesRaw,
  walkPackedDirect, walkPackedDirectRaw, walkPackedTables, walkPackedTablesRaw,
} from './fused/packed.ts';
import { int32, uint16 } from './fused/state.ts';
import type { PackedState } from './fused/state.ts';
import type { PackedRingAreas } from './packed-defs.ts';
import { packedAreasFault } from './packed-defs.ts';
import { PackedRing } from './packed-ring.ts';

/** u16 words of a descriptor; of an event structure. */
const WORDS = DESC_SIZE / 2;
const EVENT_WORDS = vring_packed_desc_event.size / 2;

/** Device side of a packed virtqueue, on views laid over its areas. */
export class PackedDevice extends PackedRing {
  private readonly desc: Int32Array;
  private readonly half: Uint16Array;
  private readonly driver: Uint16Array;
  private readonly device: Uint16Array;
  private readonly state: PackedState;

  /** @throws RangeError when the areas do not fit their memory or are misaligned */
  constructor(areas: PackedRingAreas, options: RingDeviceOptions) {
    const fault = packedAreasFault(areas);
    if (fault !== null) throw new RangeError(`packed device: ${fault}`);
    super(areas.num, options);
    this.desc = int32(areas.desc, 0, 4 * areas.num);
    this.half = uint16(areas.desc, 0, WORDS * areas.num);
    this.driver = uint16(areas.driver, 0, EVENT_WORDS);
    this.device = uint16(areas.device, 0, EVENT_WORDS);
    this.state = {
      n: this.n, desc: this.desc, counts: this.counts, ends: this.endsHere, data: this.data, tables: this.tables, threaded: this.threaded,
      withhold: false, left: 0,
    };
  }

  protected override walkOn(batch: ChainBatch, from: number, want: number): number {
    const { state, raw } = this;
    state.counts = this.counts;
    const direct = raw ? walkPackedDirectRaw(state, batch, from, want - from) : walkPackedDirect(state, batch, from, want - from);
    const left = want - direct;
    const c = left === 0 || this.tables.remote ? direct : raw ? walkPackedTablesRaw(state, batch, direct, left) : walkPackedTables(state, batch, direct, left);
    // The loops leave what takes more than one segment for a descriptor; a table has one descriptor in the ring besides.
    this.ringRead += (batch.start[c] - batch.start[from] + c - direct) * DESC_SIZE;
    return c;
  }

  protected override drainOn(want: number): number {
    const { state, raw, lastUsed } = this;
    state.withhold = this.unpublished === 0;
    this.drainedBytes += raw ? drainPackedDirectRaw(state, want) : drainPackedDirect(state, want);
    const { left } = state;
    if (left > 0 && !this.tables.remote) {
      state.withhold = state.withhold && left === want;
      this.drainedBytes += raw ? drainPackedTablesRaw(state, left) : drainPackedTables(state, left);
    }
    const drained = want - state.left;
    if (drained > 0) this.wrote(drained, lastUsed);
    return drained;
  }

  protected loadFlags(index: number): number {
    const at = WORDS * index + 7;
    return this.threaded ? Atomics.load(this.half, at) : this.half[at];
  }

  protected loadDesc(index: number): number {
    const { desc } = this;
    const d = index << 2;
    const word = desc[d + 3];
    this.dLo = desc[d] >>> 0;
    this.dHi = desc[d + 1] >>> 0;
    this.dLen = desc[d + 2] >>> 0;
    this.dLow = word & 0xffff;
    this.dHigh = word >>> 16;
    return 0;
  }

  protected storeUsed(index: number, id: number, length: number): number {
    this.desc[(index << 2) + 2] = length;
    this.half[WORDS * index + 6] = id;
    return 0;
  }

  protected storeFlags(index: number, flags: number): number {
    const at = WORDS * index + 7;
    if (this.threaded) Atomics.store(this.half, at, flags);
    else this.half[at] = flags;
    return 0;
  }

  protected loadDriverEvent(): number {
    const { driver } = this;
    return this.threaded ? Atomics.load(driver, 0) + Atomics.load(driver, 1) * 0x1_0000 : driver[0] + driver[1] * 0x1_0000;
  }

  protected storeDeviceEvent(offWrap: number, flags: number): number {
    const { device } = this;
    device[0] = offWrap;
    if (this.threaded) Atomics.store(device, 1, flags);
    else device[1] = flags;
    return 0;
  }
}
