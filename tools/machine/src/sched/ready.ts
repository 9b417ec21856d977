/** What can run: tasks, atomic works, and tasks that let the others go first. */
import type { AtomicWork } from '@vdpalab/abi';
import type { KernelTask } from './task.ts';

/** The lists the scheduler chooses from. Their order means nothing to it, so taking leaves no gaps behind. */
export class ReadySet {
  readonly tasks: KernelTask[] = [];
  readonly works: AtomicWork[] = [];
  private yielded: KernelTask[] = [];
  private yieldedSince = 0;

  /** Ready tasks and works, yielders left out. */
  get count(): number {
    return this.tasks.length + this.works.length;
  }

  get hasYielders(): boolean {
    return this.yielded.length > 0;
  }

  /** A task lets everything that is ready go first. @param step decisions made so far */
  addYielder(task: KernelTask, step: number): undefined {
    if (this.yielded.length === 0) this.yieldedSince = step;
    this.yielded.push(task);
  }

  /** Whether a task yielded before a step and still waits. */
  yieldedBefore(step: number): boolean {
    return this.yielded.length > 0 && this.yieldedSince < step;
  }

  /** The yielders' turn has come. */
  unyield(): undefined {
    this.tasks.push(...this.yielded);
    this.yielded = [];
  }

  takeTask(index: number): KernelTask {
    return takeAt(this.tasks, index);
  }

  takeWork(index: number): AtomicWork {
    return takeAt(this.works, index);
  }

  /** Forget a task, wherever it is. */
  remove(task: KernelTask): undefined {
    for (const list of [this.tasks, this.yielded]) {
      const at = list.indexOf(task);
      if (at >= 0) list.splice(at, 1);
    }
  }
}

/** Take an element out; the last one takes its place. */
function takeAt<T>(list: T[], index: number): T {
  const taken = list[index]!; // callers choose below the length
  const last = list.pop()!;
  if (index < list.length) list[index] = last;
  return taken;
}
