/** Eventfds of the host and of the lab, tied together: a kick comes in, an interrupt goes out. */
import { closeSync } from 'node:fs';
import type { Atomic } from '@vdpalab/abi';
import type { EventfdCtx } from '@vdpalab/fs';
import type { Lab, UserProcess } from '@vdpalab/lab';
import { signalEventfd, takeEventfd, watchReadable } from '@vdpalab/libc';

/** A pair of eventfds. */
export interface Bridge {
  /** The lab's, in the serving process. */
  readonly fd: number;
  /** Events that passed. */
  readonly count: number;
  /** Take it down with both descriptors. Inside a task of the serving process. */
  readonly close: () => Promise<void>;
}

/** What a bridge needs. */
export interface BridgeSite {
  readonly lab: Lab;
  readonly p: UserProcess;
}

/** Whether a process has ended, or is about to: the kernel closes its descriptors. */
export function dying(p: UserProcess): boolean {
  return p.proc.exited || p.proc.fatalSignal !== null;
}

function labEventfd({ lab, p }: BridgeSite): { readonly fd: number; readonly ctx: EventfdCtx; readonly drop: () => Promise<void> } {
  const fd = p.eventfd();
  const ctx = lab.symbol('eventfd_ctx_fdget')(p.proc, fd);
  return {
    fd, ctx,
    drop: async () => {
      lab.symbol('eventfd_ctx_put')(ctx);
      if (!dying(p)) await p.close(fd);
    },
  };
}

/**
 * What the front-end signals is signalled in the lab. Inside a task of the serving process.
 *
 * @param hostFd an eventfd, the bridge's from now on
 * @param failed told when the host's eventfd cannot be read any more
 */
export function kickBridge(site: BridgeSite, hostFd: number, failed: (error: Error) => void): Bridge {
  const { lab } = site;
  const { fd, ctx, drop } = labEventfd(site);
  const eventfd_signal = lab.symbol('eventfd_signal');
  let open = true;
  let count = 0;
  const watch = watchReadable(hostFd, () => {
    try {
      const n = takeEventfd(hostFd);
      if (n === 0 || !open) return;
      count += n;
      lab.hw.sched.post('vhost-user kick', (): Atomic => (open ? eventfd_signal(ctx, 1) : undefined));
    } catch (error) {
      watch.close();
      failed(error as Error);
    }
  });
  return {
    fd,
    get count() {
      return count;
    },
    close: async () => {
      if (!open) return;
      open = false;
      watch.close();
      closeSync(hostFd);
      await drop();
    },
  };
}

/** A bridge whose host end can be another one. */
export interface CallBridge extends Bridge {
  /** Signal this one from now on, the bridge's from now on; the old one is closed. */
  readonly redirect: (hostFd: number) => void;
}

/**
 * What is signalled in the lab is signalled to the front-end, in the same instant. Inside a task of the serving process.
 *
 * @param hostFd an eventfd, the bridge's from now on; -1: the front-end polls, and nobody is told
 */
export function callBridge(site: BridgeSite, hostFd: number): CallBridge {
  const { lab } = site;
  const { fd, ctx, drop } = labEventfd(site);
  const eventfd_ctx_do_read = lab.symbol('eventfd_ctx_do_read');
  let target = hostFd;
  let open = true;
  let count = 0;
  const redirect = (next: number): void => {
    if (target >= 0) closeSync(target);
    target = next;
  };
  const forward = (): Atomic => {
    if (ctx.count === 0n) return;
    eventfd_ctx_do_read(ctx);
    count++;
    if (target >= 0) signalEventfd(target);
  };
  ctx.wq.watchers.add(forward);
  return {
    fd, redirect,
    get count() {
      return count;
    },
    close: async () => {
      if (!open) return;
      open = false;
      ctx.wq.watchers.delete(forward);
      redirect(-1);
      await drop();
    },
  };
}
