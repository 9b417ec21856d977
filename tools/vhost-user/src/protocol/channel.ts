/** A front-end's connection: bytes and descriptors in, whole messages out. */
import { closeSync } from 'node:fs';
import { KernelError } from '@vdpalab/abi';
import { HostError, receiveFds, sendFds, watchReadable, type Watch } from '@vdpalab/libc';
import { decodeHeader, HEADER_SIZE, VHOST_USER_REPLY_MASK, VHOST_USER_VERSION, VHOST_USER_VERSION_MASK, encodeMessage, type Message } from './message.ts';
import { PAYLOAD_MAX, requestName, REQUESTS } from './requests.ts';

/** Close descriptors, each once. */
export function closeFds(fds: readonly number[]): void {
  for (const fd of fds) closeSync(fd);
}

function broken(rule: string, text: string): KernelError {
  return new KernelError('EPROTO', `vhost_user.message.${rule}`, text);
}

/** What a connection tells. */
export interface ChannelEvents {
  /** A whole message, its shape checked. The hearer owns its descriptors, and calls `resume` for the next. */
  readonly message: (message: Message) => void;
  /** The connection is over: the front-end has closed it (`null`), or has broken the protocol. Told once, nothing follows. */
  readonly over: (reason: Error | null) => void;
}

/**
 * Takes messages from a socket as they come.
 *
 * What breaks the framing (a wrong version, an answer nobody asked for, a size the request cannot have, too many
 * descriptors) ends the connection at once: what follows in the stream could mean anything.
 */
export class Channel {
  readonly fd: number;
  readonly #events: ChannelEvents;
  #watch: Watch | null = null;
  #open = true;
  readonly #buffer = new Uint8Array(HEADER_SIZE + PAYLOAD_MAX);
  #have = 0;
  #fds: number[] = [];

  /** @param fd a connected socket, the channel's from now on */
  constructor(fd: number, events: ChannelEvents) {
    this.fd = fd;
    this.#events = events;
    this.resume();
  }

  get open(): boolean {
    return this.#open;
  }

  /** Take the next message: a front-end that sends faster than it is served waits. */
  resume(): void {
    if (!this.#open || this.#watch !== null) return;
    this.#watch = watchReadable(this.fd, () => this.#readable());
  }

  /** Close the socket and what has come with half a message. Tells nobody; twice is fine. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#pause();
    closeFds(this.#fds.splice(0));
    closeSync(this.fd);
  }

  /**
   * Answer a request.
   *
   * @throws KernelError EPIPE when the front-end is gone, or reads nothing
   */
  reply(request: number, payload: Uint8Array, fds: readonly number[] = []): void {
    this.#send(encodeMessage(request, VHOST_USER_REPLY_MASK, payload), fds);
  }

  #pause(): void {
    this.#watch?.close();
    this.#watch = null;
  }

  #send(bytes: Uint8Array, fds: readonly number[]): void {
    if (!this.open) throw new KernelError('EPIPE', 'vhost_user.reply.gone', 'the front-end is gone');
    let sent = 0;
    try {
      sent = sendFds(this.fd, bytes, fds);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      throw new KernelError('EPIPE', 'vhost_user.reply.gone', `the front-end is gone: ${error.message}`);
    }
    if (sent !== bytes.length) throw new KernelError('EPIPE', 'vhost_user.reply.stuck', `the front-end takes ${sent} of ${bytes.length} bytes: it reads no answers`);
  }

  #end(reason: Error | null): void {
    this.close();
    this.#events.over(reason);
  }

  #readable(): void {
    try {
      while (this.#watch !== null && this.#read());
    } catch (error) {
      if (error instanceof HostError) this.#end(error.errno === 'ECONNRESET' ? null : error);
      else this.#end(error as Error);
    }
  }

  /** Take what completes a header or a payload. @returns whether there may be more */
  #read(): boolean {
    const whole = this.#have < HEADER_SIZE ? HEADER_SIZE : HEADER_SIZE + decodeHeader(this.#buffer).size;
    const got = receiveFds(this.fd, this.#buffer.subarray(this.#have, whole));
    if (got === null) return false;
    if (got.length === 0) {
      this.#end(this.#have === 0 ? null : broken('cut', `the connection ends after ${this.#have} of ${whole} bytes of a message`));
      return false;
    }
    this.#fds.push(...got.fds);
    if (got.truncated) throw broken('fds', 'more descriptors than one message can carry');
    if (this.#have >= HEADER_SIZE && got.fds.length > 0) throw broken('late-fds', 'descriptors come with the payload: they belong to the header');
    this.#have += got.length;
    if (this.#have === HEADER_SIZE && whole === HEADER_SIZE) this.#checkHeader();
    if (this.#have < HEADER_SIZE || this.#have < HEADER_SIZE + decodeHeader(this.#buffer).size) return true;
    const { request, flags, size } = decodeHeader(this.#buffer);
    const message = { request, flags, payload: this.#buffer.slice(HEADER_SIZE, HEADER_SIZE + size), fds: this.#fds };
    this.#have = 0;
    this.#fds = [];
    this.#pause();
    this.#events.message(message);
    return true;
  }

  #checkHeader(): void {
    const { request, flags, size } = decodeHeader(this.#buffer);
    const name = requestName(request);
    if ((flags & VHOST_USER_VERSION_MASK) !== VHOST_USER_VERSION) throw broken('version', `${name}: version ${flags & VHOST_USER_VERSION_MASK}, not ${VHOST_USER_VERSION}`);
    if ((flags & VHOST_USER_REPLY_MASK) !== 0) throw broken('reply', `${name}: an answer, and nothing was asked`);
    const [least, most] = REQUESTS.get(request)?.size ?? [0, PAYLOAD_MAX];
    if (size < least || size > most) throw broken('size', `${name}: a payload of ${size} bytes, not ${least === most ? least : `${least} to ${most}`}`);
    const [few, many] = REQUESTS.get(request)?.fds ?? [0, 0];
    if (this.#fds.length < few || this.#fds.length > many) {
      throw broken('fds', `${name}: ${this.#fds.length} descriptors, not ${few === many ? few : `${few} to ${many}`}`);
    }
  }
}
