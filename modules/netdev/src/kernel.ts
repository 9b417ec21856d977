/** The symbols netdev asks of the kernel, as data. */
import type { KernelSymbols } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { FsSymbols } from '@vdpalab/fs';
import type { MmSymbols } from '@vdpalab/mm';
import type { NetlinkSymbols } from '@vdpalab/netlink';
import type { SchedSymbols } from '@vdpalab/sched';

type Names = keyof KernelSymbols | keyof DriverCoreSymbols | keyof FsSymbols | keyof MmSymbols | keyof NetlinkSymbols | keyof SchedSymbols;

/** Imported symbols. */
export const imports = [
  'machine', '_printk',
  'mutex_init', 'mutex_lock', 'mutex_unlock', 'init_waitqueue_head', 'wait_event', 'wake_up', 'cpu_relax',
  'system_wq', 'INIT_WORK', 'queue_work',
  'alloc_pages', 'free_pages', 'phys_view',
  'capable', 'kernfs_create_dir', 'kernfs_path', 'kernfs_create_file', 'kernfs_remove', 'sock_register',
  'device_initialize', 'device_add', 'device_del', 'device_rename', 'put_device', 'class_register', 'kobject_uevent_at',
  'netlink_kernel_create', 'netlink_broadcast', 'nlmsg_builder', 'genl_register_family', 'nla_parse',
] as const satisfies readonly Names[];

/** The kernel as netdev sees it. */
export type Kernel = Pick<KernelSymbols, (typeof imports)[number]>;
