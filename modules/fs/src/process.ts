/** Processes and what they may. Mirrors `kernel/{fork,exit,cred,capability}.c` (Linux 6.1), as far as files see them. */
import type { KernelSymbols, Machine, Task } from '@vdpalab/abi';
import type { MmStruct } from '@vdpalab/mm';
import type { WaitQueue } from '@vdpalab/sched';
import { CAP_LAST_CAP, RLIMIT_MEMLOCK, RLIMIT_NOFILE, SIGCHLD, WNOHANG } from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { Cred, File, ForeignFiles, FsSymbols, Process, ProcessInit, SignalAction } from './header.ts';
import type { DelayedFput } from './mmap.ts';
import type { Nap } from './nap.ts';
import type { OpenFiles } from './open-file.ts';
import type { Signals } from './signal.ts';

/** `INR_OPEN_CUR` */
const NOFILE_DEFAULT = 1024;
/** `MLOCK_LIMIT`, in bytes. */
const MEMLOCK_DEFAULT = 8 * 1024 * 1024;

/** A process of this kernel. */
export class ProcessImpl implements Process {
  readonly pid: number;
  comm: string;
  readonly cred: Cred;
  readonly mm: MmStruct;
  readonly outside: ForeignFiles | null;
  readonly files = new Map<number, File>();
  /** Descriptors promised to opens under way. */
  readonly reserved = new Set<number>();
  cwd: string;
  readonly rlimits: Map<number, number>;
  exited = false;
  umask = 0o022;
  argv: readonly string[];
  parent: ProcessImpl | null;
  pgid: number;
  /** As wait4 reports it; `null` until it has ended. */
  exitStatus: number | null = null;
  /** Woken when a child ends. */
  readonly children: WaitQueue;
  readonly pending = new Set<number>();
  readonly actions = new Map<number, SignalAction>();

  constructor(pid: number, comm: string, cred: Cred, mm: MmStruct, cwd: string, parent: ProcessImpl | null, children: WaitQueue, { outside, rlimits }: ProcessInit) {
    this.outside = outside ?? null;
    this.rlimits = rlimits ?? new Map<number, number>([[RLIMIT_NOFILE, NOFILE_DEFAULT], [RLIMIT_MEMLOCK, MEMLOCK_DEFAULT]]);
    this.pid = pid;
    this.argv = [comm];
    this.parent = parent;
    this.pgid = parent?.pgid ?? pid;
    this.children = children;
    this.comm = comm;
    this.cred = cred;
    this.mm = mm;
    this.cwd = cwd;
  }

  get fatalSignal(): number | null {
    let lowest: number | null = null;
    for (const signal of this.pending) {
      if (this.actions.get(signal) !== 'catch' && (lowest === null || signal < lowest)) lowest = signal;
    }
    return lowest;
  }
}

/** The process of this kernel behind a {@link Process}. */
export function processImpl(proc: Process): ProcessImpl {
  if (proc instanceof ProcessImpl) return proc;
  throw new Error(`process ${proc.pid} is not of this kernel`);
}

/** Processes of one kernel. */
export interface Processes {
  readonly symbols: Pick<FsSymbols, 'current' | 'capable' | 'process_create' | 'process_exit' | 'process_run' | 'processes' | 'ksys_fork' | 'ksys_wait4'>;
  /** Tasks that run for a process now. */
  readonly tasksOf: (proc: Process) => readonly Task[];
  /** Those that live, and zombies. */
  readonly all: () => readonly ProcessImpl[];
}

/** What is told of processes that come and go. */
export interface ProcessObserver {
  readonly born: (proc: ProcessImpl) => void;
  readonly gone: (proc: ProcessImpl) => void;
}

