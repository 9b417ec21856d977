/** `asm-generic/fcntl.h` (Linux 6.1) as x86-64 has it: open flags and descriptor commands. */

// open() flags.
export const O_ACCMODE = 0o0000003;
export const O_RDONLY = 0o0000000;
export const O_WRONLY = 0o0000001;
export const O_RDWR = 0o0000002;
export const O_CREAT = 0o0000100;
export const O_EXCL = 0o0000200;
export const O_NOCTTY = 0o0000400;
export const O_TRUNC = 0o0001000;
export const O_APPEND = 0o0002000;
export const O_NONBLOCK = 0o0004000;
export const O_DSYNC = 0o0010000;
export const O_DIRECT = 0o0040000;
export const O_LARGEFILE = 0o0100000;
export const O_DIRECTORY = 0o0200000;
export const O_NOFOLLOW = 0o0400000;
export const O_NOATIME = 0o1000000;
export const O_CLOEXEC = 0o2000000;
export const O_SYNC = 0o4000000 | O_DSYNC;
export const O_PATH = 0o10000000;
export const O_TMPFILE = 0o20000000 | O_DIRECTORY;

// fcntl() commands.
export const F_DUPFD = 0;
export const F_GETFD = 1;
export const F_SETFD = 2;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_GETLK = 5;
export const F_SETLK = 6;
export const F_SETLKW = 7;

// F_SETFD.
export const FD_CLOEXEC = 1;

// struct flock.l_type.
export const F_RDLCK = 0;
export const F_WRLCK = 1;
export const F_UNLCK = 2;

// flock() operations.
export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;

// linux/fcntl.h: further commands and seals.
export const F_DUPFD_CLOEXEC = 0x406;
export const F_SETPIPE_SZ = 0x407;
export const F_GETPIPE_SZ = 0x408;
export const F_ADD_SEALS = 0x409;
export const F_GET_SEALS = 0x40a;
export const F_SEAL_SEAL = 0x0001;
export const F_SEAL_SHRINK = 0x0002;
export const F_SEAL_GROW = 0x0004;
export const F_SEAL_WRITE = 0x0008;
export const F_SEAL_FUTURE_WRITE = 0x0010;

// The *at() calls.
export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_EACCESS = 0x200;
export const AT_REMOVEDIR = 0x200;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_EMPTY_PATH = 0x1000;
