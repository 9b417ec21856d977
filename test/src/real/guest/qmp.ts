/** QEMU's monitor: it connects to a socket of ours. */
import { createServer, type Server, type Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Reply {
  readonly return?: unknown;
  readonly error?: { readonly class: string; readonly desc: string };
}

/** One monitor. */
export class Qmp {
  /** For QEMU's command line. */
  readonly args: readonly string[];
  readonly #folder = mkdtempSync(join(tmpdir(), 'qmp-'));
  readonly #server: Server;
  readonly #connected: Promise<Socket>;
  #text = '';
  #answer: ((reply: Reply) => void) | null = null;

  constructor() {
    const path = join(this.#folder, 's');
    this.args = ['-qmp', `unix:${path}`];
    this.#server = createServer();
    this.#connected = new Promise((resolve) => {
      this.#server.once('connection', (socket) => {
        socket.setEncoding('utf8').on('data', (text: string) => this.#take(text)).on('error', () => {});
        resolve(socket);
      });
    });
    this.#server.listen(path);
  }

  /** Run a command. @throws Error with what QEMU says against it */
  async execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const socket = await this.#connected;
    const reply = await new Promise<Reply>((resolve) => {
      this.#answer = resolve;
      socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    });
    if (reply.error !== undefined) throw new Error(`${command}: ${reply.error.class}: ${reply.error.desc}`);
    return reply.return;
  }

  close(): void {
    this.#server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #take(text: string): void {
    this.#text += text;
    for (let end = this.#text.indexOf('\n'); end >= 0; end = this.#text.indexOf('\n')) {
      const reply = JSON.parse(this.#text.slice(0, end)) as Reply; // QEMU's own words
      this.#text = this.#text.slice(end + 1);
      if (!('return' in reply) && !('error' in reply)) continue; // a greeting or an event
      this.#answer?.(reply);
      this.#answer = null;
    }
  }
}
