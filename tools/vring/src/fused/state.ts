/**
 * What the fused loops work on: views of the ring, and numbers in Int32Arrays.
 *
 * V8 lets arithmetic on a field's value sink into a loop, and repeats it there; a number loaded from a typed array is
 * loaded once, before the loop. Hence the numbered places.
 */
import type { SplitRingAreas } from '../areas.ts';
import type { ExtentCache } from '../extent-cache.ts';
import type { RingArea } from '../memory.ts';

/** Views of the three areas of a split virtqueue. */
export class SplitViews {
  /** Descriptor table: four words each. */
  readonly desc: Int32Array;
  /** Available ring: flags, idx, ring, used_event. */
  readonly avail: Uint16Array;
  /** `ring` of the available ring alone. */
  readonly availRing: Uint16Array;
  /** Used ring as u16: flags, idx, ring, avail_event. */
  readonly usedHalf: Uint16Array;
  /** `ring` of the used ring alone: id, len. */
  readonly usedRing: Int32Array;

  /** @param areas checked by `splitAreasFault` */
  constructor(areas: SplitRingAreas) {
    const { num, desc, avail, used } = areas;
    this.desc = int32(desc, 0, 4 * num);
    this.avail = uint16(avail, 0, 2 + num + 1);
    this.availRing = uint16(avail, 4, num);
    this.usedHalf = uint16(used, 0, 2 + 4 * num + 1);
    this.usedRing = int32(used, 4, 2 * num);
  }
}

/** Views as Int32Array. @param skip bytes from the start of the area; @param count words */
export function int32(area: RingArea, skip: number, count: number): Int32Array {
  return new Int32Array(area.memory.buffer, area.memory.byteOffset + area.offset + skip, count);
}

/** Views as Uint16Array, as {@link int32}. */
export function uint16(area: RingArea, skip: number, count: number): Uint16Array {
  return new Uint16Array(area.memory.buffer, area.memory.byteOffset + area.offset + skip, count);
}

/** An array of u32 as int32 words: V8 is quicker on them. Callers keep one array for all calls, so its view is kept too. */
export class WordView {
  private array: Uint32Array | null = null;
  private words: Int32Array = new Int32Array(0);

  of(array: Uint32Array): Int32Array {
    if (this.array !== array) {
      this.array = array;
      this.words = new Int32Array(array.buffer, array.byteOffset, array.length);
    }
    return this.words;
  }
}

/** Places in {@link DriverState.n}. */
export const DRIVER = {
  num: 0,
  mask: 1,
  /** First descriptor of the free list. */
  freeHead: 2,
  numFree: 3,
  /** `avail->idx` as the driver last wrote it. */
  availShadow: 4,
  /** Next used entry to look at. */
  lastUsed: 5,
  /** Indirect tables: address of the first, and words from one to the next. */
  tableLo: 6,
  tableHi: 7,
  tableWords: 8,
} as const;

/** Places in {@link DriverState.slots}, four words for each descriptor. */
export const SLOT = {
  /** Next descriptor of the free list or of the chain. */
  next: 0,
  /** For the head of a buffer in flight: its last descriptor, and its number of descriptors in the upper half; else 0. */
  chain: 1,
  token: 2,
} as const;

/** What a driver's fused loops work on. */
export class DriverState {
  readonly n = new Int32Array(9);
  readonly slots: Int32Array;
  readonly views: SplitViews;
  /** Indirect tables, or an empty array. */
  readonly tables: Int32Array;

  constructor(num: number, views: SplitViews, tables: Int32Array) {
    this.views = views;
    this.tables = tables;
    this.n[DRIVER.num] = num;
    this.n[DRIVER.mask] = num - 1;
    this.n[DRIVER.numFree] = num;
    this.slots = new Int32Array(4 * num);
    for (let i = 0; i < num; i++) this.slots[4 * i + SLOT.next] = i + 1;
  }
}

/** Places in {@link DeviceState.n}. */
export const DEVICE = {
  num: 0,
  mask: 1,
  /** Next available entry to look at. */
  lastAvail: 2,
  /** Next used entry to write. */
  lastUsed: 3,
  /** Most descriptors of a chain. */
  maxChain: 4,
  /** Head of the chain looked at last. */
  lastHead: 5,
} as const;

/** What a device's fused loops work on. */
export interface DeviceState {
  readonly n: Int32Array;
  readonly views: SplitViews;
  /** Where data segments were found last. */
  readonly data: ExtentCache;
  /** Where indirect tables were found last. */
  readonly tables: ExtentCache;
}

/** What a device's fused loops over a packed ring work on. */
export interface PackedState {
  readonly n: Int32Array;
  /** Descriptors: four words each. */
  readonly desc: Int32Array;
  /** Descriptors of the chain taken last with each id; ids beyond it are not usual. */
  counts: Uint16Array;
  /** Descriptors of the chain that ends in front of each index. */
  readonly ends: Uint16Array;
  readonly data: ExtentCache;
  readonly tables: ExtentCache;
  readonly threaded: boolean;
  /** Leave the flags of the first used descriptor as they are: they publish, and are written last. */
  withhold: boolean;
  /** Of the chains asked for, those not done. */
  left: number;
}
