/** A process of the lab as its program sees it: system calls by their libc names. */
import { foldError, isKernelError, type KernelSymbols } from '@vdpalab/abi';
import type { NodeKind, Process, SignalAction, Stat } from '@vdpalab/fs';
import { O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY } from '@vdpalab/uapi';

/** The kernel's entry points that a process uses. */
export type Syscalls = Pick<KernelSymbols, {
  [K in keyof KernelSymbols]: K extends `ksys_${string}` | 'init_module' | 'delete_module' ? K : never;
}[keyof KernelSymbols]>;

/** A signal ended the process: thrown from the call it was in, for whoever runs the process to end it with that status. */
export class Killed extends Error {
  readonly signal: number;

  constructor(process: Process, signal: number) {
    super(`process ${process.pid} (${process.comm}) was ended by signal ${signal}`);
    this.name = 'Killed';
    this.signal = signal;
  }
}

/** One process; every call runs in the calling task. A refusal is thrown as a KernelError with the errno. */
export class UserProcess {
  readonly #sys: Syscalls;
  readonly #handlers = new Map<number, (signal: number) => void>();
  /** What the kernel keeps of it. */
  readonly proc: Process;

  constructor(sys: Syscalls, proc: Process) {
    this.#sys = sys;
    this.proc = proc;
  }

  get pid(): number {
    return this.proc.pid;
  }

  /** Send a signal; 0 only asks whether one may. @param pid 0 for the own group, below -1 for a group */
  kill(pid: number, signal: number): void {
    this.#sys.ksys_kill(this.proc, pid, signal);
    this.#deliver();
  }

  /**
   * Say what a signal does.
   *
   * @param action a function catches it: it runs on the way back from the call that was interrupted, or from the next one
   */
  sigaction(signal: number, action: SignalAction | ((signal: number) => void)): void {
    this.#sys.ksys_sigaction(this.proc, signal, typeof action === 'function' ? 'catch' : action);
    if (typeof action === 'function') this.#handlers.set(signal, action);
    else this.#handlers.delete(signal);
  }

  setpgid(pid = 0, pgid = 0): void {
    this.#sys.ksys_setpgid(this.proc, pid, pgid);
  }

  /** Have SIGALRM sent after `ns` of virtual time; 0 disarms. */
  alarm(ns: number): void {
    this.#sys.ksys_alarm(this.proc, ns);
  }

  /**
   * Wait for a child.
   *
   * @param options WNOHANG
   * @param restart false: a caught signal ends the wait with EINTR
   * @returns `null` when none has ended
   */
  wait4(pid = -1, options = 0, restart = true): Promise<{ readonly pid: number; readonly status: number } | null> {
    return this.#enter(() => this.#sys.ksys_wait4(this.proc, pid, options), restart);
  }

