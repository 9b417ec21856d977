/** One vDPA device behind its character device: what an open file holds. Mirrors `drivers/vhost/vdpa.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Device, DriverCoreSymbols } from '@vdpalab/driver-core';
import type { EventfdCtx, FsSymbols, Process } from '@vdpalab/fs';
import type { IommuDomain } from '@vdpalab/iommu';
import type { IrqBypassProducer, IrqBypassSymbols } from '@vdpalab/irqbypass';
import type { Completion, SchedSymbols } from '@vdpalab/sched';
import type { VdpaDevice, VdpaIovaRange, VdpaSymbols } from '@vdpalab/vdpa-core';
import { RLIMIT_MEMLOCK } from '@vdpalab/uapi';
import type { VhostDev, VhostIotlbMsg, VhostSymbols } from '@vdpalab/vhost';
import { AddressSpaces, type AddressSpaceSymbols } from './address-space.ts';
import { allocDomain, freeDomain, iovaRange, type DomainSymbols } from './domain.ts';

/** What the module imports, as its parts use it. */
export type VhostVdpaSymbols =
  & AddressSpaceSymbols & DomainSymbols & IrqBypassSymbols
  & Pick<VdpaSymbols, 'vdpa_get_config' | 'vdpa_set_config' | 'vdpa_set_status' | 'vdpa_set_features' | 'vdpa_reset'>
  & Pick<VhostSymbols, 'vhost_dev_init' | 'vhost_dev_ioctl' | 'vhost_vring_ioctl' | 'vhost_dev_check_owner' | 'vhost_dev_stop' | 'vhost_dev_cleanup'
    | 'vhost_chr_write_iter' | 'vhost_set_backend_features'>
  & Pick<SchedSymbols, 'mutex_lock' | 'mutex_unlock' | 'init_completion' | 'complete' | 'wait_for_completion'>
  & Pick<FsSymbols, 'eventfd_ctx_fdget' | 'eventfd_ctx_put' | 'eventfd_signal'>
  & Pick<DriverCoreSymbols, 'dev_info'>;

/** What exists only while the file is open. */
export interface OpenState {
  readonly vhost: VhostDev;
  readonly domain: IommuDomain | null;
  readonly range: VdpaIovaRange;
  readonly spaces: AddressSpaces;
  readonly producers: (IrqBypassProducer | null)[];
  configCall: EventfdCtx | null;
}

/** `struct vhost_vdpa` */
export class VhostVdpa {
  readonly vdpa: VdpaDevice;
  readonly minor: number;
  /** The `vhost-vdpa-N` device; set right after construction. */
  dev!: Device;
  /** Claimed by an open file, or by the remover for good. */
  opened = false;
  state: OpenState | null = null;
  readonly closed: Completion;
  readonly #k: VhostVdpaSymbols;
  readonly #limit: number;

  /** @param limit entries of an address space */
  constructor(k: VhostVdpaSymbols, vdpa: VdpaDevice, minor: number, limit: number) {
    this.#k = k;
    this.vdpa = vdpa;
    this.minor = minor;
    this.#limit = limit;
    this.closed = k.init_completion(`last close of /dev/vhost-vdpa-${minor}`);
  }

  /** @throws EBUSY when it is open; what reset and the IOMMU throw, nothing held then */
  async open(): Promise<void> {
    if (this.opened) throw new KernelError('EBUSY', 'vhost_vdpa.open.busy', `/dev/vhost-vdpa-${this.minor}: open already`);
    this.opened = true;
    try {
      await this.#k.vdpa_reset(this.vdpa);
      const domain = allocDomain(this.#k, this.vdpa);
      const range = iovaRange(this.vdpa, domain);
      const spaces = new AddressSpaces(this.#k, this.vdpa, domain, range, this.#limit);
      const vhost = this.#k.vhost_dev_init({
        nvqs: this.vdpa.nvqs,
        handle_kick: (vq) => this.vdpa.config.kick_vq(this.vdpa, vq.index),
        msg_handler: (dev, asid, msg, proc) => this.#message(dev, asid, msg, proc),
      });
      this.state = { vhost, domain, range, spaces, producers: Array.from({ length: this.vdpa.nvqs }, () => null), configCall: null };
    } catch (error) {
      this.opened = false;
      throw error;
    }
  }

  /** Last close: the device is reset first, then everything the file held is given back. */
  async release(): Promise<void> {
    const { state } = this;
    if (state === null) return;
    const { vhost } = state;
    await this.#k.mutex_lock(vhost.mutex);
    try {
      for (let qid = 0; qid < this.vdpa.nvqs; qid++) await this.unsetupVqIrq(qid);
      await this.reset();
      this.#k.vhost_dev_stop(vhost);
      await state.spaces.removeAll(vhost.mm);
      freeDomain(this.#k, this.vdpa, state.domain);
      this.setConfigCall(null);
      for (let qid = 0; qid < this.vdpa.nvqs; qid++) this.vdpa.config.set_vq_cb(this.vdpa, qid, null);
      this.#k.vhost_dev_cleanup(vhost);
    } finally {
      this.#k.mutex_unlock(vhost.mutex);
      this.state = null;
      this.opened = false;
      this.#k.complete(this.closed);
    }
  }

  /** Wait until nobody has it open, and let nobody open it again. */
  async shut(): Promise<void> {
    while (this.opened) await this.#k.wait_for_completion(this.closed);
    this.opened = true;
  }

  async reset(): Promise<void> {
    this.state?.spaces.endBatch();
    await this.#k.vdpa_reset(this.vdpa);
  }

  /** The eventfd of configuration changes; the old one is dropped. */
  setConfigCall(ctx: EventfdCtx | null): Atomic {
    const { state } = this;
    if (state === null) return undefined;
    const old = state.configCall;
    state.configCall = ctx;
    this.vdpa.config.set_config_cb(this.vdpa, ctx === null ? null : { callback: () => this.#k.eventfd_signal(ctx, 1), trigger: ctx });
    return old === null ? undefined : this.#k.eventfd_ctx_put(old);
  }

  /** The eventfd of a queue: told to the parent, and to whoever injects interrupts directly. */
  async setVqCall(qid: number, ctx: EventfdCtx | null): Promise<void> {
    this.vdpa.config.set_vq_cb(this.vdpa, qid, ctx === null ? null : { callback: () => this.#k.eventfd_signal(ctx, 1), trigger: ctx });
    await this.setupVqIrq(qid);
  }

  /** `vhost_vdpa_setup_vq_irq`: a queue with an interrupt of its own and an eventfd becomes a producer. */
  async setupVqIrq(qid: number): Promise<void> {
    const { config } = this.vdpa;
    const { state } = this;
    if (config.get_vq_irq === undefined || state === null) return;
    await this.unsetupVqIrq(qid);
    const token = state.vhost.vqs[qid]?.call_ctx ?? null;
    if (token === null) return;
    let irq: number;
    try {
      irq = config.get_vq_irq(this.vdpa, qid);
    } catch {
      return; // it has none of its own: interrupts go on being relayed
    }
    const producer: IrqBypassProducer = { token, irq };
    try {
      await this.#k.irq_bypass_register_producer(producer);
    } catch (error) {
      this.#k.dev_info(this.dev, `vq ${qid}, irq bypass producer registration fails: ${(error as Error).message}`);
      return;
    }
    state.producers[qid] = producer;
  }

  async unsetupVqIrq(qid: number): Promise<void> {
    const producer = this.state?.producers[qid] ?? null;
    if (producer === null || this.state === null) return;
    await this.#k.irq_bypass_unregister_producer(producer);
    this.state.producers[qid] = null;
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
