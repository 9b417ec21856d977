/** Commands in the background: which run, how they ended, what is said of it. */
import { SIGINT, SIGPIPE, SIGTERM, WNOHANG } from '@vdpalab/uapi';
import type { Child, Shell } from './shell.ts';
import { describeSignal, exitStatus } from './signals.ts';
import { refusedWith } from './system.ts';

/** A command in the background. */
export interface Job {
  /** As `%1` names it. */
  readonly number: number;
  readonly text: string;
  readonly child: Child;
}

/** Why a wait ended. */
export interface Waited {
  readonly job: Job | null;
  readonly status: number;
  /** A signal that came first; its trap is yet to run. */
  readonly signal: number | null;
}

/** The jobs of one shell. */
export class Jobs {
  readonly #shell: Shell;
  #running: Job[] = [];
  /** Of the shell this one was forked from: it can be told of them, not wait for them. */
  #inherited: readonly Job[] = [];
  /** Statuses of jobs that ended and were not asked for, by process. */
  readonly #ended = new Map<number, number>();
  /** Those of them that `wait -n` has not told of. */
  readonly #untold = new Set<number>();

  constructor(shell: Shell) {
    this.#shell = shell;
  }

  /** Those that run, oldest first. */
  get running(): readonly Job[] {
    return this.#running;
  }

  /** Those and the ones of the shell this is a subshell of. */
  get listed(): readonly Job[] {
    return [...this.#inherited, ...this.#running];
  }

  /** Know of the jobs of the shell this one was forked from. */
  inherit(from: Jobs): void {
    this.#inherited = from.listed;
  }

  /** A new shell in the process knows of no jobs. */
  disinherit(): void {
    this.#inherited = [];
  }

  add(child: Child, text: string): void {
    const number = (this.#running.at(-1)?.number ?? 0) + 1;
    this.#running.push({ number, text, child });
  }

  /** `[1]+` and its like: `+` for the last, `-` for the one before. */
  mark(job: Job): string {
    return job === this.listed.at(-1) ? '+' : job === this.listed.at(-2) ? '-' : ' ';
  }

  /** The job of `%1`, `%%`, `%+`, `%-`, `%word`, or of a process. @param among the shell's own, unless it may be one of {@link listed} */
  find(spec: string, among: readonly Job[] = this.#running): Job | undefined {
    if (!spec.startsWith('%')) return among.find((job) => String(job.child.pid) === spec);
    const rest = spec.slice(1);
    if (rest === '' || rest === '%' || rest === '+') return among.at(-1);
    if (rest === '-') return among.at(-2) ?? among.at(-1);
    if (/^\d+$/.test(rest)) return among.find((job) => String(job.number) === rest);
    return among.find((job) => (rest.startsWith('?') ? job.text.includes(rest.slice(1)) : job.text.startsWith(rest)));
  }

  /** How a process ended that was waited for, or ended by itself; `undefined` for one the shell does not know. */
  endedStatus(pid: number): number | undefined {
    return this.#ended.get(pid);
  }

  /** Status of the job that ended first and that no wait has told of. */
  takeEnded(): number | undefined {
    const [pid] = this.#untold;
    if (pid === undefined) return undefined;
    this.#untold.delete(pid);
    return this.#ended.get(pid);
  }

  /** Forget those that have ended, and say which a signal ended. */
  async reap(): Promise<void> {
    for (const job of [...this.#running]) {
      const ended = await this.#shell.p.wait4(job.child.pid, WNOHANG);
      if (ended === null) continue;
      await this.#over(job, ended.status, false);
      this.#untold.add(job.child.pid);
    }
  }

  /** Wait for one of these jobs to end, or a caught signal. */
  async wait(jobs: readonly Job[], tells = true): Promise<Waited> {
    const { p } = this.#shell;
    try {
      const only = jobs.length === 1 ? jobs[0] : undefined;
      for (;;) {
        const found = only === undefined ? await this.#any(jobs) : { job: only, status: (await p.wait4(only.child.pid, 0, false))?.status ?? 0 };
        const signal = this.#shell.cameIn.at(-1) ?? null;
        const status = found === null ? 0 : await this.#over(found.job, found.status, tells);
        if (signal !== null) return { job: null, status: 128 + signal, signal };
        if (found !== null) return { job: found.job, status, signal };
      }
    } catch (error) {
      if (!refusedWith(error, 'EINTR')) throw error;
      const signal = this.#shell.cameIn.at(-1) ?? 0;
      return { job: null, status: 128 + signal, signal };
    }
  }

  /** The first of several jobs that ends. */
  async #any(jobs: readonly Job[]): Promise<{ job: Job; status: number } | null> {
    const ended = await this.#shell.p.wait4(-1, 0, false);
    const job = this.#running.find((one) => one.child.pid === ended?.pid);
    if (job === undefined || ended === null) return null;
    if (jobs.includes(job)) return { job, status: ended.status };
    await this.#over(job, ended.status);
    return null;
  }

  /** `bash: 1234 Killed                  sleep 5` */
  async tellOfEnd(pid: number, signal: number, text: string): Promise<void> {
    const { text: how } = describeSignal(signal);
    if (this.#shell.state.dialect === 'dash') await this.#shell.say(`${how}\n`);
    else await this.#shell.complain(`${pid} ${how.padEnd(23)} ${text}`);
  }

  /** Forget jobs without waiting: `disown`. */
  disown(jobs: readonly Job[]): void {
    this.#running = this.#running.filter((job) => !jobs.includes(job));
  }

  async #over(job: Job, status: number, tells = true): Promise<number> {
    this.#running = this.#running.filter((other) => other !== job);
    const failure = job.child.failure();
    if (failure !== undefined) throw failure;
    const signal = status & 0x7f;
    const isDash = this.#shell.state.dialect === 'dash';
    if ((tells || !isDash) && signal !== 0 && (signal !== SIGTERM || isDash) && signal !== SIGINT && signal !== SIGPIPE) await this.tellOfEnd(job.child.pid, signal, job.text);
    this.#ended.set(job.child.pid, exitStatus(status));
    return exitStatus(status);
  }
}
