/** Processes and their descriptors from outside: `pidfd_open(2)`, `pidfd_getfd(2)`. */
import { closeSync } from 'node:fs';
import { __NR_pidfd_getfd, __NR_pidfd_open } from '@vdpalab/uapi';
import { checked, libc } from './host.ts';

const PROTOTYPE = 'long syscall(long number, long a, long b, long c)';

/**
 * A descriptor that becomes readable when the process ends, close-on-exec.
 *
 * @param pid of a process, not of one of its other threads
 * @throws HostError ESRCH EINVAL
 */
export function pidfdOpen(pid: number): number {
  return checked('pidfd_open', libc(PROTOTYPE)(__NR_pidfd_open, pid, 0, 0), `process ${pid}`);
}

/**
 * A descriptor of another process, duplicated into this one, close-on-exec.
 *
 * @throws HostError EBADF ESRCH; EPERM without the right to trace it
 */
export function pidfdGetfd(pidfd: number, fd: number): number {
  return checked('pidfd_getfd', libc(PROTOTYPE)(__NR_pidfd_getfd, pidfd, fd, 0), `descriptor ${fd}`);
}

/** {@link pidfdGetfd} by process number. */
export function takeFd(pid: number, fd: number): number {
  const pidfd = pidfdOpen(pid);
  try {
    return pidfdGetfd(pidfd, fd);
  } finally {
    closeSync(pidfd);
  }
}
