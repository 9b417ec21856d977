/** Processes and what they may. Mirrors `kernel/{fork,exit,cred,capability}.c` (Linux 6.1), as far as files see them. */
import type { KernelSymbols, Machine, Task } from '@vdpalab/abi';
import type { MmStruct } from '@vdpalab/mm';
import { CAP_LAST_CAP, RLIMIT_MEMLOCK, RLIMIT_NOFILE } from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { Cred, File, FsSymbols, Process } from './header.ts';
import type { DelayedFput } from './mmap.ts';
import type { OpenFiles } from './open-file.ts';

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
  readonly files = new Map<number, File>();
  /** Descriptors promised to opens under way. */
  readonly reserved = new Set<number>();
  cwd: string;
  readonly rlimits = new Map<number, number>([[RLIMIT_NOFILE, NOFILE_DEFAULT], [RLIMIT_MEMLOCK, MEMLOCK_DEFAULT]]);
  exited = false;

  constructor(pid: number, comm: string, cred: Cred, mm: MmStruct, cwd: string) {
    this.pid = pid;
    this.comm = comm;
    this.cred = cred;
    this.mm = mm;
    this.cwd = cwd;
  }
}

/** The process of this kernel behind a {@link Process}. */
export function processImpl(proc: Process): ProcessImpl {
  if (proc instanceof ProcessImpl) return proc;
  throw new Error(`process ${proc.pid} is not of this kernel`);
}

/** Processes of one kernel. */
export interface Processes {
  readonly symbols: Pick<FsSymbols, 'current' | 'capable' | 'process_create' | 'process_exit' | 'process_run' | 'processes' | 'ksys_fork'>;
  /** Tasks that run for a process now. */
  readonly tasksOf: (proc: Process) => readonly Task[];
}

/** What is told of processes that come and go. */
export interface ProcessObserver {
  readonly born: (proc: ProcessImpl) => void;
  readonly gone: (proc: ProcessImpl) => void;
}

/** Make the processes of one kernel. */
export function createProcesses(
  machine: Machine, k: Pick<KernelSymbols, 'mm_alloc' | 'mmput'>, files: OpenFiles, fputs: DelayedFput, observer: ProcessObserver,
): Processes {
  const { sched } = machine;
  const alive = new Set<ProcessImpl>();
  let lastPid = 0;

  function current(): Process | null {
    const process = sched.current?.process;
    return process instanceof ProcessImpl ? process : null;
  }

  /** As `do_exit` does: first memory, then descriptors, then what unmapped files put off. */
  async function process_exit(given: Process): Promise<void> {
    const proc = processImpl(given);
    if (proc.exited) throw new Error(`process ${proc.pid} exits twice`);
    proc.exited = true;
    const unmapped = fputs.collect(() => k.mmput(proc.mm));
    for (const fd of [...proc.files.keys()].sort((a, b) => a - b)) {
      const file = proc.files.get(fd);
      proc.files.delete(fd);
      if (file !== undefined) await files.fput(file);
    }
    for (const file of unmapped) await files.fput(file);
    alive.delete(proc);
    observer.gone(proc);
  }

  function create(comm: string, cred: Cred, cwd: string): ProcessImpl {
    const proc = new ProcessImpl(++lastPid, comm, cred, k.mm_alloc(), cwd);
    alive.add(proc);
    observer.born(proc);
    return proc;
  }

  function ksys_fork(given: Process, comm = given.comm): Process {
    const parent = processImpl(given);
    if (parent.exited) throw fail('ESRCH', 'process.exited', `process ${parent.pid} has exited`);
    const { uid, gid, caps } = parent.cred;
    const child = create(comm, { uid, gid, caps: new Set(caps) }, parent.cwd);
    for (const [fd, file] of parent.files) {
      files.get_file(file);
      child.files.set(fd, file);
    }
    for (const [limit, value] of parent.rlimits) child.rlimits.set(limit, value);
    return child;
  }

  return {
    tasksOf: (proc) => sched.tasks().filter((task) => task.process === proc),
    symbols: {
      current,
      capable: (cap) => current()?.cred.caps.has(cap) ?? true,
      process_create: (comm, options = {}) => {
        const uid = options.uid ?? 0;
        const all = uid === 0 ? Array.from({ length: CAP_LAST_CAP + 1 }, (_, cap) => cap) : [];
        const cred: Cred = { uid, gid: options.gid ?? uid, caps: new Set(options.caps ?? all) };
        return create(comm, cred, options.cwd ?? '/');
      },
      ksys_fork,
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
