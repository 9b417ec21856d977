/** What the shell needs of the lab it runs in, besides the system calls of its own process. */
import { isKernelError, type KernelSymbols, type Task } from '@vdpalab/abi';
import type { KmodSystem } from '@vdpalab/kmod';
import type { Lab, UserProcess } from '@vdpalab/lab';
import { ERRNO, strerror } from '@vdpalab/uapi';

/** The lab under a shell. Everything here is called inside a task. */
export interface System {
  /** `uname -r` */
  readonly release: string;
  /** A child with the parent's descriptors and credentials; {@link exit} ends it. */
  readonly fork: (parent: UserProcess, comm: string) => UserProcess;
  /** Start a task of a process. */
  readonly start: (process: UserProcess, name: string, body: () => Promise<void>) => Task;
  /** @param status as wait4 reports it: exit status << 8, or the signal that ended it */
  readonly exit: (process: UserProcess, status: number) => Promise<void>;
  /** Virtual nanoseconds since boot. */
  readonly now: () => number;
  /** A symbol of the kernel. @throws Error when nothing exports it */
  readonly symbol: <S extends keyof KernelSymbols & string>(name: S) => KernelSymbols[S];
  /** The module loader's side of kmod; absent where there is no loader. */
  readonly modules?: Pick<KmodSystem, 'loaded'> & {
    readonly insert: (p: UserProcess, ...load: Parameters<KmodSystem['insert']>) => ReturnType<KmodSystem['insert']>;
    readonly remove: (p: UserProcess, ...unload: Parameters<KmodSystem['remove']>) => ReturnType<KmodSystem['remove']>;
  };
  /** The lab, where there is one; tests of the shell alone have none. */
  readonly lab?: Lab;
}

/** The system of a booted lab. */
export function labSystem(lab: Lab, processOf: (proc: UserProcess['proc']) => UserProcess): System {
  const { sched } = lab.hw.machine;
  return {
    release: lab.config.release,
    fork: (parent, comm) => processOf(lab.symbol('ksys_fork')(parent.proc, comm)),
    start: (process, name, body) => lab.symbol('process_run')(process.proc, name, body),
    exit: (process, status) => lab.symbol('process_exit')(process.proc, status),
    now: () => sched.now,
    symbol: (name) => lab.symbol(name),
    modules: {
      loaded: () => lab.loader.modules(),
      insert: (p, path, args, flags) => errnoOf(() => p.init_module(path, args, flags)),
      remove: (p, name, flags) => errnoOf(() => p.delete_module(name, flags)),
    },
    lab,
  };
}

/** The errno a call is refused with, or 0. */
async function errnoOf(call: () => Promise<void>): ReturnType<KmodSystem['insert']> {
  try {
    await call();
    return 0;
  } catch (error) {
    if (!isKernelError(error)) throw error;
    told.add(error);
    return error.errno;
  }
}

/** Refusals that a program told its user of, and did not only try. */
const told = new WeakSet<object>();

/** Whether a program told its user of this refusal. */
export function wasTold(error: object): boolean {
  return told.has(error);
}

/** `strerror(errno)` of a refusal; anything else is thrown on. */
export function errorText(error: unknown): string {
  if (!isKernelError(error)) throw error;
  told.add(error);
  return errnoText(error.errno);
}

/** `strerror(3)` by name; the kernel's own errnos have no text. */
export function errnoText(errno: string): string {
  const number: number | undefined = (ERRNO as Readonly<Record<string, number>>)[errno];
  return number === undefined ? `Unknown error ${kernelOnly[errno] ?? errno}` : strerror(number);
}

const kernelOnly: Readonly<Record<string, number>> = { ERESTARTSYS: 512, ENOIOCTLCMD: 515, EPROBE_DEFER: 517, ENOTSUPP: 524 };

/** Whether a call was refused with this errno. */
export function refusedWith(error: unknown, ...errnos: string[]): boolean {
  return isKernelError(error) && errnos.includes(error.errno);
}
