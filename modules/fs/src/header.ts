/**
 * Files: the tree, descriptors, processes, sysfs and procfs nodes, character devices, eventfds, sockets.
 *
 * Mirrors `include/linux/{fs,kernfs,cdev,eventfd,poll,sched,cred}.h` (Linux 6.1). User space enters through the
 * `ksys_*` symbols, with a {@link Process}; file systems and drivers hang their nodes into the tree.
 */
import type { Atomic, KModule, Task } from '@vdpalab/abi';
import type { MmStruct, VmArea } from '@vdpalab/mm';
import type { WaitQueue } from '@vdpalab/sched';

/** `struct task_struct`, the part that files and drivers look at. */
export interface Process {
  readonly pid: number;
  comm: string;
  readonly cred: Cred;
  readonly mm: MmStruct;
  readonly files: ReadonlyMap<number, File>;
  /** Set for a process outside: kernel code that is given a descriptor number means these. */
  readonly outside: ForeignFiles | null;
  cwd: string;
  readonly rlimits: Map<number, number>;
  /** Permission bits its new files do not get. */
  umask: number;
  /** What it was started with, for /proc/PID/cmdline. */
  argv: readonly string[];
  /** `null` for one the kernel made, or whose parent has exited. */
  readonly parent: Process | null;
  /** Process group. */
  readonly pgid: number;
  /** Set once it has exited. */
  readonly exited: boolean;
  /** A pending signal that ends it, the lowest; `null` when it may live on. */
  readonly fatalSignal: number | null;
  /** What it does with each signal; absent ones are at their default. */
  readonly actions: ReadonlyMap<number, SignalAction>;
}

/** What a process does with a signal. */
export type SignalAction = 'default' | 'ignore' | 'catch';

/** `struct cred`: who it is and what it may. */
export interface Cred {
  uid: number;
  gid: number;
  /** CAP_* numbers held. */
  readonly caps: Set<number>;
}

/** `struct file`: one open file description. */
export interface File {
  readonly path: string;
  /** O_* of open. */
  flags: number;
  pos: number;
  readonly ops: FileOperations;
  /** The driver's own. */
  private_data: unknown;
  readonly node: Node | null;
  /** Descriptors and kernel users that hold it. */
  readonly count: number;
}

/** `struct file_operations`; all but poll may sleep. Absent ones give Linux's errno (read EINVAL, ioctl ENOTTY, mmap ENODEV, llseek ESPIPE...). */
export interface FileOperations {
  readonly owner?: KModule | null;
  /** Reads go on where the last one ended, whatever position they are given, and only `llseek` changes that. */
  readonly ownPosition?: true;
  readonly open?: (file: File, proc: Process) => Promise<void>;
  /** Last close. */
  readonly release?: (file: File) => Promise<void>;
  /** @returns bytes read, at most `len` */
  readonly read?: (file: File, len: number, pos: number, proc: Process) => Promise<Uint8Array>;
  /** @returns bytes taken */
  readonly write?: (file: File, bytes: Uint8Array, pos: number, proc: Process) => Promise<number>;
  /** @param arg a user address or a plain number, as the command says; user memory through `proc.mm` */
  readonly unlocked_ioctl?: (file: File, cmd: number, arg: number, proc: Process) => Promise<number>;
  /** Fill in the area's backing. */
  readonly mmap?: (file: File, vma: VmArea, proc: Process) => Promise<void>;
  /** @returns POLL* ready now; a waiter then sleeps on `pollQueue` */
  readonly poll?: (file: File) => number;
  /** The queue woken when poll's answer may have changed. */
  readonly pollQueue?: (file: File) => WaitQueue;
  /** Everything written is to be on stable storage. */
  readonly fsync?: (file: File, proc: Process) => Promise<void>;
  readonly llseek?: (file: File, offset: number, whence: number) => Promise<number>;
  readonly sendmsg?: (file: File, bytes: Uint8Array, address: Uint8Array | null, proc: Process) => Promise<number>;
  /** @param flags MSG_* */
  readonly recvmsg?: (file: File, len: number, proc: Process, flags?: number) => Promise<{ bytes: Uint8Array; address: Uint8Array | null }>;
  readonly bind?: (file: File, address: Uint8Array, proc: Process) => Promise<void>;
  /** The socket's own address. */
  readonly getsockname?: (file: File) => Promise<Uint8Array>;
  /** @throws ENOPROTOOPT for an option it does not know */
  readonly setsockopt?: (file: File, level: number, name: number, value: Uint8Array, proc: Process) => Promise<void>;
}

