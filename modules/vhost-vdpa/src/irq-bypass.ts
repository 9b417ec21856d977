/** Interrupts of queues offered for direct injection. Mirrors `vhost_vdpa_setup_vq_irq` in `drivers/vhost/vdpa.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { Device, DriverCoreSymbols } from '@vdpalab/driver-core';
import type { EventfdCtx } from '@vdpalab/fs';
import type { IrqBypassProducer, IrqBypassSymbols } from '@vdpalab/irqbypass';
import { ERRNO } from '@vdpalab/uapi';
import type { VdpaDevice } from '@vdpalab/vdpa-core';

/** What producers take. */
export type ProducerSymbols =
  & Pick<IrqBypassSymbols, 'irq_bypass_register_producer' | 'irq_bypass_unregister_producer'> & Pick<DriverCoreSymbols, 'dev_info'>;

/** Producers of one open file, at most one for each queue. */
export class QueueProducers {
  readonly #k: ProducerSymbols;
  readonly #vdpa: VdpaDevice;
  readonly #dev: Device;
  readonly #producers = new Map<number, IrqBypassProducer>();

  constructor(k: ProducerSymbols, vdpa: VdpaDevice, dev: Device) {
    this.#k = k;
    this.#vdpa = vdpa;
    this.#dev = dev;
  }

  /** A queue with an interrupt of its own and an eventfd becomes a producer; a refusal leaves its interrupts relayed. */
  async set(qid: number, token: EventfdCtx | null): Promise<void> {
    await this.drop(qid);
    const irq = this.#irqOf(qid);
    if (irq === null || token === null) return;
    const producer: IrqBypassProducer = { token, irq };
    try {
      await this.#k.irq_bypass_register_producer(producer);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      this.#k.dev_info(this.#dev, `vq ${qid}, irq bypass producer (token ${token.id}) registration fails, ret =  ${-ERRNO[error.errno]}`);
      return;
    }
    this.#producers.set(qid, producer);
  }

  async drop(qid: number): Promise<void> {
    const producer = this.#producers.get(qid);
    if (producer === undefined) return;
    this.#producers.delete(qid);
    await this.#k.irq_bypass_unregister_producer(producer);
  }

  async dropAll(): Promise<void> {
    for (const qid of [...this.#producers.keys()]) await this.drop(qid);
  }

  /** @returns `null` when the queue has none of its own */
  #irqOf(qid: number): number | null {
    try {
      const irq = this.#vdpa.config.get_vq_irq?.(this.#vdpa, qid) ?? -1;
      return irq < 0 ? null : irq;
    } catch (error) {
      if (!isKernelError(error)) throw error;
      return null;
    }
  }
}
