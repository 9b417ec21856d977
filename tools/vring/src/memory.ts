/** What a ring needs of memory: one buffer with a view per word size. */

/** `WebAssembly.Memory`, of which only the buffer is looked at; the type library has no WebAssembly. */
export interface WasmMemory {
  readonly buffer: ArrayBufferLike;
}

/** The other side of a memory that is only a mirror of somebody else's; see `RemoteMemory` of the machine. */
export interface MirrorSource {
  /** Bring bytes into the mirror; what cannot be reached stays as it is. @param offset bytes from the start of the memory */
  readonly pull: (offset: number, length: number) => undefined;
  /** Take bytes out of the mirror to their owner. @param offset bytes from the start of the memory */
  readonly push: (offset: number, length: number) => undefined;
  /** {@link pull} for the first `count` of these pieces. */
  readonly pullMany: (offsets: Uint32Array, lengths: Uint32Array, count: number) => undefined;
  /** {@link push} for the first `count` of these pieces. */
  readonly pushMany: (offsets: Uint32Array, lengths: Uint32Array, count: number) => undefined;
}

/**
 * A stretch of memory, at most 4 GiB, that rings and buffers lie in. A RAM region is one.
 *
 * Offsets into it count from `byteOffset`; the views cover all of it.
 */
export interface RingMemory {
  /** Set when the bytes belong to a WebAssembly memory: copies inside it can use `memory.copy`. */
  readonly memory: WasmMemory | null;
  readonly buffer: ArrayBufferLike;
  /** Offset of the first byte in `buffer`, a multiple of 4. */
  readonly byteOffset: number;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  /** Set when the bytes are a mirror: readers pull before they look, writers push after. */
  readonly remote: MirrorSource | null;
}

/** A place in memory. */
export interface RingArea {
  readonly memory: RingMemory;
  /** Bytes from the start of `memory`. */
  readonly offset: number;
}

/**
 * Wrap a buffer, or the buffer of a WebAssembly memory, for use by rings.
 *
 * @param source host memory; never transferred or grown afterwards
 */
export function ringMemory(source: ArrayBufferLike | WasmMemory): RingMemory {
  const memory = 'buffer' in source ? source : null;
  const buffer = 'buffer' in source ? source.buffer : source;
  return {
    memory,
    buffer,
    byteOffset: 0,
    u8: new Uint8Array(buffer),
    u16: new Uint16Array(buffer, 0, Math.floor(buffer.byteLength / 2)),
    u32: new Uint32Array(buffer, 0, Math.floor(buffer.byteLength / 4)),
    remote: null,
  };
}
