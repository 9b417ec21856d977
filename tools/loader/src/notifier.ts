/** Who is told of module states: `module_notify_list`. */
import type { ModuleEvent, ModuleView } from '@vdpalab/abi';

/** Told of one event; at `coming` a KernelError aborts the load. */
export type Notify = (event: ModuleEvent) => undefined;

/** The chain of notifiers, called in the order they registered. */
export class NotifierChain {
  readonly #chain: Notify[] = [];

  get size(): number {
    return this.#chain.length;
  }

  add(notify: Notify): void {
    this.#chain.push(notify);
  }

  /** Take out one registration; nothing when it is not registered. */
  remove(notify: Notify): void {
    const at = this.#chain.indexOf(notify);
    if (at >= 0) this.#chain.splice(at, 1);
  }

  /** Tell all. */
  call(action: ModuleEvent['action'], module: ModuleView): void {
    for (const notify of [...this.#chain]) notify({ action, module });
  }

  /** Tell all that a module is coming; when one refuses, those before it are told `going` and then `gone`. */
  coming(module: ModuleView): void {
    const told: Notify[] = [];
    for (const notify of [...this.#chain]) {
      try {
        notify({ action: 'coming', module });
      } catch (error) {
        for (const action of ['going', 'gone'] as const) for (const earlier of told) earlier({ action, module });
        throw error;
      }
      told.push(notify);
    }
  }
}
