/** What a walk finds: chains and their segments, in preallocated arrays. */
import type { RingMemory } from './memory.ts';

/**
 * Descriptor chains of one walk.
 *
 * Chain `c` starts with descriptor `head[c]`; its segments are `start[c]` to `start[c + 1] - 1`, of which those below
 * `split[c]` are device-readable and the rest device-writable. A descriptor that straddles mappings gives several
 * segments, an empty descriptor none.
 */
export class ChainBatch {
  /** Most chains one walk gives. */
  readonly maxChains: number;
  /** Most segments, over all chains. */
  readonly maxSegments: number;
  /** Chains found by the last walk. */
  count = 0;
  /** Index of the first descriptor: the id that goes into the used ring. */
  readonly head: Int32Array;
  /** First segment; one more entry than chains. */
  readonly start: Int32Array;
  /** First device-writable segment. */
  readonly split: Int32Array;
  /** Bytes the device wrote: cleared by the walk, set by the device, used by `pushMany`. */
  readonly written: Uint32Array;
  /** Memory a segment lies in; `null` from a device that does not translate segments. */
  readonly memory: (RingMemory | null)[];
  /** Bytes from the start of that memory. */
  readonly offset: Uint32Array;
  /** Address as the driver gave it (bus address, IOVA), lower half. */
  readonly addrLo: Uint32Array;
  /** Upper half. */
  readonly addrHi: Uint32Array;
  /** Bytes. */
  readonly length: Uint32Array;

  /**
   * @param maxChains most chains of one walk
   * @param maxSegments most segments of one walk; a single chain with more is refused with ENOBUFS
   * @throws RangeError when there can be no such batch
   */
  constructor(maxChains: number, maxSegments: number) {
    if (!(maxChains >= 1 && maxChains <= 0xffff && maxSegments >= 0)) {
      throw new RangeError(`batch: ${maxChains} chains of ${maxSegments} segments`);
    }
    this.maxChains = maxChains;
    this.maxSegments = maxSegments;
    this.head = new Int32Array(maxChains);
    this.start = new Int32Array(maxChains + 1);
    this.split = new Int32Array(maxChains);
    this.written = new Uint32Array(maxChains);
    this.memory = new Array<RingMemory | null>(maxSegments).fill(null);
    this.offset = new Uint32Array(maxSegments);
    this.addrLo = new Uint32Array(maxSegments);
    this.addrHi = new Uint32Array(maxSegments);
    this.length = new Uint32Array(maxSegments);
  }

  /** Forget all chains. */
  clear(): undefined {
    this.count = 0;
    this.start[0] = 0;
  }

  /** Bytes the device may read of chain `c`. */
  readable(c: number): number {
    return this.bytes(this.start[c], this.split[c]);
  }

  /** Bytes the device may write of chain `c`. */
  writable(c: number): number {
    return this.bytes(this.split[c], this.start[c + 1]);
  }

  private bytes(from: number, to: number): number {
    let sum = 0;
    for (let s = from; s < to; s++) sum += this.length[s];
    return sum;
  }
}

/** A frame as pieces of memory, in order: what transmit gathers and receive scatters. */
export class Runs {
  /** Pieces in use. */
  count = 0;
  /** Bytes in all pieces. */
  bytes = 0;
  readonly memory: RingMemory[] = [];
  readonly offset: Uint32Array;
  readonly length: Uint32Array;

  /** @param max most pieces */
  constructor(max: number) {
    this.offset = new Uint32Array(max);
    this.length = new Uint32Array(max);
  }

  /** Most pieces. */
  get max(): number {
    return this.offset.length;
  }

  /** Forget all pieces. */
  clear(): undefined {
    this.count = 0;
    this.bytes = 0;
  }

  /**
   * Append a piece.
   *
   * @param offset bytes from the start of `memory`
   * @param length bytes
   * @returns false when there is no room
   */
  add(memory: RingMemory, offset: number, length: number): boolean {
    const { count } = this;
    if (count >= this.offset.length) return false;
    this.memory[count] = memory;
    this.offset[count] = offset;
    this.length[count] = length;
    this.count = count + 1;
    this.bytes += length;
    return true;
  }
}
