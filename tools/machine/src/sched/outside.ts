/** What enters from outside: completions of host promises, and posts. Both are numbered. */
import type { Atomic } from '@vdpalab/abi';
import type { KernelTask } from './task.ts';

/** A foreign promise a task waits for. */
export interface HostWait {
  readonly what: string;
  readonly task: KernelTask;
  /** Steps the scheduler had made when the wait began. */
  readonly since: number;
  /** The promise has come to an end, whatever it is. */
  settled: boolean;
  /** The end has been let in; the task may look. */
  admitted: boolean;
}

/** Something to be done in atomic context. */
export interface Post {
  /** Counts from 1. */
  readonly sequence: number;
  readonly what: string;
  readonly action: () => Atomic;
}

/** The mailbox. Host waits are admitted in the order they began, posts in the order they came. */
export class Mailbox {
  /** Called when something arrives. */
  arrived: (() => void) | null = null;
  private readonly waits: HostWait[] = [];
  private readonly posts: Post[] = [];
  private sequence = 0;

  /** The oldest host wait, or `undefined`. */
  get oldest(): HostWait | undefined {
    return this.waits[0];
  }

  get hasPost(): boolean {
    return this.posts.length > 0;
  }

  /** Whether the oldest host wait began before a step: others have been busy for too long. */
  isDue(step: number): boolean {
    return this.waits.length > 0 && this.waits[0]!.since < step;
  }

  /** Until something arrives, or until the wake-up that `arm` arms. @param arm returns what disarms it */
  async arrival(arm?: (wake: () => void) => () => void): Promise<void> {
    const { arrived } = this;
    let disarm: (() => void) | undefined;
    await new Promise<void>((wake) => {
      this.arrived = wake;
      disarm = arm?.(wake);
    });
    disarm?.();
    this.arrived = arrived;
  }

  begin(task: KernelTask, what: string, since: number): HostWait {
    const wait = { what, task, since, settled: false, admitted: false };
    this.waits.push(wait);
    return wait;
  }

  settle(wait: HostWait): void {
    wait.settled = true;
    this.arrived?.();
  }

  /** Let the oldest host wait's end in. */
  admit(): HostWait | undefined {
    const wait = this.waits.shift();
    if (wait !== undefined) wait.admitted = true;
    return wait;
  }

  post(what: string, action: () => Atomic): void {
    this.posts.push({ sequence: ++this.sequence, what, action });
    this.arrived?.();
  }

  take(): Post | undefined {
    return this.posts.shift();
  }
}