/** Kinds of node in the tree. */
export type NodeKind = 'dir' | 'file' | 'link' | 'chr' | 'blk';

/** A name in the tree: `struct kernfs_node`, or an inode of a memory file system. */
export interface Node {
  readonly name: string;
  readonly kind: NodeKind;
  /** Permission bits. */
  readonly mode: number;
  readonly parent: Node | null;
  readonly ino: number;
  /** Taken out of the tree; open files of it live on. */
  readonly removed: boolean;
}

/** A directory that kernel code made. */
export interface DirNode extends Node {
  readonly kind: 'dir';
}

/** An attribute file: text out, text in. Absent `show`: reading gives EACCES or EIO as sysfs does; absent `store`: opening for writing gives EACCES. */
export interface AttributeOps {
  /** @returns text, newline included */
  readonly show?: () => Promise<string>;
  /** @throws KernelError the errno of the write */
  readonly store?: (text: string) => Promise<void>;
  /** Size `ls -l` shows; 4096 when absent. */
  readonly size?: number;
}

/** A binary attribute: PCI config space, a resource. */
export interface BinAttributeOps {
  readonly read?: (pos: number, len: number) => Promise<Uint8Array>;
  readonly write?: (pos: number, bytes: Uint8Array) => Promise<number>;
  /** Fill in the area's backing; absent: ENODEV. */
  readonly mmap?: (vma: VmArea, proc: Process) => Promise<void>;
  readonly size: number;
}

/** `struct eventfd_ctx` */
export interface EventfdCtx {
  readonly id: number;
  /** Counter now. */
  readonly count: bigint;
  /** Woken at each signal; a watcher runs in atomic context. */
  readonly wq: WaitQueue;
}

/** An eventfd of a process outside, as the host has it. */
export interface ForeignEventfd {
  /** Add to its counter. */
  readonly signal: (n: number) => Atomic;
  /** Take its count without waiting; 0 when it is 0. */
  readonly take: () => bigint;
  /** From now on, take what arrives and tell, in atomic context. @returns what ends that */
  readonly watch: (arrived: (count: bigint) => Atomic) => () => Atomic;
  /** Nobody uses it any more. */
  readonly close: () => Atomic;
}

/** Descriptors of a process outside: its numbers mean files of the host. */
export interface ForeignFiles {
  /** @throws EBADF when the descriptor is not open, EINVAL when it is no eventfd */
  readonly eventfd: (fd: number) => ForeignEventfd;
  /** The lab's file that a descriptor leads to, through a front door. @returns `null` when it leads elsewhere. @throws EBADF */
  readonly file: (fd: number) => File | null;
}

/** How a process is made. */
export interface ProcessInit {
  readonly uid?: number;
  readonly gid?: number;
  /** CAP_* numbers; absent: root has all, others none. */
  readonly caps?: readonly number[];
  readonly cwd?: string;
  /** Its address space, of which it takes over the caller's use; a new one when absent. */
  readonly mm?: MmStruct;
  /** Its limits, RLIMIT_*, in bytes or units; those of a new process when absent. */
  readonly rlimits?: Map<number, number>;
  /** For a process outside: what its own descriptor numbers mean where an ioctl names one. */
  readonly outside?: ForeignFiles;
}

/** What `stat` tells. */
export interface Stat {
  readonly ino: number;
  readonly kind: NodeKind | 'fifo' | 'sock';
  /** Permission bits. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly rdev: { readonly major: number; readonly minor: number } | null;
  /** Seconds since the epoch of the lab's clock. */
  readonly mtime: number;
}

/** One kind of socket a module serves. */
export interface SocketFamily {
  readonly family: number;
  readonly owner: KModule | null;
  readonly create: (type: number, protocol: number, proc: Process) => Promise<{ ops: FileOperations; private_data: unknown }>;
}

