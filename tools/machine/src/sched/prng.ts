/** Seeded random numbers: sfc32, small and quick, the same on every platform. */

/** A stream of random numbers. */
export interface Prng {
  /** A u32. */
  readonly next: () => number;
  /** An integer in [0, n). @param n 1 to 2^31 */
  readonly below: (n: number) => number;
  /** A number in [0, 1). */
  readonly float: () => number;
}

/**
 * A stream for a seed.
 *
 * @param seed any safe integer
 * @param stream tells streams of one seed apart
 * @see PractRand, sfc32 by Chris Doty-Humphrey
 */
export function sfc32(seed: number, stream: number): Prng {
  let a = seed | 0;
  let b = Math.floor(seed / 0x1_0000_0000) | 0;
  let c = stream | 0;
  let counter = 1;

  function next(): number {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  for (let i = 0; i < 15; i++) next();
  return {
    next,
    // The bias of multiply-and-shift is below 2^-20 for the small n a scheduler has.
    below: (n) => Math.floor((next() / 0x1_0000_0000) * n),
    float: () => next() / 0x1_0000_0000,
  };
}
