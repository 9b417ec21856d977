/**
 * The deterministic scheduler.
 *
 * `run` chooses by seed among ready tasks, raised atomic works and the timer that is due. A chosen task is resumed by
 * resolving the promise it parked on; then `run` awaits the gate, which the task opens when it parks again or ends.
 * Without the gate the order of tasks would depend on how deeply their calls are nested, because each `await` costs
 * microtasks.
 */
import type { Atomic, AtomicWork, RunResult, Scheduler, Task, WaitReason } from '@vdpalab/abi';
import { Gate } from './gate.ts';
import { Mailbox } from './outside.ts';
import type { HostWait } from './outside.ts';
import type { Pacer } from './pacer.ts';
import { sfc32 } from './prng.ts';
import type { Prng } from './prng.ts';
import { findCycle } from './report.ts';
import { KernelTask } from './task.ts';
import { TimerQueue } from './timers.ts';
import type { Timer } from './timers.ts';

/** Steps of one {@link DeterministicScheduler.run} unless the caller says otherwise. */
export const STEPS_MAX = 2_000_000;
/** Virtual nanoseconds that pass when every runnable task has yielded: a loop that polls sees time go by. */
export const YIELD_NS = 1000;
/** Steps a host wait may be put off, and yielders be kept waiting, while others stay busy. */
const PATIENCE = 1024;
/** Steps between two looks at the host's event loop while paced. */
const BREATH = 256;

/** What the scheduler chose to do. */
export type DecisionKind = 'task' | 'work' | 'timer' | 'post' | 'host';
const KIND_CODE: Readonly<Record<DecisionKind, number>> = { task: 1, work: 2, timer: 3, post: 4, host: 5 };

export interface SchedulerOptions {
  /** Any safe integer. */
  readonly seed: number;
  /** For tests of the gate itself: `false` lets the next task start before the last has parked. */
  readonly gate?: boolean;
  /** Ties the clock to real time; virtual when absent. */
  readonly pacer?: Pacer;
}

/** {@link Scheduler} of one machine. */
export class DeterministicScheduler implements Scheduler {
  now = 0;
  current: KernelTask | null = null;
  atomic = false;
  cause = 0;
  /** Decisions made since power-on. */
  steps = 0;
  /** Hash over all decisions: two runs that agree in it ran alike. */
  traceHash = 0x811c_9dc5;
  /** Hears of each decision. */
  onDecision: ((kind: DecisionKind, name: string) => Atomic) | null = null;
  /** Hears of tasks whose body threw. */
  onFailure: ((task: Task) => Atomic) | null = null;
  /** Called when something enters from outside while nothing runs: time to call {@link run}. */
  onArrival: (() => Atomic) | null = null;

  private readonly gated: boolean;
  private readonly pacer: Pacer | null;
  private readonly choice: Prng;
  private readonly numbers: Prng;
  private readonly live = new Map<number, KernelTask>();
  private readonly ready: KernelTask[] = [];
  private readonly yielded: KernelTask[] = [];
  private yieldedSince = 0;
  private readonly works: AtomicWork[] = [];
  private readonly timers = new TimerQueue();
  private readonly mailbox = new Mailbox();
  private lastId = 0;
  private running = false;
  private readonly settled = Promise.resolve();
  /** What runs in atomic context, for messages. */
  private atomicName = '';
  /** What atomic work threw inside a task's step; `run` rethrows it at the gate. */
  private thrown: { readonly error: unknown } | null = null;
  private readonly gate = new Gate(() => this.foreign());

  constructor(options: SchedulerOptions) {
    if (!Number.isSafeInteger(options.seed)) throw new RangeError(`seed ${options.seed}: not a safe integer`);
    this.choice = sfc32(options.seed, 1);
    this.numbers = sfc32(options.seed, 2);
    this.gated = options.gate ?? true;
    this.pacer = options.pacer ?? null;
    this.mailbox.arrived = () => {
      if (!this.running) this.onArrival?.();
    };
  }

