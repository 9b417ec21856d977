/** What a driver side is made with: what was negotiated, how the memory is shared, and room for indirect tables. */
import { DESC_SIZE } from './defs.ts';
import type { RingArea } from './memory.ts';

/** Memory for indirect descriptor tables: one table per descriptor of the queue. */
export interface IndirectPool {
  /** `num * segments * 16` bytes, 4-byte aligned. */
  readonly area: RingArea;
  /** Address of the area as the device sees it; the area does not cross a 4 GiB boundary of such addresses. */
  readonly busLo: number;
  readonly busHi: number;
  /** Descriptors in each table. */
  readonly segments: number;
}

/** What was negotiated, and how the memory is shared. */
export interface RingDriverOptions {
  /** VIRTIO_RING_F_EVENT_IDX. */
  readonly eventIdx?: boolean;
  /** VIRTIO_RING_F_INDIRECT_DESC: buffers of more than one segment use these tables where they fit. */
  readonly indirect?: IndirectPool | null;
  /** The device runs in another thread or process: indices are published by atomic stores. */
  readonly threaded?: boolean;
}

/** Why a pool cannot be, or `null` when it can. @param num queue size, in descriptors */
export function poolFault(pool: IndirectPool, num: number): string | null {
  const { memory, offset } = pool.area;
  const size = num * pool.segments * DESC_SIZE;
  if (offset % 4 !== 0) return `indirect tables: offset ${offset} is not 4-byte aligned`;
  if (offset + size > memory.u8.length) return `indirect tables: ${size} bytes at ${offset} do not fit ${memory.u8.length} bytes of memory`;
  return pool.busLo + size > 0x1_0000_0000 ? `indirect tables: ${size} bytes at 0x${pool.busLo.toString(16)} cross 4 GiB` : null;
}

/** @throws RangeError when buffers of this shape cannot be, or do not fit their arrays; `side` starts the text */
export function checkBuffers(
  side: string, count: number, total: number, segments: Uint32Array, start: number, tokens: Int32Array, tokenStart: number,
): undefined {
  if (total < 1 || count < 0 || start < 0 || tokenStart < 0) {
    throw new RangeError(`${side}: ${count} buffers of ${total} segments from ${start}, tokens from ${tokenStart}`);
  }
  if (start + count * total * 3 > segments.length || tokenStart + count > tokens.length) {
    throw new RangeError(`${side}: ${count} buffers of ${total} segments do not fit their arrays`);
  }
}
