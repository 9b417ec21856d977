/** Completions. Mirrors `kernel/sched/completion.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import type { Completion, SchedSymbols, WaitQueue } from './header.ts';
import { reasonOf, type Wait } from './wait.ts';

class CompletionImpl implements Completion {
  readonly name: string;
  readonly queue: WaitQueue;
  done = 0;

  constructor(name: string, queue: WaitQueue) {
    this.name = name;
    this.queue = queue;
  }
}

/** Completion symbols of one kernel. */
export interface Completions {
  readonly symbols: Pick<SchedSymbols, 'init_completion' | 'complete' | 'wait_for_completion'>;
}

/** Make the completions of one kernel. */
export function createCompletions(wait: Wait): Completions {
  function impl(c: Completion): CompletionImpl {
    if (c instanceof CompletionImpl) return c;
    throw new Error(`completion ${c.name} was not made by init_completion`);
  }

  return {
    symbols: {
      init_completion: (name) => new CompletionImpl(name, wait.symbols.init_waitqueue_head(name)),
      complete: (given): Atomic => {
        const c = impl(given);
        c.done++;
        return wait.symbols.wake_up(c.queue);
      },
      wait_for_completion: async (given, owners, wchan) => {
        const c = impl(given);
        await wait.sleepOn(c.queue, () => c.done > 0, reasonOf(`completion ${c.name}`, owners, wchan));
        c.done--; // each complete() lets one waiter through
      },
    },
  };
}
