/** Eventfds of the host: counters that wake whoever polls them. */
import { writeSync } from 'node:fs';
import { EAGAIN, EFD_CLOEXEC, EFD_NONBLOCK } from '@vdpalab/uapi';
import { descriptorLink } from './descriptor.ts';
import { addressOf, checked, HostError, lastErrno, libc } from './host.ts';
import { isWritable } from './poll.ts';

/** `RWF_NOWAIT` of uapi/linux/fs.h: rather EAGAIN than wait. */
const RWF_NOWAIT = 8;

const counter = new BigUint64Array(1);
const one = new Uint8Array(8);
one[0] = 1;
/** `struct iovec` for {@link counter}; filled in when first used. */
const iovec = new BigUint64Array(2);
const iovecBytes = new Uint8Array(iovec.buffer);

/** Make one, non-blocking and closed on exec. */
export function eventfd(initial = 0): number {
  return checked('eventfd', libc('int eventfd(unsigned int initval, int flags)')(initial, EFD_CLOEXEC | EFD_NONBLOCK));
}

/** Whether a descriptor is an eventfd. */
export function isEventfd(fd: number): boolean {
  return descriptorLink('self', fd) === 'anon_inode:[eventfd]';
}

/**
 * Take what an eventfd has counted. Never waits, whatever mode the descriptor is in: somebody else may have set it.
 *
 * @returns 0 when there is nothing
 * @throws HostError when it is no eventfd
 */
export function takeEventfd(fd: number): number {
  if (iovec[0] === 0n) {
    iovec[0] = addressOf(counter);
    iovec[1] = 8n;
  }
  const preadv2 = libc('intptr_t preadv2(int fd, const void *iov, int iovcnt, int64_t offset, int flags)');
  if (Number(preadv2(fd, iovecBytes, 1, -1, RWF_NOWAIT)) === 8) return Number(counter[0]);
  const errno = lastErrno();
  if (errno === EAGAIN) return 0;
  throw new HostError('preadv2', errno, `eventfd ${fd}`);
}

/**
 * Add 1 to an eventfd.
 *
 * @returns false when its counter is full: whoever reads it has been woken long ago
 */
export function signalEventfd(fd: number): boolean {
  if (!isWritable(fd)) return false;
  writeSync(fd, one);
  return true;
}
