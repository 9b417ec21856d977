/** What glibc 2.36 says about each errno. */
import * as errno from './errno.ts';

/** Names of the errnos, aliases (EWOULDBLOCK, EDEADLOCK) included. */
export type ErrnoName = keyof typeof errno;

/** Errno numbers by name. */
export const ERRNO: Readonly<Record<ErrnoName, number>> = Object.freeze({ ...errno });

const ALIASES: readonly string[] = ['EWOULDBLOCK', 'EDEADLOCK'] satisfies readonly ErrnoName[];

const NAMES: ReadonlyMap<number, ErrnoName> = new Map(
  Object.entries(errno)
    .filter(([name]) => !ALIASES.includes(name))
    // Object.entries widens the keys of the namespace object to string.
    .map(([name, number]) => [number, name as ErrnoName]),
);

const TEXTS: ReadonlyMap<number, string> = new Map([
  [errno.EPERM, 'Operation not permitted'],
  [errno.ENOENT, 'No such file or directory'],
  [errno.ESRCH, 'No such process'],
  [errno.EINTR, 'Interrupted system call'],
  [errno.EIO, 'Input/output error'],
  [errno.ENXIO, 'No such device or address'],
  [errno.E2BIG, 'Argument list too long'],
  [errno.ENOEXEC, 'Exec format error'],
  [errno.EBADF, 'Bad file descriptor'],
  [errno.ECHILD, 'No child processes'],
  [errno.EAGAIN, 'Resource temporarily unavailable'],
  [errno.ENOMEM, 'Cannot allocate memory'],
  [errno.EACCES, 'Permission denied'],
  [errno.EFAULT, 'Bad address'],
  [errno.ENOTBLK, 'Block device required'],
  [errno.EBUSY, 'Device or resource busy'],
  [errno.EEXIST, 'File exists'],
  [errno.EXDEV, 'Invalid cross-device link'],
  [errno.ENODEV, 'No such device'],
  [errno.ENOTDIR, 'Not a directory'],
  [errno.EISDIR, 'Is a directory'],
  [errno.EINVAL, 'Invalid argument'],
  [errno.ENFILE, 'Too many open files in system'],
  [errno.EMFILE, 'Too many open files'],
  [errno.ENOTTY, 'Inappropriate ioctl for device'],
  [errno.ETXTBSY, 'Text file busy'],
  [errno.EFBIG, 'File too large'],
  [errno.ENOSPC, 'No space left on device'],
  [errno.ESPIPE, 'Illegal seek'],
  [errno.EROFS, 'Read-only file system'],
  [errno.EMLINK, 'Too many links'],
  [errno.EPIPE, 'Broken pipe'],
  [errno.EDOM, 'Numerical argument out of domain'],
  [errno.ERANGE, 'Numerical result out of range'],
  [errno.EDEADLK, 'Resource deadlock avoided'],
  [errno.ENAMETOOLONG, 'File name too long'],
  [errno.ENOLCK, 'No locks available'],
  [errno.ENOSYS, 'Function not implemented'],
  [errno.ENOTEMPTY, 'Directory not empty'],
  [errno.ELOOP, 'Too many levels of symbolic links'],
  [errno.ENOMSG, 'No message of desired type'],
  [errno.EIDRM, 'Identifier removed'],
  [errno.ECHRNG, 'Channel number out of range'],
  [errno.EL2NSYNC, 'Level 2 not synchronized'],
  [errno.EL3HLT, 'Level 3 halted'],
  [errno.EL3RST, 'Level 3 reset'],
  [errno.ELNRNG, 'Link number out of range'],
  [errno.EUNATCH, 'Protocol driver not attached'],
  [errno.ENOCSI, 'No CSI structure available'],
  [errno.EL2HLT, 'Level 2 halted'],
  [errno.EBADE, 'Invalid exchange'],
  [errno.EBADR, 'Invalid request descriptor'],
  [errno.EXFULL, 'Exchange full'],
  [errno.ENOANO, 'No anode'],
  [errno.EBADRQC, 'Invalid request code'],
  [errno.EBADSLT, 'Invalid slot'],
  [errno.EBFONT, 'Bad font file format'],
  [errno.ENOSTR, 'Device not a stream'],
  [errno.ENODATA, 'No data available'],
  [errno.ETIME, 'Timer expired'],
  [errno.ENOSR, 'Out of streams resources'],
  [errno.ENONET, 'Machine is not on the network'],
  [errno.ENOPKG, 'Package not installed'],
  [errno.EREMOTE, 'Object is remote'],
  [errno.ENOLINK, 'Link has been severed'],
  [errno.EADV, 'Advertise error'],
  [errno.ESRMNT, 'Srmount error'],
  [errno.ECOMM, 'Communication error on send'],
  [errno.EPROTO, 'Protocol error'],
  [errno.EMULTIHOP, 'Multihop attempted'],
  [errno.EDOTDOT, 'RFS specific error'],
  [errno.EBADMSG, 'Bad message'],
  [errno.EOVERFLOW, 'Value too large for defined data type'],
  [errno.ENOTUNIQ, 'Name not unique on network'],
  [errno.EBADFD, 'File descriptor in bad state'],
  [errno.EREMCHG, 'Remote address changed'],
  [errno.ELIBACC, 'Can not access a needed shared library'],
  [errno.ELIBBAD, 'Accessing a corrupted shared library'],
  [errno.ELIBSCN, '.lib section in a.out corrupted'],
  [errno.ELIBMAX, 'Attempting to link in too many shared libraries'],
  [errno.ELIBEXEC, 'Cannot exec a shared library directly'],
  [errno.EILSEQ, 'Invalid or incomplete multibyte or wide character'],
  [errno.ERESTART, 'Interrupted system call should be restarted'],
  [errno.ESTRPIPE, 'Streams pipe error'],
  [errno.EUSERS, 'Too many users'],
  [errno.ENOTSOCK, 'Socket operation on non-socket'],
  [errno.EDESTADDRREQ, 'Destination address required'],
  [errno.EMSGSIZE, 'Message too long'],
  [errno.EPROTOTYPE, 'Protocol wrong type for socket'],
  [errno.ENOPROTOOPT, 'Protocol not available'],
  [errno.EPROTONOSUPPORT, 'Protocol not supported'],
  [errno.ESOCKTNOSUPPORT, 'Socket type not supported'],
  [errno.EOPNOTSUPP, 'Operation not supported'],
  [errno.EPFNOSUPPORT, 'Protocol family not supported'],
  [errno.EAFNOSUPPORT, 'Address family not supported by protocol'],
  [errno.EADDRINUSE, 'Address already in use'],
  [errno.EADDRNOTAVAIL, 'Cannot assign requested address'],
  [errno.ENETDOWN, 'Network is down'],
  [errno.ENETUNREACH, 'Network is unreachable'],
  [errno.ENETRESET, 'Network dropped connection on reset'],
  [errno.ECONNABORTED, 'Software caused connection abort'],
  [errno.ECONNRESET, 'Connection reset by peer'],
  [errno.ENOBUFS, 'No buffer space available'],
  [errno.EISCONN, 'Transport endpoint is already connected'],
  [errno.ENOTCONN, 'Transport endpoint is not connected'],
  [errno.ESHUTDOWN, 'Cannot send after transport endpoint shutdown'],
  [errno.ETOOMANYREFS, 'Too many references: cannot splice'],
  [errno.ETIMEDOUT, 'Connection timed out'],
  [errno.ECONNREFUSED, 'Connection refused'],
  [errno.EHOSTDOWN, 'Host is down'],
  [errno.EHOSTUNREACH, 'No route to host'],
  [errno.EALREADY, 'Operation already in progress'],
  [errno.EINPROGRESS, 'Operation now in progress'],
  [errno.ESTALE, 'Stale file handle'],
  [errno.EUCLEAN, 'Structure needs cleaning'],
  [errno.ENOTNAM, 'Not a XENIX named type file'],
  [errno.ENAVAIL, 'No XENIX semaphores available'],
  [errno.EISNAM, 'Is a named type file'],
  [errno.EREMOTEIO, 'Remote I/O error'],
  [errno.EDQUOT, 'Disk quota exceeded'],
  [errno.ENOMEDIUM, 'No medium found'],
  [errno.EMEDIUMTYPE, 'Wrong medium type'],
  [errno.ECANCELED, 'Operation canceled'],
  [errno.ENOKEY, 'Required key not available'],
  [errno.EKEYEXPIRED, 'Key has expired'],
  [errno.EKEYREVOKED, 'Key has been revoked'],
  [errno.EKEYREJECTED, 'Key was rejected by service'],
  [errno.EOWNERDEAD, 'Owner died'],
  [errno.ENOTRECOVERABLE, 'State not recoverable'],
  [errno.ERFKILL, 'Operation not possible due to RF-kill'],
  [errno.EHWPOISON, 'Memory page has hardware error'],
]);

/** The name of an errno number, as `strerrorname_np`; `undefined` when it has none. */
export function errnoName(number: number): ErrnoName | undefined {
  return NAMES.get(number);
}

/**
 * The text `perror` and most programs print, as glibc's `strerror` in the C locale.
 *
 * @param number positive errno, or its name
 * @returns "Unknown error 524" for numbers glibc has no text for, which are the kernel's own
 */
export function strerror(number: number | ErrnoName): string {
  const n = typeof number === 'string' ? ERRNO[number] : number;
  if (n === 0) return 'Success';
  return TEXTS.get(n) ?? `Unknown error ${n}`;
}
