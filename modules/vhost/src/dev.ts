/** vhost devices, their owner and their queues. Mirrors `drivers/vhost/vhost.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { EventfdCtx, FsSymbols, Process } from '@vdpalab/fs';
import type { MmStruct } from '@vdpalab/mm';
import type { Mutex, SchedSymbols, WaitQueue } from '@vdpalab/sched';
import { VHOST_BACKEND_F_IOTLB_ASID } from '@vdpalab/uapi';
import type { VhostIotlb, VhostIotlbSymbols } from '@vdpalab/vhost-iotlb';
import type { Miss } from './device-iotlb.ts';
import type { VhostDev, VhostDevInit, VhostVirtqueue } from './header.ts';
import { Workers, type Worker, type WorkerNeeds } from './worker.ts';

/** What vhost takes of the kernel. */
export type VhostNeeds =
  & WorkerNeeds
  & Pick<SchedSymbols, 'mutex_init' | 'mutex_lock' | 'mutex_unlock' | 'init_waitqueue_head' | 'wait_event' | 'wake_up'>
  & Pick<FsSymbols, 'eventfd_ctx_fdget' | 'eventfd_ctx_put' | 'eventfd_signal'>
  & Pick<VhostIotlbSymbols,
    'vhost_iotlb_alloc' | 'vhost_iotlb_add_range' | 'vhost_iotlb_free' | 'vhost_iotlb_del_range' | 'vhost_iotlb_itree_first' | 'vhost_iotlb_itree_next'>;

/** `struct vhost_virtqueue` with what only vhost touches. */
export class VirtqueueState implements VhostVirtqueue {
  readonly index: number;
  readonly dev: DevState;
  readonly mutex: Mutex;
  readonly handle_kick: VhostVirtqueue['handle_kick'];
  num = 1;
  desc = 0n;
  avail = 0n;
  used = 0n;
  log_addr = 0n;
  log_used = false;
  log_base = 0n;
  private_data: unknown = null;
  last_avail_idx = 0;
  last_used_idx = 0;
  acked_features = 0n;
  acked_backend_features = 0n;
  busyloop_timeout = 0;
  kick: EventfdCtx | null = null;
  call_ctx: EventfdCtx | null = null;
  error_ctx: EventfdCtx | null = null;
  /** Does its work; null for a device without workers, whose kicks run where they come from. */
  worker: Worker | null = null;
  /** A reader of the eventfd wakes its waiters too: only a count is a kick. */
  readonly #onKick = (): Atomic => {
    if ((this.kick?.count ?? 0n) === 0n) return undefined;
    return this.worker === null ? this.handle_kick(this) : this.worker.queue(this);
  };

  constructor(k: VhostNeeds, dev: DevState, index: number, handle_kick: VhostVirtqueue['handle_kick']) {
    this.dev = dev;
    this.index = index;
    this.handle_kick = handle_kick;
    this.mutex = k.mutex_init(`vhost queue ${index}`);
  }

  /** `vhost_poll_start`: a count that is there already is a kick. */
  startPoll(): Atomic {
    if (this.kick === null) return undefined;
    this.kick.wq.watchers.add(this.#onKick);
    return this.#onKick();
  }

  stopPoll(): Atomic {
    this.kick?.wq.watchers.delete(this.#onKick);
    return undefined;
  }
}

/** `struct vhost_dev` with what only vhost touches. */
export class DevState implements VhostDev {
  readonly mutex: Mutex;
  readonly vqs: readonly VirtqueueState[];
  readonly msg_handler: VhostDevInit['msg_handler'];
  mm: MmStruct | null = null;
  owner: Process | null = null;
  iotlb: VhostIotlb | null = null;
  log_ctx: EventfdCtx | null = null;
  /** Misses to tell user space of, oldest first, and those it has read. */
  readonly misses: Miss[] = [];
  readonly pending = new Set<Miss>();
  /** Readers of misses. */
  readonly wait: WaitQueue;
  /** The memory table of SET_MEM_TABLE. */
  umem: VhostIotlb | null = null;
  readonly workers: Workers | null;
  readonly #k: VhostNeeds;

  constructor(k: VhostNeeds, init: VhostDevInit) {
    this.#k = k;
    this.mutex = k.mutex_init('vhost device');
    this.wait = k.init_waitqueue_head('vhost device');
    this.msg_handler = init.msg_handler;
    this.workers = init.use_worker === true ? new Workers(k) : null;
    this.vqs = Array.from({ length: init.nvqs }, (_, index) => new VirtqueueState(k, this, index, init.handle_kick));
  }

  /**
   * No use of the address space is taken, as for every device without a worker: a mapped doorbell holds the file, and
   * the file would hold the mapping.
   *
   * @throws EBUSY with an owner
   */
  setOwner(proc: Process): Atomic {
    if (this.mm !== null) throw new KernelError('EBUSY', 'vhost.owner.taken', `owned by process ${this.owner?.pid}`);
    this.mm = proc.mm;
    this.owner = proc;
    const worker = this.workers?.create(proc);
    if (worker !== undefined) for (const vq of this.vqs) this.workers?.attach(vq, worker);
    return undefined;
  }

  /** @throws EPERM for another address space than the owner's, and while there is none */
  checkOwner(proc: Process): Atomic {
    if (this.mm === proc.mm) return undefined;
    const owner = this.owner === null ? 'nobody' : `process ${this.owner.pid}`;
    throw new KernelError('EPERM', 'vhost.owner.other', `process ${proc.pid} asks, ${owner} owns the device`);
  }

  /** @throws ENOBUFS */
  vq(index: number): VirtqueueState {
    const vq = this.vqs[index];
    if (vq === undefined) throw new KernelError('ENOBUFS', 'vhost.vring.index', `queue ${index} of ${this.vqs.length}`);
    return vq;
  }

  hasBackendFeature(bit: number): boolean {
    const vq = this.vqs[0];
    return vq !== undefined && (vq.acked_backend_features & (1n << BigInt(bit))) !== 0n;
  }

  /** The address space a version 2 message names counts only once that was negotiated. */
  get asidsCount(): boolean {
    return this.hasBackendFeature(VHOST_BACKEND_F_IOTLB_ASID);
  }

  setBackendFeatures(features: bigint): Atomic {
    for (const vq of this.vqs) vq.acked_backend_features = features;
    return undefined;
  }

  stop(): Atomic {
    for (const vq of this.vqs) vq.stopPoll();
    return undefined;
  }

  /** Eventfds, IOTLB and owner go. */
  cleanup(): Atomic {
    this.stop();
    for (const vq of this.vqs) {
      for (const ctx of [vq.kick, vq.call_ctx, vq.error_ctx]) if (ctx !== null) this.#k.eventfd_ctx_put(ctx);
      vq.kick = vq.call_ctx = vq.error_ctx = null;
    }
    if (this.log_ctx !== null) this.#k.eventfd_ctx_put(this.log_ctx);
    this.log_ctx = null;
    for (const table of [this.iotlb, this.umem]) if (table !== null) this.#k.vhost_iotlb_free(table);
    this.iotlb = this.umem = null;
    this.misses.length = 0;
    this.pending.clear();
    this.#k.wake_up(this.wait);
    this.workers?.stop(this.vqs);
    this.mm = null;
    this.owner = null;
    return undefined;
  }
}
