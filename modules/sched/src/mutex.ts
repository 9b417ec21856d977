/** Mutexes. Mirrors `kernel/locking/mutex.c` (Linux 6.1): one owner, not recursive, only the owner unlocks. */
import type { Atomic, Scheduler, Task } from '@vdpalab/abi';
import type { Mutex, SchedSymbols, WaitQueue } from './header.ts';
import { currentTask } from './kthread.ts';
import type { Wait } from './wait.ts';

class MutexImpl implements Mutex {
  readonly name: string;
  readonly queue: WaitQueue;
  owner: Task | null = null;

  constructor(name: string, queue: WaitQueue) {
    this.name = name;
    this.queue = queue;
  }
}

/** Mutex symbols of one kernel. */
export interface Mutexes {
  readonly symbols: Pick<SchedSymbols, 'mutex_init' | 'mutex_lock' | 'mutex_trylock' | 'mutex_unlock'>;
  readonly leftovers: () => readonly string[];
}

/** Make the mutexes of one kernel. Misuse throws a plain Error: it is a bug of the lab's code, as a lockdep splat is. */
export function createMutexes(sched: Scheduler, wait: Wait): Mutexes {
  const held = new Set<MutexImpl>();

  function impl(lock: Mutex): MutexImpl {
    if (lock instanceof MutexImpl) return lock;
    throw new Error(`mutex ${lock.name} was not made by mutex_init`);
  }

  function take(lock: MutexImpl, task: Task): void {
    lock.owner = task;
    held.add(lock);
  }

  async function mutex_lock(given: Mutex, wchan?: string): Promise<void> {
    const lock = impl(given);
    const task = currentTask(sched, `mutex_lock(${lock.name})`);
    if (lock.owner === task) throw new Error(`mutex ${lock.name}: ${task.name} holds it already (recursive locking)`);
    await sched.point();
    await wait.sleepOn(lock.queue, () => lock.owner === null, {
      get what() {
        return lock.owner === null ? `mutex ${lock.name}` : `mutex ${lock.name} held by ${lock.owner.name}`;
      },
      owners: () => (lock.owner === null ? [] : [lock.owner]),
      ...(wchan === undefined ? {} : { wchan }),
    });
    take(lock, task);
  }

  return {
    symbols: {
      mutex_init: (name) => new MutexImpl(name, wait.symbols.init_waitqueue_head(name)),
      mutex_lock,
      mutex_trylock: (given) => {
        const lock = impl(given);
        const task = currentTask(sched, `mutex_trylock(${lock.name})`);
        if (lock.owner !== null) return false;
        take(lock, task);
        return true;
      },
      mutex_unlock: (given): Atomic => {
        const lock = impl(given);
        const task = currentTask(sched, `mutex_unlock(${lock.name})`);
        if (lock.owner !== task) {
          throw new Error(`mutex ${lock.name}: ${task.name} unlocks it, ${lock.owner?.name ?? 'nobody'} holds it`);
        }
        lock.owner = null;
        held.delete(lock);
        wait.wakeFirst(lock.queue);
        return sched.atomicPoint();
      },
    },
    leftovers: () => [...held].map((lock) => `mutex ${lock.name} held by ${lock.owner?.name ?? 'nobody'}`),
  };
}
