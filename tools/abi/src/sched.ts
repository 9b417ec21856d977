/**
 * The scheduler's contract: tasks, parking, atomic work and the virtual clock.
 *
 * One task runs at a time, until it parks or ends. A wake-up only queues. A seed chooses among what is ready. The
 * wait queues, mutexes, work queues and timers that modules use are built on this in the `sched` module.
 */
import type { Atomic } from './atomic.ts';

/** Why a task waits, and whom it waits for. */
export interface WaitReason {
  /** What is awaited, as a person would say it: `mutex vdpa_dev_lock`, `last close of /dev/vhost-vdpa-0`. */
  readonly what: string;
  /** Tasks that can end the wait; a cycle of these is a deadlock. */
  readonly owners?: () => readonly Task[];
  /** Linux's function that sleeps, as `/proc/PID/wchan` names it. */
  readonly wchan?: string;
  /** The task rests, like a worker without work: {@link Scheduler.run} does not report it as blocked. */
  readonly idle?: boolean;
}

/** A strand of kernel or user execution. */
export interface Task {
  readonly id: number;
  readonly name: string;
  readonly state: 'ready' | 'running' | 'parked' | 'done';
  /** The process the task runs for: `current` of the `fs` module; `null` for a kernel thread. */
  process: unknown;
  /** Set while parked. */
  readonly wait: WaitReason | null;
  /** What the body threw, once done. */
  readonly failure: unknown;
}

/** Work that runs to its end in atomic context: a device's, an interrupt's. Made once, raised many times. */
export interface AtomicWork {
  readonly name: string;
  readonly run: () => Atomic;
  /** Set by the scheduler between raise and run. */
  pending: boolean;
  /** Trace id of what raised it. */
  cause: number;
}

/** A timer that has been armed. */
export interface TimerHandle {
  readonly pending: boolean;
  /** Disarm. @returns whether it was still pending */
  cancel: () => boolean;
}

/** Why {@link Scheduler.run} came back. */
export type RunResult =
  | { readonly kind: 'idle' }
  | { readonly kind: 'limit'; readonly steps: number }
  | { readonly kind: 'blocked'; readonly tasks: readonly Task[] }
  | { readonly kind: 'deadlock'; readonly cycle: readonly Task[] };

/** The machine's scheduler. */
export interface Scheduler {
  /** Virtual nanoseconds since power-on. */
  readonly now: number;
  /** The running task; `null` in atomic work and outside. */
  readonly current: Task | null;
  /** Whether atomic work is running: then nothing may park. */
  readonly atomic: boolean;
  /** Trace id of the event being handled; 0 when there is none. */
  cause: number;

  /** Start a task; it first runs when the scheduler chooses it. The new task inherits `process` and `cause`. */
  spawn: (name: string, body: () => Promise<void>) => Task;
  /**
   * Park the running task until {@link wake}. Callers loop: `while (!condition()) await park(reason)`.
   *
   * @throws Error "scheduling while atomic" in atomic context; outside any task
   */
  park: (reason: WaitReason) => Promise<void>;
  /** Make a parked task ready; nothing when it is not parked. */
  wake: (task: Task) => Atomic;
  /** Wait until a task is done; rethrows nothing, see {@link Task.failure}. */
  join: (task: Task) => Promise<void>;
  /** A seed point: the seed may let others run first. */
  point: () => Promise<void>;
  /** Let everything that is ready now run first: `cond_resched`, `cpu_relax`. */
  yield: () => Promise<void>;
  /** A seed point in atomic context: the seed may run pending atomic work here (an MMIO access, an unlock). */
  atomicPoint: () => Atomic;

  /** Mark atomic work pending; once however often it is raised before it runs. */
  raise: (work: AtomicWork) => Atomic;
  /** Run `fire` in atomic context after `ns` virtual nanoseconds. */
  timer: (name: string, ns: number, fire: () => Atomic) => TimerHandle;

  /** A number in [0, 1) from the machine's seed. */
  random: () => number;
  /** Await something of the host (an import, a file); the only way a foreign promise may enter a task. */
  host: <T>(promise: Promise<T>, what: string) => Promise<T>;
  /** Enter from outside: `action` runs in atomic context in the order of posting. */
  post: (what: string, action: () => Atomic) => Atomic;
  /** Run until nothing is ready and no timer is armed, at most `maxSteps` steps. Called from outside. */
  run: (maxSteps?: number) => Promise<RunResult>;
  /** Tasks that are not done. */
  tasks: () => readonly Task[];
}
