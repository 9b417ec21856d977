/** Kernel threads and the running task. Mirrors `kernel/kthread.c` (Linux 6.1). */
import type { Scheduler, Task } from '@vdpalab/abi';
import type { SchedSymbols } from './header.ts';

/**
 * The running task.
 *
 * @param caller what needs a task, for the message
 * @throws Error outside a task: in atomic work, or when called from outside the scheduler
 */
export function currentTask(sched: Scheduler, caller: string): Task {
  if (sched.current !== null) return sched.current;
  throw new Error(sched.atomic ? `BUG: scheduling while atomic: ${caller}` : `${caller} outside a task`);
}

/** Kernel thread symbols of one kernel. */
export interface Kthreads {
  readonly symbols: Pick<SchedSymbols, 'kthread_run' | 'kthread_join' | 'current_task'>;
  readonly leftovers: () => readonly string[];
}

/** Make the kernel threads of one kernel. */
export function createKthreads(sched: Scheduler): Kthreads {
  const threads = new Set<Task>();
  return {
    symbols: {
      kthread_run: (name, body) => {
        const task = sched.spawn(name, async () => {
          try {
            await body();
          } finally {
            threads.delete(task);
          }
        });
        task.process = null; // spawn passes on the caller's; a kernel thread has none
        threads.add(task);
        return task;
      },
      kthread_join: (task) => sched.join(task),
      current_task: () => currentTask(sched, 'current_task'),
    },
    leftovers: () => [...threads].map((t) => `kernel thread ${t.name} runs`),
  };
}
