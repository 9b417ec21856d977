/** Answering system calls of another process: `seccomp(2)` with a listener, `seccomp_unotify(2)`. */
import { closeSync } from 'node:fs';
import {
  POLLHUP, SECCOMP_ADDFD_FLAG_SEND, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, SECCOMP_GET_NOTIF_SIZES,
  SECCOMP_IOCTL_NOTIF_ADDFD, SECCOMP_IOCTL_NOTIF_ID_VALID, SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND, SECCOMP_SET_MODE_FILTER,
  SECCOMP_USER_NOTIF_FLAG_CONTINUE, seccomp_notif, seccomp_notif_addfd, seccomp_notif_resp, seccomp_notif_sizes, sock_filter, sock_fprog, __NR_seccomp,
  type SeccompNotif,
} from '@vdpalab/uapi';
import { addressOf, checked, HostError, libc } from './host.ts';
import { isReadable, watchReadable, type Watch } from './poll.ts';

const PR_SET_NO_NEW_PRIVS = 38;

const seccomp = (op: number, flags: number, args: Uint8Array): number => checked(
  'seccomp', libc('long syscall(long number, unsigned int op, unsigned int flags, void *args)')(__NR_seccomp, op, flags, args),
);

const ioctl = (fd: number, request: number, arg: Uint8Array): number | bigint => libc('int ioctl(int fd, unsigned long request, void *arg)')(fd, request, arg);

/** Nobody has the filter any more. */
function isHungUp(fd: number): boolean {
  const pollfd = new Int32Array([fd, 0]); // events 0: POLLHUP comes unasked
  checked('poll', libc('int poll(void *fds, unsigned long nfds, int timeout)')(new Uint8Array(pollfd.buffer), 1, 0));
  return ((pollfd[1] as number >>> 16) & POLLHUP) !== 0;
}

/** Why no call can be trapped here, or `null`. */
export function whyNoSeccomp(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') return `system calls are trapped on x86-64 Linux only, this is ${process.platform} on ${process.arch}`;
  const sizes = new Uint8Array(seccomp_notif_sizes.size);
  try {
    seccomp(SECCOMP_GET_NOTIF_SIZES, 0, sizes);
  } catch (error) {
    return (error as Error).message;
  }
  const found = seccomp_notif_sizes.decode(sizes);
  if (found.seccomp_notif !== seccomp_notif.size || found.seccomp_notif_resp !== seccomp_notif_resp.size) {
    return `this kernel's seccomp notifications have ${found.seccomp_notif} and ${found.seccomp_notif_resp} bytes, not ${seccomp_notif.size} and ${seccomp_notif_resp.size}`;
  }
  return null;
}

/**
 * Install a filter in the calling thread; what it executes inherits it, and it cannot be taken off.
 *
 * Signals that do not kill wait until a call that was taken up is answered, so that no call is made twice (Linux 5.19).
 * Without CAP_SYS_ADMIN the thread first gives up gaining privileges by execve.
 *
 * @param program of {@link trapFilter}
 * @returns descriptor of the listener, close-on-exec
 * @throws HostError EBUSY when a listener is installed already; EINVAL; EACCES
 */
export function installTrap(program: Uint8Array): number {
  const fprog = sock_fprog.encode({ len: program.length / sock_filter.size, filter: addressOf(program) });
  const attempt = (flags: number): number => seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags, fprog);
  const withFlags = (): number => {
    try {
      return attempt(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    } catch (error) {
      if (!(error instanceof HostError) || error.errno !== 'EINVAL') throw error;
      return attempt(0); // a kernel before 5.19
    }
  };
  try {
    return withFlags();
  } catch (error) {
    if (!(error instanceof HostError) || error.errno !== 'EACCES') throw error;
    checked('prctl', libc('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)')(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    return withFlags();
  }
}

/** The supervisor's end of a filter. Owns its descriptor. */
export class SeccompListener {
  readonly fd: number;
  #watch: Watch | null = null;
  #closed = false;

  constructor(fd: number) {
    this.fd = fd;
  }

  /**
   * Take up calls as they come, on the event loop.
   *
   * @param take gets each call; it answers now or later
   * @param ended nobody has the filter any more
   */
  listen(take: (notif: SeccompNotif) => void, ended: () => void): void {
    this.#watch = watchReadable(this.fd, () => {
      while (!this.#closed && isReadable(this.fd)) { // a receive without anything to receive would never return
        const notif = this.#receive();
        if (notif !== null) take(notif);
      }
      if (this.#closed || !isHungUp(this.fd)) return;
      this.#unwatch();
      ended();
    });
  }

  /** @returns `null` when the caller has gone meanwhile */
  #receive(): SeccompNotif | null {
    const bytes = new Uint8Array(seccomp_notif.size); // must be zero
    try {
      checked('SECCOMP_IOCTL_NOTIF_RECV', ioctl(this.fd, SECCOMP_IOCTL_NOTIF_RECV, bytes));
    } catch (error) {
      if (error instanceof HostError && (error.errno === 'ENOENT' || error.errno === 'EINTR')) return null;
      throw error;
    }
    return seccomp_notif.decode(bytes);
  }

  /** Whether the call still waits: only then does its thread's number name that thread. */
  isWaiting(id: bigint): boolean {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, id, true);
    return !this.#closed && Number(ioctl(this.fd, SECCOMP_IOCTL_NOTIF_ID_VALID, bytes)) === 0;
  }

  /** The call returns `val`. @returns false when nobody waits for it any more */
  succeed(id: bigint, val: number | bigint): boolean {
    return this.#send({ id, val: BigInt(val), error: 0, flags: 0 });
  }

  /** The call fails. @param errno positive */
  fail(id: bigint, errno: number): boolean {
    return this.#send({ id, val: 0n, error: -errno, flags: 0 });
  }

  /** The host's kernel does the call. */
  proceed(id: bigint): boolean {
    return this.#send({ id, val: 0n, error: 0, flags: SECCOMP_USER_NOTIF_FLAG_CONTINUE });
  }

  #send(response: Parameters<typeof seccomp_notif_resp.encode>[0]): boolean {
    return !this.#closed && this.#done('SECCOMP_IOCTL_NOTIF_SEND', ioctl(this.fd, SECCOMP_IOCTL_NOTIF_SEND, seccomp_notif_resp.encode(response))) !== null;
  }

  /**
   * The call returns a new descriptor of the caller, for a file that is open here.
   *
   * @param fd of this process, which keeps it
   * @param flags O_CLOEXEC or 0
   * @returns the caller's descriptor; `null` when nobody waits for it any more
   * @throws HostError EMFILE when the caller has no room
   */
  returnFile(id: bigint, fd: number, flags: number): number | null {
    if (this.#closed) return null;
    const request = seccomp_notif_addfd.encode({ id, flags: SECCOMP_ADDFD_FLAG_SEND, srcfd: fd, newfd: 0, newfd_flags: flags });
    return this.#done('SECCOMP_IOCTL_NOTIF_ADDFD', ioctl(this.fd, SECCOMP_IOCTL_NOTIF_ADDFD, request));
  }

  #done(what: string, result: number | bigint): number | null {
    try {
      return checked(what, result);
    } catch (error) {
      if (error instanceof HostError && error.errno === 'ENOENT') return null;
      throw error;
    }
  }

  /** Calls that wait, and those to come, fail with ENOSYS. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    closeSync(this.fd);
  }

  #unwatch(): void {
    this.#watch?.close();
    this.#watch = null;
  }
}
