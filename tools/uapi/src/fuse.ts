/** `linux/fuse.h` (Linux 6.1): what a file system in user space says on /dev/fuse. */
import { array, defineStruct, s32, u16, u32, u64 } from './struct.ts';

// Version of the protocol.
export const FUSE_KERNEL_VERSION = 7;
export const FUSE_KERNEL_MINOR_VERSION = 38;

// Node id of the root.
export const FUSE_ROOT_ID = 1;

// fuse_setattr_in.valid
export const FATTR_MODE = 1 << 0;
export const FATTR_UID = 1 << 1;
export const FATTR_GID = 1 << 2;
export const FATTR_SIZE = 1 << 3;
export const FATTR_ATIME = 1 << 4;
export const FATTR_MTIME = 1 << 5;
export const FATTR_FH = 1 << 6;
export const FATTR_ATIME_NOW = 1 << 7;
export const FATTR_MTIME_NOW = 1 << 8;
export const FATTR_LOCKOWNER = 1 << 9;
export const FATTR_CTIME = 1 << 10;
export const FATTR_KILL_SUIDGID = 1 << 11;

// fuse_open_out.open_flags
export const FOPEN_DIRECT_IO = 1 << 0;
export const FOPEN_KEEP_CACHE = 1 << 1;
export const FOPEN_NONSEEKABLE = 1 << 2;
export const FOPEN_CACHE_DIR = 1 << 3;
export const FOPEN_STREAM = 1 << 4;
export const FOPEN_NOFLUSH = 1 << 5;
export const FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6;

// Flags of FUSE_INIT.
export const FUSE_ASYNC_READ = 1 << 0;
export const FUSE_ATOMIC_O_TRUNC = 1 << 3;
export const FUSE_BIG_WRITES = 1 << 5;
export const FUSE_DONT_MASK = 1 << 6;
export const FUSE_HAS_IOCTL_DIR = 1 << 11;
export const FUSE_AUTO_INVAL_DATA = 1 << 12;
export const FUSE_DO_READDIRPLUS = 1 << 13;
export const FUSE_READDIRPLUS_AUTO = 1 << 14;
export const FUSE_ASYNC_DIO = 1 << 15;
export const FUSE_NO_OPEN_SUPPORT = 1 << 17;
export const FUSE_PARALLEL_DIROPS = 1 << 18;
export const FUSE_HANDLE_KILLPRIV = 1 << 19;
export const FUSE_ABORT_ERROR = 1 << 21;
export const FUSE_MAX_PAGES = 1 << 22;
export const FUSE_NO_OPENDIR_SUPPORT = 1 << 24;
export const FUSE_EXPLICIT_INVAL_DATA = 1 << 25;
export const FUSE_INIT_EXT = 1 << 30;

// fuse_release_in.release_flags
export const FUSE_RELEASE_FLUSH = 1 << 0;
export const FUSE_RELEASE_FLOCK_UNLOCK = 1 << 1;

// fuse_getattr_in.getattr_flags
export const FUSE_GETATTR_FH = 1 << 0;

// fuse_ioctl_in.flags
export const FUSE_IOCTL_COMPAT = 1 << 0;
export const FUSE_IOCTL_UNRESTRICTED = 1 << 1;
export const FUSE_IOCTL_RETRY = 1 << 2;
export const FUSE_IOCTL_32BIT = 1 << 3;
export const FUSE_IOCTL_DIR = 1 << 4;

// fuse_poll_in.flags
export const FUSE_POLL_SCHEDULE_NOTIFY = 1 << 0;

// fuse_fsync_in.fsync_flags
export const FUSE_FSYNC_FDATASYNC = 1 << 0;

// enum fuse_opcode
export const FUSE_LOOKUP = 1;
export const FUSE_FORGET = 2;
export const FUSE_GETATTR = 3;
export const FUSE_SETATTR = 4;
export const FUSE_READLINK = 5;
export const FUSE_SYMLINK = 6;
export const FUSE_MKNOD = 8;
export const FUSE_MKDIR = 9;
export const FUSE_UNLINK = 10;
export const FUSE_RMDIR = 11;
export const FUSE_RENAME = 12;
export const FUSE_LINK = 13;
export const FUSE_OPEN = 14;
export const FUSE_READ = 15;
export const FUSE_WRITE = 16;
export const FUSE_STATFS = 17;
export const FUSE_RELEASE = 18;
export const FUSE_FSYNC = 20;
export const FUSE_SETXATTR = 21;
export const FUSE_GETXATTR = 22;
export const FUSE_LISTXATTR = 23;
export const FUSE_REMOVEXATTR = 24;
export const FUSE_FLUSH = 25;
export const FUSE_INIT = 26;
export const FUSE_OPENDIR = 27;
export const FUSE_READDIR = 28;
export const FUSE_RELEASEDIR = 29;
export const FUSE_FSYNCDIR = 30;
export const FUSE_GETLK = 31;
export const FUSE_SETLK = 32;
export const FUSE_SETLKW = 33;
export const FUSE_ACCESS = 34;
export const FUSE_CREATE = 35;
export const FUSE_INTERRUPT = 36;
export const FUSE_BMAP = 37;
export const FUSE_DESTROY = 38;
export const FUSE_IOCTL = 39;
export const FUSE_POLL = 40;
export const FUSE_NOTIFY_REPLY = 41;
export const FUSE_BATCH_FORGET = 42;
export const FUSE_FALLOCATE = 43;
export const FUSE_READDIRPLUS = 44;
export const FUSE_RENAME2 = 45;
export const FUSE_LSEEK = 46;
export const FUSE_COPY_FILE_RANGE = 47;
export const FUSE_SYNCFS = 50;
export const FUSE_TMPFILE = 51;

