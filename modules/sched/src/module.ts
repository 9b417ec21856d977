/** Sleeping and being woken. Mirrors `kernel/{sched,locking,workqueue.c,kthread.c,time}` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import { createCompletions } from './completion.ts';
import { createKthreads } from './kthread.ts';
import { createMutexes } from './mutex.ts';
import { createRwSemaphores } from './rwsem.ts';
import { createTimers } from './timer.ts';
import { createWait } from './wait.ts';
import { createWorkqueues } from './workqueue.ts';

export default defineModule({
  name: 'sched',
  license: 'GPL',
  description: 'Wait queues, locks, work queues, timers and kernel threads',
  builtin: true,
  imports: ['machine'],
  exports: [
    'init_waitqueue_head', 'wait_event', 'wait_event_timeout', 'wake_up',
    'mutex_init', 'mutex_lock', 'mutex_trylock', 'mutex_unlock',
    'init_rwsem', 'down_read', 'up_read', 'down_write', 'up_write',
    'init_completion', 'complete', 'wait_for_completion',
    'system_wq', 'INIT_WORK', 'queue_work',
    'mod_timer', 'msleep', 'cpu_relax', 'cond_resched',
    'kthread_run', 'kthread_join', 'current_task',
  ],
  exportsGpl: [
    'alloc_workqueue', 'destroy_workqueue', 'cancel_work_sync', 'flush_work', 'ktime_get', 'sched_leftovers',
  ],

  module_init({ machine }) {
    const { sched } = machine;
    const wait = createWait(sched);
    const threads = createKthreads(sched);
    const mutexes = createMutexes(sched, wait);
    const rwsems = createRwSemaphores(sched, wait);
    const timers = createTimers(sched, wait);
    const works = createWorkqueues(sched, wait, threads);
    const parts = [mutexes, rwsems, wait, works, threads, timers];

    return {
      ksymtab: {
        ...wait.symbols, ...mutexes.symbols, ...rwsems.symbols, ...createCompletions(wait).symbols,
        ...works.symbols, ...timers.symbols, ...threads.symbols,
        cpu_relax: () => sched.yield(),
        cond_resched: () => sched.yield(),
        sched_leftovers: () => parts.flatMap((part) => part.leftovers()),
      },
      module_exit: null,
    };
  },
});
