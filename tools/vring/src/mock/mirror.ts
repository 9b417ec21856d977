/** A mirror of a memory, with the copies counted: what a test puts between a driver and a device in different processes. */
import type { RingMemory } from '../memory.ts';
import { ringMemory } from '../memory.ts';

/** What a mirror holds where nothing was pulled yet. */
const UNPULLED = 0x3d;

/** A mirror of `far`; the device gets {@link memory}. */
export class Mirror {
  readonly memory: RingMemory;
  /** Pulls and pushes that changed a byte so far. */
  moves = 0;
  /** Number of the one of them that is to be lost, for tests of what that does. */
  lost = -1;

  constructor(far: Uint8Array) {
    const near = ringMemory(new SharedArrayBuffer(far.length));
    near.u8.fill(UNPULLED);
    this.memory = {
      ...near,
      remote: {
        pull: (offset, length) => this.move(far, near.u8, offset, length),
        push: (offset, length) => this.move(near.u8, far, offset, length),
        pullMany: (offsets, lengths, count) => {
          for (let i = 0; i < count; i++) this.move(far, near.u8, offsets[i], lengths[i]);
        },
        pushMany: (offsets, lengths, count) => {
          for (let i = 0; i < count; i++) this.move(near.u8, far, offsets[i], lengths[i]);
        },
      },
    };
  }

  private move(from: Uint8Array, to: Uint8Array, offset: number, length: number): undefined {
    if (offset < 0 || length < 0 || offset + length > to.length) throw new RangeError(`mirror: ${length} bytes at ${offset}`);
    const part = from.subarray(offset, offset + length);
    if (part.every((byte, i) => byte === to[offset + i])) return;
    if (this.moves++ !== this.lost) to.set(part, offset);
  }
}
