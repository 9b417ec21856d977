/** Files, processes and what user space calls. Mirrors `fs/`, `drivers/base/devtmpfs.c`, `net/socket.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import { createActiveNodes } from './active.ts';
import { createAnonInodes } from './anon-inode.ts';
import { createAttributes } from './attribute.ts';
import { createBlkdevs } from './blkdev.ts';
import { BLOCK_MAJORS } from './builtin-majors.ts';
import { createChrdevs } from './chrdev.ts';
import { createDevtmpfs } from './devtmpfs.ts';
import { createEventfds } from './eventfd.ts';
import { fail } from './fail.ts';
import { createIo } from './io.ts';
import { createKernfs, createNodeMaker, createRoots } from './kernfs.ts';
import { createKmsg } from './kmsg.ts';
import { createMemDevices } from './mem-devices.ts';
import { createDelayedFput, createMmap } from './mmap.ts';
import { createNames } from './names.ts';
import { createNaps } from './nap.ts';
import { createOpenFiles } from './open-file.ts';
import { createOpen } from './open.ts';
import { createWalker } from './path.ts';
import { createPipes } from './pipe.ts';
import { createPoll } from './poll.ts';
import { procContent } from './proc-file.ts';
import { createProcFiles } from './proc-files.ts';
import { createProcessDirs } from './proc-process.ts';
import { createProcesses, processImpl } from './process.ts';
import type { Processes } from './process.ts';
import { createSignals } from './signal.ts';
import type { Signals } from './signal.ts';
import { createSockets } from './socket.ts';

/** When the lab's machine was switched on: 2025-11-20 14:30 UTC, in seconds. */
const BOOT_TIME = 1_763_649_000;

