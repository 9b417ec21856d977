/** The other side of the socket: sends requests and takes their answers. For tests and scripts. */
import { closeSync } from 'node:fs';
import { connectUnix, receiveFds, sendFds, watchReadable, type Watch } from '@vdpalab/libc';
import { decodeHeader, decodeU64, encodeMessage, HEADER_SIZE, VHOST_USER_NEED_REPLY_MASK } from '../protocol/message.ts';

const EMPTY = new Uint8Array(0);

/** An answer as it came. */
export interface Answer {
  readonly request: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly fds: readonly number[];
}

/** The back-end has closed the connection. */
export class DisconnectedError extends Error {
  constructor() {
    super('the back-end has closed the connection');
    this.name = 'DisconnectedError';
  }
}

/** One connection. */
export class VhostUserClient {
  readonly fd: number;
  readonly #watch: Watch;
  #bytes = EMPTY;
  readonly #answers: Answer[] = [];
  #fds: number[] = [];
  #gone = false;
  #waiting: (() => void) | null = null;

  /** @param to path of the socket, or a connected one that is the client's from now on */
  constructor(to: string | number) {
    this.fd = typeof to === 'number' ? to : connectUnix(to);
    this.#watch = watchReadable(this.fd, () => this.#readable());
  }

  /** Whether the back-end has closed the connection. */
  get gone(): boolean {
    return this.#gone;
  }

  close(): void {
    this.#watch.close();
    if (!this.#gone) closeSync(this.fd);
    this.#gone = true;
  }

  /** Send bytes as they are. */
  raw(bytes: Uint8Array, fds: readonly number[] = []): void {
    sendFds(this.fd, bytes, fds);
  }

  /** Send a request that has no answer. */
  send(request: number, payload: Uint8Array = EMPTY, fds: readonly number[] = [], flags = 0): void {
    this.raw(encodeMessage(request, flags, payload), fds);
  }

  /** Send a request and wait for its answer. @throws DisconnectedError */
  async ask(request: number, payload: Uint8Array = EMPTY, fds: readonly number[] = [], flags = 0): Promise<Answer> {
    this.send(request, payload, fds, flags);
    return await this.answer();
  }

  /** Send a request that is to be acknowledged. @returns 0 when it worked. @throws DisconnectedError */
  async ack(request: number, payload: Uint8Array = EMPTY, fds: readonly number[] = []): Promise<bigint> {
    return decodeU64((await this.ask(request, payload, fds, VHOST_USER_NEED_REPLY_MASK)).payload);
  }

  /** The next answer. @throws DisconnectedError when there will be none */
  async answer(): Promise<Answer> {
    for (;;) {
      const next = this.#answers.shift();
      if (next !== undefined) return next;
      if (this.#gone) throw new DisconnectedError();
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  /** Wait until the back-end closes the connection. */
  async closed(): Promise<void> {
    while (!this.#gone) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  #readable(): void {
    const into = new Uint8Array(4096);
    let got: ReturnType<typeof receiveFds> = null;
    try {
      got = receiveFds(this.fd, into);
    } catch {
      got = { length: 0, fds: [], truncated: false }; // reset: the back-end left what we sent unread
    }
    if (got === null) return;
    if (got.length === 0) this.close();
    this.#fds.push(...got.fds);
    this.#bytes = Uint8Array.from([...this.#bytes, ...into.subarray(0, got.length)]);
    while (this.#bytes.length >= HEADER_SIZE && this.#bytes.length >= HEADER_SIZE + decodeHeader(this.#bytes).size) {
      const { request, flags, size } = decodeHeader(this.#bytes);
      this.#answers.push({ request, flags, payload: this.#bytes.slice(HEADER_SIZE, HEADER_SIZE + size), fds: this.#fds });
      this.#fds = [];
      this.#bytes = this.#bytes.slice(HEADER_SIZE + size);
    }
    const wake = this.#waiting;
    this.#waiting = null;
    wake?.();
  }
}