export interface FsSymbols {
  // ---- the tree, for the kernel ----
  /** `/sys`, `/proc`, `/dev` and `/` */
  sysfs_root: DirNode;
  proc_root: DirNode;
  dev_root: DirNode;
  root_dir: DirNode;
  /** @throws EEXIST when the name is taken */
  kernfs_create_dir: (parent: DirNode, name: string, mode?: number) => DirNode;
  kernfs_create_file: (parent: DirNode, name: string, mode: number, ops: AttributeOps) => Node;
  kernfs_create_bin_file: (parent: DirNode, name: string, mode: number, ops: BinAttributeOps) => Node;
  /** A symbolic link to a node, shown as a relative path. */
  kernfs_create_link: (parent: DirNode, name: string, target: Node) => Node;
  /** Remove a node with everything below it, and links that point into it stay dangling as in Linux. */
  kernfs_remove: (node: Node) => Atomic;
  /**
   * Wait until no other task is inside show or store of an attribute at or below the removed node, as Linux's
   * kernfs_remove itself does; the caller's own use does not count, as with sysfs_break_active_protection.
   */
  kernfs_drain: (node: Node) => Promise<void>;
  /** @returns whether there was one */
  kernfs_remove_by_name: (parent: DirNode, name: string) => boolean;
  kernfs_rename: (node: Node, name: string) => Atomic;
  kernfs_find: (parent: DirNode, name: string) => Node | null;
  /** Absolute path. */
  kernfs_path: (node: Node) => string;
  /** Wake pollers of an attribute. */
  sysfs_notify: (node: Node) => Atomic;
  /** A regular file in memory with contents, directories made on the way; for /lib/modules, /etc. */
  ramfs_write: (path: string, contents: Uint8Array | string, mode?: number) => Node;
  /** A file whose text is made at each open, as in /proc. */
  proc_create: (path: string, mode: number, show: (proc: Process) => string, store?: (text: string, proc: Process) => Promise<void>) => Node;

  /** Whether /proc/sys/kernel/modules_disabled was set: from then on nobody loads or unloads. */
  modules_disabled: () => boolean;
  /** /proc/sys/kernel/modprobe: the program that `request_module` runs; empty for none. */
  modprobe_path: () => string;

  // ---- character devices ----
  /** @returns the major number. @throws EBUSY @param baseMajor 0 for a free one (from 246 downwards) */
  alloc_chrdev_region: (name: string, baseMajor: number, count: number) => number;
  unregister_chrdev_region: (major: number) => Atomic;
  /** Make `(major, minor)` answer opens; opens take a reference of `owner`. */
  cdev_add: (major: number, minor: number, ops: FileOperations, owner: KModule | null, private_data: unknown) => Atomic;
  /** No further opens; open files live on. */
  cdev_del: (major: number, minor: number) => Atomic;
  /** @param kind `chr` when absent */
  devtmpfs_create_node: (path: string, major: number, minor: number, mode: number, kind?: 'chr' | 'blk') => Node;
  devtmpfs_delete_node: (path: string) => Atomic;

  // ---- block devices ----
  /** A major number of block devices. @returns it. @throws EBUSY EINVAL @param major 0 for a free one (from 254 downwards) */
  register_blkdev: (major: number, name: string) => number;
  unregister_blkdev: (major: number) => Atomic;
  /** Make a block device answer opens, which take a reference of `owner`. */
  bdev_add: (major: number, minor: number, ops: FileOperations, owner: KModule | null, private_data: unknown) => Atomic;
  /** No further opens; open files live on. */
  bdev_del: (major: number, minor: number) => Atomic;

  // ---- files and eventfds, for drivers ----
  /** The file of a descriptor, with a reference. @throws EBADF */
  fget: (proc: Process, fd: number) => File;
  /** Drop a reference; the last one runs release. */
  fput: (file: File) => Promise<void>;
  /** Take a further reference of a file that is held. */
  get_file: (file: File) => Atomic;
  /** Open a file object that is in no directory, as eventfd does. @returns the descriptor */
  anon_inode_getfd: (proc: Process, name: string, ops: FileOperations, private_data: unknown, flags: number) => number;
  /** The eventfd of a descriptor, with a reference. @throws EBADF for a closed one; EINVAL for another file */
  eventfd_ctx_fdget: (proc: Process, fd: number) => EventfdCtx;
  eventfd_ctx_put: (ctx: EventfdCtx) => Atomic;
  eventfd_signal: (ctx: EventfdCtx, n: number) => Atomic;
  /** Take the count without sleeping; 0 when it is 0. */
  eventfd_ctx_do_read: (ctx: EventfdCtx) => bigint;