export default defineModule({
  name: 'fs',
  license: 'GPL',
  description: 'Files, descriptors, processes, sysfs, procfs, character devices, eventfds, sockets',
  builtin: true,
  imports: [
    'machine', '_printk', 'modules', 'tainted', 'add_taint', 'try_module_get', 'module_put',
    'init_waitqueue_head', 'wait_event', 'wait_event_timeout', 'wake_up', 'current_task', 'INIT_WORK', 'queue_work', 'system_wq',
    'mm_alloc', 'mmput', 'mm_map', 'mm_unmap', 'nr_free_pages', 'mod_timer',
  ],
  exports: [
    'alloc_chrdev_region', 'unregister_chrdev_region', 'cdev_add', 'cdev_del', 'register_blkdev', 'unregister_blkdev', 'fget', 'fput', 'get_file', 'current',
    'capable', 'sock_register', 'sock_unregister', 'proc_create', 'vfs_get_link', 'inode_permission', 'iterate_dir', 'dentry_open',
  ],
  exportsGpl: [
    'sysfs_root', 'proc_root', 'dev_root', 'root_dir', 'kernfs_create_dir', 'kernfs_create_file', 'kernfs_create_bin_file',
    'kernfs_create_link', 'kernfs_remove', 'kernfs_drain', 'kernfs_remove_by_name', 'kernfs_rename', 'kernfs_find', 'kernfs_path',
    'bdev_add', 'bdev_del', 'sysfs_notify', 'ramfs_write', 'modules_disabled', 'modprobe_path', 'devtmpfs_create_node', 'devtmpfs_delete_node',
    'anon_inode_getfd', 'eventfd_ctx_fdget', 'eventfd_ctx_put', 'eventfd_signal', 'eventfd_ctx_do_read',
    'process_create', 'ksys_fork', 'process_exit', 'process_run', 'processes', 'wait_event_interruptible',
    'ksys_kill', 'ksys_sigaction', 'ksys_sigtake', 'ksys_setpgid', 'ksys_alarm', 'ksys_wait4',
    'ksys_open', 'ksys_close', 'ksys_read', 'ksys_write', 'ksys_pread', 'ksys_pwrite', 'ksys_lseek', 'ksys_ioctl', 'ksys_fsync',
    'ksys_mmap', 'ksys_munmap', 'ksys_poll', 'ksys_eventfd', 'ksys_pipe', 'ksys_dup', 'ksys_stat', 'ksys_readlink',
    'ksys_readdir', 'ksys_mkdir', 'ksys_mknod', 'ksys_unlink', 'ksys_rmdir', 'ksys_symlink', 'ksys_rename', 'ksys_access',
    'ksys_chmod', 'ksys_chown', 'ksys_utimes',
    'ksys_socket', 'ksys_bind', 'ksys_sendmsg', 'ksys_recvmsg',
    'ksys_getsockname', 'ksys_setsockopt', 'vfs_getattr', 'receive_fd', 'set_notify_signal', 'clear_notify_signal', 'fs_leftovers',
  ],

  module_init(k) {
    const { machine } = k;
    const seconds = (): number => BOOT_TIME + Math.floor(machine.sched.now / 1e9);
    const make = createNodeMaker(seconds);
    const roots = createRoots(make);
    const active = createActiveNodes(k);
    const { makeDirs, ...kernfs } = createKernfs(roots, make, createAttributes(k, active), active, procContent);
    const walker = createWalker(roots.root);
    const files = createOpenFiles(k);
    const fputs = createDelayedFput(k, files);
    const { nap, isNapping, symbols: notices } = createNaps(k, () => {
      const proc = processes.symbols.current();
      return proc !== null && processImpl(proc).pending.size > 0;
    }, (task) => machine.sched.wake(task));
    const chrdevs = createChrdevs();
    const blkdevs = createBlkdevs(BLOCK_MAJORS);
    const devtmpfs = createDevtmpfs(roots.dev, make, makeDirs);
    const eventfds = createEventfds(k, nap, files);
    const sockets = createSockets(files);
    const dirs = createProcessDirs(roots.proc, make, { tasksOf: (proc) => processes.tasksOf(proc), isNapping });
    const processes: Processes = createProcesses(machine, k, files, fputs, dirs, nap, () => signals);
    const signals: Signals = createSignals(k, {
      all: processes.all,
      rouse: (proc) => {
        for (const task of processes.tasksOf(proc)) if (isNapping(task)) machine.sched.wake(task);
      },
    });

    createMemDevices(machine, createKmsg(machine, k, nap), { ...chrdevs.symbols, ...devtmpfs.symbols });
    const proc = createProcFiles(roots.proc, make, kernfs.proc_create, { machine, k, chrdevs: chrdevs.regions, blkdevs: blkdevs.regions });
    chrdevs.settle();
    devtmpfs.settle();

    return {
      ksymtab: {
        ...kernfs, ...proc, ...chrdevs.symbols, ...blkdevs.symbols, ...devtmpfs.symbols, ...eventfds.symbols, ...sockets.symbols, ...processes.symbols, ...signals.symbols, ...notices,
        ...createOpen(walker, make, files, chrdevs, blkdevs), ...createIo(files), ...createNames(walker, make, roots, seconds),
        ...createMmap(k, files, fputs), ...createPoll(k, nap, files), ...createPipes(k, nap, files), ...createAnonInodes(files),
        wait_event_interruptible: nap,
        fget: (proc, fd) => {
          if (proc.outside === null) return files.fget(proc, fd);
          const file = proc.outside.file(fd);
          if (file === null) throw fail('EINVAL', 'file.outside', `process ${proc.pid}: descriptor ${fd} leads to no file of the lab`);
          files.get_file(file);
          return file;
        },
        fput: files.fput,
        get_file: files.get_file,
        receive_fd: files.receive_fd,
        fs_leftovers: () => [
          ...files.all().map((file) => `open file ${file.path}: ${file.count} references, opened by ${file.opener}`),
          ...eventfds.leftovers(),
          ...processes.symbols.processes().map((proc) => `process ${proc.pid} (${proc.comm})`),
          ...chrdevs.leftovers(),
          ...blkdevs.leftovers(),
          ...devtmpfs.leftovers(),
          ...sockets.leftovers(),
        ],
      },
      module_exit: null,
    };
  },
});
