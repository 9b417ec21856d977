/** Words of a ring that is reached through mappings: in one access where they lie in one piece, byte by byte where not. */
import { EINVAL, VHOST_ACCESS_RO, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import { DESC_SIZE } from './defs.ts';
import { ExtentCache } from './extent-cache.ts';
import type { Translate } from './translate.ts';

const TWO_32 = 0x1_0000_0000;

/** One area of a ring. Addresses are those before translation, below 2^53. */
export class RingBytes {
  /** Where the area was found last. */
  readonly cache: ExtentCache;
  /** What {@link load} read, what {@link store} writes. */
  readonly bytes = new Uint8Array(DESC_SIZE);
  private readonly threaded: boolean;

  /** @param threaded whether the other side runs at the same time: 16-bit words are then accessed atomically */
  constructor(translate: Translate, threaded: boolean) {
    this.cache = new ExtentCache(translate);
    this.threaded = threaded;
  }

  /** @returns -1 when it is not mapped */
  load16(address: number): number {
    const { cache } = this;
    const reach = cache.reach(address >>> 0, Math.floor(address / TWO_32), 2, VHOST_ACCESS_RO);
    if (reach === 0) return -1;
    if (reach === 2 && (cache.at & 1) === 0) {
      const { u16 } = cache.memory!;
      return this.threaded ? Atomics.load(u16, cache.at >>> 1) : u16[cache.at >>> 1];
    }
    return this.load(address, 2) ? this.bytes[0] | (this.bytes[1] << 8) : -1;
  }

  /** @returns 0 or a negative errno */
  store16(address: number, value: number): number {
    // In one piece it is written at once: whoever looks meanwhile sees the old or the new.
    const { cache } = this;
    const reach = cache.reach(address >>> 0, Math.floor(address / TWO_32), 2, VHOST_ACCESS_WO);
    if (reach === 0) return -EINVAL;
    if (reach === 2 && (cache.at & 1) === 0) {
      const { u16 } = cache.memory!;
      if (this.threaded) Atomics.store(u16, cache.at >>> 1, value);
      else u16[cache.at >>> 1] = value;
      return 0;
    }
    this.bytes[0] = value;
    this.bytes[1] = value >>> 8;
    return this.store(address, 2);
  }

  /** Read `length` bytes into {@link bytes}. @returns false when one is not mapped */
  load(address: number, length: number): boolean {
    for (let b = 0; b < length; b++) {
      const at = address + b;
      if (this.cache.reach(at >>> 0, Math.floor(at / TWO_32), length - b, VHOST_ACCESS_RO) === 0) return false;
      this.bytes[b] = this.cache.memory!.u8[this.cache.at];
    }
    return true;
  }

  /** Write the first `length` of {@link bytes}. @returns 0 or a negative errno */
  store(address: number, length: number): number {
    for (let b = 0; b < length; b++) {
      const at = address + b;
      if (this.cache.reach(at >>> 0, Math.floor(at / TWO_32), length - b, VHOST_ACCESS_WO) === 0) return -EINVAL;
      this.cache.memory!.u8[this.cache.at] = this.bytes[b];
    }
    return 0;
  }

  /** A u32 of {@link bytes}. */
  u32(at: number): number {
    const { bytes } = this;
    return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
  }

  /** A u16 of {@link bytes}. */
  u16(at: number): number {
    return this.bytes[at] | (this.bytes[at + 1] << 8);
  }
}
