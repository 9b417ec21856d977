/** Timers and sleeping for virtual time. Mirrors `kernel/time/{timer,timekeeping}.c` (Linux 6.1). */
import type { Atomic, Scheduler, TimerHandle } from '@vdpalab/abi';
import type { SchedSymbols } from './header.ts';
import type { Wait } from './wait.ts';

const NS_PER_MS = 1_000_000;

/** Timer symbols of one kernel. */
export interface Timers {
  readonly symbols: Pick<SchedSymbols, 'mod_timer' | 'msleep' | 'ktime_get'>;
  readonly leftovers: () => readonly string[];
}

/** Make the timers of one kernel. */
export function createTimers(sched: Scheduler, wait: Wait): Timers {
  const armed = new Map<TimerHandle, string>();

  function mod_timer(name: string, ns: number, func: () => Atomic): TimerHandle {
    const inner = sched.timer(name, ns, () => {
      armed.delete(handle);
      return func();
    });
    const handle: TimerHandle = {
      get pending() {
        return inner.pending;
      },
      cancel: () => {
        armed.delete(handle);
        return inner.cancel();
      },
    };
    armed.set(handle, name);
    return handle;
  }

  return {
    symbols: {
      mod_timer,
      msleep: async (ms) => {
        const never = wait.symbols.init_waitqueue_head('msleep');
        await wait.symbols.wait_event_timeout(never, () => false, `msleep(${ms})`, ms * NS_PER_MS);
      },
      ktime_get: () => sched.now,
    },
    leftovers: () => [...armed.values()].map((name) => `timer ${name} is armed`),
  };
}
