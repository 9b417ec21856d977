/**
 * Generic vhost: devices, virtqueues, owners, IOTLB messages, kick polling.
 *
 * Mirrors `drivers/vhost/vhost.{h,c}` (Linux 6.1), the part vhost-vdpa uses.
 */
import type { Atomic } from '@vdpalab/abi';
import type { EventfdCtx, Process } from '@vdpalab/fs';
import type { MmStruct } from '@vdpalab/mm';
import type { Mutex, WaitQueue } from '@vdpalab/sched';
import type { VhostIotlb } from '@vdpalab/vhost-iotlb';

/** `struct vhost_virtqueue` */
export interface VhostVirtqueue {
  readonly index: number;
  readonly dev: VhostDev;
  num: number;
  /** User addresses of the rings. */
  desc: bigint;
  avail: bigint;
  used: bigint;
  log_addr: bigint;
  log_used: boolean;
  /** Where the bits of written pages are, in the owner's memory. */
  log_base: bigint;
  /** The backend that works on the queue; null while there is none, as for ever under vhost-vdpa. */
  private_data: unknown;
  last_avail_idx: number;
  last_used_idx: number;
  acked_features: bigint;
  acked_backend_features: bigint;
  readonly kick: EventfdCtx | null;
  readonly call_ctx: EventfdCtx | null;
  readonly error_ctx: EventfdCtx | null;
  /** Runs for each kick, in the context of whoever signals the eventfd, or in the queue's worker: atomic. vhost-vdpa has no worker. */
  readonly handle_kick: (vq: VhostVirtqueue) => Atomic;
  readonly mutex: Mutex;
}

/** `struct vhost_iotlb_msg` */
export interface VhostIotlbMsg {
  readonly iova: bigint;
  readonly size: bigint;
  readonly uaddr: bigint;
  readonly perm: number;
  readonly type: number;
}

/** `struct vhost_log`: guest memory that was written, bytes. */
export interface VhostLog {
  readonly addr: bigint;
  readonly len: number;
}

/** `struct iovec`: memory of the owner, bytes. */
export interface VhostIovec {
  readonly base: bigint;
  readonly len: number;
}

/** A chain off a ring: what is to be read and written in the owner's memory, and the guest's addresses of what is written. */
export interface VhostChain {
  readonly head: number;
  readonly out: readonly VhostIovec[];
  readonly in: readonly VhostIovec[];
  readonly log: readonly VhostLog[];
}

/** `struct vhost_dev` */
export interface VhostDev {
  readonly mutex: Mutex;
  readonly vqs: readonly VhostVirtqueue[];
  /** Owner's address space; null before SET_OWNER. */
  readonly mm: MmStruct | null;
  readonly owner: Process | null;
  iotlb: VhostIotlb | null;
  /** Signalled whenever pages are logged. */
  readonly log_ctx: EventfdCtx | null;
  readonly msg_handler: ((dev: VhostDev, asid: number, msg: VhostIotlbMsg, proc: Process) => Promise<void>) | null;
}

/** What a caller of vhost_dev_init gives. */
export interface VhostDevInit {
  readonly nvqs: number;
  readonly handle_kick: (vq: VhostVirtqueue) => Atomic;
  /** Whether threads do the queues' work: one for all of them, from SET_OWNER on. Absent: none. */
  readonly use_worker?: boolean;
  /** Null for a device whose mappings vhost itself keeps: see vhost_init_device_iotlb. */
  readonly msg_handler: ((dev: VhostDev, asid: number, msg: VhostIotlbMsg, proc: Process) => Promise<void>) | null;
}

export interface VhostSymbols {
  vhost_dev_init: (init: VhostDevInit) => VhostDev;
  /** @throws EBUSY with an owner */
  vhost_dev_set_owner: (dev: VhostDev, proc: Process) => Atomic;
  vhost_dev_has_owner: (dev: VhostDev) => boolean;
  /** @throws EPERM for another process */
  vhost_dev_check_owner: (dev: VhostDev, proc: Process) => Atomic;
  /** Back to a device nobody owns: eventfds, tables and owner go. */
  vhost_dev_reset_owner: (dev: VhostDev) => Atomic;
  /** Stop polling every kick. */
  vhost_dev_stop: (dev: VhostDev) => Atomic;
  /** Drop eventfds, IOTLB, worker, owner. */
  vhost_dev_cleanup: (dev: VhostDev) => Atomic;
  /** SET_OWNER, SET_MEM_TABLE, log... @returns false when the command is not its own (`-ENOIOCTLCMD`) */
  vhost_dev_ioctl: (dev: VhostDev, cmd: number, arg: number, proc: Process) => Promise<boolean>;
  /** The vring ioctls. @throws ENOBUFS for the queue index, ... @returns false when not its own */
  vhost_vring_ioctl: (dev: VhostDev, cmd: number, arg: number, proc: Process) => Promise<boolean>;
  /**
   * The worker ioctls; later than 6.1, for drivers of devices with workers.
   *
   * @throws EINVAL for a device without workers or owner; EPERM ENOBUFS ENODEV EBUSY EFAULT
   * @returns false when not its own, as all are in 6.1
   */
  vhost_worker_ioctl: (dev: VhostDev, cmd: number, arg: number, proc: Process) => Promise<boolean>;
  /** write() of an IOTLB message. @returns bytes @throws EINVAL EFAULT */
  vhost_chr_write_iter: (dev: VhostDev, bytes: Uint8Array, proc: Process) => Promise<number>;
  /** read() of a miss. @param len bytes there is room for @throws EAGAIN when not to wait; EBADFD without an IOTLB */
  vhost_chr_read_iter: (dev: VhostDev, len: number, noblock: boolean) => Promise<Uint8Array>;
  /** @returns POLL*: readable while there is a miss to tell of */
  vhost_chr_poll: (dev: VhostDev) => number;
  /** What a poll of the file waits on. */
  vhost_chr_poll_queue: (dev: VhostDev) => WaitQueue;
  /** Give the device an IOTLB, or an empty one in place of the old: user space is told of misses from now on. */
  vhost_init_device_iotlb: (dev: VhostDev) => Atomic;
  /** Whether the rings themselves are mapped; user space is told of what is not. */
  vq_meta_prefetch: (vq: VhostVirtqueue) => boolean;
  /** The next chain, null when there is none. @throws EINVAL E2BIG EFAULT EAGAIN EPERM ENOBUFS; the ring stays where it was then */
  vhost_get_vq_desc: (vq: VhostVirtqueue) => VhostChain | null;
  /** Copies the bits to each queue. */
  vhost_set_backend_features: (dev: VhostDev, features: bigint) => Atomic;
  /**
   * Log `len` bytes written to a chain of these guest addresses; `iov` is the same as addresses of the owner.
   *
   * @throws EFAULT for a log that is not there
   */
  vhost_log_write: (vq: VhostVirtqueue, log: readonly VhostLog[], len: number, iov: readonly VhostIovec[]) => Atomic;
  vhost_poll_stop: (vq: VhostVirtqueue) => Atomic;
  vhost_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VhostSymbols {}
}
