/** Eventfds. Mirrors `fs/eventfd.c` (Linux 6.1). */
import type { Atomic, KernelSymbols } from '@vdpalab/abi';
import type { WaitQueue } from '@vdpalab/sched';
import {
  EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE, EVENTFD_COUNT_MAX, O_NONBLOCK, O_RDWR, POLLERR, POLLIN, POLLOUT,
} from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { EventfdCtx, File, FileOperations, FsSymbols } from './header.ts';
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
  const alive = new Set<Eventfd>();
  let lastId = 0;

  function impl(ctx: EventfdCtx): Eventfd {
    if (ctx instanceof Eventfd) return ctx;
    throw new Error(`eventfd ${ctx.id} is not of this kernel`);
  }

  function ofFile(file: File): Eventfd {
    return file.private_data as Eventfd; // only eventfd files have these ops
  }

  function put(ctx: Eventfd): Atomic {
    if (ctx.refs <= 0) throw new Error(`eventfd ${ctx.id} is put more often than it was got`);
    if (--ctx.refs === 0) alive.delete(ctx);
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
        const file = files.peek(proc, fd);
        if (file.ops !== ops) throw fail('EINVAL', 'eventfd.kind', `descriptor ${fd}: ${file.path} is no eventfd`);
        const ctx = ofFile(file);
        ctx.refs++;
        return ctx;
      },
      eventfd_ctx_put: (ctx) => put(impl(ctx)),
      eventfd_signal: (given, n): Atomic => {
        const ctx = impl(given);
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