  // ---- by node instead of by path, for file servers, as nfsd calls them ----
  /** What `stat` tells of a node, and of a removed one told last. Does not sleep. */
  vfs_getattr: (node: Node, proc: Process) => Stat;
  /** Text of a symbolic link. Does not sleep. @throws EINVAL for another node */
  vfs_get_link: (node: Node, proc: Process) => string;
  /** Whether a process may access a node. Does not sleep. @param mask of R_OK, W_OK, X_OK. @throws EACCES */
  inode_permission: (node: Node, proc: Process, mask: number) => Atomic;
  /** What is in a directory, in Linux's order for its file system. Does not sleep. */
  iterate_dir: (dir: DirNode) => readonly { readonly name: string; readonly node: Node }[];
  /** Open a node. @returns a descriptor. @throws ENOENT for a removed one, EACCES EISDIR ENOTDIR ELOOP ENXIO as open(2) does */
  dentry_open: (proc: Process, node: Node, flags: number) => Promise<number>;
  /** Give a process a descriptor of an open file, with a reference of its own: SCM_RIGHTS. @throws EMFILE ESRCH */
  receive_fd: (proc: Process, file: File) => number;

  // ---- processes ----
  /** The process the running task belongs to; `null` for a kernel thread. */
  current: () => Process | null;
  /** Whether the running task may: kernel threads may all. */
  capable: (cap: number) => boolean;
  /** A new process: own address space, standard streams closed. */
  process_create: (comm: string, options?: ProcessInit) => Process;
  /** A child that execs at once: the parent's open files, credentials, limits and directory, and an address space of its own. */
  ksys_fork: (proc: Process, comm?: string) => Process;
  /**
   * Close its files, drop its memory. One with a parent is then a zombie until {@link FsSymbols.ksys_wait4 it is waited for}.
   *
   * @param status as wait4 reports it: exit status << 8, or the signal that ended it
   */
  process_exit: (proc: Process, status?: number) => Promise<void>;
  /** Run `body` as a task of the process. */
  process_run: (proc: Process, name: string, body: () => Promise<void>) => Task;
  processes: () => readonly Process[];
  /**
   * Sleep on a queue until `condition` holds, in state S of /proc/PID/stat.
   *
   * @param wchan the function that sleeps, for /proc/PID/wchan
   * @throws ERESTARTSYS when a signal came first
   */
  wait_event_interruptible: (wq: WaitQueue, condition: () => boolean, what: string, wchan: string, ns?: number) => Promise<void>;

