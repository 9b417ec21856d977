/** Descriptors of a process of the host, for the lab's kernel. */
import { close, closeSync, readlinkSync } from 'node:fs';
import { KernelError } from '@vdpalab/abi';
import type { Atomic, Scheduler } from '@vdpalab/abi';
import type { File, ForeignEventfd, ForeignFiles } from '@vdpalab/fs';
import { HostError, hostAvailable, isEventfd, pidfdGetfd, pidfdOpen, signalEventfd, takeEventfd, watchReadable } from '@vdpalab/libc';

/** What /proc shows an eventfd as. */
const EVENTFD = 'anon_inode:[eventfd]';

/** The lab's file that a descriptor leads to, through the mount. */
export type FindFile = (fd: number) => File | null;

/** {@link ForeignFiles} of a process. */
export class HostFiles implements ForeignFiles {
  readonly #pid: number;
  readonly #sched: Scheduler;
  readonly #find: FindFile;
  #pidfd = -1;

  constructor(pid: number, sched: Scheduler, find: FindFile) {
    this.#pid = pid;
    this.#sched = sched;
    this.#find = find;
  }

  eventfd(fd: number): ForeignEventfd {
    if (!hostAvailable()) throw new KernelError('EOPNOTSUPP', 'fs.outside.koffi', 'eventfds of a process outside are reached by the optional package koffi');
    const isOne = this.#link(fd) === EVENTFD;
    const own = isOne ? this.#take(fd) : -1;
    if (!isOne || !isEventfd(own)) {
      // Never at once: the last close of a file of the mount would wait for this very thread.
      if (own >= 0) close(own, () => {});
      throw new KernelError('EINVAL', 'fs.eventfd.kind', `descriptor ${fd} of process ${this.#pid} is no eventfd`);
    }
    return new HostEventfd(own, this.#sched);
  }

  file(fd: number): File | null {
    this.#link(fd);
    return this.#find(fd);
  }

  /** The process is gone. */
  close(): void {
    if (this.#pidfd >= 0) closeSync(this.#pidfd);
    this.#pidfd = -1;
  }

  /** @throws EBADF when it is not open */
  #link(fd: number): string {
    try {
      return readlinkSync(`/proc/${this.#pid}/fd/${fd}`);
    } catch (error) {
      throw new KernelError('EBADF', 'fs.file.descriptor', `process ${this.#pid} of the host: descriptor ${fd} is not open`, { cause: error });
    }
  }

  #take(fd: number): number {
    try {
      if (this.#pidfd < 0) this.#pidfd = pidfdOpen(this.#pid);
      return pidfdGetfd(this.#pidfd, fd);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      if (error.errno === 'EPERM') throw new KernelError('EPERM', 'fs.outside.trace', `process ${this.#pid} may not be traced, so its descriptors cannot be reached`, { cause: error });
      throw new KernelError('EBADF', 'fs.file.descriptor', `process ${this.#pid} of the host: descriptor ${fd}: ${error.errno}`, { cause: error });
    }
  }
}

/** A duplicate of an eventfd. */
class HostEventfd implements ForeignEventfd {
  readonly #fd: number;
  readonly #sched: Scheduler;

  constructor(fd: number, sched: Scheduler) {
    this.#fd = fd;
    this.#sched = sched;
  }

  signal(n: number): Atomic {
    for (let i = 0; i < n && signalEventfd(this.#fd); i++);
    return undefined;
  }

  take(): bigint {
    return BigInt(takeEventfd(this.#fd));
  }

  watch(arrived: (count: bigint) => Atomic): () => Atomic {
    let watched = true;
    const watch = watchReadable(this.#fd, () => {
      const count = takeEventfd(this.#fd);
      if (count > 0) this.#sched.post('eventfd', (): Atomic => (watched ? arrived(BigInt(count)) : undefined));
    });
    return (): Atomic => {
      watched = false;
      watch.close();
      return undefined;
    };
  }

  close(): Atomic {
    closeSync(this.#fd);
    return undefined;
  }
}
