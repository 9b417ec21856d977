/** Eventfds. Mirrors `fs/eventfd.c` (Linux 6.1). */
import type { Atomic, KernelSymbols } from '@vdpalab/abi';
import type { WaitQueue } from '@vdpalab/sched';
import {
  EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE, EVENTFD_COUNT_MAX, O_NONBLOCK, O_RDWR, POLLERR, POLLIN, POLLOUT,
} from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { EventfdCtx, File, FileOperations, ForeignEventfd, FsSymbols } from './header.ts';
import type { Nap } from './nap.ts';
import type { OpenFileInit, OpenFiles } from './open-file.ts';
import { processImpl } from './process.ts';

const ULLONG_MAX = EVENTFD_COUNT_MAX + 1n;

class Eventfd implements EventfdCtx {
  readonly id: number;
  readonly wq: WaitQueue;
  readonly semaphore: boolean;
  count: bigint;
  /** The file and kernel users. */
  refs = 1;

  constructor(id: number, count: bigint, semaphore: boolean, wq: WaitQueue) {
    this.id = id;
    this.count = count;
    this.semaphore = semaphore;
    this.wq = wq;
  }

  /** `eventfd_ctx_do_read`: what a reader gets. */
  take(): bigint {
    const value = this.semaphore && this.count > 0n ? 1n : this.count;
    this.count -= value;
    return value;
  }
}

/** Watchers of a queue that somebody wants to know of. */
class Watchers extends Set<() => Atomic> {
  /** Called when the first comes (true) and when the last goes (false). */
  onChange: ((watched: boolean) => Atomic) | null = null;

  override add(watcher: () => Atomic): this {
    super.add(watcher);
    if (this.size === 1) this.onChange?.(true);
    return this;
  }

  override delete(watcher: () => Atomic): boolean {
    const deleted = super.delete(watcher);
    if (deleted && this.size === 0) this.onChange?.(false);
    return deleted;
  }
}

/**
 * An eventfd of a process outside. It is taken from only while somebody watches: an eventfd that the kernel signals is
 * the process's to read.
 */
class OutsideEventfd implements EventfdCtx {
  readonly id: number;
  readonly wq: WaitQueue;
  count = 0n;
  refs = 1;
  readonly #outside: ForeignEventfd;
  #stop: (() => Atomic) | null = null;

  constructor(id: number, outside: ForeignEventfd, wake: (wq: WaitQueue) => Atomic) {
    this.id = id;
    this.#outside = outside;
    const watchers = new Watchers();
    this.wq = { name: 'eventfd', waiters: new Set(), watchers };
    const arrived = (count: bigint): Atomic => {
      this.count += count;
      return wake(this.wq);
    };
    watchers.onChange = (watched): Atomic => {
      this.#stop?.();
      this.#stop = watched ? outside.watch(arrived) : null;
    };
  }

  signal(n: number): Atomic {
    return this.#outside.signal(n);
  }

  take(): bigint {
    const value = this.count + this.#outside.take();
    this.count = 0n;
    return value;
  }

  close(): Atomic {
    this.#stop?.();
    this.#stop = null;
    return this.#outside.close();
  }
}

/** Eventfds of one kernel. */
export interface Eventfds {
  readonly symbols: Pick<FsSymbols,
    'ksys_eventfd' | 'eventfd_ctx_fdget' | 'eventfd_ctx_put' | 'eventfd_signal' | 'eventfd_ctx_do_read'>;
  readonly leftovers: () => readonly string[];
}