  spawn(name: string, body: () => Promise<void>): Task {
    const task = new KernelTask(++this.lastId, name, this.current?.process ?? null, this.cause);
    task.resume = () => this.start(task, body);
    this.live.set(task.id, task);
    this.ready.push(task);
    return task;
  }

  park(reason: WaitReason): Promise<void> {
    const task = this.sleeper(reason.what);
    task.state = 'parked';
    task.wait = reason;
    return this.leave(task);
  }

  wake(task: Task): undefined {
    const mine = this.live.get(task.id);
    if (mine === undefined || mine !== task || mine.state !== 'parked') return;
    mine.state = 'ready';
    mine.wait = null;
    this.ready.push(mine);
  }

  join(task: Task): Promise<void> {
    const me = this.sleeper(`end of ${task.name}`);
    const target = this.live.get(task.id);
    return target === undefined || target !== task ? this.settled : this.joinLive(me, target);
  }

  point(): Promise<void> {
    const task = this.sleeper('seed point');
    if (this.ready.length + this.works.length === 0) return this.settled;
    task.state = 'ready';
    this.ready.push(task);
    return this.leave(task);
  }

  yield(): Promise<void> {
    const task = this.sleeper('yield');
    if (this.yielded.length === 0) this.yieldedSince = this.steps;
    task.state = 'ready';
    this.yielded.push(task);
    return this.leave(task);
  }

  atomicPoint(): undefined {
    // Atomic work does not nest: then `current` is null.
    while (this.current !== null && this.works.length > 0) {
      const pick = this.choice.below(this.works.length + 1);
      if (pick === this.works.length) return;
      this.runWork(pick);
    }
  }

  raise(work: AtomicWork): undefined {
    if (work.pending) return;
    work.pending = true;
    work.cause = this.cause;
    this.works.push(work);
  }

  /** @throws RangeError when `ns` is not finite */
  timer(name: string, ns: number, fire: () => Atomic): Timer {
    if (!Number.isFinite(ns)) throw new RangeError(`timer ${name}: ${ns} nanoseconds`);
    return this.timers.arm(name, this.now + Math.max(0, ns), fire, this.cause);
  }

  random(): number {
    return this.numbers.float();
  }

  host<T>(promise: Promise<T>, what: string): Promise<T> {
    const wait = this.mailbox.begin(this.sleeper(what), what, this.steps);
    return this.awaitHost(promise, wait);
  }

  post(what: string, action: () => Atomic): undefined {
    this.mailbox.post(what, action);
  }

  tasks(): readonly Task[] {
    return [...this.live.values()];
  }

  /** Timers that are armed, earliest first. */
  armedTimers(): readonly Timer[] {
    return this.timers.all();
  }

  /** Works that are raised and have not run. */
  pendingWorks(): readonly AtomicWork[] {
    return [...this.works];
  }

  /**
   * @param maxSteps decisions to make at most
   * @throws Error naming the task that awaits something the scheduler does not know of
   * @throws what atomic work threw
   */
  async run(maxSteps = STEPS_MAX): Promise<RunResult> {
    if (this.running) throw new Error('scheduler: run() inside run()');
    this.running = true;
    const end = this.steps + maxSteps;
    try {
      for (;;) {
        if (this.pacer !== null) await this.pace(this.pacer);
        if (this.mailbox.hasPost || this.hostIsDue() || this.runnable() > 0) {
          if (this.steps >= end) return { kind: 'limit', steps: maxSteps };
          const over = this.step();
          if (over !== undefined) await over;
        } else if (!(await this.advance())) {
          return this.verdict();
        }
        if (this.thrown !== null) throw this.rethrow();
      }
    } finally {
      this.running = false;
      this.gate.rest();
    }
  }

