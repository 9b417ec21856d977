/** Feature bits as a device's registers have them. */

/** Feature bits in two halves, as the driver reads them. */
export interface FeatureWords {
  readonly lo: number;
  readonly hi: number;
}

/** Bits set in one 32-bit half of a feature word. */
function half(bits: readonly number[], which: 0 | 1): number {
  let word = 0;
  for (const bit of bits) if (bit >>> 5 === which) word |= 1 << (bit & 31);
  return word >>> 0;
}

/** The two halves in which these bits, 0 to 63, are set. */
export function featureWords(bits: readonly number[]): FeatureWords {
  return { lo: half(bits, 0), hi: half(bits, 1) };
}
