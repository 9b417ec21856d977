/** One device that a process serves. Mirrors `struct vduse_dev` in `drivers/vdpa/vdpa_user/vduse_dev.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { EventfdCtx, FsSymbols } from '@vdpalab/fs';
import type { MmStruct, MmSymbols, PageRun } from '@vdpalab/mm';
import type { Mutex, SchedSymbols, Work, Workqueue } from '@vdpalab/sched';
import { VIRTIO_CONFIG_S_DRIVER_OK } from '@vdpalab/uapi';
import type { VdpaCallback, VdpaDevice, VdpaVqState } from '@vdpalab/vdpa-core';
import { Domain, type DomainSymbols } from './domain.ts';
import { Messages, type MessageSymbols } from './messages.ts';

/** `VDUSE_MSG_DEFAULT_TIMEOUT`, seconds. */
export const VDUSE_MSG_DEFAULT_TIMEOUT = 30;

/** What a device takes. */
export type DeviceSymbols =
  & DomainSymbols & MessageSymbols
  & Pick<SchedSymbols, 'INIT_WORK' | 'queue_work' | 'flush_work' | 'mutex_init' | 'mutex_lock' | 'mutex_unlock'>
  & Pick<FsSymbols, 'eventfd_signal' | 'eventfd_ctx_put' | 'eventfd_ctx_fdget'>
  & Pick<MmSymbols, 'pin_user_pages' | 'unpin_user_pages' | 'mmget' | 'mmput'>;

/** `struct vduse_virtqueue` */
export class VduseVirtqueue {
  readonly index: number;
  /** Largest size, set by VDUSE_VQ_SETUP; 0 until then. */
  num_max = 0;
  num = 0;
  desc_addr = 0n;
  driver_addr = 0n;
  device_addr = 0n;
  state: VdpaVqState = { kind: 'split', avail_index: 0 };
  ready = false;
  /** A kick came while there was no eventfd for it. */
  kicked = false;
  kickfd: EventfdCtx | null = null;
  cb: VdpaCallback | null = null;
  readonly inject: Work;

  constructor(k: Pick<SchedSymbols, 'INIT_WORK'>, name: string, index: number) {
    this.index = index;
    this.inject = k.INIT_WORK(`vduse ${name} queue ${index}`, async () => {
      if (this.ready) this.cb?.callback();
    });
  }
}

/** What a device is made of: `struct vduse_dev_config`, checked. */
export interface VduseDevInit {
  readonly name: string;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly features: bigint;
  readonly vqNum: number;
  readonly vqAlign: number;
  readonly config: Uint8Array;
  readonly minor: number;
  readonly maxIotlbEntries: number;
}

/** User memory in place of the bounce pages: `struct vduse_umem`. */
export interface Umem {
  readonly mm: MmStruct;
  readonly runs: readonly PageRun[];
  readonly iova: bigint;
  /** Bytes. */
  readonly size: bigint;
}

/** `struct vduse_dev` */
export class VduseDev {
  /** The device of class vduse; set right after construction. */
  dev!: Device;
  readonly init: VduseDevInit;
  readonly vqs: readonly VduseVirtqueue[];
  readonly domain: Domain;
  readonly messages: Messages;
  readonly lock: Mutex;
  /** The vDPA device made of it. */
  vdev: VdpaDevice | null = null;
  /** A process has the node open, or the device is being destroyed. */
  connected = false;
  status = 0;
  generation = 0;
  driver_features = 0n;
  config_cb: VdpaCallback | null = null;
  umem: Umem | null = null;
  /** Seconds; 0 for ever. */
  msg_timeout = VDUSE_MSG_DEFAULT_TIMEOUT;
  readonly #k: DeviceSymbols;
  readonly #inject: Work;
  readonly #irqs: Workqueue;