  /** How many things there are to choose from. */
  private runnable(): number {
    return this.ready.length + this.works.length + (this.timers.nextAt <= this.now ? 1 : 0);
  }

  /** Do one thing. @returns a promise when it takes the host or a task to end it */
  private step(): Promise<void> | undefined {
    if (this.mailbox.hasPost) return this.runPost();
    if (this.hostIsDue()) return this.admitHost();
    if (this.yielded.length > 0 && this.steps - this.yieldedSince > PATIENCE) this.unyield();
    const count = this.runnable();
    const pick = count === 1 ? 0 : this.choice.below(count);
    if (pick < this.ready.length) return this.runTask(pick);
    const work = pick - this.ready.length;
    return work < this.works.length ? this.runWork(work) : this.runTimer();
  }

  /** Nothing can run now: make something ready. @returns false when nothing ever will */
  private async advance(): Promise<boolean> {
    if (this.mailbox.oldest !== undefined) await this.admitHost();
    else if (this.yielded.length > 0) {
      this.now += YIELD_NS;
      this.unyield();
      if (this.pacer !== null) await breath();
    } else if (this.timers.size > 0) await this.toNextTimer();
    else return false;
    return true;
  }

  private unyield(): undefined {
    for (const task of this.yielded.splice(0)) this.ready.push(task);
  }

  private verdict(): RunResult {
    const parked = this.tasks().filter((task) => task.state === 'parked');
    const cycle = findCycle(parked);
    if (cycle !== null) return { kind: 'deadlock', cycle };
    const blocked = parked.filter((task) => task.wait?.idle !== true);
    return blocked.length > 0 ? { kind: 'blocked', tasks: blocked } : { kind: 'idle' };
  }

  // --- one step ---

  private runTask(index: number): Promise<void> {
    const task = takeAt(this.ready, index);
    this.note('task', task.name, task.id);
    task.state = 'running';
    this.current = task;
    this.cause = task.cause;
    const opened = this.gated ? this.gate.close() : this.settled;
    const { resume } = task;
    task.resume = null;
    resume!(); // a ready task has one
    return opened;
  }

  private runWork(index: number): undefined {
    const work = takeAt(this.works, index);
    this.note('work', work.name, index);
    work.pending = false;
    this.atomically(work.name, work.cause, work.run);
  }

  private runTimer(): undefined {
    const timer = this.timers.pop();
    this.note('timer', timer.name, 0);
    this.atomically(timer.name, timer.cause, timer.fire);
  }

  private runPost(): undefined {
    const post = this.mailbox.take()!; // asked for only when there is one
    this.note('post', post.what, post.sequence);
    this.atomically(post.what, 0, post.action);
  }

  private atomically(name: string, cause: number, action: () => Atomic): undefined {
    const { current, cause: outer, atomicName } = this;
    this.current = null;
    this.atomic = true;
    this.atomicName = name;
    this.cause = cause;
    try {
      action();
    } catch (error) {
      this.thrown ??= { error };
    }
    this.current = current;
    this.atomic = false;
    this.atomicName = atomicName;
    this.cause = outer;
  }

  private rethrow(): unknown {
    const error = this.thrown?.error;
    this.thrown = null;
    return error;
  }

  private note(kind: DecisionKind, name: string, which: number): undefined {
    this.steps++;
    this.traceHash = Math.imul(this.traceHash ^ ((KIND_CODE[kind] << 24) ^ which), 0x0100_0193) >>> 0;
    this.onDecision?.(kind, name);
  }

  // --- tasks ---

  private start(task: KernelTask, body: () => Promise<void>): undefined {
    try {
      body().then(
        () => this.end(task, undefined),
        (error: unknown) => this.end(task, error),
      );
    } catch (error) {
      this.end(task, error);
    }
  }

