/** The lab's system calls as requests of the mount make them: each in a task of the caller's process. */
import { KernelError, isKernelError } from '@vdpalab/abi';
import type { Atomic, KernelSymbols } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import type { Lab } from '@vdpalab/lab';
import type { HostProcess } from './host-processes.ts';
import type { FuseRequest } from './request.ts';

/** Calls whose refusals the lab keeps, for `vdpalab explain`. */
const NOTED = [
  'dentry_open', 'ksys_open', 'ksys_close', 'ksys_pread', 'ksys_pwrite', 'ksys_lseek', 'ksys_ioctl', 'ksys_fsync', 'ksys_mkdir', 'ksys_mknod', 'ksys_unlink',
  'ksys_rmdir', 'ksys_symlink', 'ksys_rename', 'ksys_chmod', 'ksys_chown', 'ksys_utimes',
] as const;
/** What neither sleeps nor is refused in a way that anybody asks about. */
const PLAIN = [
  'root_dir', 'kernfs_find', 'kernfs_path', 'vfs_getattr', 'vfs_get_link', 'inode_permission', 'iterate_dir', 'get_file', 'fput', 'receive_fd', 'set_notify_signal',
] as const;

/** The kernel's symbols the mount uses. */
export type FsCalls = Pick<KernelSymbols, (typeof NOTED)[number] | (typeof PLAIN)[number]>;

/** Take the symbols out of a lab, once. */
export function fsCalls(lab: Lab): FsCalls {
  // Requests have an offset whichever call they come of.
  const noted = NOTED.map((name) => [name, lab.noting(name.replace(/^ksys_p?|^dentry_/, ''), lab.symbol(name) as (...args: never[]) => unknown)]);
  const plain = PLAIN.map((name) => [name, lab.symbol(name)]);
  return Object.fromEntries([...noted, ...plain]) as FsCalls; // each name with its own symbol
}

/** Runs calls in the lab. */
export class Caller {
  readonly #lab: Lab;
  readonly #k: FsCalls;

  constructor(lab: Lab, k: FsCalls) {
    this.#lab = lab;
    this.#k = k;
  }

  /**
   * Run `body` as a task of the client's process. A signal that its caller gets on the host ends an interruptible sleep.
   *
   * @throws EINTR then; what the body throws
   */
  async run<T>(request: FuseRequest, client: HostProcess, body: (proc: Process) => Promise<T>): Promise<T> {
    return this.#lab.as(client.process, async ({ proc }) => {
      const { sched } = this.#lab.hw;
      const task = sched.current;
      const notify = (): void => {
        sched.post('host signal', (): Atomic => (task === null ? undefined : this.#k.set_notify_signal(task)));
      };
      request.onInterrupt = notify;
      if (request.interrupted) notify();
      try {
        return await body(proc);
      } catch (error) {
        if (!isKernelError(error) || error.errno !== 'ERESTARTSYS') throw error;
        throw new KernelError('EINTR', 'user.signal.caught', `process ${proc.pid} (${proc.comm}) got a signal on the host`, { cause: error });
      } finally {
        request.onInterrupt = null;
      }
    });
  }
}