  /** @param irqs where interrupts are injected from: `vduse-irq` */
  constructor(k: DeviceSymbols, init: VduseDevInit, irqs: Workqueue) {
    this.#k = k;
    this.init = init;
    this.#irqs = irqs;
    this.domain = new Domain(k, init.maxIotlbEntries);
    this.messages = new Messages(k, init.name);
    this.lock = k.mutex_init(`vduse ${init.name}`);
    this.vqs = Array.from({ length: init.vqNum }, (_, index) => new VduseVirtqueue(k, init.name, index));
    this.#inject = k.INIT_WORK(`vduse ${init.name} config`, async () => void this.config_cb?.callback());
  }

  get name(): string {
    return this.init.name;
  }

  /** `vduse_dev_is_ready`: every queue has been given its size. */
  get ready(): boolean {
    return this.vqs.every((vq) => vq.num_max !== 0);
  }

  /** @throws EINVAL */
  vq(index: number): VduseVirtqueue {
    const vq = this.vqs[index];
    if (vq === undefined) throw new KernelError('EINVAL', 'vduse.vq.index', `${this.name}: queue ${index} of ${this.vqs.length}`);
    return vq;
  }

  /** A doorbell: to the process's eventfd, or remembered until there is one. */
  kick(index: number): Atomic {
    const vq = this.vq(index);
    if (!vq.ready) return undefined;
    if (vq.kickfd === null) {
      vq.kicked = true;
      return undefined;
    }
    return this.#k.eventfd_signal(vq.kickfd, 1);
  }

  /** Kicks go there from now on, those that came before included; null for nowhere. */
  setKickfd(index: number, ctx: EventfdCtx | null): Atomic {
    const vq = this.vq(index);
    this.#dropKickfd(vq);
    vq.kickfd = ctx;
    if (!vq.ready || !vq.kicked || ctx === null) return undefined;
    vq.kicked = false;
    return this.#k.eventfd_signal(ctx, 1);
  }

  /** `vduse_dev_queue_irq_work`. @param vq null: the configuration has changed. @throws EINVAL unless DRIVER_OK */
  injectIrq(vq: VduseVirtqueue | null): Atomic {
    if ((this.status & VIRTIO_CONFIG_S_DRIVER_OK) === 0) {
      throw new KernelError('EINVAL', 'vduse.irq.status', `${this.name}: an interrupt, with status 0x${this.status.toString(16)}`);
    }
    this.#k.queue_work(this.#irqs, vq?.inject ?? this.#inject);
    return undefined;
  }

  /** `vduse_dev_reset`: what the driver set up is gone, what the process set up stays. */
  async reset(): Promise<void> {
    this.domain.resetBounceMap();
    this.status = 0;
    this.driver_features = 0n;
    this.generation = (this.generation + 1) >>> 0;
    this.config_cb = null;
    await this.#k.flush_work(this.#inject);
    for (const vq of this.vqs) {
      vq.ready = false;
      vq.kicked = false;
      vq.num = 0;
      [vq.desc_addr, vq.driver_addr, vq.device_addr] = [0n, 0n, 0n];
      vq.state = { kind: 'split', avail_index: 0 };
      vq.cb = null;
      this.#dropKickfd(vq);
      await this.#k.flush_work(vq.inject);
    }
  }

  /** `vduse_dev_dereg_umem` @throws ENOENT without any, EINVAL for another range, ENOMEM */
  leaveUmem(iova: bigint, size: bigint): Atomic {
    const { umem } = this;
    if (umem === null) throw new KernelError('ENOENT', 'vduse.umem.none', `${this.name}: no memory is registered`);
    if (umem.iova !== iova || umem.size !== size) {
      throw new KernelError('EINVAL', 'vduse.umem.range', `${this.name}: ${size} bytes at ${iova}, and ${umem.size} at ${umem.iova} are registered`);
    }
    this.domain.bounce.leaveMemory();
    this.umem = null;
    this.#k.unpin_user_pages(umem.runs, true);
    for (const run of umem.runs) umem.mm.pinned_vm -= run.pages;
    return this.#k.mmput(umem.mm);
  }

  #dropKickfd(vq: VduseVirtqueue): void {
    if (vq.kickfd !== null) this.#k.eventfd_ctx_put(vq.kickfd);
    vq.kickfd = null;
  }
}
