/** The mapping a queue used last, in front of a {@link Translate}. */
import { EFAULT, EPERM, VHOST_ACCESS_RW, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import type { RingMemory } from './memory.ts';
import type { Extent, Translate } from './translate.ts';

const TWO_32 = 0x1_0000_0000;

/** Places in {@link ExtentCache.x}; the fused loops have these numbers written out. */
export const EXTENT = {
  /** First bus address, lower half. */
  lo: 0,
  /** First bus address, upper half: the same for the whole cached part. */
  hi: 1,
  /** Bytes less one. */
  last: 2,
  /** `VHOST_ACCESS_*`; 0 when nothing is cached, and then the rest means nothing. */
  access: 3,
  /** Bytes from the start of the memory to the first byte. */
  target: 4,
} as const;

/**
 * The mapping a queue used last.
 *
 * What is cached never crosses a 4 GiB boundary of bus addresses, so that a hit is one compare of the upper half and
 * one unsigned subtraction of the lower. A refused lookup is remembered until it is reported once, so that a fast loop
 * that meets it and the plain code that reports it make one access between them.
 */
export class ExtentCache implements Extent {
  // What lookup fills in.
  baseLo = 0;
  baseHi = 0;
  length = 0;
  perm = 0;
  memory: RingMemory | null = null;
  offset = 0;

  /** The cached part as int32 numbers, see {@link EXTENT}. In an array, since loads from one cannot sink into loops. */
  readonly x = new Int32Array(5);
  /** `memory` as int32 words, kept by a cache for tables. */
  words: Int32Array = NO_WORDS;
  /** After {@link reach}: bytes from the start of `memory`. */
  at = 0;
  /** After a refused {@link reach}: the errno. */
  error = 0;
  /** Whether a mirror of remote memory was ever found: then what is found has to be pulled and pushed. */
  remote = false;
  readonly translate: Translate;

  private readonly forTables: boolean;
  private generation: number;
  private wordsOf: RingMemory | null = null;
  // The refused lookup of the chain at hand, and whether it still has to be reported.
  private refusedLo = 0;
  private refusedHi = 0;
  private refusedWant = 0;
  private refusedError = 0;
  private unreported = false;

  /** @param forTables whether `words` is wanted */
  constructor(translate: Translate, forTables = false) {
    this.translate = translate;
    this.forTables = forTables;
    this.generation = translate.generation;
  }

  /** Forget what is cached if a mapping has changed since. To be called before the fused loops trust `x`. */
  refresh(): undefined {
    if (this.generation !== this.translate.generation) this.drop();
  }

  /** Forget what is cached. */
  drop(): undefined {
    this.x[EXTENT.access] = 0;
    this.memory = null;
    this.settle();
    this.generation = this.translate.generation;
  }

  /**
   * Bytes that can be used from an address on without another lookup, 0 when the address is refused.
   *
   * Afterwards `memory` and `at` say where they are, or `error` why not.
   *
   * @param len bytes wanted, at least 1
   * @param want `VHOST_ACCESS_RO` or `VHOST_ACCESS_WO`
   */
  reach(lo: number, hi: number, len: number, want: number): number {
    this.refresh();
    const { x } = this;
    let into = (lo - x[EXTENT.lo]) >>> 0;
    if ((x[EXTENT.access] & want) === 0 || (hi | 0) !== x[EXTENT.hi] || into > x[EXTENT.last] >>> 0) {
      this.error = this.load(lo >>> 0, hi >>> 0, len, want);
      if (this.error !== 0) return 0;
      into = (lo - x[EXTENT.lo]) >>> 0;
    }
    this.at = ((x[EXTENT.target] >>> 0) + into) >>> 0;
    const left = (x[EXTENT.last] >>> 0) - into + 1;
    return len < left ? len : left;
  }

  /**
   * Make the cached part hold all of a range, for a fused loop that has missed.
   *
   * @returns false when it cannot: refused, or mapped in pieces
   */
  cover(lo: number, hi: number, len: number, want: number): boolean {
    this.refresh();
    const { x } = this;
    const holds = (x[EXTENT.access] & want) !== 0 && (hi | 0) === x[EXTENT.hi] && (lo - x[EXTENT.lo]) >>> 0 <= x[EXTENT.last] >>> 0;
    if (!holds) {
      const error = this.load(lo >>> 0, hi >>> 0, len >>> 0, want);
      if (error !== 0) {
        this.unreported = true;
        return false;
      }
      if (this.remote && this.forTables) return false; // a table has to be pulled first, which the plain form does
    }
    const into = (lo - x[EXTENT.lo]) >>> 0;
    return (len - 1) >>> 0 <= ((x[EXTENT.last] >>> 0) - into) >>> 0;
  }

  /** Pull as much of a range as can be reached, when it is remote. @param address below 2^53; @param want as in {@link reach} */
  pull(address: number, length: number, want: number): undefined {
    for (let done = 0; done < length; ) {
      const at = address + done;
      const n = this.reach(at >>> 0, Math.floor(at / TWO_32), length - done, want);
      if (n === 0) return;
      this.memory!.remote?.pull(this.at, n);
      done += n;
    }
  }

  /** Push as much of a range as can be reached, when it is remote. @param address below 2^53 */
  push(address: number, length: number): undefined {
    for (let done = 0; done < length; ) {
      const at = address + done;
      const n = this.reach(at >>> 0, Math.floor(at / TWO_32), length - done, VHOST_ACCESS_WO);
      if (n === 0) return;
      this.memory!.remote?.push(this.at, n);
      done += n;
    }
  }

  /** Where an address of the cached part lies, in bytes from the start of `memory`. */
  place(lo: number): number {
    return ((this.x[EXTENT.target] >>> 0) + ((lo - this.x[EXTENT.lo]) >>> 0)) >>> 0;
  }

  /** The chain at hand is done with: forget a refusal met in it. */
  settle(): undefined {
    this.refusedWant = 0;
    this.unreported = false;
  }

  /** The chain at hand will be looked at again: report a refusal met in it then, without another lookup. */
  hold(): undefined {
    this.unreported = this.refusedWant !== 0;
  }

  private lookAt(memory: RingMemory): undefined {
    this.words = new Int32Array(memory.buffer, memory.byteOffset, Math.floor(memory.u8.length / 4));
    this.wordsOf = memory;
  }

  /**
   * Look an address up and cache what is found.
   *
   * @param lo u32
   * @param hi u32
   * @param len bytes wanted, a hint
   * @returns 0 or an errno
   */
  load(lo: number, hi: number, len: number, want: number): number {
    if (this.unreported && this.refusedWant === want && this.refusedLo === (lo | 0) && this.refusedHi === (hi | 0)) {
      this.unreported = false;
      return this.refusedError;
    }
    this.x[EXTENT.access] = 0;
    this.memory = null;
    const found = this.translate.lookup(lo, hi, len, want === VHOST_ACCESS_WO, this);
    const error = found === 0 ? this.clip(lo, hi, want) : found;
    if (error !== 0) {
      this.refusedLo = lo | 0;
      this.refusedHi = hi | 0;
      this.refusedWant = want;
      this.refusedError = error;
    }
    return error;
  }

  /** Keep the part of the found extent that shares the address's upper half. */
  private clip(lo: number, hi: number, want: number): number {
    const { baseLo, baseHi, length, offset, memory, x } = this;
    const into = (hi - baseHi) * TWO_32 + (lo - baseLo);
    if (memory === null || into < 0 || into >= length || offset < 0 || offset + length > memory.u8.length) return EFAULT;
    if ((this.perm & want) === 0) return EPERM;
    const skipped = hi === baseHi ? 0 : (hi - baseHi) * TWO_32 - baseLo;
    const first = hi === baseHi ? baseLo : 0;
    x[EXTENT.lo] = first;
    x[EXTENT.hi] = hi;
    x[EXTENT.last] = Math.min(length - skipped, TWO_32 - first) - 1;
    x[EXTENT.target] = offset + skipped;
    x[EXTENT.access] = this.perm & VHOST_ACCESS_RW;
    if (this.forTables && this.wordsOf !== memory) this.lookAt(memory);
    if (memory.remote !== null) this.remote = true;
    return 0;
  }
}

const NO_WORDS = new Int32Array(0);
