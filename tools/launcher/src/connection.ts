/** A client's end of a connection, line by line. */
import type { Socket } from 'node:net';
import { encode, LineSplitter, ProtocolError, type Answer } from './protocol.ts';

/** Bytes that may wait to be sent before whoever writes has to wait. */
const HIGH_WATER = 1 << 18;

/** A connection of the control socket, on the lab's side. */
export class Connection {
  readonly #socket: Socket;
  readonly #splitter = new LineSplitter();
  /** Lines nobody has taken yet. */
  readonly #lines: string[] = [];
  #take: ((line: string | null) => void) | null = null;
  #listener: ((line: string) => void) | null = null;
  #ended = false;
  /** Called once when nothing can be said any more, and when what waited was sent. */
  onGone: (() => void) | null = null;
  onDrain: (() => void) | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      try {
        for (const line of this.#splitter.push(text)) this.#arrive(line);
      } catch (error) {
        this.refuse(error);
      }
    });
    socket.on('drain', () => this.onDrain?.());
    socket.on('error', () => socket.destroy()); // the peer is gone: 'close' follows
    socket.on('close', () => this.#finish());
    socket.on('end', () => this.#finish());
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Whether whoever writes has to wait for {@link onDrain}. */
  get full(): boolean {
    return !this.#ended && this.#socket.writableLength > HIGH_WATER;
  }

  /** The next line; `null` once the client is gone. */
  next(): Promise<string | null> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    if (this.#ended) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#take = resolve;
    });
  }

  /** Have every further line handed to `listener`; what it throws as a ProtocolError ends the connection. */
  listen(listener: (line: string) => void): void {
    this.#listener = listener;
    for (const line of this.#lines.splice(0)) this.#hand(line, listener);
  }

  send(answer: Answer): void {
    if (!this.#ended) this.#socket.write(encode(answer));
  }

  /** Say a last thing and close. */
  end(answer: Answer): void {
    if (!this.#ended) this.#socket.end(encode(answer));
    this.#finish();
  }

  /** End it because of what the client said. @throws what is no ProtocolError */
  refuse(error: unknown): void {
    if (!(error instanceof ProtocolError)) throw error;
    this.end({ error: error.message });
    this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#finish();
  }

  /** Call back when all was sent and the socket is closed. */
  onClosed(then: () => void): void {
    if (this.#socket.closed) then();
    else this.#socket.once('close', then);
  }

  #arrive(line: string): void {
    if (this.#ended) return;
    if (this.#listener !== null) this.#hand(line, this.#listener);
    else if (this.#take !== null) {
      const take = this.#take;
      this.#take = null;
      take(line);
    } else this.#lines.push(line);
  }

  #hand(line: string, listener: (line: string) => void): void {
    try {
      listener(line);
    } catch (error) {
      this.refuse(error);
    }
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#take?.(null);
    this.#take = null;
    this.onGone?.();
  }
}
