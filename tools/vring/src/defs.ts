/**
 * Sizes and positions inside a split virtqueue (virtio 1.2, section 2.7), with their arithmetic.
 *
 * Names and flags of the protocol itself come from `@vdpalab/uapi` (`linux/virtio_ring.h`).
 */

/** Bytes of a descriptor: addr u64 (8) + len u32 (4) + flags u16 (2) + next u16 (2). */
export const DESC_SIZE = 16;

/** Largest split queue, in descriptors (virtio 1.2, section 2.7). */
export const QUEUE_SIZE_MAX = 32768;

/** Position of `idx` in the available ring seen as u16 words: flags (1), idx (1), ring (num), used_event (1). */
export const AVAIL_IDX = 1;
/** Position of `ring[0]` in the available ring seen as u16 words. */
export const AVAIL_RING = 2;

/** Position of `idx` in the used ring seen as u16 words: flags (1), idx (1), ring (4 * num), avail_event (1). */
export const USED_IDX = 1;
/** Position of `ring[0]` in the used ring seen as u32 words: flags and idx share word 0. */
export const USED_RING = 1;

/**
 * Position of `used_event` in the available ring seen as u16 words.
 *
 * @param num queue size, in descriptors
 */
export function usedEventAt(num: number): number {
  return AVAIL_RING + num;
}

/**
 * Position of `avail_event` in the used ring seen as u16 words.
 *
 * @param num queue size, in descriptors
 */
export function availEventAt(num: number): number {
  return 2 + 4 * num;
}

/** A ring index after `n` more steps: indices are free-running u16 (virtio 1.2, section 2.7.6). */
export function wrap16(index: number): number {
  return index & 0xffff;
}