// enum fuse_notify_code
export const FUSE_NOTIFY_POLL = 1;
export const FUSE_NOTIFY_INVAL_INODE = 2;
export const FUSE_NOTIFY_INVAL_ENTRY = 3;
export const FUSE_NOTIFY_DELETE = 6;

// Bytes that a reader of /dev/fuse must have room for at least.
export const FUSE_MIN_READ_BUFFER = 8192;

/** `struct fuse_in_header`: head of every request. */
export const fuse_in_header = defineStruct('fuse_in_header', {
  len: u32, opcode: u32, unique: u64, nodeid: u64, uid: u32, gid: u32, pid: u32, total_extlen: u16, padding: u16,
});

/** `struct fuse_out_header`: head of every answer; `error` is a negative errno. */
export const fuse_out_header = defineStruct('fuse_out_header', { len: u32, error: s32, unique: u64 });

/** `struct fuse_attr`: what stat(2) tells. */
export const fuse_attr = defineStruct('fuse_attr', {
  ino: u64, size: u64, blocks: u64, atime: u64, mtime: u64, ctime: u64, atimensec: u32, mtimensec: u32, ctimensec: u32,
  mode: u32, nlink: u32, uid: u32, gid: u32, rdev: u32, blksize: u32, flags: u32,
});

/** `struct fuse_kstatfs`: what statfs(2) tells. */
export const fuse_kstatfs = defineStruct('fuse_kstatfs', {
  blocks: u64, bfree: u64, bavail: u64, files: u64, ffree: u64, bsize: u32, namelen: u32, frsize: u32, padding: u32, spare: array(u32, 6),
});

/** `struct fuse_statfs_out` */
export const fuse_statfs_out = defineStruct('fuse_statfs_out', { st: fuse_kstatfs });

/** `struct fuse_entry_out`: a name's node, and for how many seconds both may be kept. */
export const fuse_entry_out = defineStruct('fuse_entry_out', {
  nodeid: u64, generation: u64, entry_valid: u64, attr_valid: u64, entry_valid_nsec: u32, attr_valid_nsec: u32, attr: fuse_attr,
});

/** `struct fuse_forget_in`: how many references of a node the kernel drops. */
export const fuse_forget_in = defineStruct('fuse_forget_in', { nlookup: u64 });

/** `struct fuse_forget_one` */
export const fuse_forget_one = defineStruct('fuse_forget_one', { nodeid: u64, nlookup: u64 });

/** `struct fuse_batch_forget_in`: head of `count` times fuse_forget_one. */
export const fuse_batch_forget_in = defineStruct('fuse_batch_forget_in', { count: u32, dummy: u32 });

/** `struct fuse_getattr_in` */
export const fuse_getattr_in = defineStruct('fuse_getattr_in', { getattr_flags: u32, dummy: u32, fh: u64 });

/** `struct fuse_attr_out` */
export const fuse_attr_out = defineStruct('fuse_attr_out', { attr_valid: u64, attr_valid_nsec: u32, dummy: u32, attr: fuse_attr });

/** `struct fuse_mknod_in`: the name follows. */
export const fuse_mknod_in = defineStruct('fuse_mknod_in', { mode: u32, rdev: u32, umask: u32, padding: u32 });

/** `struct fuse_mkdir_in`: the name follows. */
export const fuse_mkdir_in = defineStruct('fuse_mkdir_in', { mode: u32, umask: u32 });

/** `struct fuse_rename_in`: both names follow. */
export const fuse_rename_in = defineStruct('fuse_rename_in', { newdir: u64 });

/** `struct fuse_rename2_in`: both names follow. */
export const fuse_rename2_in = defineStruct('fuse_rename2_in', { newdir: u64, flags: u32, padding: u32 });

