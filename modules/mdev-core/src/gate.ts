/** Who is at work below a parent: `unreg_sem` of `struct mdev_parent` (Linux 6.1, `drivers/vfio/mdev/mdev_core.c`). */
import { KernelError } from '@vdpalab/abi';
import type { KernelSymbols, Task } from '@vdpalab/abi';
import type { WaitQueue } from '@vdpalab/sched';

/** Lets devices be made and removed until the parent goes, and has the parent wait for those under way. */
export class ParentGate {
  readonly #k: Pick<KernelSymbols, 'current_task' | 'wait_event' | 'wake_up'>;
  readonly #name: string;
  readonly #queue: WaitQueue;
  readonly #inside = new Set<Task>();
  #closed = false;

  constructor(k: Pick<KernelSymbols, 'current_task' | 'init_waitqueue_head' | 'wait_event' | 'wake_up'>, name: string) {
    this.#k = k;
    this.#name = name;
    this.#queue = k.init_waitqueue_head(`unreg_sem of ${name}`);
  }

  /** Run `body` while the parent stays. @throws ENODEV once it is going */
  async through<T>(body: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new KernelError('ENODEV', 'mdev.parent.going', `${this.#name}: unregisters its mediated devices`);
    const task = this.#k.current_task();
    this.#inside.add(task);
    try {
      return await body();
    } finally {
      this.#inside.delete(task);
      this.#k.wake_up(this.#queue);
    }
  }

  /** Let nobody in any more, and wait for who is inside. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#k.wait_event(this.#queue, () => this.#inside.size === 0, `mediated devices of ${this.#name} coming and going`, () => [...this.#inside]);
  }
}
