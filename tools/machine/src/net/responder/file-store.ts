/** The files of a responder, and room for more. */

/** Files by name, in memory; all together, those that are being written included, take no more than a limit. */
export class FileStore {
  readonly files: Map<string, Uint8Array>;
  readonly #capacity: number;
  /** Bytes set aside for files that are being written. */
  #reserved = 0;

  /** @param capacity bytes */
  constructor(files: ReadonlyMap<string, Uint8Array>, capacity: number) {
    this.files = new Map(files);
    this.#capacity = capacity;
  }

  /** Set bytes aside for a file that may replace another. @returns false when there is no room */
  reserve(name: string, bytes: number): boolean {
    let used = this.#reserved;
    for (const [other, data] of this.files) if (other !== name) used += data.length;
    if (used + bytes > this.#capacity) return false;
    this.#reserved += bytes;
    return true;
  }

  /** Give back what was set aside. */
  release(bytes: number): undefined {
    this.#reserved -= bytes;
  }

  /** Keep a file that was written; what was set aside for it is given back. */
  keep(name: string, data: Uint8Array, reserved: number): undefined {
    this.release(reserved);
    this.files.set(name, data);
  }
}
