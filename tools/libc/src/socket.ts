/** Unix stream sockets that carry descriptors: `SCM_RIGHTS`, which Node's sockets do not. */
import { closeSync } from 'node:fs';
import {
  AF_UNIX, EAGAIN, ECONNABORTED, MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET,
} from '@vdpalab/uapi';
import { addressOf, checked, HostError, lastErrno, libc } from './host.ts';

const SCM_RIGHTS = 1;
/** Bytes of `struct sockaddr_un`, of the path in it, and where that starts. */
const SOCKADDR_UN = 110;
const SUN_PATH = 2;
/** Most descriptors of one message: `SCM_MAX_FD`. */
const SCM_MAX_FD = 253;
/** `struct cmsghdr` of 64-bit systems, in bytes. */
const CMSG_HEADER = 16;

/** One `struct msghdr` (64-bit) with what it points to; used by one call at a time. */
class Message {
  readonly header = new Uint8Array(56);
  readonly control = new Uint8Array(CMSG_HEADER + 4 * SCM_MAX_FD + 4);
  readonly #words = new DataView(this.header.buffer);
  readonly #iov = new BigUint64Array(2);
  readonly #controlWords = new DataView(this.control.buffer);

  constructor() {
    this.#words.setBigUint64(16, addressOf(this.#iov), true);
    this.#words.setBigUint64(24, 1n, true);
  }

  point(bytes: Uint8Array, controlLength: number): void {
    this.#iov[0] = bytes.length === 0 ? 0n : addressOf(bytes);
    this.#iov[1] = BigInt(bytes.length);
    this.#words.setBigUint64(32, controlLength === 0 ? 0n : addressOf(this.control), true);
    this.#words.setBigUint64(40, BigInt(controlLength), true);
    this.#words.setInt32(48, 0, true);
  }

  get flags(): number {
    return this.#words.getInt32(48, true);
  }

  /** Descriptors of all SCM_RIGHTS records that came. */
  takeFds(): number[] {
    const end = Number(this.#words.getBigUint64(40, true));
    const fds: number[] = [];
    for (let at = 0; at + CMSG_HEADER <= end;) {
      const length = Number(this.#controlWords.getBigUint64(at, true));
      if (length < CMSG_HEADER) break;
      const rights = this.#controlWords.getInt32(at + 8, true) === SOL_SOCKET && this.#controlWords.getInt32(at + 12, true) === SCM_RIGHTS;
      for (let f = at + CMSG_HEADER; rights && f + 4 <= Math.min(at + length, end); f += 4) fds.push(this.#controlWords.getInt32(f, true));
      at += Math.ceil(length / 8) * 8;
    }
    return fds;
  }

  /** @returns bytes of control data */
  putFds(fds: readonly number[]): number {
    if (fds.length === 0) return 0;
    const length = CMSG_HEADER + 4 * fds.length;
    this.#controlWords.setBigUint64(0, BigInt(length), true);
    this.#controlWords.setInt32(8, SOL_SOCKET, true);
    this.#controlWords.setInt32(12, SCM_RIGHTS, true);
    fds.forEach((fd, i) => this.#controlWords.setInt32(CMSG_HEADER + 4 * i, fd, true));
    return Math.ceil(length / 8) * 8;
  }
}

let message: Message | null = null;

function address(path: string): Uint8Array {
  const name = new TextEncoder().encode(path);
  if (name.length >= SOCKADDR_UN - SUN_PATH) throw new RangeError(`socket path of ${name.length} bytes, at most ${SOCKADDR_UN - SUN_PATH - 1}: ${path}`);
  const bytes = new Uint8Array(SUN_PATH + name.length + 1);
  bytes[0] = AF_UNIX;
  bytes.set(name, SUN_PATH);
  return bytes;
}

function newSocket(): number {
  const socket = libc('int socket(int domain, int type, int protocol)');
  return checked('socket', socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

/** @throws what `body` throws, the socket closed then */
function withSocket(body: (fd: number) => void): number {
  const fd = newSocket();
  try {
    body(fd);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return fd;
}

/**
 * A socket that listens at a path.
 *
 * @throws HostError EADDRINUSE when there is something at the path
 */
export function listenUnix(path: string, backlog = 16): number {
  const at = address(path);
  return withSocket((fd) => {
    checked('bind', libc('int bind(int fd, const void *addr, unsigned int len)')(fd, at, at.length), path);
    checked('listen', libc('int listen(int fd, int backlog)')(fd, backlog), path);
  });
}

/** Take a connection. @returns `null` when there is none */
export function acceptUnix(fd: number): number | null {
  const accept4 = libc('int accept4(int fd, void *addr, void *len, int flags)');
  const connection = Number(accept4(fd, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (connection >= 0) return connection;
  const errno = lastErrno();
  if (errno === EAGAIN || errno === ECONNABORTED) return null;
  throw new HostError('accept4', errno);
}

/** @throws HostError ENOENT, ECONNREFUSED when nobody listens there */
export function connectUnix(path: string): number {
  const at = address(path);
  return withSocket((fd) => void checked('connect', libc('int connect(int fd, const void *addr, unsigned int len)')(fd, at, at.length), path));
}

/** Two sockets that talk to each other. */
export function socketPair(): [number, number] {
  const fds = new Int32Array(2);
  checked('socketpair', libc('int socketpair(int domain, int type, int protocol, void *fds)')(
    AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, new Uint8Array(fds.buffer)));
  return [fds[0]!, fds[1]!];
}

/** What came. */
export interface Received {
  /** 0: the other side is gone. */
  readonly length: number;
  /** Now this process's, to be closed by it; closed on exec. */
  readonly fds: readonly number[];
  /** More descriptors came than the host lets one message carry. */
  readonly truncated: boolean;
}

/**
 * Take bytes, and the descriptors that came with the first of them.
 *
 * @returns `null` when nothing has come yet
 * @throws HostError ECONNRESET and the like
 */
export function receiveFds(fd: number, into: Uint8Array): Received | null {
  message ??= new Message();
  message.point(into, message.control.length);
  const length = Number(libc('intptr_t recvmsg(int fd, void *msg, int flags)')(fd, message.header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
  if (length < 0) {
    const errno = lastErrno();
    if (errno === EAGAIN) return null;
    throw new HostError('recvmsg', errno);
  }
  return { length, fds: message.takeFds(), truncated: (message.flags & MSG_CTRUNC) !== 0 };
}

/**
 * Send bytes, descriptors with the first of them.
 *
 * @returns bytes taken; 0 when there is no room now
 * @throws HostError EPIPE when the other side is gone
 */
export function sendFds(fd: number, bytes: Uint8Array, fds: readonly number[] = []): number {
  if (fds.length > SCM_MAX_FD) throw new RangeError(`${fds.length} descriptors in one message, at most ${SCM_MAX_FD}`);
  message ??= new Message();
  message.point(bytes, message.putFds(fds));
  const length = Number(libc('intptr_t sendmsg(int fd, const void *msg, int flags)')(fd, message.header, MSG_DONTWAIT | MSG_NOSIGNAL));
  if (length >= 0) return length;
  const errno = lastErrno();
  if (errno === EAGAIN) return 0;
  throw new HostError('sendmsg', errno);
}
