/** Memory of a thread that waits for its call, at the addresses the call names. */
import { readMemory, writeMemory } from '@vdpalab/libc';
import { EFAULT } from '@vdpalab/uapi';
import { CallError } from './call-error.ts';

const PAGE = 4096;

/** A caller's memory. */
export class CallerMemory {
  readonly #tid: number;
  readonly #waits: () => boolean;

  /** @param waits whether the thread's number still names that thread */
  constructor(tid: number, waits: () => boolean) {
    this.#tid = tid;
    this.#waits = waits;
  }

  /** @throws CallError EFAULT when not all of it is there */
  read(address: bigint, len: number): Uint8Array {
    const bytes = new Uint8Array(len);
    if (this.#take(address, bytes) !== len) throw fault(address, len);
    return bytes;
  }

  /** @throws CallError EFAULT when not all of it can be written; some of it may be then */
  write(address: bigint, bytes: Uint8Array): void {
    if (bytes.length > 0 && (!this.#waits() || writeMemory(this.#tid, address, bytes) !== bytes.length)) throw fault(address, bytes.length);
  }

  /**
   * A string that ends with a zero byte.
   *
   * @param max bytes looked at; the string is cut there
   * @throws CallError EFAULT
   */
  string(address: bigint, max: number): string {
    const parts: Uint8Array[] = [];
    for (let at = address, left = max; left > 0;) {
      const part = new Uint8Array(Math.min(left, PAGE - Number(at & BigInt(PAGE - 1))));
      const took = this.#take(at, part);
      const end = part.subarray(0, took).indexOf(0);
      if (end >= 0) {
        parts.push(part.subarray(0, end));
        break;
      }
      if (took < part.length) throw fault(address, max);
      parts.push(part);
      at += BigInt(took);
      left -= took;
    }
    return Buffer.concat(parts).toString();
  }

  /** What was read is the caller's only if it still waits afterwards. */
  #take(address: bigint, into: Uint8Array): number {
    const took = readMemory(this.#tid, address, into);
    return this.#waits() ? took : 0;
  }
}

function fault(address: bigint, len: number): CallError {
  return new CallError(EFAULT, `${len} bytes at 0x${address.toString(16)} are not the caller's memory`);
}
