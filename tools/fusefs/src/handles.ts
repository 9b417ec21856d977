/** Open files of the mount. One may be used by every process that inherited it, so each gets a descriptor of the same file. */
import type { KernelSymbols } from '@vdpalab/abi';
import type { File, Node, Process } from '@vdpalab/fs';
import { EBADF, O_APPEND, O_NONBLOCK } from '@vdpalab/uapi';
import type { HostProcess } from './host-processes.ts';
import { Refusal } from './errno.ts';

/** Flags of an open file that fcntl(2) changes; the host's kernel sends them with each read and write. */
const CHANGEABLE = O_APPEND | O_NONBLOCK;

type Needs = Pick<KernelSymbols, 'get_file' | 'fput' | 'receive_fd' | 'ksys_close'>;

/** One open file. */
export class Handle {
  readonly file: File;
  readonly node: Node;
  /** Where the host's kernel goes on: after what was read or written last. */
  position = 0;
  /** Takes the poll watcher out of its queue; `null` without one. */
  unwatch: (() => void) | null = null;
  readonly #k: Needs;
  readonly #descriptors = new Map<HostProcess, number>();

  /** @param fd the descriptor its opener has; the handle takes a reference of its own */
  constructor(k: Needs, opener: HostProcess, fd: number, node: Node) {
    this.#k = k;
    this.node = node;
    this.file = opener.process.proc.files.get(fd)!; // just opened
    k.get_file(this.file);
    this.#descriptors.set(opener, fd);
  }

  /** Whether the client has opened or used it. */
  readonly isUsedBy = (client: HostProcess): boolean => this.#descriptors.has(client);

  /** The client's descriptor of the file. */
  descriptor(client: HostProcess): number {
    const known = this.#descriptors.get(client);
    if (known !== undefined) return known;
    const fd = this.#k.receive_fd(client.process.proc, this.file);
    this.#descriptors.set(client, fd);
    return fd;
  }

  /** @param flags O_* as the request has them */
  setFlags(flags: number): void {
    const { file } = this;
    if (((file.flags ^ flags) & CHANGEABLE) !== 0) file.flags = (file.flags & ~CHANGEABLE) | (flags & CHANGEABLE);
  }

  /** Drop all references. In a task. */
  async release(): Promise<void> {
    this.unwatch?.();
    this.unwatch = null;
    for (const [client, fd] of this.#descriptors) {
      const proc: Process = client.process.proc;
      if (!proc.exited && proc.files.get(fd) === this.file) await this.#k.ksys_close(proc, fd);
    }
    this.#descriptors.clear();
    await this.#k.fput(this.file);
  }
}

/** Things by a number that the host's kernel gives back with each request. */
export class Numbered<T> {
  readonly #all = new Map<number, T>();
  #last = 0;

  get size(): number {
    return this.#all.size;
  }

  add(thing: T): number {
    this.#all.set(++this.#last, thing);
    return this.#last;
  }

  /** The oldest first. */
  all(): IterableIterator<T> {
    return this.#all.values();
  }

  /** @throws Refusal EBADF */
  get(number: number): T {
    const thing = this.#all.get(number);
    if (thing === undefined) throw new Refusal(EBADF);
    return thing;
  }

  /** @throws Refusal EBADF */
  take(number: number): T {
    const thing = this.get(number);
    this.#all.delete(number);
    return thing;
  }

  /** Take all. */
  drain(): T[] {
    const all = [...this.#all.values()];
    this.#all.clear();
    return all;
  }
}
