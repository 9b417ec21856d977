/**
 * What a caller holds in place of a netlink socket of the lab: one end of a pair of host sockets.
 *
 * The pair's inode says which socket a descriptor means, through dup, fork and execve; its other end hangs up when the last
 * descriptor is closed; and a byte in it is what poll and select of the caller see when the lab has a message for it.
 */
import { closeSync, fstatSync, readSync, writeSync } from 'node:fs';
import { checked, libc, takeFd, watchReadable, type Watch } from '@vdpalab/libc';
import { AF_UNIX, O_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET } from '@vdpalab/uapi';

const F_SETFL = 4;
const BYTE = new Uint8Array(1);

/** One pair. */
export class StandIn {
  /** What /proc/PID/fd shows for the caller's end. */
  readonly link: string;
  /** The caller's end, until {@link handedOver}. */
  readonly theirs: number;
  readonly #ours: number;
  #watch: Watch | null = null;
  #signalled = false;
  #theirsOpen = true;
  #closed = false;

  /** @param nonblock whether the caller asked for SOCK_NONBLOCK */
  constructor(nonblock: boolean) {
    const fds = new Int32Array(2);
    checked('socketpair', libc('int socketpair(int domain, int type, int protocol, void *fds)')(
      AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, new Uint8Array(fds.buffer),
    ));
    [this.theirs, this.#ours] = [fds[0] as number, fds[1] as number];
    if (!nonblock) checked('fcntl', libc('int fcntl(int fd, int cmd, long arg)')(this.theirs, F_SETFL, 0));
    this.link = `socket:[${fstatSync(this.theirs).ino}]`;
  }

  /** The caller has its descriptor: this process's own is closed. @param abandoned the last descriptor was closed */
  handedOver(abandoned: () => void): void {
    this.#closeTheirs();
    this.#watch = watchReadable(this.#ours, () => {
      if (this.#take() > 0) return; // somebody wrote into it: nothing of ours
      abandoned();
    });
  }

  /** Let poll see that there is something to receive, or nothing. @param fd a descriptor of the pair in process `tgid` */
  signal(readable: boolean, holder: { readonly tgid: number; readonly fd: number } | null): void {
    if (this.#closed || readable === this.#signalled) return;
    try {
      if (readable) writeSync(this.#ours, BYTE);
      else if (holder === null) return;
      else this.#drain(holder.tgid, holder.fd);
      this.#signalled = readable;
    } catch {
      // The last descriptor is being closed: nobody polls.
    }
  }

  #drain(tgid: number, fd: number): void {
    const theirs = takeFd(tgid, fd);
    try {
      readSync(theirs, new Uint8Array(1));
    } finally {
      closeSync(theirs);
    }
  }

  /** @returns bytes taken, 0 at the end */
  #take(): number {
    try {
      return readSync(this.#ours, new Uint8Array(4096));
    } catch (error) {
      return (error as { code?: string }).code === 'EAGAIN' ? 1 : 0;
    }
  }

  #closeTheirs(): void {
    if (!this.#theirsOpen) return;
    this.#theirsOpen = false;
    closeSync(this.theirs);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closeTheirs();
    this.#watch?.close();
    this.#watch = null;
    closeSync(this.#ours);
  }
}

/** Whether a descriptor's file has O_NONBLOCK now, as fcntl may have set it. */
export function isNonblocking(flags: string): boolean {
  return (Number.parseInt(/^flags:\s*(\d+)/m.exec(flags)?.[1] ?? '0', 8) & O_NONBLOCK) !== 0;
}
