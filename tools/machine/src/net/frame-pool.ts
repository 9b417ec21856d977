/**
 * Frames in flight: numbered slots of one memory, counted references, nothing allocated per frame.
 *
 * The memory is the one that low RAM lies in, when it has room behind: copies between guest memory and frames then stay
 * inside one WebAssembly memory.
 */
import type { RamRegion } from '@vdpalab/abi';
import { ringMemory } from '@vdpalab/vring';
import type { RingMemory } from '@vdpalab/vring';
import { sharedMemory } from '../wasm.ts';

/** Bytes before a frame: 4 unused, then a `struct virtio_net_hdr_v1` that says nothing and one buffer. */
export const FRAME_HEADROOM = 16;
/** Bytes of the virtio-net header in front of each frame. */
export const FRAME_HEADER = 12;
/** Longest frame: an MTU of 65535, an Ethernet header and a VLAN tag. */
export const FRAME_MAX = 65535 + 14 + 4;

const SMALL_SLOT = 2112;
const SMALL_SLOTS = 4096;
const LARGE_SLOT = 66_048;
const LARGE_SLOTS = 64;
/** Longest frame of a small slot. */
const SMALL_FRAME = SMALL_SLOT - FRAME_HEADROOM;
/** Bytes of all slots. */
export const FRAME_MEMORY = SMALL_SLOT * SMALL_SLOTS + LARGE_SLOT * LARGE_SLOTS;
/** `num_buffers` in the header: the only word of it that is not 0. */
const NUM_BUFFERS_WORD = 1 << 16;

/** The slots. A frame is the number of its slot. */
export class FramePool {
  readonly memory: RingMemory;
  /** Bytes of each frame. */
  readonly length = new Uint32Array(SMALL_SLOTS + LARGE_SLOTS);
  /** Trace id of the event that put each frame on the wire; 0 when tracing is off. */
  readonly cause = new Float64Array(SMALL_SLOTS + LARGE_SLOTS);
  /** Frames that found no slot. */
  exhausted = 0;
  private readonly base: number;
  private readonly references = new Uint16Array(SMALL_SLOTS + LARGE_SLOTS);
  /** Free slots as two stacks in one array: small ones first. */
  private readonly free = new Uint16Array(SMALL_SLOTS + LARGE_SLOTS);
  private freeSmall = SMALL_SLOTS;
  private freeLarge = LARGE_SLOTS;

  /**
   * @param memory where the slots lie
   * @param base bytes from its start, 16-byte aligned
   * @throws RangeError when the slots do not fit
   */
  constructor(memory: RingMemory, base: number) {
    if (base % 16 !== 0 || base + FRAME_MEMORY > memory.u8.length) {
      throw new RangeError(`frame pool: ${FRAME_MEMORY} bytes at ${base} do not fit ${memory.u8.length}`);
    }
    this.memory = memory;
    this.base = base;
    for (let i = 0; i < this.free.length; i++) this.free[i] = this.free.length - 1 - i;
    // The small stack is in front and gives slot 0 first; the large one behind it.
    for (let i = 0; i < SMALL_SLOTS; i++) this.free[i] = SMALL_SLOTS - 1 - i;
    for (let i = 0; i < LARGE_SLOTS; i++) this.free[SMALL_SLOTS + i] = SMALL_SLOTS + LARGE_SLOTS - 1 - i;
  }

  /** Frames that are somewhere. */
  get inUse(): number {
    return SMALL_SLOTS + LARGE_SLOTS - this.freeSmall - this.freeLarge;
  }

  /** Take a slot, with one reference. @returns the frame, or -1 when there is none for this length */
  take(length: number): number {
    let frame = -1;
    if (length <= SMALL_FRAME && this.freeSmall > 0) frame = this.free[--this.freeSmall]!;
    else if (length <= FRAME_MAX && this.freeLarge > 0) frame = this.free[SMALL_SLOTS + --this.freeLarge]!;
    if (frame < 0) {
      this.exhausted++;
      return -1;
    }
    this.references[frame] = 1;
    this.length[frame] = length;
    this.cause[frame] = 0;
    const word = (this.offset(frame) - FRAME_HEADER) >>> 2;
    const { u32 } = this.memory;
    u32[word] = 0;
    u32[word + 1] = 0;
    u32[word + 2] = NUM_BUFFERS_WORD;
    return frame;
  }

  /** Add references. */
  retain(frame: number, count: number): undefined {
    this.references[frame]! += count;
  }

  /** Drop a reference; the last one frees the slot. */
  release(frame: number): undefined {
    const left = this.references[frame]! - 1;
    if (left < 0) throw new Error(`frame ${frame}: released more often than taken`);
    this.references[frame] = left;
    if (left > 0) return;
    if (frame < SMALL_SLOTS) this.free[this.freeSmall++] = frame;
    else this.free[SMALL_SLOTS + this.freeLarge++] = frame;
  }

  /** Where the frame's first byte lies, in bytes from the memory's start; its header is in front. */
  offset(frame: number): number {
    return this.base + FRAME_HEADROOM + (frame < SMALL_SLOTS
      ? frame * SMALL_SLOT
      : SMALL_SLOTS * SMALL_SLOT + (frame - SMALL_SLOTS) * LARGE_SLOT);
  }

  /** The frame's bytes; a view, good until the frame is released. */
  bytes(frame: number): Uint8Array {
    const at = this.offset(frame);
    return this.memory.u8.subarray(at, at + this.length[frame]!);
  }
}

/** A pool in the memory behind a RAM region when there is room, else in one of its own. */
export function framePoolBeside(region: RamRegion | undefined): FramePool {
  const wasm = region?.memory ?? null;
  if (region !== undefined && wasm !== null) {
    const base = Math.ceil((region.byteOffset + region.size) / 16) * 16;
    if (base + FRAME_MEMORY <= wasm.buffer.byteLength) return new FramePool(ringMemory(wasm), base);
  }
  return new FramePool(ringMemory(sharedMemory(FRAME_MEMORY)), 0);
}
