/** Waiting for descriptors on the event loop. */
import { host, libc } from './host.ts';
import { POLLIN, POLLOUT } from '@vdpalab/uapi';

/** A descriptor that is watched. */
export interface Watch {
  /** Watch no more; the descriptor stays open. Twice is fine. */
  readonly close: () => void;
}

/** Polls that run: koffi stops one that is collected. */
const running = new Set<Watch>();

/** A poll that finds its descriptor ready while Node tears itself down would call into what is gone, and abort. */
function stopAll(): void {
  for (const watch of running) watch.close();
}

/**
 * Call `ready` whenever `fd` can be read, or is at its end; level-triggered, so `ready` must take what is there.
 *
 * @param fd anything that can be polled: an eventfd, a socket, a pipe, an io file of the kernel. Close the watch before the descriptor
 * @param keepsAlive whether the process waits for it before it ends by itself
 * @throws Error for a regular file and for a bad descriptor; HostUnavailableError without koffi
 */
export function watchReadable(fd: number, ready: () => void, { keepsAlive = true } = {}): Watch {
  const poll = host().node.poll(fd, { readable: true }, () => {
    if (running.has(watch)) ready();
  });
  const watch: Watch = {
    close: () => {
      if (!running.delete(watch)) return;
      poll.close();
      if (running.size === 0) process.off('exit', stopAll);
    },
  };
  if (!keepsAlive) poll.unref();
  if (running.size === 0) process.on('exit', stopAll);
  running.add(watch);
  return watch;
}

const record = new Uint8Array(8);
const words = new Int32Array(record.buffer);

function ready(fd: number, events: number): boolean {
  const poll = libc('int poll(void *fds, unsigned long nfds, int timeout)');
  words[0] = fd;
  words[1] = events;
  return poll(record, 1, 0) === 1 && ((words[1]! >>> 16) & events) !== 0;
}

/** Whether a read would not wait. */
export function isReadable(fd: number): boolean {
  return ready(fd, POLLIN);
}

/** Whether a write would not wait. */
export function isWritable(fd: number): boolean {
  return ready(fd, POLLOUT);
}

/** `POLLRDHUP` of asm-generic/poll.h: the other side writes no more. */
const POLLRDHUP = 0x2000;

/** Whether the other side of a socket is gone. */
export function isHungUp(fd: number): boolean {
  return ready(fd, POLLRDHUP);
}
