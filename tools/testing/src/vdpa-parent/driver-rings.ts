/** Memory with rings in it, as a driver keeps them; how a device learns of them is left to subclasses. */
import { vring_avail_size, vring_desc_table_size, vring_used_size } from '@vdpalab/uapi';
import { ringMemory, SplitDriver, splitRingIn } from '@vdpalab/vring';
import type { RingMemory, SplitRingAreas } from '@vdpalab/vring';

const PAGE_SIZE = 4096;

/** A piece of a buffer: where it is in the memory, and its bytes. */
export type Piece = readonly [offset: number, length: number];

/** One queue. */
export interface DriverQueue {
  readonly index: number;
  readonly ring: SplitDriver;
  readonly areas: SplitRingAreas;
}

/** Memory and rings. */
export class DriverRings<Q extends DriverQueue = DriverQueue> {
  readonly bytes: Uint8Array;
  readonly queues: Q[] = [];
  /** Address of the first byte, as the device knows it. */
  base = 0n;
  readonly #memory: RingMemory;
  #next = 0;

  /** @param bytes memory, in one piece */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    const { buffer, byteOffset, length } = bytes;
    this.#memory = {
      ...ringMemory(new ArrayBuffer(0)), buffer, byteOffset, u8: bytes,
      u16: new Uint16Array(buffer, byteOffset, length >>> 1), u32: new Uint32Array(buffer, byteOffset, length >>> 2),
    };
  }

  /** Bytes for a buffer. @returns their offset in {@link bytes} */
  take(size: number): number {
    const at = this.#next;
    this.#next = Math.ceil((at + size) / 64) * 64;
    if (this.#next > this.bytes.length) throw new RangeError(`${this.#next} bytes of ${this.bytes.length}`);
    return at;
  }

  /** Lay a ring out. @returns it, and the addresses of its areas */
  protected layOut(num: number): { readonly ring: SplitDriver; readonly areas: SplitRingAreas; readonly at: readonly [desc: bigint, avail: bigint, used: bigint] } {
    const offset = Math.ceil(this.#next / PAGE_SIZE) * PAGE_SIZE;
    this.#next = offset;
    this.take(vring_desc_table_size(num) + vring_avail_size(num) + PAGE_SIZE + vring_used_size(num));
    const areas = splitRingIn(this.#memory, offset, num, PAGE_SIZE);
    const at = (area: { readonly offset: number }): bigint => this.base + BigInt(area.offset);
    return { ring: new SplitDriver(areas), areas, at: [at(areas.desc), at(areas.avail), at(areas.used)] };
  }

  /** Offer one chain. @returns whether the device wants to be told */
  offer(queue: DriverQueue, out: readonly Piece[], inp: readonly Piece[], token: number): boolean {
    const pieces = [...out, ...inp];
    const segments = new Uint32Array(3 * pieces.length);
    pieces.forEach(([offset, length], i) => {
      const address = this.base + BigInt(offset);
      segments.set([Number(address & 0xffff_ffffn), Number(address >> 32n), length], 3 * i);
    });
    const error = queue.ring.add(segments, 0, out.length, inp.length, token);
    if (error !== 0) throw new Error(`the ring refuses a chain of ${pieces.length}: ${error}`);
    return queue.ring.kickPrepare();
  }

  /** Chains that have come back, in order: `[token, bytes written]`. */
  used({ ring }: DriverQueue): (readonly [number, number])[] {
    const got: (readonly [number, number])[] = [];
    for (let token = ring.get(); token >= 0; token = ring.get()) got.push([token, ring.usedLength]);
    return got;
  }
}
