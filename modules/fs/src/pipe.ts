/** Pipes. Mirrors `fs/pipe.c` (Linux 6.1): 64 KiB, writes of up to PIPE_BUF bytes in one piece. */
import type { KernelSymbols } from '@vdpalab/abi';
import type { WaitQueue } from '@vdpalab/sched';
import { O_NONBLOCK, O_WRONLY, PIPE_BUF, POLLERR, POLLHUP, POLLIN, POLLOUT } from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { File, FileOperations, FsSymbols } from './header.ts';
import type { Nap } from './nap.ts';
import type { OpenFile, OpenFiles } from './open-file.ts';
import { processImpl } from './process.ts';

/** Bytes a pipe holds. */
const CAPACITY = 65536;

interface Pipe {
  readonly ring: Uint8Array;
  head: number;
  used: number;
  readers: number;
  writers: number;
  readonly wq: WaitQueue;
}

/** Make the pipe call of one kernel. */
export function createPipes(
  k: Pick<KernelSymbols, 'init_waitqueue_head' | 'wake_up'>, nap: Nap, files: OpenFiles,
): Pick<FsSymbols, 'ksys_pipe'> {
  let lastId = 0;

  function pipeOf(file: File): Pipe {
    return file.private_data as Pipe; // only pipe files have these ops
  }

  function nonblocking(file: File): boolean {
    return (file.flags & O_NONBLOCK) !== 0;
  }

  function take(pipe: Pipe, len: number): Uint8Array {
    const out = new Uint8Array(Math.min(len, pipe.used));
    for (let i = 0; i < out.length; i++) out[i] = pipe.ring[(pipe.head + i) % CAPACITY] as number;
    pipe.head = (pipe.head + out.length) % CAPACITY;
    pipe.used -= out.length;
    return out;
  }

  function give(pipe: Pipe, bytes: Uint8Array): number {
    const n = Math.min(bytes.length, CAPACITY - pipe.used);
    for (let i = 0; i < n; i++) pipe.ring[(pipe.head + pipe.used + i) % CAPACITY] = bytes[i] as number;
    pipe.used += n;
    return n;
  }

  function refuseBroken(file: File): void {
    if (pipeOf(file).readers === 0) throw fail('EPIPE', 'pipe.readers', `${file.path} has no reader`);
  }

  const ops: FileOperations = {
    read: async (file, len) => {
      const pipe = pipeOf(file);
      if (len === 0) return new Uint8Array(0);
      if (pipe.used === 0 && pipe.writers > 0 && nonblocking(file)) throw fail('EAGAIN', 'pipe.nonblock', `${file.path} is empty`);
      await nap(pipe.wq, () => pipe.used > 0 || pipe.writers === 0, `data in ${file.path}`, 'pipe_read');
      const out = take(pipe, len);
      k.wake_up(pipe.wq);
      return out;
    },
    write: async (file, bytes) => {
      const pipe = pipeOf(file);
      let done = 0;
      while (done < bytes.length) {
        refuseBroken(file);
        const rest = bytes.subarray(done);
        const need = rest.length <= PIPE_BUF && bytes.length <= PIPE_BUF ? rest.length : 1;
        if (CAPACITY - pipe.used < need) {
          if (nonblocking(file)) break;
          await nap(pipe.wq, () => CAPACITY - pipe.used >= need || pipe.readers === 0, `room in ${file.path}`, 'pipe_write');
          continue;
        }
        done += give(pipe, rest);
        k.wake_up(pipe.wq);
      }
      if (done === 0 && bytes.length > 0) throw fail('EAGAIN', 'pipe.nonblock', `${file.path} is full`);
      return done;
    },
    poll: (file) => {
      const pipe = pipeOf(file);
      if ((file as OpenFile).writable) {
        return (CAPACITY - pipe.used >= PIPE_BUF ? POLLOUT : 0) | (pipe.readers === 0 ? POLLERR : 0);
      }
      return (pipe.used > 0 ? POLLIN : 0) | (pipe.writers === 0 ? POLLHUP : 0);
    },
    pollQueue: (file) => pipeOf(file).wq,
    release: async (file) => {
      const pipe = pipeOf(file);
      if ((file as OpenFile).writable) pipe.writers--;
      else pipe.readers--;
      k.wake_up(pipe.wq);
    },
  };

  return {
    ksys_pipe: (given) => {
      const proc = processImpl(given);
      const readFd = files.reserve(proc);
      let writeFd: number;
      try {
        writeFd = files.reserve(proc);
      } catch (error) {
        files.unreserve(proc, readFd);
        throw error;
      }
      const path = `pipe:[${++lastId}]`;
      const pipe: Pipe = {
        ring: new Uint8Array(CAPACITY), head: 0, used: 0, readers: 1, writers: 1, wq: k.init_waitqueue_head(path),
      };
      const end = (flags: number): OpenFile =>
        files.create({ path, flags, ops, private_data: pipe, positioning: 'stream', holds: [] }, proc);
      return [files.installNow(proc, readFd, end(0)), files.installNow(proc, writeFd, end(O_WRONLY))];
    },
  };
}