  // ---- what user space calls ----
  /** @returns a descriptor, the lowest free one. @throws ENOENT EACCES EISDIR ENOTDIR EEXIST ENXIO EMFILE ... */
  ksys_open: (proc: Process, path: string, flags: number, mode?: number) => Promise<number>;
  ksys_close: (proc: Process, fd: number) => Promise<void>;
  ksys_read: (proc: Process, fd: number, len: number) => Promise<Uint8Array>;
  ksys_write: (proc: Process, fd: number, bytes: Uint8Array) => Promise<number>;
  ksys_pread: (proc: Process, fd: number, len: number, pos: number) => Promise<Uint8Array>;
  ksys_pwrite: (proc: Process, fd: number, bytes: Uint8Array, pos: number) => Promise<number>;
  ksys_lseek: (proc: Process, fd: number, offset: number, whence: number) => Promise<number>;
  ksys_ioctl: (proc: Process, fd: number, cmd: number, arg: number) => Promise<number>;
  /** @throws EINVAL for what has no storage, EIO */
  ksys_fsync: (proc: Process, fd: number) => Promise<void>;
  /** @returns the address. @param fd -1 for anonymous memory */
  ksys_mmap: (proc: Process, addr: number, len: number, prot: number, flags: number, fd: number, offset: number) => Promise<number>;
  ksys_munmap: (proc: Process, addr: number, len: number) => Promise<void>;
  /** @param timeoutNs negative: for ever. @returns revents per entry */
  ksys_poll: (proc: Process, fds: readonly { fd: number; events: number }[], timeoutNs: number) => Promise<number[]>;
  ksys_eventfd: (proc: Process, initval: number, flags: number) => number;
  /** @returns [read end, write end] */
  ksys_pipe: (proc: Process) => [number, number];
  ksys_dup: (proc: Process, fd: number, newFd?: number) => Promise<number>;
  ksys_stat: (proc: Process, path: string, followLink: boolean) => Promise<Stat>;
  ksys_readlink: (proc: Process, path: string) => Promise<string>;
  /** Names in Linux's order for the directory's file system, `.` and `..` excluded. */
  ksys_readdir: (proc: Process, path: string) => Promise<{ name: string; kind: NodeKind }[]>;
  /** A node for a character device, whether anybody answers there or not. @throws EPERM without CAP_MKNOD; EEXIST ENOENT EACCES */
  ksys_mknod: (proc: Process, path: string, mode: number, rdev: { readonly major: number; readonly minor: number }) => Promise<void>;
  ksys_mkdir: (proc: Process, path: string, mode: number) => Promise<void>;
  ksys_unlink: (proc: Process, path: string) => Promise<void>;
  ksys_rmdir: (proc: Process, path: string) => Promise<void>;
  ksys_symlink: (proc: Process, target: string, path: string) => Promise<void>;
  ksys_rename: (proc: Process, from: string, to: string) => Promise<void>;
  /** @param mode permission bits. @throws ENOENT; EPERM for a stranger, and in /proc */
  ksys_chmod: (proc: Process, path: string, mode: number) => Promise<void>;
  /** @param uid, gid -1 leaves it. @throws ENOENT EPERM */
  ksys_chown: (proc: Process, path: string, uid: number, gid: number, followLink: boolean) => Promise<void>;
  /** @param mtime seconds since the epoch; `null` for now. @throws ENOENT EPERM */
  ksys_utimes: (proc: Process, path: string, mtime: number | null, followLink: boolean) => Promise<void>;
  ksys_access: (proc: Process, path: string, mode: number) => Promise<void>;
  ksys_socket: (proc: Process, family: number, type: number, protocol: number) => Promise<number>;
  ksys_bind: (proc: Process, fd: number, address: Uint8Array) => Promise<void>;
  ksys_sendmsg: (proc: Process, fd: number, bytes: Uint8Array, address: Uint8Array | null) => Promise<number>;
  /** @param flags MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, where the socket knows them */
  ksys_recvmsg: (proc: Process, fd: number, len: number, flags?: number) => Promise<{ bytes: Uint8Array; address: Uint8Array | null }>;
  ksys_getsockname: (proc: Process, fd: number) => Promise<Uint8Array>;
  ksys_setsockopt: (proc: Process, fd: number, level: number, name: number, value: Uint8Array) => Promise<void>;
  /** Send a signal; 0 only asks. @param pid 0 for the own group, -1 for all, below -1 for a group. @throws ESRCH EPERM EINVAL */
  ksys_kill: (proc: Process, pid: number, signal: number) => Atomic;
  /** Say what to do with a signal. @throws EINVAL for SIGKILL and SIGSTOP */
  ksys_sigaction: (proc: Process, signal: number, action: SignalAction) => Atomic;
  /** Take the lowest pending signal that is caught: whoever catches one runs its handler then. */
  ksys_sigtake: (proc: Process) => number | null;
  /** @param pid 0 for itself. @param pgid 0 for a group of its own. @throws ESRCH for what is no child */
  ksys_setpgid: (proc: Process, pid: number, pgid: number) => Atomic;
  /** Send SIGALRM after `ns` of virtual time; 0 disarms. */
  ksys_alarm: (proc: Process, ns: number) => Atomic;
  /**
   * Wait for a child's end and forget it.
   *
   * @param pid -1 for any child
   * @param options WNOHANG: do not wait
   * @returns `null` when none has ended yet
   * @throws ECHILD when there is no such child; ERESTARTSYS when a signal came first
   */
  ksys_wait4: (proc: Process, pid: number, options: number) => Promise<{ readonly pid: number; readonly status: number } | null>;
  /**
   * End the task's interruptible sleep with ERESTARTSYS, no signal being sent; kept for its next one when it is in none.
   *
   * @see `set_notify_signal` in include/linux/sched/signal.h
   */
  set_notify_signal: (task: Task) => Atomic;
  /** Forget what set_notify_signal has set for the running task. @returns whether it was set */
  clear_notify_signal: () => boolean;
  sock_register: (family: SocketFamily) => Atomic;
  sock_unregister: (family: number) => Atomic;

  /** Open files, eventfds, processes, nodes of drivers that remain, for leak reports. */
  fs_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends FsSymbols {}
}
