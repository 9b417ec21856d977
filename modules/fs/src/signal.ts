/**
 * Signals. Mirrors `kernel/signal.c` (Linux 6.1): who may send, what is dropped, which end a process.
 *
 * A signal does nothing to a process by itself: it wakes interruptible sleeps, whose calls fail with ERESTARTSYS, and on
 * its way back to user space the process finds what is pending. Not modelled: stopping and continuing, queues of
 * real-time signals, masks.
 */
import type { KernelSymbols } from '@vdpalab/abi';
import { CAP_KILL, SIGALRM, SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGSYS, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH } from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { FsSymbols, Process, SignalAction } from './header.ts';
import { processImpl } from './process.ts';
import type { ProcessImpl } from './process.ts';

/** Signals that do nothing unless they are caught; those that would stop a process are among them here. */
const HARMLESS: ReadonlySet<number> = new Set([SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU]);
/** Signals that cannot be caught or ignored. */
const FIRM: ReadonlySet<number> = new Set([SIGKILL, SIGSTOP]);

/** Signals of one kernel. */
export interface Signals {
  readonly symbols: Pick<FsSymbols, 'ksys_kill' | 'ksys_sigaction' | 'ksys_sigtake' | 'ksys_setpgid' | 'ksys_alarm'>;
  /** Make a signal pending, unless the process does not care for it. */
  readonly send: (proc: ProcessImpl, signal: number) => void;
  /** An exit disarms the alarm. */
  readonly forget: (proc: ProcessImpl) => void;
}

/** What signals need to know of processes. */
export interface SignalFacts {
  /** Processes that have not exited, and those nobody has waited for yet. */
  readonly all: () => readonly ProcessImpl[];
  /** Wake the process's interruptible sleeps. */
  readonly rouse: (proc: ProcessImpl) => void;
}

/** Make the signals of one kernel. */
export function createSignals(k: Pick<KernelSymbols, 'mod_timer'>, facts: SignalFacts): Signals {
  const alarms = new Map<ProcessImpl, { cancel: () => boolean }>();

  function forget(proc: ProcessImpl): void {
    alarms.get(proc)?.cancel();
    alarms.delete(proc);
  }

  function send(proc: ProcessImpl, signal: number): void {
    if (proc.exited) return;
    const action = FIRM.has(signal) ? 'default' : proc.actions.get(signal) ?? 'default';
    if (action === 'ignore' || (action === 'default' && HARMLESS.has(signal))) return;
    proc.pending.add(signal);
    facts.rouse(proc);
  }

  /** `check_kill_permission` */
  function mayKill(from: ProcessImpl, to: ProcessImpl): boolean {
    return from.cred.uid === to.cred.uid || from.cred.caps.has(CAP_KILL);
  }

  function targets(from: ProcessImpl, pid: number): ProcessImpl[] {
    if (pid > 0) return facts.all().filter((proc) => proc.pid === pid);
    if (pid === -1) return facts.all().filter((proc) => proc !== from);
    const group = pid === 0 ? from.pgid : -pid;
    return facts.all().filter((proc) => proc.pgid === group);
  }

  return {
    send,
    forget,
    symbols: {
      ksys_kill: (given, pid, signal) => {
        const from = processImpl(given);
        if (!Number.isInteger(signal) || signal < 0 || signal > SIGSYS) throw fail('EINVAL', 'kill.signal', `signal ${signal}: 0 to ${SIGSYS}`);
        const found = targets(from, pid);
        if (found.length === 0) throw fail('ESRCH', 'kill.pid', `no process ${pid}`);
        const allowed = found.filter((to) => mayKill(from, to));
        if (allowed.length === 0) throw fail('EPERM', 'kill.cred', `uid ${from.cred.uid} signals process ${pid} of uid ${found[0]?.cred.uid}`);
        if (signal !== 0) for (const to of allowed) send(to, signal);
      },
      ksys_sigaction: (given: Process, signal: number, action: SignalAction) => {
        const proc = processImpl(given);
        if (!Number.isInteger(signal) || signal < 1 || signal > SIGSYS || FIRM.has(signal)) throw fail('EINVAL', 'sigaction.signal', `signal ${signal}`);
        proc.actions.set(signal, action);
        if (action === 'ignore') proc.pending.delete(signal);
      },
      ksys_sigtake: (given) => {
        const proc = processImpl(given);
        const caught = [...proc.pending].filter((signal) => proc.actions.get(signal) === 'catch').sort((a, b) => a - b)[0] ?? null;
        if (caught !== null) proc.pending.delete(caught);
        return caught;
      },
      ksys_setpgid: (given, pid, pgid) => {
        const proc = pid === 0 ? processImpl(given) : facts.all().find((other) => other.pid === pid && (other === given || other.parent === given));
        if (proc === undefined) throw fail('ESRCH', 'setpgid.pid', `process ${pid} is no child of ${given.pid}`);
        if (pgid < 0) throw fail('EINVAL', 'setpgid.pgid', `group ${pgid}`);
        proc.pgid = pgid === 0 ? proc.pid : pgid;
      },
      ksys_alarm: (given, ns) => {
        const proc = processImpl(given);
        forget(proc);
        if (ns > 0) alarms.set(proc, k.mod_timer(`alarm of process ${proc.pid}`, ns, () => void send(proc, SIGALRM)));
      },
    },
  };
}
