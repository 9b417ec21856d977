/** The symbols the driver core asks of the kernel, as data. */
import type { KernelSymbols } from '@vdpalab/abi';
import type { FsSymbols } from '@vdpalab/fs';
import type { SchedSymbols } from '@vdpalab/sched';

/** Imported symbols. */
export const imports = [
  'machine', '_printk',
  'modules', 'find_module', 'register_module_notifier', 'unregister_module_notifier',
  'init_waitqueue_head', 'wait_event', 'wake_up', 'mutex_init', 'mutex_lock', 'mutex_unlock', 'current_task',
  'system_wq', 'INIT_WORK', 'queue_work', 'cancel_work_sync',
  'sysfs_root', 'kernfs_create_dir', 'kernfs_create_file', 'kernfs_create_bin_file', 'kernfs_create_link', 'kernfs_remove',
  'kernfs_remove_by_name', 'kernfs_rename', 'kernfs_find', 'kernfs_path',
  'capable', 'cdev_add', 'cdev_del', 'devtmpfs_create_node', 'devtmpfs_delete_node',
] as const satisfies readonly (keyof KernelSymbols | keyof FsSymbols | keyof SchedSymbols)[];

/** The kernel as the driver core sees it. */
export type Kernel = Pick<KernelSymbols, (typeof imports)[number]> & Partial<Pick<KernelSymbols, 'note_refusal'>>;

/** Levels of the kernel log, as `KERN_*`. */
export const KERN = { crit: 2, err: 3, warning: 4, notice: 5, info: 6 } as const;
