/**
 * Eventfds that user space signals and a driver acts upon.
 *
 * Mirrors `struct virqfd` in `include/linux/vfio.h` (Linux 6.1).
 */
import type { Process } from '@vdpalab/fs';

/** Where a driver keeps one: `struct virqfd **`. */
export interface VirqfdSlot {
  virqfd: object | null;
}

/** What is done at a signal. */
export interface VirqfdActions {
  /** In atomic context. @returns whether `thread` is to run; true when absent */
  readonly handler?: () => boolean;
  /** May sleep. */
  readonly thread?: () => Promise<void>;
}

export interface VfioVirqfdSymbols {
  /** Act at each signal of an eventfd; one that was signalled before acts at once. @throws EBADF EINVAL; EBUSY when the slot is taken */
  vfio_virqfd_enable: (slot: VirqfdSlot, proc: Process, fd: number, actions: VirqfdActions) => undefined;
  /** No more; waits for a thread that runs. Nothing when the slot is empty. */
  vfio_virqfd_disable: (slot: VirqfdSlot) => Promise<void>;
  /** Wait for a thread that runs, having run it once more. */
  vfio_virqfd_flush_thread: (slot: VirqfdSlot) => Promise<void>;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VfioVirqfdSymbols {}
}
