/**
 * Positions in a packed virtqueue (virtio 1.2, section 2.8), and its three areas.
 *
 * A position is a u16: the index of a descriptor in bits 14 to 0, the wrap counter in bit 15, as in `off_wrap` of the
 * event structures and in what vhost keeps of a queue.
 */
import { VRING_PACKED_DESC_F_AVAIL, VRING_PACKED_DESC_F_USED, vring_packed_desc, vring_packed_desc_event } from '@vdpalab/uapi';
import { areaFault } from './areas.ts';
import { QUEUE_SIZE_MAX } from './defs.ts';
import type { RingArea, RingMemory } from './memory.ts';

/** Where a new queue starts: descriptor 0, wrap counter 1. */
export const PACKED_START = 0x8000;

/** The flags of a descriptor that its wrap counter makes. */
export const PACKED_AVAIL = 1 << VRING_PACKED_DESC_F_AVAIL;
export const PACKED_USED = 1 << VRING_PACKED_DESC_F_USED;

/** The three areas of a packed virtqueue; each may be in a memory of its own. */
export interface PackedRingAreas {
  /** Queue size, in descriptors: 1 to 32768. */
  readonly num: number;
  /** Descriptor ring, written by both. */
  readonly desc: RingArea;
  /** Driver event suppression, written by the driver. */
  readonly driver: RingArea;
  /** Device event suppression, written by the device. */
  readonly device: RingArea;
}

/** A packed virtqueue as the driver describes it: addresses before translation, below 2^53. */
export interface PackedRingAddresses {
  /** Queue size, in descriptors: 1 to 32768. */
  readonly num: number;
  readonly desc: number;
  readonly driver: number;
  readonly device: number;
}

/** The position `count` descriptors on. @param count 0 to `num` */
export function packedAfter(position: number, count: number, num: number): number {
  const index = (position & 0x7fff) + count;
  return index < num ? (position & 0x8000) | index : ((position & 0x8000) ^ 0x8000) | (index - num);
}

/** Whether a descriptor with these flags is available in the lap with this wrap counter. */
export function isPackedAvailable(flags: number, wrap: number): boolean {
  return (flags & (PACKED_AVAIL | PACKED_USED)) === (wrap === 1 ? PACKED_AVAIL : PACKED_USED);
}

/** Whether a descriptor with these flags has been used in the lap with this wrap counter. */
export function isPackedUsed(flags: number, wrap: number): boolean {
  return (flags & (PACKED_AVAIL | PACKED_USED)) === (wrap === 1 ? PACKED_AVAIL | PACKED_USED : 0);
}

/**
 * An event's position, as an index to compare with others of the lap with wrap counter `wrap`; below 0 for the lap before.
 *
 * @param offWrap `off_wrap` of a `struct vring_packed_desc_event`
 */
export function packedEventIndex(offWrap: number, wrap: number, num: number): number {
  return (offWrap & 0x7fff) - (offWrap >>> 15 === wrap ? 0 : num);
}

/** Lay a packed virtqueue out in one memory: descriptors, then the events of driver and device. @param offset a multiple of 16 */
export function packedRingIn(memory: RingMemory, offset: number, num: number): PackedRingAreas {
  const events = offset + num * vring_packed_desc.size;
  return { num, desc: { memory, offset }, driver: { memory, offset: events }, device: { memory, offset: events + vring_packed_desc_event.size } };
}

/** Whether a packed virtqueue may have this size (virtio 1.2, section 2.8: at most 32768). */
export function isPackedQueueSize(num: number): boolean {
  return Number.isInteger(num) && num >= 1 && num <= QUEUE_SIZE_MAX;
}

/** Why fast views cannot be laid over these areas, or `null` when they can. */
export function packedAreasFault({ num, desc, driver, device }: PackedRingAreas): string | null {
  if (!isPackedQueueSize(num)) return `queue size ${num} is not 1 to ${QUEUE_SIZE_MAX}`;
  return (
    areaFault('descriptor ring', desc, num * vring_packed_desc.size, 4) ??
    areaFault('driver event', driver, vring_packed_desc_event.size, 2) ??
    areaFault('device event', device, vring_packed_desc_event.size, 2)
  );
}
