/** One vDPA device behind its character device: what an open file holds. Mirrors `drivers/vhost/vdpa.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { Atomic, Task } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { EventfdCtx, FsSymbols, Process } from '@vdpalab/fs';
import type { IommuDomain } from '@vdpalab/iommu';
import type { Completion, SchedSymbols } from '@vdpalab/sched';
import type { VdpaDevice, VdpaIovaRange, VdpaSymbols } from '@vdpalab/vdpa-core';
import { RLIMIT_MEMLOCK, VDPA_RESET_F_CLEAN_MAP, VHOST_BACKEND_F_IOTLB_PERSIST, VIRTIO_CONFIG_S_DRIVER_OK } from '@vdpalab/uapi';
import type { VhostDev, VhostIotlbMsg, VhostSymbols, VhostVirtqueue } from '@vdpalab/vhost';
import { AddressSpaces, type AddressSpaceSymbols } from './address-space.ts';
import { allocDomain, freeDomain, iovaRange, type DomainSymbols } from './domain.ts';
import { QueueProducers, type ProducerSymbols } from './irq-bypass.ts';

/** What the module imports, as its parts use it. */
export type VhostVdpaSymbols =
  & AddressSpaceSymbols & DomainSymbols & ProducerSymbols
  & Pick<VdpaSymbols, 'vdpa_get_config' | 'vdpa_set_config' | 'vdpa_set_status'>
  & Pick<VhostSymbols, 'vhost_dev_init' | 'vhost_dev_ioctl' | 'vhost_vring_ioctl' | 'vhost_dev_check_owner'
    | 'vhost_dev_stop' | 'vhost_dev_cleanup' | 'vhost_chr_write_iter' | 'vhost_set_backend_features'>
  & Pick<SchedSymbols, 'mutex_lock' | 'mutex_unlock' | 'init_completion' | 'complete' | 'wait_for_completion' | 'current_task'>
  & Pick<FsSymbols, 'eventfd_ctx_fdget' | 'eventfd_ctx_put' | 'eventfd_signal'>;

/** What exists only while the file is open. */
export interface OpenState {
  readonly vhost: VhostDev;
  readonly domain: IommuDomain | null;
  readonly range: VdpaIovaRange;
  readonly spaces: AddressSpaces;
  readonly producers: QueueProducers;
  configCall: EventfdCtx | null;
  /** The parent has stopped: ring addresses and indexes may be set although DRIVER_OK is. */
  suspended: boolean;
  /** unbind_mm is due. */
  mmBound: boolean;
}

/** `struct vhost_vdpa` */
export class VhostVdpa {
  readonly vdpa: VdpaDevice;
  readonly minor: number;
  /** The `vhost-vdpa-N` device; set right after construction. */
  dev!: Device;
  state: OpenState | null = null;
  /** Claimed by an open file, or by the remover for good. */
  #opened = false;
  #opener: Task | null = null;
  readonly #closed: Completion;
  readonly #k: VhostVdpaSymbols;
  readonly #limit: number;

  /** @param limit entries of an address space */
  constructor(k: VhostVdpaSymbols, vdpa: VdpaDevice, minor: number, limit: number) {
    this.#k = k;
    this.vdpa = vdpa;
    this.minor = minor;
    this.#limit = limit;
    this.#closed = k.init_completion(`last close of /dev/vhost-vdpa-${minor}`);
  }

  /** @throws EBUSY when it is open; what reset, the IOMMU and the parent's range throw, nothing held then */
  async open(): Promise<void> {
    if (this.#opened) throw new KernelError('EBUSY', 'vhost_vdpa.open.busy', `/dev/vhost-vdpa-${this.minor}: open already`);
    this.#opened = true;
    this.#opener = this.#k.current_task();
    try {
      await this.vdpa.reset();
      this.state = this.#makeState();
    } catch (error) {
      this.#letGo();
      throw error;
    }
  }

  #makeState(): OpenState {
    const { vdpa, dev } = this;
    const domain = allocDomain(this.#k, vdpa);
    try {
      const range = iovaRange(vdpa, domain);
      const spaces = new AddressSpaces(this.#k, vdpa, { dev, domain, range, limit: this.#limit });
      const producers = new QueueProducers(this.#k, vdpa, dev);
      const vhost = this.#k.vhost_dev_init({
        nvqs: vdpa.nvqs,
        handle_kick: (vq) => vdpa.config.kick_vq(vdpa, vq.index),
        msg_handler: (vdev, asid, msg, proc) => this.#message(vdev, asid, msg, proc),
      });
      return { vhost, domain, range, spaces, producers, configCall: null, suspended: false, mmBound: false };
    } catch (error) {
      freeDomain(this.#k, vdpa, domain);
      throw error;
    }
  }

  /** Nobody has it open any more, whoever waits for that goes on. */
  #letGo(): Atomic {
    this.state = null;
    this.#opener = null;
    this.#opened = false;
    return this.#k.complete(this.#closed);
  }

  /** Last close: the device is reset first, then everything the file held is given back, whatever the parent says. */
  async release(): Promise<void> {
    const { state } = this;
    if (state === null) return;
    const { vhost } = state;
    await this.#k.mutex_lock(vhost.mutex);
    try {
      await this.#giveBack([
        () => state.producers.dropAll(),
        () => this.reset(state),
        () => this.#k.vhost_dev_stop(vhost),
        () => this.unbindMm(),
        () => this.#dropConfigCall(state),
        () => state.spaces.removeAll(vhost.mm),
        () => freeDomain(this.#k, this.vdpa, state.domain),
        () => this.#k.vhost_dev_cleanup(vhost),
      ]);
    } finally {
      this.#k.mutex_unlock(vhost.mutex);
      this.#letGo();
    }
  }

