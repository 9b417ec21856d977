/** The symbols netlink asks of the kernel, as data. */
import type { KernelSymbols } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { FsSymbols } from '@vdpalab/fs';
import type { SchedSymbols } from '@vdpalab/sched';

/** Imported symbols. */
export const imports = [
  '_printk', 'try_module_get', 'module_put',
  'init_waitqueue_head', 'wait_event', 'wake_up', 'mutex_init', 'mutex_lock', 'mutex_unlock',
  'sock_register', 'sock_unregister', 'uevent_listen', 'uevent_unlisten',
] as const satisfies readonly (keyof KernelSymbols | keyof FsSymbols | keyof SchedSymbols | keyof DriverCoreSymbols)[];

/** The kernel as netlink sees it. */
export type Kernel = Pick<KernelSymbols, (typeof imports)[number]> & Partial<Pick<KernelSymbols, 'note_refusal'>>;
