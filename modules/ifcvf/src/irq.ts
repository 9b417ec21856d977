/** Who gets which interrupt vector. Mirrors `ifcvf_request_irq` in `drivers/vdpa/ifcvf/ifcvf_main.c` (Linux 6.1). */
import { KernelError, UndoStack } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { IrqSymbols } from '@vdpalab/irq';
import type { PciSymbols } from '@vdpalab/pci';
import type { VdpaCallback } from '@vdpalab/vdpa-core';
import { VIRTIO_MSI_NO_VECTOR, VIRTIO_PCI_ISR_CONFIG } from '@vdpalab/uapi';
import type { IfcvfHw } from './hardware.ts';

/** What interrupts take. */
export type IrqNeeds =
  & Pick<PciSymbols, 'pci_alloc_irq_vectors' | 'pci_free_irq_vectors' | 'pci_irq_vector' | 'pci_name'>
  & Pick<IrqSymbols, 'request_irq' | 'free_irq'> & Pick<DriverCoreSymbols, 'dev_err' | 'dev_info'>;

/** Interrupts of one function; none are held before {@link request} and after {@link free}. */
export class IfcvfIrqs {
  readonly vqCallbacks: (VdpaCallback | null)[];
  configCallback: VdpaCallback | null = null;
  /** Linux interrupt of each queue; `null` when it has none of its own. */
  #vqIrqs: (number | null)[];
  readonly #k: IrqNeeds;
  readonly #hw: IfcvfHw;
  readonly #held = new UndoStack();

  constructor(k: IrqNeeds, hw: IfcvfHw) {
    this.#k = k;
    this.#hw = hw;
    this.vqCallbacks = Array.from({ length: hw.nrVring }, () => null);
    this.#vqIrqs = this.vqCallbacks.map(() => null);
  }

  /** @throws EINVAL when the queue's interrupt is shared or there is none */
  vqIrq(qid: number): number {
    const irq = this.#vqIrqs[qid] ?? null;
    if (irq !== null) return irq;
    throw new KernelError('EINVAL', 'ifcvf.irq.shared', `${this.#hw.pdev.dev.name}: queue ${qid} has no interrupt of its own`);
  }

  /**
   * Take vectors: one for each queue and one for the configuration; with fewer, one for all queues and one for the
   * configuration; with a single one, that for everything.
   *
   * @throws the errno of the step that failed; nothing is held then
   */
  async request(): Promise<void> {
    const { pdev, nrVring } = this.#hw;
    const wanted = nrVring + 1;
    try {
      const got = await this.#allocVectors(wanted);
      this.#held.push('vectors', () => this.#k.pci_free_irq_vectors(pdev));
      if (got < wanted) this.#k.dev_info(pdev.dev, `Requested ${wanted} vectors, however only ${got} allocated, lower performance`);
      if (got >= wanted) await this.#perVq();
      else if (got > 1) await this.#sharedVqs();
      else await this.#sharedAll();
    } catch (error) {
      await this.free();
      throw error;
    }
  }

  /** Nobody is called any more: `ifcvf_reset_vring`. */
  forgetCallbacks(): Atomic {
    this.vqCallbacks.fill(null);
    this.configCallback = null;
    return undefined;
  }

  /** Give all back; nothing when none are held. */
  async free(): Promise<void> {
    await this.#held.run();
    this.#vqIrqs = this.#vqIrqs.map(() => null);
  }

  async #allocVectors(wanted: number): Promise<number> {
    const { pdev } = this.#hw;
    try {
      return await this.#k.pci_alloc_irq_vectors(pdev, 1, wanted);
    } catch (error) {
      this.#k.dev_err(pdev.dev, 'Failed to alloc IRQ vectors');
      throw error;
    }
  }

  async #perVq(): Promise<void> {
    for (let qid = 0; qid < this.#hw.nrVring; qid++) {
      this.#vqIrqs[qid] = await this.#take(qid, `${qid}`, `irq for vq ${qid}`, () => this.#callVq(qid));
      this.#wireVq(qid, qid);
    }
    await this.#take(this.#hw.nrVring, 'config', 'config irq', () => this.#callConfig());
    this.#wireConfig(this.#hw.nrVring);
  }

  async #sharedVqs(): Promise<void> {
    await this.#take(0, 'vqs-reused-irq', 'reused irq for the device', () => this.#callAllVqs());
    for (let qid = 0; qid < this.#hw.nrVring; qid++) this.#wireVq(qid, 0);
    await this.#take(1, 'config', 'config irq', () => this.#callConfig());
    this.#wireConfig(1);
  }

  async #sharedAll(): Promise<void> {
    await this.#take(0, 'dev-irq', 'irq for the device', () => {
      if ((this.#hw.takeIsr() & VIRTIO_PCI_ISR_CONFIG) !== 0) this.#callConfig();
      return this.#callAllVqs();
    });
    for (let qid = 0; qid < this.#hw.nrVring; qid++) this.#wireVq(qid, 0);
    this.#wireConfig(0);
  }

  /**
   * One vector with its handler.
   *
   * @param suffix of its name in /proc/interrupts
   * @param what for the log
   * @returns its Linux interrupt
   */
  async #take(vector: number, suffix: string, what: string, handler: () => Atomic): Promise<number> {
    const { pdev } = this.#hw;
    const irq = this.#k.pci_irq_vector(pdev, vector);
    try {
      await this.#k.request_irq(irq, () => {
        handler();
        return 'IRQ_HANDLED';
      }, 0, `ifcvf[${this.#k.pci_name(pdev)}]-${suffix}`, this);
    } catch (error) {
      this.#k.dev_err(pdev.dev, `Failed to request ${what}`);
      throw error;
    }
    this.#held.push(`irq ${irq}`, () => this.#k.free_irq(irq, this));
    return irq;
  }

  #wireVq(qid: number, vector: number): Atomic {
    if (this.#hw.setVqVector(qid, vector) === VIRTIO_MSI_NO_VECTOR) {
      this.#k.dev_err(this.#hw.pdev.dev, `No msix vector for vq ${qid}`);
      throw new KernelError('EINVAL', 'ifcvf.irq.vq-vector', `${this.#hw.pdev.dev.name}: queue ${qid} took no vector`);
    }
    this.#held.push(`vector of queue ${qid}`, () => void this.#hw.setVqVector(qid, VIRTIO_MSI_NO_VECTOR));
    return undefined;
  }

  #wireConfig(vector: number): Atomic {
    if (this.#hw.setConfigVector(vector) === VIRTIO_MSI_NO_VECTOR) {
      this.#k.dev_err(this.#hw.pdev.dev, 'No msix vector for device config');
      throw new KernelError('EINVAL', 'ifcvf.irq.config-vector', `${this.#hw.pdev.dev.name}: the configuration took no vector`);
    }
    this.#held.push('vector of the configuration', () => void this.#hw.setConfigVector(VIRTIO_MSI_NO_VECTOR));
    return undefined;
  }

  #callVq(qid: number): Atomic {
    return this.vqCallbacks[qid]?.callback();
  }

  #callAllVqs(): Atomic {
    for (let qid = 0; qid < this.vqCallbacks.length; qid++) this.#callVq(qid);
    return undefined;
  }

  #callConfig(): Atomic {
    return this.configCallback?.callback();
  }
}
