/** A strand of execution as the scheduler keeps it. */
import type { Task, WaitReason } from '@vdpalab/abi';

/** {@link Task} with the scheduler's side. */
export class KernelTask implements Task {
  readonly id: number;
  readonly name: string;
  state: Task['state'] = 'ready';
  process: unknown;
  wait: WaitReason | null = null;
  failure: unknown = undefined;
  /** Trace id, kept while others run. */
  cause: number;
  /** Tasks that wait for this one's end. */
  readonly joiners = new Set<KernelTask>();
  /** Starts the task, or continues it after a park; `null` while it runs. */
  resume: (() => void) | null = null;

  constructor(id: number, name: string, process: unknown, cause: number) {
    this.id = id;
    this.name = name;
    this.process = process;
    this.cause = cause;
  }
}
