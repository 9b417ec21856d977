/** Waiting for several files. Mirrors `do_sys_poll` in `fs/select.c` (Linux 6.1). */
import type { KernelSymbols } from '@vdpalab/abi';
import type { WaitQueue } from '@vdpalab/sched';
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLRDNORM, POLLWRNORM, RLIMIT_NOFILE } from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { FsSymbols } from './header.ts';
import type { Nap } from './nap.ts';
import type { OpenFile, OpenFiles } from './open-file.ts';

/** What a file without a poll operation is always ready for: DEFAULT_POLLMASK. */
const ALWAYS = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

/** Make the poll call of one kernel. */
export function createPoll(
  k: Pick<KernelSymbols, 'init_waitqueue_head' | 'wake_up'>, nap: Nap, files: OpenFiles,
): Pick<FsSymbols, 'ksys_poll'> {
  interface Entry {
    /** `null` for a negative descriptor, which is skipped; `undefined` for one that is not open. */
    readonly file: OpenFile | null | undefined;
    readonly events: number;
  }

  function ready({ file, events }: Entry): number {
    if (file === null) return 0;
    if (file === undefined) return POLLNVAL;
    return (file.ops.poll?.(file) ?? ALWAYS) & (events | POLLERR | POLLHUP);
  }

  async function sleep(entries: readonly Entry[], timeoutNs: number): Promise<void> {
    const mine = k.init_waitqueue_head('poll');
    const watcher = () => k.wake_up(mine);
    const queues = new Set<WaitQueue>();
    for (const { file } of entries) {
      const queue = file?.ops.pollQueue?.(file);
      if (queue !== undefined) queues.add(queue);
    }
    for (const queue of queues) queue.watchers.add(watcher);
    const what = `poll of ${entries.map((e) => e.file?.path ?? '-').join(', ')}`;
    try {
      await nap(mine, () => entries.some((entry) => ready(entry) !== 0), what, entries.length === 0 ? 'hrtimer_nanosleep' : 'do_sys_poll', timeoutNs);
    } finally {
      for (const queue of queues) queue.watchers.delete(watcher);
    }
  }

  return {
    ksys_poll: async (proc, fds, timeoutNs) => {
      const limit = proc.rlimits.get(RLIMIT_NOFILE) ?? Infinity;
      if (fds.length > limit) throw fail('EINVAL', 'poll.count', `${fds.length} descriptors, RLIMIT_NOFILE ${limit}`);
      const entries: Entry[] = fds.map(({ fd, events }) => {
        const file = fd < 0 ? null : proc.files.has(fd) ? files.fget(proc, fd) : undefined;
        return { file: file as OpenFile | null | undefined, events };
      });
      try {
        if (timeoutNs !== 0 && entries.every((entry) => ready(entry) === 0)) await sleep(entries, timeoutNs);
        return entries.map(ready);
      } finally {
        for (const { file } of entries) if (file) await files.fput(file);
      }
    },
  };
}
