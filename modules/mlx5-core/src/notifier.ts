/** Chains of those who want to be told. Mirrors `kernel/notifier.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import type { RwSemaphore, SchedSymbols } from '@vdpalab/sched';

/** `struct blocking_notifier_head`: who is told may sleep, and leaving waits until nobody is being told. */
export class BlockingNotifier<T> {
  readonly #k: Pick<SchedSymbols, 'down_read' | 'up_read' | 'down_write' | 'up_write'>;
  readonly #sem: RwSemaphore;
  readonly #calls: ((data: T) => Promise<void>)[] = [];

  constructor(k: Pick<SchedSymbols, 'init_rwsem' | 'down_read' | 'up_read' | 'down_write' | 'up_write'>, name: string) {
    this.#k = k;
    this.#sem = k.init_rwsem(name);
  }

  async register(call: (data: T) => Promise<void>): Promise<void> {
    await this.#k.down_write(this.#sem);
    this.#calls.push(call);
    this.#k.up_write(this.#sem);
  }

  async unregister(call: (data: T) => Promise<void>): Promise<void> {
    await this.#k.down_write(this.#sem);
    const at = this.#calls.indexOf(call);
    if (at >= 0) this.#calls.splice(at, 1);
    this.#k.up_write(this.#sem);
  }

  /** Tell all, in the order in which they came. */
  async call(data: T): Promise<void> {
    await this.#k.down_read(this.#sem);
    try {
      for (const call of this.#calls) await call(data);
    } finally {
      this.#k.up_read(this.#sem);
    }
  }
}

/** `struct atomic_notifier_head`: who is told may not sleep. */
export class AtomicNotifier<T> {
  readonly #calls: ((data: T) => Atomic)[] = [];

  register(call: (data: T) => Atomic): Atomic {
    this.#calls.push(call);
    return undefined;
  }

  unregister(call: (data: T) => Atomic): Atomic {
    const at = this.#calls.indexOf(call);
    if (at >= 0) this.#calls.splice(at, 1);
    return undefined;
  }

  call(data: T): Atomic {
    for (const call of this.#calls) call(data);
    return undefined;
  }
}
