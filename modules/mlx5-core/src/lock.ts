/** Work under a lock. */
import type { Mutex, RwSemaphore, SchedSymbols } from '@vdpalab/sched';

/** Run `body` with the mutex held; it is free again whatever happens. @param wchan as of `mutex_lock` */
export async function withMutex<T>(k: Pick<SchedSymbols, 'mutex_lock' | 'mutex_unlock'>, lock: Mutex, body: () => Promise<T>, wchan?: string): Promise<T> {
  await k.mutex_lock(lock, wchan);
  try {
    return await body();
  } finally {
    k.mutex_unlock(lock);
  }
}

/** Run `body` as the only writer. */
export async function withWriter<T>(k: Pick<SchedSymbols, 'down_write' | 'up_write'>, sem: RwSemaphore, body: () => Promise<T>): Promise<T> {
  await k.down_write(sem);
  try {
    return await body();
  } finally {
    k.up_write(sem);
  }
}
