/** Errors that carry what user space sees and why. */

/** Errno names a kernel function may fail with; numbers are in `@vdpalab/uapi`. */
export type ErrnoName =
  | 'EPERM' | 'ENOENT' | 'ESRCH' | 'EINTR' | 'EIO' | 'ENXIO' | 'E2BIG' | 'ENOEXEC' | 'EBADF' | 'ECHILD'
  | 'EAGAIN' | 'ENOMEM' | 'EACCES' | 'EFAULT' | 'EBUSY' | 'EEXIST' | 'EXDEV' | 'ENODEV' | 'ENOTDIR' | 'EISDIR'
  | 'EINVAL' | 'ENFILE' | 'EMFILE' | 'ENOTTY' | 'ETXTBSY' | 'EFBIG' | 'ENOSPC' | 'ESPIPE' | 'EROFS' | 'EMLINK'
  | 'EPIPE' | 'EDOM' | 'ERANGE' | 'EDEADLK' | 'ENAMETOOLONG' | 'ENOSYS' | 'ENOTEMPTY' | 'ELOOP' | 'EPROTO'
  | 'EBADMSG' | 'EBADFD' | 'EOVERFLOW' | 'EUSERS' | 'ENOTSOCK' | 'EDESTADDRREQ' | 'EMSGSIZE' | 'EPROTOTYPE' | 'ENOPROTOOPT'
  | 'EPROTONOSUPPORT' | 'ESOCKTNOSUPPORT' | 'EOPNOTSUPP' | 'EAFNOSUPPORT' | 'EADDRINUSE' | 'EADDRNOTAVAIL' | 'ENETDOWN' | 'ENOBUFS'
  | 'EISCONN' | 'ENOTCONN' | 'ETIMEDOUT' | 'ECONNREFUSED' | 'EALREADY' | 'EINPROGRESS' | 'ESTALE' | 'ENODATA' | 'ETIME'
  | 'ECANCELED' | 'ENOKEY' | 'EKEYREJECTED' | 'EPROBE_DEFER' | 'ENOTSUPP' | 'ENOIOCTLCMD' | 'ERESTARTSYS';

const brand = Symbol.for('vdpalab.KernelError');

/**
 * Key of the global object under which a test run puts what is to see every refusal as it is made.
 *
 * Global, because modules loaded from built files have a copy of this class of their own.
 */
export const REFUSAL_OBSERVER: unique symbol = Symbol.for('vdpalab.KernelError.observer') as never;

/** Sees a refusal as it is made. */
export type RefusalObserver = (error: KernelError) => void;

/**
 * A refusal by the kernel: the errno user space sees, the rule that refused, and the values compared.
 *
 * Told apart by a brand ({@link isKernelError}), because a module and a tool may hold two copies of this class.
 */
export class KernelError extends Error {
  readonly [brand] = true;
  /** Errno name as user space sees it. */
  readonly errno: ErrnoName;
  /** Stable id of the rule that refused, for example `vdpa.alloc.map-pair`. */
  readonly rule: string;
  /** netlink extended ack text, where the interface has one. */
  extack: string | undefined;

  /**
   * @param errno what user space sees
   * @param rule stable id: subsystem, operation, condition, joined by dots
   * @param text subject and the values compared
   */
  constructor(errno: ErrnoName, rule: string, text: string, options?: { cause?: unknown; extack?: string }) {
    super(text, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'KernelError';
    this.errno = errno;
    this.rule = rule;
    this.extack = options?.extack;
    (globalThis as { [REFUSAL_OBSERVER]?: RefusalObserver })[REFUSAL_OBSERVER]?.(this);
  }
}

/** Whether a thrown value is a {@link KernelError}, whichever copy of this package made it. */
export function isKernelError(value: unknown): value is KernelError {
  return typeof value === 'object' && value !== null && (value as { [brand]?: unknown })[brand] === true;
}

/**
 * A refusal with another errno outside and the inner reason kept, as where Linux folds errors.
 *
 * @param cause the inner refusal; its rule and text stay readable through `cause`
 */
export function foldError(errno: ErrnoName, rule: string, text: string, cause: unknown): KernelError {
  return new KernelError(errno, rule, text, { cause });
}
