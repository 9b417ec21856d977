/** Feature words: 64-bit sets whose members Linux names by bit number. */

/**
 * The set with only bit `n`, as the kernel's `BIT_ULL(n)`.
 *
 * @param n bit number, 0 to 63 for a feature word
 */
export function bit(n: number): bigint {
  return 1n << BigInt(n);
}

/** The set with the given bits: `bits(VIRTIO_F_VERSION_1, VIRTIO_NET_F_MAC)`. */
export function bits(...numbers: readonly number[]): bigint {
  return numbers.reduce((set, n) => set | bit(n), 0n);
}

/** Whether bit `n` is in the set. */
export function hasBit(set: bigint, n: number): boolean {
  return (set & bit(n)) !== 0n;
}
