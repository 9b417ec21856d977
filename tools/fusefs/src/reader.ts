/**
 * Reading requests from /dev/fuse, in two ways.
 *
 * With koffi the event loop itself watches the device. Without, a thread of Node's pool waits in read(): that works
 * everywhere, costs two more changes of threads per request, and takes one of the pool's four threads for each mount.
 */
import { constants, read as fsRead } from 'node:fs';
import { hostAvailable, lastErrno, libc, watchReadable } from '@vdpalab/libc';
import type { Watch } from '@vdpalab/libc';
import { EAGAIN, EINTR, ENOENT } from '@vdpalab/uapi';

/** Takes requests off a descriptor. */
export interface DeviceReader {
  /** Begin. */
  readonly start: () => void;
  /** Take what has come already, as far as one can without waiting. */
  readonly catchUp: () => void;
}

/** Who gets what is read. */
export interface ReaderEvents {
  /** A request of `length` bytes is in the buffer, until the call returns. */
  readonly onRequest: (length: number) => void;
  /** The connection is no more. */
  readonly onEnd: () => void;
}

/** Requests that are taken at a time before others have their turn. */
const BATCH = 32;

/** How requests are waited for: by the event loop, or by a thread of Node's pool. */
export type ReaderKind = 'watching' | 'waiting';

/** The faster one that there is. */
export function bestReader(): ReaderKind {
  return hostAvailable() ? 'watching' : 'waiting';
}

/** How open(2) opens /dev/fuse for a reader. */
export function deviceFlags(kind: ReaderKind): number {
  return kind === 'watching' ? constants.O_RDWR | constants.O_NONBLOCK : constants.O_RDWR;
}

/** @param fd opened with {@link deviceFlags} */
export function createReader(kind: ReaderKind, fd: number, buffer: Buffer, events: ReaderEvents): DeviceReader {
  return kind === 'watching' ? watchingReader(fd, buffer, events) : waitingReader(fd, buffer, events);
}

function watchingReader(fd: number, buffer: Buffer, { onRequest, onEnd }: ReaderEvents): DeviceReader {
  const read = libc('long read(int fd, void *buf, unsigned long count)');
  let watch: Watch | null = null;

  function take(): void {
    for (let i = 0; i < BATCH; i++) {
      const length = Number(read(fd, buffer, buffer.length));
      if (length > 0) {
        onRequest(length);
        continue;
      }
      const errno = lastErrno();
      if (errno === EAGAIN) break;
      if (errno === EINTR || errno === ENOENT) continue; // interrupted, or the request was withdrawn
      watch?.close();
      watch = null;
      onEnd();
      break;
    }
    // koffi calls from outside of Node's own callbacks, after which nobody runs what was promised.
    setImmediate(nothing);
  }

  return {
    start: () => {
      watch = watchReadable(fd, take);
    },
    catchUp: () => {
      if (watch !== null) take();
    },
  };
}

function nothing(): void {}

/** Why read() is to be called again: it was interrupted, or the request was withdrawn. */
const AGAIN: ReadonlySet<string | undefined> = new Set(['EINTR', 'EAGAIN', 'ENOENT']);

function waitingReader(fd: number, buffer: Buffer, { onRequest, onEnd }: ReaderEvents): DeviceReader {
  const next = (): void => fsRead(fd, buffer, 0, buffer.length, null, arrived);
  function arrived(error: NodeJS.ErrnoException | null, length: number): void {
    if (error === null) {
      onRequest(length);
      next();
    } else if (AGAIN.has(error.code)) {
      next();
    } else {
      onEnd();
    }
  }
  return { start: next, catchUp: nothing };
}
