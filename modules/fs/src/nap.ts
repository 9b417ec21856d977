/** Sleeping where a signal could wake: state S of /proc/PID/stat, as against D. */
import type { Atomic, KernelSymbols, Task } from '@vdpalab/abi';
import type { WaitQueue } from '@vdpalab/sched';
import { fail } from './fail.ts';
import type { FsSymbols } from './header.ts';

/**
 * Sleep on a queue until `condition` holds.
 *
 * @param wchan Linux's function that sleeps
 * @param ns at most this long; negative or absent for ever
 * @throws ERESTARTSYS when a signal came first
 */
export type Nap = (wq: WaitQueue, condition: () => boolean, what: string, wchan: string, ns?: number) => Promise<void>;

/** Interruptible sleeps of one kernel. */
export interface Naps {
  readonly nap: Nap;
  /** Whether the task's present sleep is one of these. */
  readonly isNapping: (task: Task) => boolean;
  readonly symbols: Pick<FsSymbols, 'set_notify_signal' | 'clear_notify_signal'>;
}

/**
 * Make the interruptible sleeps of one kernel.
 *
 * @param isSignalled whether a signal is pending for the running task's process
 */
export function createNaps(k: Pick<KernelSymbols, 'wait_event' | 'wait_event_timeout' | 'current_task'>, isSignalled: () => boolean, wake: (task: Task) => void): Naps {
  const napping = new Set<Task>();
  /** Tasks with TIF_NOTIFY_SIGNAL; one that ends with it set leaves no trace. */
  const notified = new WeakSet<Task>();
  return {
    symbols: {
      set_notify_signal: (task): Atomic => {
        notified.add(task);
        if (napping.has(task)) wake(task);
      },
      clear_notify_signal: () => notified.delete(k.current_task()),
    },
    isNapping: (task) => napping.has(task),
    nap: async (wq, condition, what, wchan, ns = -1) => {
      if (condition()) return;
      const task = k.current_task();
      const isCalled = (): boolean => isSignalled() || notified.has(task);
      const over = (): boolean => condition() || isCalled();
      napping.add(task);
      try {
        if (ns < 0) await k.wait_event(wq, over, what, undefined, wchan);
        else await k.wait_event_timeout(wq, over, what, ns);
      } finally {
        napping.delete(task);
      }
      if (!condition() && isCalled()) throw fail('ERESTARTSYS', 'signal.pending', `a signal came before ${what}`);
    },
  };
}
