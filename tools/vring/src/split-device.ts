/** Device side of a split virtqueue whose three areas are contiguous in memory. */
import type { SplitRingAreas } from './areas.ts';
import { splitAreasFault } from './areas.ts';
import { AVAIL_IDX, AVAIL_RING, USED_IDX, USED_RING, availEventAt, usedEventAt } from './defs.ts';
import type { SplitDeviceOptions } from './split-device-base.ts';
import { SplitDeviceBase } from './split-device-base.ts';
import type { RingArea } from './memory.ts';

/** Device side of a split virtqueue, on views laid over its areas. */
export class SplitDevice extends SplitDeviceBase {
  private readonly desc: Uint32Array;
  private readonly avail: Uint16Array;
  private readonly usedIndex: Uint16Array;
  private readonly used: Uint32Array;

  /** @throws RangeError when the areas do not fit their memory or are misaligned */
  constructor(areas: SplitRingAreas, options: SplitDeviceOptions) {
    const fault = splitAreasFault(areas);
    if (fault !== null) throw new RangeError(`split device: ${fault}`);
    super(areas.num, options);
    const { num } = areas;
    this.desc = words(areas.desc, num * 4);
    this.avail = halves(areas.avail, usedEventAt(num) + 1);
    this.usedIndex = halves(areas.used, availEventAt(num) + 1);
    this.used = words(areas.used, USED_RING + 2 * num);
  }

  protected loadAvailIndex(): number {
    return this.threaded ? Atomics.load(this.avail, AVAIL_IDX) : this.avail[AVAIL_IDX]!;
  }

  protected loadAvailFlags(): number {
    return this.threaded ? Atomics.load(this.avail, 0) : this.avail[0]!;
  }

  protected loadUsedEvent(): number {
    const at = usedEventAt(this.num);
    return this.threaded ? Atomics.load(this.avail, at) : this.avail[at]!;
  }

  protected loadHead(slot: number): number {
    return this.avail[AVAIL_RING + slot]!;
  }

  protected loadDesc(index: number): number {
    const { desc } = this;
    const d = index << 2;
    const word = desc[d + 3]!;
    this.dLo = desc[d]!;
    this.dHi = desc[d + 1]!;
    this.dLen = desc[d + 2]!;
    this.dFlags = word & 0xffff;
    this.dNext = word >>> 16;
    return 0;
  }

  protected storeUsed(slot: number, id: number, length: number): number {
    this.used[USED_RING + 2 * slot] = id;
    this.used[USED_RING + 2 * slot + 1] = length;
    return 0;
  }

  protected storeUsedIndex(index: number): number {
    if (this.threaded) Atomics.store(this.usedIndex, USED_IDX, index);
    else this.usedIndex[USED_IDX] = index;
    return 0;
  }

  protected storeUsedFlags(flags: number): number {
    this.usedIndex[0] = flags;
    return 0;
  }

  protected storeAvailEvent(index: number): number {
    const at = availEventAt(this.num);
    if (this.threaded) Atomics.store(this.usedIndex, at, index);
    else this.usedIndex[at] = index;
    return 0;
  }
}

function words(area: RingArea, count: number): Uint32Array {
  return new Uint32Array(area.memory.buffer, area.memory.byteOffset + area.offset, count);
}

function halves(area: RingArea, count: number): Uint16Array {
  return new Uint16Array(area.memory.buffer, area.memory.byteOffset + area.offset, count);
}