  /** A call, and what happens on the way back from it: handlers run, a pending signal ends the process, or the sleep goes on. */
  async #enter<T>(call: () => Promise<T>, restart = true): Promise<T> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!isKernelError(error) || error.errno !== 'ERESTARTSYS') throw error;
        if (!restart) throw foldError('EINTR', 'user.signal.caught', `process ${this.pid} caught a signal`, error);
      } finally {
        this.#deliver();
      }
    }
  }

  /** Run the handlers of signals that came. @throws Killed when one ends the process */
  #deliver(): void {
    if (this.proc.exited) return;
    const signal = this.proc.fatalSignal;
    if (signal !== null) throw new Killed(this.proc, signal);
    if (this.#handlers.size === 0) return;
    for (let caught = this.#sys.ksys_sigtake(this.proc); caught !== null; caught = this.#sys.ksys_sigtake(this.proc)) this.#handlers.get(caught)?.(caught);
  }

  /** @param flags O_*; @returns a descriptor */
  open(path: string, flags: number = O_RDONLY, mode = 0o666): Promise<number> {
    return this.#enter(() => this.#sys.ksys_open(this.proc, path, flags, mode));
  }

  /** Load the module in a file. @param flags `MODULE_INIT_*`. @param bytes its contents, where it is no file of the lab */
  init_module(path: string, args: string, flags: number, bytes?: Uint8Array): Promise<void> {
    return this.#enter(() => this.#sys.init_module(bytes === undefined ? { path } : { path, bytes }, args, flags));
  }

  /** @param flags `O_TRUNC` forces */
  delete_module(name: string, flags: number): Promise<void> {
    return this.#enter(() => this.#sys.delete_module(name, flags));
  }

  close(fd: number): Promise<void> {
    return this.#enter(() => this.#sys.ksys_close(this.proc, fd));
  }

  read(fd: number, len: number): Promise<Uint8Array> {
    return this.#enter(() => this.#sys.ksys_read(this.proc, fd, len));
  }

  write(fd: number, data: Uint8Array | string): Promise<number> {
    return this.#enter(() => this.#sys.ksys_write(this.proc, fd, typeof data === 'string' ? new TextEncoder().encode(data) : data));
  }

  pread(fd: number, len: number, pos: number): Promise<Uint8Array> {
    return this.#enter(() => this.#sys.ksys_pread(this.proc, fd, len, pos));
  }

  pwrite(fd: number, bytes: Uint8Array, pos: number): Promise<number> {
    return this.#enter(() => this.#sys.ksys_pwrite(this.proc, fd, bytes, pos));
  }

  lseek(fd: number, offset: number, whence: number): Promise<number> {
    return this.#enter(() => this.#sys.ksys_lseek(this.proc, fd, offset, whence));
  }

  /** @param arg a user address, or the number itself where the command takes one */
  ioctl(fd: number, cmd: number, arg = 0): Promise<number> {
    return this.#enter(() => this.#sys.ksys_ioctl(this.proc, fd, cmd, arg));
  }

  /** Map memory. @param fd -1 for anonymous. @returns its address */
  mmap(len: number, prot: number, flags: number, fd = -1, offset = 0, addr = 0): Promise<number> {
    return this.#enter(() => this.#sys.ksys_mmap(this.proc, addr, len, prot, flags, fd, offset));
  }

  munmap(addr: number, len: number): Promise<void> {
    return this.#enter(() => this.#sys.ksys_munmap(this.proc, addr, len));
  }

  /** @param timeoutNs negative: for ever. @returns revents per entry */
  poll(fds: readonly { fd: number; events: number }[], timeoutNs = -1): Promise<number[]> {
    return this.#enter(() => this.#sys.ksys_poll(this.proc, fds, timeoutNs), false);
  }

  eventfd(initval = 0, flags = 0): number {
    return this.#sys.ksys_eventfd(this.proc, initval, flags);
  }

  /** Add one to an eventfd. */
  async eventfdWrite(fd: number): Promise<void> {
    await this.write(fd, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
  }

  pipe(): [number, number] {
    return this.#sys.ksys_pipe(this.proc);
  }

  dup(fd: number, newFd?: number): Promise<number> {
    return this.#enter(() => this.#sys.ksys_dup(this.proc, fd, newFd));
  }

  stat(path: string): Promise<Stat> {
    return this.#enter(() => this.#sys.ksys_stat(this.proc, path, true));
  }

  lstat(path: string): Promise<Stat> {
    return this.#enter(() => this.#sys.ksys_stat(this.proc, path, false));
  }

  readlink(path: string): Promise<string> {
    return this.#enter(() => this.#sys.ksys_readlink(this.proc, path));
  }

  readdir(path: string): Promise<{ name: string; kind: NodeKind }[]> {
    return this.#enter(() => this.#sys.ksys_readdir(this.proc, path));
  }

  /** A node for a character device. */
  mknod(path: string, mode: number, rdev: { readonly major: number; readonly minor: number }): Promise<void> {
    return this.#enter(() => this.#sys.ksys_mknod(this.proc, path, mode, rdev));
  }

  mkdir(path: string, mode = 0o777): Promise<void> {
    return this.#enter(() => this.#sys.ksys_mkdir(this.proc, path, mode));
  }

  unlink(path: string): Promise<void> {
    return this.#enter(() => this.#sys.ksys_unlink(this.proc, path));
  }

  rmdir(path: string): Promise<void> {
    return this.#enter(() => this.#sys.ksys_rmdir(this.proc, path));
  }

  symlink(target: string, path: string): Promise<void> {
    return this.#enter(() => this.#sys.ksys_symlink(this.proc, target, path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#enter(() => this.#sys.ksys_rename(this.proc, from, to));
  }

  chmod(path: string, mode: number): Promise<void> {
    return this.#enter(() => this.#sys.ksys_chmod(this.proc, path, mode));
  }

  /** @param uid, gid -1 leaves it */
  chown(path: string, uid: number, gid: number, followLink = true): Promise<void> {
    return this.#enter(() => this.#sys.ksys_chown(this.proc, path, uid, gid, followLink));
  }

  /** @param mtime seconds since the epoch; `null` for now */
  utimes(path: string, mtime: number | null, followLink = true): Promise<void> {
    return this.#enter(() => this.#sys.ksys_utimes(this.proc, path, mtime, followLink));
  }

  access(path: string, mode: number): Promise<void> {
    return this.#enter(() => this.#sys.ksys_access(this.proc, path, mode));
  }

  socket(family: number, type: number, protocol: number): Promise<number> {
    return this.#enter(() => this.#sys.ksys_socket(this.proc, family, type, protocol));
  }

  bind(fd: number, address: Uint8Array): Promise<void> {
    return this.#enter(() => this.#sys.ksys_bind(this.proc, fd, address));
  }

  sendmsg(fd: number, bytes: Uint8Array, address: Uint8Array | null = null): Promise<number> {
    return this.#enter(() => this.#sys.ksys_sendmsg(this.proc, fd, bytes, address));
  }

  /** @param flags MSG_* */
  recvmsg(fd: number, len: number, flags = 0): Promise<{ bytes: Uint8Array; address: Uint8Array | null }> {
    return this.#enter(() => this.#sys.ksys_recvmsg(this.proc, fd, len, flags));
  }

  /** The socket's own address. */
  getsockname(fd: number): Promise<Uint8Array> {
    return this.#enter(() => this.#sys.ksys_getsockname(this.proc, fd));
  }

  setsockopt(fd: number, level: number, name: number, value: Uint8Array): Promise<void> {
    return this.#enter(() => this.#sys.ksys_setsockopt(this.proc, fd, level, name, value));
  }

  /** A whole file. */
  async readFileBytes(path: string): Promise<Uint8Array> {
    const fd = await this.open(path);
    try {
      const chunks: Uint8Array[] = [];
      for (let chunk = await this.read(fd, 65536); chunk.length > 0; chunk = await this.read(fd, 65536)) chunks.push(chunk);
      return Buffer.concat(chunks);
    } finally {
      await this.close(fd);
    }
  }

  /** A whole file as text. */
  async readFile(path: string): Promise<string> {
    const utf8 = new TextDecoder();
    const fd = await this.open(path);
    try {
      let text = '';
      for (let chunk = await this.read(fd, 65536); chunk.length > 0; chunk = await this.read(fd, 65536)) {
        text += utf8.decode(chunk, { stream: true });
      }
      return text + utf8.decode();
    } finally {
      await this.close(fd);
    }
  }

  /** Write a whole file in one write, as a store to an attribute needs. @param flags absent: create and truncate */
  async writeFile(path: string, contents: Uint8Array | string, flags: number = O_WRONLY | O_CREAT | O_TRUNC): Promise<void> {
    const fd = await this.open(path, flags);
    try {
      await this.write(fd, contents);
    } finally {
      await this.close(fd);
    }
  }
}

