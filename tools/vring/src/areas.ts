/** Where the three parts of a split virtqueue lie, after translation. */
import { vring_avail_size, vring_desc_table_size, vring_used_size } from '@vdpalab/uapi';
import { QUEUE_SIZE_MAX } from './defs.ts';
import type { RingArea, RingMemory } from './memory.ts';

/** The three areas of a split virtqueue; each may be in a memory of its own. */
export interface SplitRingAreas {
  /** Queue size, in descriptors: a power of two, 1 to 32768. */
  readonly num: number;
  /** Descriptor table, written by the driver. */
  readonly desc: RingArea;
  /** Available ring ("driver area"), written by the driver. */
  readonly avail: RingArea;
  /** Used ring ("device area"), written by the device. */
  readonly used: RingArea;
}

/**
 * Lay a split virtqueue out in one memory by the legacy rule: descriptors, available ring, then the used ring aligned.
 *
 * @param offset bytes from the start of `memory`, a multiple of 16
 * @param num queue size, in descriptors
 * @param align where the used ring may start, in bytes, a power of two
 */
export function splitRingIn(memory: RingMemory, offset: number, num: number, align = 4): SplitRingAreas {
  const availOffset = offset + vring_desc_table_size(num);
  const usedOffset = Math.ceil((availOffset + vring_avail_size(num)) / align) * align;
  return {
    num,
    desc: { memory, offset },
    avail: { memory, offset: availOffset },
    used: { memory, offset: usedOffset },
  };
}

/** Whether a split virtqueue may have this size (virtio 1.2, section 2.7: a power of two, at most 32768). */
export function isSplitQueueSize(num: number): boolean {
  return Number.isInteger(num) && num >= 1 && num <= QUEUE_SIZE_MAX && (num & (num - 1)) === 0;
}

/**
 * Why fast views cannot be laid over these areas, or `null` when they can.
 *
 * The spec wants 16, 2 and 4 byte alignment; only what word views need is asked for here, since Linux leaves the
 * descriptor table's alignment to the device.
 */
export function splitAreasFault(areas: SplitRingAreas): string | null {
  const { num } = areas;
  if (!isSplitQueueSize(num)) return `queue size ${num} is not a power of two up to ${QUEUE_SIZE_MAX}`;
  return (
    areaFault('descriptor table', areas.desc, vring_desc_table_size(num), 4) ??
    areaFault('available ring', areas.avail, vring_avail_size(num), 2) ??
    areaFault('used ring', areas.used, vring_used_size(num), 4)
  );
}

/** Why a view cannot be laid over an area, or `null`. @param name what it is called; @param size bytes */
export function areaFault(name: string, area: RingArea, size: number, align: number): string | null {
  const { memory, offset } = area;
  if (!Number.isSafeInteger(offset) || offset < 0 || offset + size > memory.u8.length) {
    return `${name}: ${size} bytes at ${offset} do not fit ${memory.u8.length} bytes of memory`;
  }
  return (memory.byteOffset + offset) % align === 0 ? null : `${name}: offset ${offset} is not ${align}-byte aligned`;
}
