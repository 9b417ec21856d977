/** Pieces of a mirror to be pulled or pushed together: one call to the other side for many. */
import type { MirrorSource } from './memory.ts';

/** Most pieces of one call. */
const MAX = 64;

/** A list that empties itself when it is full, or when pieces of another memory come. */
export class Moves {
  /** Pieces that wait. */
  count = 0;
  private source: MirrorSource | null = null;
  private readonly push: boolean;
  private readonly offsets = new Uint32Array(MAX);
  private readonly lengths = new Uint32Array(MAX);

  /** @param push whether the pieces go out */
  constructor(push: boolean) {
    this.push = push;
  }

  /** Have a piece moved at the next {@link flush}, at the latest. @param offset bytes from the start of the memory */
  add(source: MirrorSource, offset: number, length: number): undefined {
    if (length === 0) return;
    if (source !== this.source || this.count === MAX) this.flush();
    this.source = source;
    const { count, offsets, lengths } = this;
    if (count > 0 && offsets[count - 1] + lengths[count - 1] === offset) {
      lengths[count - 1] += length;
      return;
    }
    offsets[count] = offset;
    lengths[count] = length;
    this.count = count + 1;
  }

  /** Forget what waits. */
  drop(): undefined {
    this.count = 0;
    this.source = null;
  }

  /** Move what waits. */
  flush(): undefined {
    const { count, source, offsets, lengths } = this;
    this.drop();
    if (count === 0 || source === null) return;
    if (this.push) source.pushMany(offsets, lengths, count);
    else source.pullMany(offsets, lengths, count);
  }
}