  private end(task: KernelTask, failure: unknown): undefined {
    if (task.state === 'done') return;
    const strands = task.state === 'running' ? undefined : new Error(`task ${task.name} ended while ${task.state}`);
    for (const list of [this.ready, this.yielded]) {
      const at = list.indexOf(task);
      if (strands !== undefined && at >= 0) list.splice(at, 1);
    }
    task.state = 'done';
    task.wait = null;
    task.resume = null;
    task.failure = failure ?? strands;
    this.live.delete(task.id);
    for (const joiner of task.joiners) this.wake(joiner);
    task.joiners.clear();
    if (task.failure !== undefined) this.onFailure?.(task);
    if (this.current === task) {
      this.current = null;
      this.cause = 0;
      this.gate.open();
    }
  }

  /** The running task, which is about to sleep. */
  private sleeper(what: string): KernelTask {
    if (this.atomic) throw new Error(`scheduling while atomic: ${this.atomicName}: ${what}`);
    if (this.current === null) throw new Error(`scheduling outside a task: ${what}`);
    return this.current;
  }

  private leave(task: KernelTask): Promise<void> {
    task.cause = this.cause;
    this.cause = 0;
    this.current = null;
    return new Promise((resolve) => {
      task.resume = resolve;
      this.gate.open();
    });
  }

  private async joinLive(me: KernelTask, target: KernelTask): Promise<void> {
    while (target.state !== 'done') {
      target.joiners.add(me);
      await this.park({ what: `end of ${target.name}`, owners: () => [target] });
    }
  }

  // --- outside ---

  private async awaitHost<T>(promise: Promise<T>, wait: HostWait): Promise<T> {
    const settle = (): void => this.mailbox.settle(wait);
    promise.then(settle, settle);
    while (!wait.admitted) await this.park({ what: wait.what });
    return promise; // settled: costs microtasks only
  }

  private hostIsDue(): boolean {
    const { oldest } = this.mailbox;
    return oldest !== undefined && this.steps - oldest.since > PATIENCE;
  }

  /** Wait for the oldest host wait and let its task go on; a post that comes meanwhile goes first. */
  private async admitHost(): Promise<void> {
    const oldest = this.mailbox.oldest!; // asked for only when there is one
    while (!oldest.settled && !this.mailbox.hasPost) await this.arrival(null);
    if (!oldest.settled || this.mailbox.hasPost) return;
    this.mailbox.admit();
    this.note('host', oldest.what, oldest.task.id);
    this.wake(oldest.task);
  }

  /** Until something enters from outside, or until the wake-up of the pacer. */
  private async arrival(arm: ((wake: () => void) => () => void) | null): Promise<void> {
    const { arrived } = this.mailbox;
    let disarm: (() => void) | undefined;
    await new Promise<void>((wake) => {
      this.mailbox.arrived = wake;
      disarm = arm?.(wake);
    });
    disarm?.();
    this.mailbox.arrived = arrived;
  }

  private async toNextTimer(): Promise<void> {
    const { nextAt } = this.timers;
    const { pacer } = this;
    if (pacer === null) this.now = nextAt;
    else await this.arrival((wake) => pacer.after(nextAt - this.now, wake));
  }

  private async pace(pacer: Pacer): Promise<void> {
    if (this.steps % BREATH === 0) await breath();
    this.now = Math.max(this.now, pacer.elapsed());
  }

  /** The running task awaits something that is not the scheduler's: give it up. */
  private foreign(): Error {
    const task = this.current;
    const error = new Error(
      `task ${task?.name ?? '?'} awaits a promise the scheduler does not know of; ` +
        'what comes from the host enters through sched.host()',
    );
    this.current = null;
    this.cause = 0;
    if (task !== null) this.end(task, error);
    return error;
  }
}

/** Take an element out; the last one takes its place. */
function takeAt<T>(list: T[], index: number): T {
  const taken = list[index]!;
  const last = list.pop()!;
  if (index < list.length) list[index] = last;
  return taken;
}

function breath(): Promise<void> {
  return new Promise((resume) => {
    setImmediate(resume);
  });
}
