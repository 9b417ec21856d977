/**
 * Sleeping and being woken: wait queues, mutexes, rw-semaphores, completions, work queues, timers, kernel threads.
 *
 * Mirrors `include/linux/{wait,mutex,rwsem,completion,workqueue,timer,kthread}.h` (Linux 6.1).
 */
import type { Atomic, Task, TimerHandle } from '@vdpalab/abi';

/** `wait_queue_head_t` */
export interface WaitQueue {
  readonly name: string;
  /** Tasks that wait now, oldest first. */
  readonly waiters: Set<Task>;
  /** Callbacks run in atomic context at each wake-up, before tasks are woken: eventfd users, poll. */
  readonly watchers: Set<() => Atomic>;
}

/** `struct mutex`; not recursive. */
export interface Mutex {
  readonly name: string;
  readonly owner: Task | null;
  readonly queue: WaitQueue;
}

/** `struct rw_semaphore` */
export interface RwSemaphore {
  readonly name: string;
  readonly writer: Task | null;
  readonly readers: ReadonlySet<Task>;
  readonly queue: WaitQueue;
}

/** `struct completion` */
export interface Completion {
  readonly name: string;
  readonly done: number;
  readonly queue: WaitQueue;
}

/** `struct workqueue_struct`: ordered, one worker task. */
export interface Workqueue {
  readonly name: string;
}

/** `struct work_struct`; its function may sleep. */
export interface Work {
  readonly name: string;
  readonly func: () => Promise<void>;
}

export interface SchedSymbols {
  init_waitqueue_head: (name: string) => WaitQueue;
  /**
   * Sleep until `condition` holds; checked again after each wake-up.
   *
   * @param owners tasks that can make it hold, for deadlock reports
   * @param wchan Linux's function that sleeps there, for `/proc/PID/wchan`
   */
  wait_event: (wq: WaitQueue, condition: () => boolean, what: string, owners?: () => readonly Task[], wchan?: string) => Promise<void>;
  /** As {@link wait_event}, at most `ns` of virtual time. @returns whether the condition holds */
  wait_event_timeout: (wq: WaitQueue, condition: () => boolean, what: string, ns: number) => Promise<boolean>;
  wake_up: (wq: WaitQueue) => Atomic;

  mutex_init: (name: string) => Mutex;
  /**
   * A seed point even when free.
   *
   * @param wchan Linux's function that takes the lock: `/proc/PID/wchan` names the first that is not of the scheduler's own
   * @throws Error (a lab bug) when the caller holds it already
   */
  mutex_lock: (lock: Mutex, wchan?: string) => Promise<void>;
  mutex_trylock: (lock: Mutex) => boolean;
  mutex_unlock: (lock: Mutex) => Atomic;

  init_rwsem: (name: string) => RwSemaphore;
  /** Wchan as of {@link mutex_lock}, here and in {@link down_write}. */
  down_read: (sem: RwSemaphore, wchan?: string) => Promise<void>;
  up_read: (sem: RwSemaphore) => Atomic;
  down_write: (sem: RwSemaphore, wchan?: string) => Promise<void>;
  up_write: (sem: RwSemaphore) => Atomic;

  init_completion: (name: string) => Completion;
  complete: (c: Completion) => Atomic;
  /** Owners and wchan as of {@link wait_event}. */
  wait_for_completion: (c: Completion, owners?: () => readonly Task[], wchan?: string) => Promise<void>;

  alloc_workqueue: (name: string) => Workqueue;
  /** Flushes first. */
  destroy_workqueue: (wq: Workqueue) => Promise<void>;
  /** The shared queue, `events`. */
  system_wq: Workqueue;
  INIT_WORK: (name: string, func: () => Promise<void>) => Work;
  /** @returns false when it was queued already */
  queue_work: (wq: Workqueue, work: Work) => boolean;
  /** Unqueue, or wait for the run that is under way. */
  cancel_work_sync: (work: Work) => Promise<boolean>;
  flush_work: (work: Work) => Promise<void>;

  /** Run `func` in atomic context after `ns` virtual nanoseconds. */
  mod_timer: (name: string, ns: number, func: () => Atomic) => TimerHandle;
  /** Sleep for virtual time, in milliseconds. */
  msleep: (ms: number) => Promise<void>;
  /** Let device work and others run: what a loop that waits for hardware awaits. */
  cpu_relax: () => Promise<void>;
  cond_resched: () => Promise<void>;
  /** Virtual nanoseconds since boot. */
  ktime_get: () => number;

  /** Start a kernel thread. */
  kthread_run: (name: string, body: () => Promise<void>) => Task;
  /** Wait for a kernel thread's end. */
  kthread_join: (task: Task) => Promise<void>;
  /** The running task. @throws Error outside a task */
  current_task: () => Task;
  /** Queues, mutexes and works that still have somebody, for leak reports. */
  sched_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends SchedSymbols {}
}