/** Make the processes of one kernel. */
export function createProcesses(
  machine: Machine, k: Pick<KernelSymbols, 'mm_alloc' | 'mmput' | 'init_waitqueue_head' | 'wake_up'>, files: OpenFiles, fputs: DelayedFput,
  observer: ProcessObserver, nap: Nap, signals: () => Signals,
): Processes {
  const { sched } = machine;
  const alive = new Set<ProcessImpl>();
  const zombies = new Set<ProcessImpl>();
  let lastPid = 0;

  function current(): Process | null {
    const process = sched.current?.process;
    return process instanceof ProcessImpl ? process : null;
  }

  /** As `do_exit` does: first memory, then descriptors, then what unmapped files put off. */
  async function process_exit(given: Process, status = 0): Promise<void> {
    const proc = processImpl(given);
    if (proc.exited) throw new Error(`process ${proc.pid} exits twice`);
    proc.exited = true;
    signals().forget(proc);
    const unmapped = fputs.collect(() => k.mmput(proc.mm));
    for (const fd of [...proc.files.keys()].sort((a, b) => a - b)) {
      const file = proc.files.get(fd);
      proc.files.delete(fd);
      if (file !== undefined) await files.fput(file);
    }
    for (const file of unmapped) await files.fput(file);
    alive.delete(proc);
    proc.exitStatus = status;
    orphan(proc);
    if (proc.parent === null || proc.parent.actions.get(SIGCHLD) === 'ignore') {
      observer.gone(proc);
      return;
    }
    zombies.add(proc);
    signals().send(proc.parent, SIGCHLD);
    k.wake_up(proc.parent.children);
  }

  /** Children of a process that ends are nobody's to wait for. */
  function orphan(proc: ProcessImpl): void {
    for (const child of alive) if (child.parent === proc) child.parent = null;
    for (const child of zombies) if (child.parent === proc) reap(child);
  }

  function reap(zombie: ProcessImpl): void {
    zombies.delete(zombie);
    observer.gone(zombie);
  }

  async function ksys_wait4(given: Process, pid: number, options: number): Promise<{ pid: number; status: number } | null> {
    const proc = processImpl(given);
    const isMine = (child: ProcessImpl): boolean => child.parent === proc && (pid === -1 || child.pid === pid);
    const ended = (): ProcessImpl | undefined => [...zombies].find(isMine);
    if (![...alive, ...zombies].some(isMine)) throw fail('ECHILD', 'wait.child', `process ${proc.pid} has no child ${pid === -1 ? 'at all' : pid}`);
    if (ended() === undefined && (options & WNOHANG) !== 0) return null;
    await nap(proc.children, () => ended() !== undefined, `end of ${pid === -1 ? 'any child' : `process ${pid}`}`, 'do_wait');
    const child = ended();
    if (child === undefined) return null;
    reap(child);
    return { pid: child.pid, status: child.exitStatus ?? 0 };
  }

  function create(comm: string, cred: Cred, cwd: string, parent: ProcessImpl | null, init: ProcessInit = {}): ProcessImpl {
    const proc = new ProcessImpl(++lastPid, comm, cred, init.mm ?? k.mm_alloc(), cwd, parent, k.init_waitqueue_head('children'), init);
    alive.add(proc);
    observer.born(proc);
    return proc;
  }

  function ksys_fork(given: Process, comm = given.comm): Process {
    const parent = processImpl(given);
    if (parent.exited) throw fail('ESRCH', 'process.exited', `process ${parent.pid} has exited`);
    const { uid, gid, caps } = parent.cred;
    const child = create(comm, { uid, gid, caps: new Set(caps) }, parent.cwd, parent);
    child.umask = parent.umask;
    for (const [signal, action] of parent.actions) if (action === 'ignore') child.actions.set(signal, action);
    for (const [fd, file] of parent.files) {
      files.get_file(file);
      child.files.set(fd, file);
    }
    for (const [limit, value] of parent.rlimits) child.rlimits.set(limit, value);
    return child;
  }

  return {
    all: () => [...alive, ...zombies],
    tasksOf: (proc) => sched.tasks().filter((task) => task.process === proc),
    symbols: {
      current,
      capable: (cap) => current()?.cred.caps.has(cap) ?? true,
      process_create: (comm, options = {}) => {
        const uid = options.uid ?? 0;
        const all = uid === 0 ? Array.from({ length: CAP_LAST_CAP + 1 }, (_, cap) => cap) : [];
        const cred: Cred = { uid, gid: options.gid ?? uid, caps: new Set(options.caps ?? all) };
        return create(comm, cred, options.cwd ?? '/', null, options);
      },
      ksys_fork,
      ksys_wait4,
      process_exit,
      process_run: (given, name, body) => {
        const proc = processImpl(given);
        if (proc.exited) throw fail('ESRCH', 'process.exited', `process ${proc.pid} has exited`);
        const task = sched.spawn(name, body);
        task.process = proc;
        return task;
      },
      processes: () => [...alive],
    },
  };
}
