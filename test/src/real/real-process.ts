/** A process of the host whose system calls a test makes: testdata/syscalls.c at the other end of a pipe. */
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { KernelError, type ErrnoName } from '@vdpalab/abi';
import { errnoName, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE, RLIMIT_MEMLOCK } from '@vdpalab/uapi';
import type { VhostTestProcess } from '@vdpalab/user';

/** Numbers of x86-64. */
const NR = { read: 0, write: 1, close: 3, poll: 7, lseek: 8, mmap: 9, munmap: 11, ioctl: 16, openat: 257, eventfd2: 290 } as const;
const AT_FDCWD = -100;
const SCRATCH = 1 << 16;

/** Memory of a process, through /proc. */
class ProcMemory {
  readonly fd: number;

  constructor(pid: number) {
    this.fd = openSync(`/proc/${pid}/mem`, 'r+');
  }

  read(va: number, len: number): Uint8Array {
    const bytes = new Uint8Array(len);
    if (len > 0) readSync(this.fd, bytes, 0, len, va);
    return bytes;
  }

  write(va: number, bytes: Uint8Array): undefined {
    if (bytes.length > 0) writeSync(this.fd, bytes, 0, bytes.length, va);
  }
}

/** The process. Calls throw a KernelError with the errno, as those of a process of the lab do. */
export class RealProcess implements VhostTestProcess {
  readonly pid: number;
  readonly proc: VhostTestProcess['proc'];
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #memory: ProcMemory;
  /** Where the lab is mounted. */
  readonly #root: string;
  #scratch = 0;

  private constructor(child: ChildProcessWithoutNullStreams, lines: AsyncIterator<string>, pid: number, root: string) {
    this.#child = child;
    this.#lines = lines;
    this.#root = root;
    this.pid = pid;
    this.#memory = new ProcMemory(pid);
    this.proc = {
      mm: this.#memory,
      rlimits: {
        get: () => {
          const { stdout } = spawnSync('prlimit', ['--pid', `${pid}`, '--memlock', '--raw', '--noheadings', '-o', 'SOFT'], { encoding: 'utf8' });
          return stdout.trim() === 'unlimited' ? Number.POSITIVE_INFINITY : Number(stdout);
        },
        set(limit: number, value: number) {
          if (limit !== RLIMIT_MEMLOCK) throw new Error(`limit ${limit}`);
          spawnSync('prlimit', ['--pid', `${pid}`, `--memlock=${value === Number.POSITIVE_INFINITY ? 'unlimited' : value}:`]);
          return new Map<number, number>();
        },
      },
    };
  }

  /** @param program made from testdata/syscalls.c; @param root where the lab is mounted */
  static async start(program: string, root: string): Promise<RealProcess> {
    const child = spawn(program, [], { stdio: ['pipe', 'pipe', 'pipe'] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const process = new RealProcess(child, lines, Number((await lines.next()).value), root);
    process.#scratch = await process.mmap(SCRATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    return process;
  }

  async syscall(number: number, ...args: readonly (number | bigint)[]): Promise<number> {
    const six = [...args, 0, 0, 0, 0, 0, 0].slice(0, 6).map((arg) => BigInt.asUintN(64, BigInt(arg)));
    const answer = await this.#ask(`s ${number} ${six.join(' ')}`);
    const [result = 0, errno = 0] = answer.split(' ').map(Number);
    if (result === -1 && errno !== 0) throw new KernelError((errnoName(errno) ?? `errno ${errno}`) as ErrnoName, 'real.syscall', `call ${number}`); // a name, or the number of one the kernel only knows
    return result;
  }

  open(path: string, flags: number): Promise<number> {
    return this.syscall(NR.openat, AT_FDCWD, this.#text(`${this.#root}${path}`), flags, 0);
  }

  async close(fd: number): Promise<void> {
    await this.syscall(NR.close, fd);
  }

  async read(fd: number, len: number): Promise<Uint8Array> {
    return this.#memory.read(this.#scratch, await this.syscall(NR.read, fd, this.#scratch, len));
  }

  write(fd: number, data: Uint8Array | string): Promise<number> {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    this.#memory.write(this.#scratch, bytes);
    return this.syscall(NR.write, fd, this.#scratch, bytes.length);
  }

  lseek(fd: number, offset: number, whence: number): Promise<number> {
    return this.syscall(NR.lseek, fd, offset, whence);
  }

  ioctl(fd: number, cmd: number, arg: number | bigint = 0): Promise<number> {
    return this.syscall(NR.ioctl, fd, cmd, arg);
  }

  mmap(len: number, prot: number, flags: number, fd = -1, offset = 0, addr = 0): Promise<number> {
    return this.syscall(NR.mmap, addr, len, prot, flags, fd, offset);
  }

  async munmap(addr: number, len: number): Promise<void> {
    await this.syscall(NR.munmap, addr, len);
  }

  eventfd(initval = 0, flags = 0): Promise<number> {
    return this.syscall(NR.eventfd2, initval, flags);
  }

  /** @param timeoutNs rounded to milliseconds; negative: for ever. @returns revents */
  async poll(fd: number, events: number, timeoutMs: number): Promise<number> {
    this.#memory.write(this.#scratch, new Uint8Array(Int32Array.of(fd, events).buffer));
    await this.syscall(NR.poll, this.#scratch, 1, timeoutMs);
    return (this.#memory.read(this.#scratch + 6, 1)[0] as number);
  }

  async readFile(path: string): Promise<string> {
    const fd = await this.open(path, 0);
    const text = new TextDecoder().decode(await this.read(fd, 4096));
    await this.close(fd);
    return text;
  }

  /** Run a body in a forked child, and wait for its end. */
  async inChild(body: (child: RealProcess) => Promise<void>): Promise<void> {
    const pid = Number(await this.#ask('f'));
    const child = new RealProcess(this.#child, this.#lines, pid, this.#root);
    child.#scratch = this.#scratch;
    await body(child);
    closeSync(child.#memory.fd);
    await this.#ask('x'); // the parent answers, when the child has ended
  }

  /** End it by a signal. */
  kill(): Promise<void> {
    return this.#ended(() => this.#child.kill('SIGKILL'));
  }

  /** Let it exit. */
  end(): Promise<void> {
    return this.#ended(() => this.#child.stdin.end('x\n'));
  }

  async #ended(how: () => unknown): Promise<void> {
    closeSync(this.#memory.fd);
    const exited = new Promise((resolve) => {
      this.#child.on('exit', resolve);
    });
    how();
    await exited;
  }

  #text(text: string): number {
    this.#memory.write(this.#scratch, new TextEncoder().encode(`${text}\0`));
    return this.#scratch;
  }

  async #ask(line: string): Promise<string> {
    this.#child.stdin.write(`${line}\n`);
    const { value, done } = await this.#lines.next() as { value?: string; done?: boolean };
    if (done === true || value === undefined) throw new Error(`the process has ended at: ${line}`);
    return value;
  }
}
