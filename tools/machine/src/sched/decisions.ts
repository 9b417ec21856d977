/** What the scheduler chose, told and hashed. */
import type { Atomic } from '@vdpalab/abi';

/** What the scheduler chose to do. */
export type DecisionKind = 'task' | 'work' | 'timer' | 'post' | 'host';

const KIND_CODE: Readonly<Record<DecisionKind, number>> = { task: 1, work: 2, timer: 3, post: 4, host: 5 };

/** The sequence of decisions of one scheduler. */
export class Decisions {
  /** Decisions made since power-on. */
  count = 0;
  /** FNV-1a over kinds and ids. */
  hash = 0x811c_9dc5;
  observer: ((kind: DecisionKind, name: string) => Atomic) | null = null;

  /** @param which tells apart what has one kind: a task's id, a place in a list */
  note(kind: DecisionKind, name: string, which: number): undefined {
    this.count++;
    this.hash = Math.imul(this.hash ^ ((KIND_CODE[kind] << 24) ^ which), 0x0100_0193) >>> 0;
    this.observer?.(kind, name);
  }
}