/** Make the eventfds of one kernel. */
export function createEventfds(
  k: Pick<KernelSymbols, 'init_waitqueue_head' | 'wake_up'>, nap: Nap, files: OpenFiles,
): Eventfds {
  const alive = new Set<Eventfd | OutsideEventfd>();
  let lastId = 0;

  function impl(ctx: EventfdCtx): Eventfd | OutsideEventfd {
    if (ctx instanceof Eventfd || ctx instanceof OutsideEventfd) return ctx;
    throw new Error(`eventfd ${ctx.id} is not of this kernel`);
  }

  function ofFile(file: File): Eventfd {
    return file.private_data as Eventfd; // only eventfd files have these ops
  }

  function put(ctx: Eventfd | OutsideEventfd): Atomic {
    if (ctx.refs <= 0) throw new Error(`eventfd ${ctx.id} is put more often than it was got`);
    if (--ctx.refs > 0) return;
    alive.delete(ctx);
    if (ctx instanceof OutsideEventfd) ctx.close();
  }

  function wouldBlock(file: File): void {
    if ((file.flags & O_NONBLOCK) !== 0) throw fail('EAGAIN', 'eventfd.nonblock', `${file.path}: count ${ofFile(file).count}`);
  }

  const ops: FileOperations = {
    read: async (file, len) => {
      const ctx = ofFile(file);
      if (len < 8) throw fail('EINVAL', 'eventfd.length', `${file.path}: read of ${len} bytes, at least 8`);
      if (ctx.count === 0n) wouldBlock(file);
      await nap(ctx.wq, () => ctx.count > 0n, `${file.path} ${ctx.id} to be signalled`, 'eventfd_read');
      const out = new Uint8Array(8);
      new DataView(out.buffer).setBigUint64(0, ctx.take(), true);
      k.wake_up(ctx.wq);
      return out;
    },
    write: async (file, bytes) => {
      const ctx = ofFile(file);
      if (bytes.length < 8) throw fail('EINVAL', 'eventfd.length', `${file.path}: write of ${bytes.length} bytes, at least 8`);
      const value = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
      if (value === ULLONG_MAX) throw fail('EINVAL', 'eventfd.value', `${file.path}: write of 0xffffffffffffffff`);
      const fits = (): boolean => ULLONG_MAX - ctx.count > value;
      if (!fits()) wouldBlock(file);
      await nap(ctx.wq, fits, `${file.path} ${ctx.id} to be read`, 'eventfd_write');
      ctx.count += value;
      k.wake_up(ctx.wq);
      return 8;
    },
    poll: (file) => {
      const { count } = ofFile(file);
      return (count > 0n ? POLLIN : 0) | (count === ULLONG_MAX ? POLLERR : 0) | (count < EVENTFD_COUNT_MAX ? POLLOUT : 0);
    },
    pollQueue: (file) => ofFile(file).wq,
    release: async (file) => {
      k.wake_up(ofFile(file).wq); // POLLHUP for kernel users
      put(ofFile(file));
    },
  };

  return {
    leftovers: () => [...alive].map((ctx) => `eventfd ${ctx.id}: ${ctx.refs} references`),
    symbols: {
      ksys_eventfd: (given, initval, flags) => {
        const proc = processImpl(given);
        if ((flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK)) !== 0) {
          throw fail('EINVAL', 'eventfd.flags', `eventfd flags 0x${flags.toString(16)}`);
        }
        const fd = files.reserve(proc);
        const wq = k.init_waitqueue_head('eventfd');
        const ctx = new Eventfd(++lastId, BigInt(initval >>> 0), (flags & EFD_SEMAPHORE) !== 0, wq);
        alive.add(ctx);
        const init: OpenFileInit = {
          path: 'anon_inode:[eventfd]', flags: O_RDWR | (flags & EFD_NONBLOCK), ops, private_data: ctx,
          positioning: 'stream', holds: [],
        };
        return files.installNow(proc, fd, files.create(init, proc));
      },
      eventfd_ctx_fdget: (proc, fd) => {
        if (proc.outside !== null) {
          const ctx = new OutsideEventfd(++lastId, proc.outside.eventfd(fd), k.wake_up);
          alive.add(ctx);
          return ctx;
        }
        const file = files.peek(proc, fd);
        if (file.ops !== ops) throw fail('EINVAL', 'eventfd.kind', `descriptor ${fd}: ${file.path} is no eventfd`);
        const ctx = ofFile(file);
        ctx.refs++;
        return ctx;
      },
      eventfd_ctx_put: (ctx) => put(impl(ctx)),
      eventfd_signal: (given, n): Atomic => {
        const ctx = impl(given);
        if (ctx instanceof OutsideEventfd) return ctx.signal(n);
        const room = ULLONG_MAX - ctx.count;
        ctx.count += BigInt(n) < room ? BigInt(n) : room; // saturates, and POLLERR tells
        return k.wake_up(ctx.wq);
      },
      eventfd_ctx_do_read: (given) => {
        const ctx = impl(given);
        const value = ctx.take();
        if (value > 0n) k.wake_up(ctx.wq);
        return value;
      },
    },
  };
}