  /** Every step runs. A parent's refusal has nobody to go to; a mistake is thrown in the end. */
  async #giveBack(steps: readonly (() => Promise<void> | Atomic)[]): Promise<void> {
    const mistakes: unknown[] = [];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        if (isKernelError(error)) this.#k.dev_warn(this.dev, `close: ${error.message} (${error.errno})`);
        else mistakes.push(error);
      }
    }
    if (mistakes.length > 0) throw mistakes[0];
  }

  /** Wait until nobody has it open, and let nobody open it again. */
  async shut(): Promise<void> {
    const owners = (): readonly Task[] => (this.#opener === null || this.#opener.state === 'done' ? [] : [this.#opener]);
    while (this.#opened) await this.#k.wait_for_completion(this.#closed, owners, 'vhost_vdpa_remove');
    this.#opened = true;
  }

  get driverOk(): boolean {
    return (this.vdpa.config.get_status(this.vdpa) & VIRTIO_CONFIG_S_DRIVER_OK) !== 0;
  }

  /** `vhost_vdpa_reset`: a batch under way ends with it. */
  async reset(state: OpenState): Promise<void> {
    state.spaces.endBatch();
    await this.resetDevice(state);
  }

  /** Mappings of a parent of the kind that had them go with a reset still go, unless user space counts on them. */
  async resetDevice(state: OpenState): Promise<void> {
    state.suspended = false;
    const persist = 1n << BigInt(VHOST_BACKEND_F_IOTLB_PERSIST);
    const keeps = state.vhost.vqs.some((vq) => (vq.acked_backend_features & persist) !== 0n);
    await this.vdpa.reset(keeps ? 0 : VDPA_RESET_F_CLEAN_MAP);
  }

  /** The eventfd of configuration changes; the old one is dropped, whether there is a new one or not. @throws what `find` throws */
  setConfigCall(state: OpenState, find: () => EventfdCtx | null): Atomic {
    let ctx: EventfdCtx | null = null;
    try {
      ctx = find();
    } finally {
      this.#dropConfigCall(state);
      state.configCall = ctx;
    }
    const callback = (): Atomic => (state.configCall === null ? undefined : this.#k.eventfd_signal(state.configCall, 1));
    return this.vdpa.config.set_config_cb(this.vdpa, ctx === null ? null : { callback, trigger: ctx });
  }

  #dropConfigCall(state: OpenState): Atomic {
    const old = state.configCall;
    state.configCall = null;
    return old === null ? undefined : this.#k.eventfd_ctx_put(old);
  }

  /** The eventfd of a queue has changed: told to the parent, and to whoever injects interrupts directly. */
  async setVqCall(state: OpenState, vq: VhostVirtqueue): Promise<void> {
    const trigger = vq.call_ctx;
    const callback = (): Atomic => (vq.call_ctx === null ? undefined : this.#k.eventfd_signal(vq.call_ctx, 1));
    await state.producers.drop(vq.index);
    this.vdpa.config.set_vq_cb(this.vdpa, vq.index, trigger === null ? null : { callback, trigger });
    if (this.driverOk) await state.producers.set(vq.index, trigger);
  }

  /** After SET_OWNER, for parents that use user addresses. @throws the parent's errno, nobody owns the device then */
  async bindMm(state: OpenState): Promise<void> {
    const { bind_mm } = this.vdpa.config;
    const { mm } = state.vhost;
    if (!this.vdpa.use_va || bind_mm === undefined || mm === null) return;
    try {
      await bind_mm(this.vdpa, mm);
    } catch (error) {
      this.#k.vhost_dev_cleanup(state.vhost);
      throw error;
    }
    state.mmBound = true;
  }

  async unbindMm(): Promise<void> {
    if (this.state === null || !this.state.mmBound) return;
    this.state.mmBound = false;
    await this.vdpa.config.unbind_mm?.(this.vdpa);
  }

  async #message(dev: VhostDev, asid: number, msg: VhostIotlbMsg, proc: Process): Promise<void> {
    const { state } = this;
    if (state === null) return;
    await this.#k.mutex_lock(dev.mutex);
    try {
      this.#k.vhost_dev_check_owner(dev, proc);
      await state.spaces.message(asid, msg, { mm: proc.mm, memlock: proc.rlimits.get(RLIMIT_MEMLOCK) ?? Number.POSITIVE_INFINITY });
    } finally {
      this.#k.mutex_unlock(dev.mutex);
    }
  }
}
