/** A list that may change while somebody walks it, and whose items can wait for those who look at them. */
import type { Task } from '@vdpalab/abi';
import type { WaitQueue } from '@vdpalab/sched';
import type { Kernel } from './kernel.ts';

/**
 * `struct klist`. Walkers see items added behind them and no removed ones.
 *
 * @see lib/klist.c (Linux 6.1)
 */
export class KList<T> {
  readonly #k: Pick<Kernel, 'wait_event' | 'wake_up' | 'current_task'>;
  readonly #wq: WaitQueue;
  /** Items, with the tasks that stand on them in a walk. */
  readonly #items = new Map<T, Task[]>();
  readonly #leaving = new Map<T, Task[]>();

  constructor(k: Pick<Kernel, 'init_waitqueue_head' | 'wait_event' | 'wake_up' | 'current_task'>, name: string) {
    this.#k = k;
    this.#wq = k.init_waitqueue_head(name);
  }

  get size(): number {
    return this.#items.size;
  }

  /** Oldest first. */
  items(): T[] {
    return [...this.#items.keys()];
  }

  has(item: T): boolean {
    return this.#items.has(item);
  }

  add(item: T): void {
    this.#items.set(item, []);
  }

  /** Take out; a walker that stands on the item goes on. */
  del(item: T): void {
    this.#items.delete(item);
  }

  /** Take out, and wait until no walker stands on the item. */
  async remove(item: T): Promise<void> {
    const walkers = this.#items.get(item);
    if (walkers === undefined) return;
    this.#items.delete(item);
    this.#leaving.set(item, walkers);
    await this.#k.wait_event(this.#wq, () => walkers.length === 0, `end of the walks of ${this.#wq.name}`, () => walkers, 'klist_remove');
    this.#leaving.delete(item);
  }

  /**
   * Visit each item, oldest first.
   *
   * @param visit true ends the walk
   * @returns whether a visit ended it
   */
  async walk(visit: (item: T) => Promise<boolean>): Promise<boolean> {
    const task = this.#k.current_task();
    for (const [item, walkers] of this.#items) { // a Map's iterator follows changes
      walkers.push(task);
      try {
        if (await visit(item)) return true;
      } finally {
        walkers.splice(walkers.indexOf(task), 1);
        if (this.#leaving.has(item)) this.#k.wake_up(this.#wq);
      }
    }
    return false;
  }
}
