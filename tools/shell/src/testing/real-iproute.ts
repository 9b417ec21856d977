/** The real programs of iproute2 on the netlink sockets of a lab: what they print is what the lab's own must print. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isKernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import { AF_NETLINK, ERRNO, MSG_DONTWAIT } from '@vdpalab/uapi';
import type { CommandResult } from '../session.ts';
import type { TestShell } from './shell-kernel.ts';

const SOURCE = fileURLToPath(new URL('../../testdata/netlink-door.c', import.meta.url));
/** Operations of netlink-door.c. */
const [OPEN, BIND, GETSOCKNAME, SETSOCKOPT, SEND, RECEIVE] = [1, 2, 3, 4, 5, 6] as const;
const HEAD = 24;

const version = (program: string): string => spawnSync(program, ['-V'], { encoding: 'utf8' }).stdout ?? '';

/** Why the real programs cannot be asked here, or `null`. */
export function whyNoIproute(): string | null {
  for (const program of ['vdpa', 'devlink', 'ip']) if (!version(program).includes('iproute2-6.1.')) return `${program} of iproute2 6.1 is not installed`;
  return spawnSync('gcc', ['--version']).status === 0 ? null : 'gcc is not installed';
}

/** Real programs whose netlink sockets are the lab's. */
export class RealIproute {
  readonly #shell: TestShell;
  readonly #directory: string;
  readonly #server: Server;
  #proc: Process | null = null;

  private constructor(shell: TestShell, directory: string) {
    this.#shell = shell;
    this.#directory = directory;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** Compile what is preloaded and listen. @throws Error when it does not compile */
  static async open(shell: TestShell): Promise<RealIproute> {
    const directory = mkdtempSync(join(tmpdir(), 'netlink-door-'));
    const { status, stderr } = spawnSync('gcc', ['-shared', '-fPIC', '-O1', '-o', join(directory, 'door.so'), SOURCE, '-ldl'], { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
    const real = new RealIproute(shell, directory);
    await new Promise<void>((resolve) => real.#server.listen(join(directory, 'door'), resolve));
    return real;
  }

  async close(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#directory, { recursive: true });
  }

  /** Run a real program. @param proc as whom its sockets act */
  async run(program: string, args: readonly string[], proc: Process = this.#shell.proc): Promise<CommandResult> {
    this.#proc = proc;
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', LD_PRELOAD: join(this.#directory, 'door.so'), VDPALAB_NETLINK: join(this.#directory, 'door') },
    });
    const out = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => void (out.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => void (out.stderr += text));
    const status = await new Promise<number>((resolve, reject) => {
      child.on('error', reject).on('close', (code, signal) => resolve(code ?? (signal === 'SIGABRT' ? 134 : 255)));
    });
    return { ...out, status };
  }

  /** One netlink socket of a program: its calls in order. */
  #serve(socket: Socket): void {
    let pending = Buffer.alloc(0);
    let fd = -1;
    let busy = Promise.resolve();
    const proc = this.#proc ?? this.#shell.proc;
    socket.on('data', (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= HEAD) {
        const [op, a, b, , addressLength, length] = Array.from({ length: 6 }, (_, i) => pending.readUInt32LE(4 * i)) as [number, number, number, number, number, number];
        if (pending.length < HEAD + addressLength + length) return;
        const address = Uint8Array.from(pending.subarray(HEAD, HEAD + addressLength));
        const data = Uint8Array.from(pending.subarray(HEAD + addressLength, HEAD + addressLength + length));
        pending = pending.subarray(HEAD + addressLength + length);
        busy = busy.then(async () => {
          if (op === OPEN) {
            socket.write(await this.#answer(async (k) => {
              fd = await k.ksys_socket(proc, AF_NETLINK, a, b);
              return {};
            }));
          } else socket.write(await this.#answer((k) => this.#call(k, proc, fd, [op, a, b], address, data)));
        });
      }
    });
    socket.on('close', () => void busy.then(() => (fd < 0 ? undefined : this.#shell.inTask(() => this.#shell.kernel.k.ksys_close(proc, fd)))));
  }

  async #call(
    k: TestShell['kernel']['k'], proc: Process, fd: number, [op, a, b]: readonly [number, number, number], address: Uint8Array, data: Uint8Array,
  ): Promise<{ address?: Uint8Array; data?: Uint8Array }> {
    switch (op) {
      case BIND: await k.ksys_bind(proc, fd, address); return {};
      case GETSOCKNAME: return { address: await k.ksys_getsockname(proc, fd) };
      case SETSOCKOPT: await k.ksys_setsockopt(proc, fd, a, b, data); return {};
      case SEND: await k.ksys_sendmsg(proc, fd, data, address.length === 0 ? null : address); return {};
      case RECEIVE: {
        const got = await k.ksys_recvmsg(proc, fd, 0, a | MSG_DONTWAIT);
        return { data: got.bytes, address: got.address ?? new Uint8Array(0) };
      }
      default: throw new Error(`netlink door: operation ${op}`);
    }
  }

  async #answer(body: (k: TestShell['kernel']['k']) => Promise<{ address?: Uint8Array; data?: Uint8Array }>): Promise<Uint8Array> {
    const { inTask, kernel } = this.#shell;
    try {
      const { address = new Uint8Array(0), data = new Uint8Array(0) } = await inTask(() => body(kernel.k));
      return Buffer.concat([head(0, address.length, data.length), address, data]);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      return head(ERRNO[error.errno], 0, 0);
    }
  }
}

function head(errno: number, addressLength: number, length: number): Buffer {
  const out = Buffer.alloc(12);
  [errno, addressLength, length].forEach((word, i) => out.writeUInt32LE(word, 4 * i));
  return out;
}