/** `struct fuse_link_in`: the name follows. */
export const fuse_link_in = defineStruct('fuse_link_in', { oldnodeid: u64 });

/** `struct fuse_setattr_in` */
export const fuse_setattr_in = defineStruct('fuse_setattr_in', {
  valid: u32, padding: u32, fh: u64, size: u64, lock_owner: u64, atime: u64, mtime: u64, ctime: u64,
  atimensec: u32, mtimensec: u32, ctimensec: u32, mode: u32, unused4: u32, uid: u32, gid: u32, unused5: u32,
});

/** `struct fuse_open_in`: of OPEN and OPENDIR. */
export const fuse_open_in = defineStruct('fuse_open_in', { flags: u32, open_flags: u32 });

/** `struct fuse_create_in`: the name follows. */
export const fuse_create_in = defineStruct('fuse_create_in', { flags: u32, mode: u32, umask: u32, open_flags: u32 });

/** `struct fuse_open_out` */
export const fuse_open_out = defineStruct('fuse_open_out', { fh: u64, open_flags: u32, padding: u32 });

/** `struct fuse_release_in`: of RELEASE and RELEASEDIR. */
export const fuse_release_in = defineStruct('fuse_release_in', { fh: u64, flags: u32, release_flags: u32, lock_owner: u64 });

/** `struct fuse_flush_in` */
export const fuse_flush_in = defineStruct('fuse_flush_in', { fh: u64, unused: u32, padding: u32, lock_owner: u64 });

/** `struct fuse_read_in`: of READ and READDIR. */
export const fuse_read_in = defineStruct('fuse_read_in', {
  fh: u64, offset: u64, size: u32, read_flags: u32, lock_owner: u64, flags: u32, padding: u32,
});

/** `struct fuse_write_in`: the bytes follow. */
export const fuse_write_in = defineStruct('fuse_write_in', {
  fh: u64, offset: u64, size: u32, write_flags: u32, lock_owner: u64, flags: u32, padding: u32,
});

/** `struct fuse_write_out` */
export const fuse_write_out = defineStruct('fuse_write_out', { size: u32, padding: u32 });

/** `struct fuse_fsync_in` */
export const fuse_fsync_in = defineStruct('fuse_fsync_in', { fh: u64, fsync_flags: u32, padding: u32 });

/** `struct fuse_access_in` */
export const fuse_access_in = defineStruct('fuse_access_in', { mask: u32, padding: u32 });

/** `struct fuse_init_in`: the first request. */
export const fuse_init_in = defineStruct('fuse_init_in', {
  major: u32, minor: u32, max_readahead: u32, flags: u32, flags2: u32, unused: array(u32, 11),
});

/** `struct fuse_init_out` */
export const fuse_init_out = defineStruct('fuse_init_out', {
  major: u32, minor: u32, max_readahead: u32, flags: u32, max_background: u16, congestion_threshold: u16, max_write: u32, time_gran: u32,
  max_pages: u16, map_alignment: u16, flags2: u32, unused: array(u32, 7),
});

/** `struct fuse_interrupt_in`: which request's caller was sent a signal. */
export const fuse_interrupt_in = defineStruct('fuse_interrupt_in', { unique: u64 });

/** `struct fuse_ioctl_in`: `in_size` bytes follow; `arg` is the caller's own. */
export const fuse_ioctl_in = defineStruct('fuse_ioctl_in', { fh: u64, flags: u32, cmd: u32, arg: u64, in_size: u32, out_size: u32 });

/** `struct fuse_ioctl_out`: bytes for the caller may follow. */
export const fuse_ioctl_out = defineStruct('fuse_ioctl_out', { result: s32, flags: u32, in_iovs: u32, out_iovs: u32 });

/** `struct fuse_poll_in` */
export const fuse_poll_in = defineStruct('fuse_poll_in', { fh: u64, kh: u64, flags: u32, events: u32 });

/** `struct fuse_poll_out` */
export const fuse_poll_out = defineStruct('fuse_poll_out', { revents: u32, padding: u32 });

/** `struct fuse_notify_poll_wakeup_out` */
export const fuse_notify_poll_wakeup_out = defineStruct('fuse_notify_poll_wakeup_out', { kh: u64 });

/** `struct fuse_dirent`: the name follows, and zeros up to a multiple of 8. */
export const fuse_dirent = defineStruct('fuse_dirent', { ino: u64, off: u64, namelen: u32, type: u32 });

/** `struct fuse_lseek_in` */
export const fuse_lseek_in = defineStruct('fuse_lseek_in', { fh: u64, offset: u64, whence: u32, padding: u32 });

/** `struct fuse_lseek_out` */
export const fuse_lseek_out = defineStruct('fuse_lseek_out', { offset: u64 });
