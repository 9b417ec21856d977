/** A shell on a kernel of `sched`, `mm` and `fs` alone, for tests of the shell itself. */
import { UserProcess, type Syscalls } from '@vdpalab/lab';
import { bootBuiltins, type BootedKernel } from '@vdpalab/testing';
import type { InTask } from '../interactive.ts';
import { Session, type CommandResult, type SessionOptions } from '../session.ts';
import type { System } from '../system.ts';

/** A session and its kernel. */
export interface TestShell {
  readonly kernel: BootedKernel;
  readonly session: Session;
  /** The shell's process. */
  readonly proc: UserProcess['proc'];
  /** Run something in a task of the shell's process. */
  readonly inTask: InTask;
  /** Run a command line in the session. */
  readonly sh: (text: string) => Promise<CommandResult>;
}

/** Boot and open a session in /tmp/work. @param modules booted besides, in this order */
export async function testShell(options: SessionOptions = {}, modules: readonly string[] = []): Promise<TestShell> {
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', ...modules]);
  const { k, machine } = kernel;
  const processOf = (proc: UserProcess['proc']): UserProcess => new UserProcess(k as unknown as Syscalls, proc);
  const system: System = {
    release: '6.1.0',
    fork: (parent, comm) => processOf(k.ksys_fork(parent.proc, comm)),
    start: (process, name, body) => k.process_run(process.proc, name, body),
    exit: (process, status) => k.process_exit(process.proc, status),
    now: () => machine.sched.now,
    symbol: (name) => k[name],
  };
  const proc = k.process_create('bash');
  const inTask = <T>(body: () => Promise<T>): Promise<T> => kernel.run(async () => {
    const task = k.current_task();
    task.process = proc;
    try {
      return await body();
    } finally {
      task.process = null;
    }
  });
  const session = await inTask(() => Session.open(system, processOf(proc), options));
  const sh = (text: string): Promise<CommandResult> => inTask(() => session.run(text));
  await sh('mkdir -p /tmp/work && cd /tmp/work');
  return { kernel, session, proc, inTask, sh };
}
