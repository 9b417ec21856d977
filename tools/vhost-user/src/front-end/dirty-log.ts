/** The log of a migrating front-end: a file in which the back-end sets a bit for each page it writes. */
import { closeSync, readSync } from 'node:fs';
import { memfd } from '@vdpalab/libc';
import { VHOST_VRING_F_LOG } from '@vdpalab/uapi';
import * as pf from '../protocol/features.ts';
import { encodeLog, encodeU64 } from '../protocol/message.ts';
import * as req from '../protocol/requests.ts';
import type { FrontEndNet } from './net.ts';

const PAGE_SIZE = 4096;

/** A log that is on until it is closed. */
export class FrontEndLog {
  readonly #front: FrontEndNet;
  readonly #fd: number;
  /** Bytes. */
  readonly #size: number;

  private constructor(front: FrontEndNet, fd: number, size: number) {
    this.#front = front;
    this.#fd = fd;
    this.#size = size;
  }

  /** Have a running back-end log what it writes. @throws Error when it refuses */
  static async start(front: FrontEndNet): Promise<FrontEndLog> {
    const pages = (front.gpa + front.size) / PAGE_SIZE;
    const size = Math.ceil(pages / 8 / PAGE_SIZE) * PAGE_SIZE;
    const fd = memfd('log', size);
    await front.client.ask(req.VHOST_USER_SET_LOG_BASE, encodeLog({ size: BigInt(size), offset: 0n }), [fd]);
    await front.done(req.VHOST_USER_SET_FEATURES, encodeU64(front.features | pf.bits(pf.VHOST_F_LOG_ALL)));
    for (let index = 0; index < front.rings; index++) await front.done(req.VHOST_USER_SET_VRING_ADDR, front.vringAddr(index, 1 << VHOST_VRING_F_LOG));
    return new FrontEndLog(front, fd, size);
  }

  /** Pages that were marked, ascending: 0 is the first of the front-end's memory. */
  pages(): number[] {
    const bytes = new Uint8Array(this.#size);
    readSync(this.#fd, bytes, 0, bytes.length, 0);
    const pages: number[] = [];
    const first = this.#front.gpa / PAGE_SIZE;
    for (const [at, byte] of bytes.entries()) {
      for (let bit = 0; bit < 8; bit++) if (((byte >> bit) & 1) === 1) pages.push(8 * at + bit - first);
    }
    return pages;
  }

  /** Have nothing logged any more. */
  async stop(): Promise<void> {
    await this.#front.done(req.VHOST_USER_SET_FEATURES, encodeU64(this.#front.features));
  }

  /** Give the file back. */
  close(): void {
    closeSync(this.#fd);
  }
}
