/** Reader-writer semaphores. Mirrors `kernel/locking/rwsem.c` (Linux 6.1): a waiting writer keeps new readers out. */
import type { Atomic, Scheduler, Task } from '@vdpalab/abi';
import type { RwSemaphore, SchedSymbols, WaitQueue } from './header.ts';
import { currentTask } from './kthread.ts';
import type { Wait } from './wait.ts';

class RwSemaphoreImpl implements RwSemaphore {
  readonly name: string;
  readonly queue: WaitQueue;
  writer: Task | null = null;
  readonly readers = new Set<Task>();
  /** Writers in `queue`. */
  waitingWriters = 0;

  constructor(name: string, queue: WaitQueue) {
    this.name = name;
    this.queue = queue;
  }

  get holders(): readonly Task[] {
    return this.writer === null ? [...this.readers] : [this.writer];
  }
}

/** Reader-writer semaphore symbols of one kernel. */
export interface RwSemaphores {
  readonly symbols: Pick<SchedSymbols, 'init_rwsem' | 'down_read' | 'up_read' | 'down_write' | 'up_write'>;
  readonly leftovers: () => readonly string[];
}

/** Make the reader-writer semaphores of one kernel. */
export function createRwSemaphores(sched: Scheduler, wait: Wait): RwSemaphores {
  const held = new Set<RwSemaphoreImpl>();

  function impl(sem: RwSemaphore): RwSemaphoreImpl {
    if (sem instanceof RwSemaphoreImpl) return sem;
    throw new Error(`rwsem ${sem.name} was not made by init_rwsem`);
  }

  function reason(sem: RwSemaphoreImpl, how: string, wchan: string | undefined) {
    return {
      get what() {
        const holders = sem.holders.map((t) => t.name).join(', ');
        return holders === '' ? `rwsem ${sem.name} (${how})` : `rwsem ${sem.name} (${how}) held by ${holders}`;
      },
      owners: () => sem.holders,
      ...(wchan === undefined ? {} : { wchan }),
    };
  }

  function refuseRecursion(sem: RwSemaphoreImpl, task: Task): void {
    if (sem.writer === task || sem.readers.has(task)) {
      throw new Error(`rwsem ${sem.name}: ${task.name} holds it already (recursive locking)`);
    }
  }

  function released(sem: RwSemaphoreImpl): Atomic {
    if (sem.holders.length === 0) held.delete(sem);
    wait.symbols.wake_up(sem.queue);
    return sched.atomicPoint();
  }

  return {
    symbols: {
      init_rwsem: (name) => new RwSemaphoreImpl(name, wait.symbols.init_waitqueue_head(name)),
      down_read: async (given, wchan) => {
        const sem = impl(given);
        const task = currentTask(sched, `down_read(${sem.name})`);
        refuseRecursion(sem, task);
        await sched.point();
        await wait.sleepOn(sem.queue, () => sem.writer === null && sem.waitingWriters === 0, reason(sem, 'read', wchan));
        sem.readers.add(task);
        held.add(sem);
      },
      up_read: (given): Atomic => {
        const sem = impl(given);
        const task = currentTask(sched, `up_read(${sem.name})`);
        if (!sem.readers.delete(task)) throw new Error(`rwsem ${sem.name}: ${task.name} is no reader`);
        return released(sem);
      },
      down_write: async (given, wchan) => {
        const sem = impl(given);
        const task = currentTask(sched, `down_write(${sem.name})`);
        refuseRecursion(sem, task);
        await sched.point();
        sem.waitingWriters++;
        try {
          await wait.sleepOn(sem.queue, () => sem.holders.length === 0, reason(sem, 'write', wchan));
        } finally {
          sem.waitingWriters--;
        }
        sem.writer = task;
        held.add(sem);
      },
      up_write: (given): Atomic => {
        const sem = impl(given);
        const task = currentTask(sched, `up_write(${sem.name})`);
        if (sem.writer !== task) {
          throw new Error(`rwsem ${sem.name}: ${task.name} releases it, ${sem.writer?.name ?? 'no writer'} holds it`);
        }
        sem.writer = null;
        return released(sem);
      },
    },
    leftovers: () => [...held].map((sem) => `rwsem ${sem.name} held by ${sem.holders.map((t) => t.name).join(', ')}`),
  };
}
