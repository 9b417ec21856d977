/**
 * The deterministic scheduler.
 *
 * `run` chooses by seed among ready tasks, raised atomic works and the timer that is due. A chosen task is resumed by
 * resolving the promise it parked on; then `run` awaits the gate, which the task opens when it parks again or ends.
 * Without the gate the order of tasks would depend on how deeply their calls are nested, because each `await` costs
 * microtasks.
 */
import type { Atomic, AtomicWork, RunResult, Scheduler, Task, WaitReason } from '@vdpalab/abi';
import { Decisions } from './decisions.ts';
import type { DecisionKind } from './decisions.ts';
import { Gate } from './gate.ts';
import { Mailbox } from './outside.ts';
import type { HostWait } from './outside.ts';
import type { Pacer } from './pacer.ts';
import { sfc32 } from './prng.ts';
import type { Prng } from './prng.ts';
import { ReadySet } from './ready.ts';
import { RealTime } from './real-time.ts';
import { verdict } from './report.ts';
import { KernelTask } from './task.ts';
import { TimerQueue } from './timers.ts';
import type { Timer } from './timers.ts';
import type { Watched } from './watches.ts';

/** Steps of one {@link DeterministicScheduler.run} unless the caller says otherwise. */
export const STEPS_MAX = 2_000_000;
/** Virtual nanoseconds that pass when every runnable task has yielded: a loop that polls sees time go by. */
export const YIELD_NS = 1000;
/** Steps a host wait may be put off, and yielders be kept waiting, while others stay busy. */
const PATIENCE = 1024;

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
  /** Hears of tasks whose body threw. */
  onFailure: ((task: Task) => Atomic) | null = null;
  /** Called when something enters from outside while nothing runs: time to call {@link run}. */
  onArrival: (() => Atomic) | null = null;

  private readonly decisions = new Decisions();
  private readonly gated: boolean;
  /** `null` while the clock is virtual. */
  private readonly real: RealTime | null;
  private readonly choice: Prng;
  private readonly numbers: Prng;
  private readonly live = new Map<number, KernelTask>();
  private readonly ready = new ReadySet();
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
    this.real = options.pacer === undefined ? null : new RealTime(options.pacer, this, (work) => this.raise(work));
    this.mailbox.arrived = () => {
      if (!this.running) this.onArrival?.();
    };
  }

  /** Whether something has entered from outside and was not looked at. */
  get hasArrivals(): boolean {
    return this.mailbox.hasPost || this.mailbox.oldest?.settled === true;
  }

  /** Decisions made since power-on. */
  get steps(): number {
    return this.decisions.count;
  }

  /** Hash over all decisions: two runs that agree in it ran alike. */
  get traceHash(): number {
    return this.decisions.hash;
  }

  /** Let `observer` hear of each decision. */
  observe(observer: ((kind: DecisionKind, name: string) => Atomic) | null): undefined {
    this.decisions.observer = observer;
  }

  spawn(name: string, body: () => Promise<void>): Task {
    const task = new KernelTask(++this.lastId, name, this.current?.process ?? null, this.cause);
    task.resume = () => this.start(task, body);
    this.live.set(task.id, task);
    this.ready.tasks.push(task);
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
    this.ready.tasks.push(mine);
  }

  join(task: Task): Promise<void> {
    const me = this.sleeper(`end of ${task.name}`);
    const target = this.live.get(task.id);
    return target === undefined || target !== task ? this.settled : this.joinLive(me, target);
  }

  point(): Promise<void> {
    const task = this.sleeper('seed point');
    if (this.ready.count === 0) return this.settled;
    task.state = 'ready';
    this.ready.tasks.push(task);
    return this.leave(task);
  }

  yield(): Promise<void> {
    const task = this.sleeper('yield');
    task.state = 'ready';
    this.ready.addYielder(task, this.decisions.count);
    return this.leave(task);
  }

  atomicPoint(): undefined {
    // Atomic work does not nest: then `current` is null.
    const { works } = this.ready;
    while (this.current !== null && works.length > 0) {
      const pick = this.choice.below(works.length + 1);
      if (pick === works.length) return;
      this.runWork(pick);
    }
  }

  raise(work: AtomicWork): undefined {
    if (work.pending) return;
    work.pending = true;
    work.cause = this.cause;
    this.ready.works.push(work);
  }

  /** @throws RangeError when `ns` is not finite */
  timer(name: string, ns: number, fire: () => Atomic): Timer {
    if (!Number.isFinite(ns)) throw new RangeError(`timer ${name}: ${ns} nanoseconds`);
    return this.timers.arm(name, this.now + Math.max(0, ns), fire, this.cause);
  }

  /**
   * Look again and again, for `ns` nanoseconds, whether somebody outside has left something to do. Only with a pacer is
   * there an outside; a look is no step, and takes no turn from others.
   *
   * @returns false without one: nothing is watched
   */
  watch(watched: Watched, ns: number): boolean {
    this.real?.watch(watched, ns);
    return this.real !== null;
  }

  random(): number {
    return this.numbers.float();
  }

  host<T>(promise: Promise<T>, what: string): Promise<T> {
    const wait = this.mailbox.begin(this.sleeper(what), what, this.decisions.count);
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
    return [...this.ready.works];
  }

  /**
   * @param maxSteps decisions to make at most
   * @param horizon timers later than this virtual time are left alone: the run ends when only they remain
   * @throws Error naming the task that awaits something the scheduler does not know of
   * @throws what atomic work threw
   */
  async run(maxSteps = STEPS_MAX, horizon: () => number = () => Infinity): Promise<RunResult> {
    if (this.running) throw new Error('scheduler: run() inside run()');
    this.running = true;
    const end = this.decisions.count + maxSteps;
    try {
      for (;;) {
        const breath = this.real?.follow();
        if (breath !== undefined) await breath;
        if (this.mailbox.hasPost || this.runnable() > 0) {
          if (this.decisions.count >= end) return { kind: 'limit', steps: maxSteps };
          const over = this.step();
          if (over !== undefined) await over;
        } else {
          const moved = this.advance(horizon());
          if (!(typeof moved === 'boolean' ? moved : await moved)) return verdict(this.tasks());
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
    return this.ready.count + (this.timers.nextAt <= this.now ? 1 : 0);
  }

  /** Do one thing. @returns a promise when it takes the host or a task to end it */
  private step(): Promise<void> | undefined {
    if (this.mailbox.hasPost) return this.runPost();
    if (this.mailbox.isDue(this.decisions.count - PATIENCE)) return this.admitHost();
    if (this.ready.yieldedBefore(this.decisions.count - PATIENCE)) this.ready.unyield();
    const count = this.runnable();
    const pick = count === 1 ? 0 : this.choice.below(count);
    const work = pick - this.ready.tasks.length;
    if (work < 0) return this.runTask(pick);
    return work < this.ready.works.length ? this.runWork(work) : this.runTimer();
  }

  /** Nothing can run now: make something ready. @returns false when nothing ever will */
  private advance(horizon: number): boolean | Promise<boolean> {
    const { real } = this;
    const { oldest } = this.mailbox;
    if (oldest !== undefined && (oldest.settled || real?.watching !== true)) return this.admitHost().then(() => true);
    if (this.ready.hasYielders) {
      this.now += YIELD_NS;
      this.ready.unyield();
      return real === null ? true : real.breathe().then(() => true);
    }
    if (real?.watching === true) return real.spin();
    if (this.timers.size === 0) return false;
    const { nextAt } = this.timers;
    if (nextAt > horizon) return false;
    if (real !== null) return this.mailbox.arrival((wake) => real.at(nextAt, wake)).then(() => true);
    this.now = nextAt;
    return true;
  }

  // --- one step ---

  private runTask(index: number): Promise<void> {
    const task = this.ready.takeTask(index);
    this.decisions.note('task', task.name, task.id);
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
    const work = this.ready.takeWork(index);
    this.decisions.note('work', work.name, index);
    work.pending = false;
    this.atomically(work.name, work.cause, work.run);
  }

  private runTimer(): undefined {
    const timer = this.timers.pop();
    this.decisions.note('timer', timer.name, 0);
    this.atomically(timer.name, timer.cause, timer.fire);
  }

  private runPost(): undefined {
    const post = this.mailbox.take()!; // asked for only when there is one
    this.decisions.note('post', post.what, post.sequence);
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
    if (strands !== undefined) this.ready.remove(task);
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

  /** Wait for the oldest host wait and let its task go on; a post that comes meanwhile goes first. */
  private async admitHost(): Promise<void> {
    const oldest = this.mailbox.oldest!; // asked for only when there is one
    while (!oldest.settled && !this.mailbox.hasPost) await this.mailbox.arrival();
    if (this.mailbox.hasPost) return;
    this.mailbox.admit();
    this.decisions.note('host', oldest.what, oldest.task.id);
    this.wake(oldest.task);
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
