/** A disk's contents: zeroes until written, kept in chunks. */

const CHUNK = 65_536;

/** Bytes by position. */
export class Disk {
  /** Bytes. */
  readonly size: number;
  private readonly chunks = new Map<number, Uint8Array>();

  /** @param size bytes */
  constructor(size: number) {
    this.size = size;
  }

  /** @param into filled to its end; the range must lie on the disk */
  read(at: number, into: Uint8Array): undefined {
    this.pieces(at, into.length, (index, from, done, length) => {
      const chunk = this.chunks.get(index);
      const piece = into.subarray(done, done + length);
      if (chunk === undefined) piece.fill(0);
      else piece.set(chunk.subarray(from, from + length));
    });
  }

  /** @param bytes all written; the range must lie on the disk */
  write(at: number, bytes: Uint8Array): undefined {
    this.pieces(at, bytes.length, (index, from, done, length) => {
      let chunk = this.chunks.get(index);
      if (chunk === undefined) this.chunks.set(index, chunk = new Uint8Array(CHUNK));
      chunk.set(bytes.subarray(done, done + length), from);
    });
  }

  /** Zeroes again; whole chunks are given back. The range must lie on the disk. */
  clear(at: number, length: number): undefined {
    this.pieces(at, length, (index, from, _, n) => {
      if (n === CHUNK) this.chunks.delete(index);
      else this.chunks.get(index)?.fill(0, from, from + n);
    });
  }

  private pieces(at: number, length: number, body: (index: number, from: number, done: number, length: number) => void): undefined {
    for (let done = 0; done < length;) {
      const from = (at + done) % CHUNK;
      const n = Math.min(length - done, CHUNK - from);
      body(Math.floor((at + done) / CHUNK), from, done, n);
      done += n;
    }
  }
}
