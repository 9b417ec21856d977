/** Wait queues. Mirrors `kernel/sched/wait.c` (Linux 6.1): what `wait_event` and `wake_up` promise. */
import type { Atomic, Scheduler, TimerHandle, WaitReason } from '@vdpalab/abi';
import type { SchedSymbols, WaitQueue } from './header.ts';

/** Wait-queue symbols, and what the locks next door are built from. */
export interface Wait {
  readonly symbols: Pick<SchedSymbols, 'init_waitqueue_head' | 'wait_event' | 'wait_event_timeout' | 'wake_up'>;
  /** Sleep on a queue until `condition` holds, keeping one place in the queue; `reason` may be a live object. */
  readonly sleepOn: (wq: WaitQueue, condition: () => boolean, reason: WaitReason) => Promise<void>;
  /** Wake the task that has waited longest, and no other. */
  readonly wakeFirst: (wq: WaitQueue) => Atomic;
  /** Queues that somebody sleeps on, for leak reports. */
  readonly leftovers: () => readonly string[];
}

/** A reason of what is known. */
export function reasonOf(what: string, owners: WaitReason['owners'], wchan: string | undefined): WaitReason {
  return { what, ...(owners === undefined ? {} : { owners }), ...(wchan === undefined ? {} : { wchan }) };
}

/** Make the wait queues of one kernel. */
export function createWait(sched: Scheduler): Wait {
  const busy = new Set<WaitQueue>();

  async function sleepOn(wq: WaitQueue, condition: () => boolean, reason: WaitReason): Promise<void> {
    if (condition()) return;
    const task = sched.current;
    // Without a task there is nothing to queue: park says what is wrong ("scheduling while atomic").
    if (task === null) return sched.park(reason);
    wq.waiters.add(task);
    busy.add(wq);
    try {
      while (!condition()) await sched.park(reason);
    } finally {
      wq.waiters.delete(task);
      if (wq.waiters.size === 0) busy.delete(wq);
    }
  }

  async function wait_event_timeout(
    wq: WaitQueue, condition: () => boolean, what: string, ns: number,
  ): Promise<boolean> {
    if (condition()) return true;
    if (ns <= 0) return false;
    const task = sched.current;
    let expired = false;
    let timer: TimerHandle | null = null;
    if (task !== null) {
      timer = sched.timer(`timeout of ${what}`, ns, () => {
        expired = true;
        return sched.wake(task);
      });
    }
    try {
      await sleepOn(wq, () => expired || condition(), { what });
    } finally {
      timer?.cancel();
    }
    return condition();
  }

  return {
    symbols: {
      init_waitqueue_head: (name) => ({ name, waiters: new Set(), watchers: new Set() }),
      wait_event: (wq, condition, what, owners, wchan) => sleepOn(wq, condition, reasonOf(what, owners, wchan)),
      wait_event_timeout,
      wake_up: (wq): Atomic => {
        // Copies: a watcher may take itself, or others, off the queue.
        for (const watcher of [...wq.watchers]) if (wq.watchers.has(watcher)) watcher();
        for (const task of [...wq.waiters]) sched.wake(task);
      },
    },
    sleepOn,
    wakeFirst: (wq): Atomic => {
      const [first] = wq.waiters;
      if (first !== undefined) sched.wake(first);
    },
    leftovers: () => [...busy].flatMap((wq) => [...wq.waiters].map((t) => `wait queue ${wq.name}: ${t.name} waits`)),
  };
}
