/** Queues and the interrupts they come by. Mirrors `vp_find_vqs` in `drivers/virtio/virtio_pci_common.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { IrqReturn, IrqSymbols } from '@vdpalab/irq';
import type { PciDev, PciSymbols } from '@vdpalab/pci';
import { VIRTIO_MSI_NO_VECTOR, VIRTIO_PCI_ISR_CONFIG } from '@vdpalab/uapi';
import type { VirtioSymbols, VqRequest } from '@vdpalab/virtio';
import type { VirtioDevice, VirtioRingSymbols, Virtqueue } from '@vdpalab/virtio-ring';
import type { Access, NamedRequest } from './access.ts';

/** What queues and interrupts take. */
export type QueueSymbols =
  & Pick<PciSymbols, 'pci_alloc_irq_vectors' | 'pci_free_irq_vectors' | 'pci_irq_vector'>
  & Pick<IrqSymbols, 'request_irq' | 'free_irq'> & Pick<VirtioSymbols, 'virtio_config_changed'>
  & Pick<VirtioRingSymbols, 'vring_interrupt'>;

const IRQF_SHARED = 0x80;
/** Vector of the configuration, and of all queues when they share one. */
const VP_MSIX_CONFIG_VECTOR = 0;
const VP_MSIX_VQ_VECTOR = 1;

/** How queues share vectors. */
type Sharing = 'each' | 'shared' | 'pin';

/** Queues of one virtio device, with the handlers that serve them. */
export class VpQueues {
  readonly #k: QueueSymbols;
  readonly #pdev: PciDev;
  readonly #access: Access;
  #queues: { readonly vq: Virtqueue; readonly irq: number | null }[] = [];
  /** Interrupts of the device itself: configuration, shared queues, the pin. */
  #irqs: number[] = [];
  #msix = false;
  readonly #devId = {};

  constructor(k: QueueSymbols, pdev: PciDev, access: Access) {
    this.#k = k;
    this.#pdev = pdev;
    this.#access = access;
  }

  /**
   * A vector for each queue and one for the configuration; else one for all queues; else the pin.
   *
   * @throws as `setup_vq`; ENOSPC EBUSY when there is no interrupt to be had; none is left
   */
  async find(vdev: VirtioDevice, requests: readonly VqRequest[]): Promise<(Virtqueue | null)[]> {
    let refused: unknown;
    for (const sharing of ['each', 'shared', 'pin'] as const) {
      if (sharing === 'pin' && this.#pdev.irq === 0) break;
      try {
        return await this.#findWith(sharing, vdev, requests);
      } catch (error) {
        await this.delete();
        if (!isKernelError(error)) throw error;
        refused = error;
      }
    }
    throw refused;
  }

  /** `vp_del_vqs` */
  async delete(): Promise<void> {
    const k = this.#k;
    for (const { vq, irq } of this.#queues.splice(0)) {
      if (irq !== null) await k.free_irq(irq, vq);
      this.#access.del_vq(vq, this.#msix);
    }
    for (const irq of this.#irqs.splice(0)) await k.free_irq(irq, this.#devId);
    if (!this.#msix) return;
    this.#access.config_vector(VIRTIO_MSI_NO_VECTOR);
    await k.pci_free_irq_vectors(this.#pdev);
    this.#msix = false;
  }

  async #findWith(sharing: Sharing, vdev: VirtioDevice, requests: readonly VqRequest[]): Promise<(Virtqueue | null)[]> {
    const wanted = requests.filter((r) => r.name !== null && r.callback !== null).length;
    if (sharing === 'pin') await this.#request(this.#pdev.irq, vdev.dev.name, IRQF_SHARED, () => this.#pinInterrupt(vdev));
    else await this.#requestVectors(vdev, sharing === 'each' ? 1 + wanted : 2, sharing === 'shared');
    const found: (Virtqueue | null)[] = [];
    let vector = this.#irqs.length;
    let index = 0;
    for (const { name, callback } of requests) {
      if (name === null) {
        found.push(null);
        continue;
      }
      const own = sharing === 'each' && callback !== null;
      const its = sharing === 'pin' || callback === null ? VIRTIO_MSI_NO_VECTOR : own ? vector++ : VP_MSIX_VQ_VECTOR;
      found.push(await this.#setUp(vdev, index++, { name, callback }, its, own));
    }
    this.#access.activate(this.#queues.map(({ vq }) => vq));
    return found;
  }

  async #setUp(vdev: VirtioDevice, index: number, request: NamedRequest, vector: number, own: boolean): Promise<Virtqueue> {
    const vq = this.#access.setup_vq(vdev, index, request, vector);
    const at = this.#queues.push({ vq, irq: null }) - 1;
    if (!own) return vq;
    const irq = this.#k.pci_irq_vector(this.#pdev, vector);
    await this.#k.request_irq(irq, () => answer(this.#k.vring_interrupt(vq)), 0, `${vdev.dev.name}-${request.name}`, vq);
    this.#queues[at] = { vq, irq };
    return vq;
  }

  /** `vp_request_msix_vectors` */
  async #requestVectors(vdev: VirtioDevice, count: number, shared: boolean): Promise<void> {
    const k = this.#k;
    const { name } = vdev.dev;
    await k.pci_alloc_irq_vectors(this.#pdev, count, count);
    this.#msix = true;
    await this.#request(k.pci_irq_vector(this.#pdev, VP_MSIX_CONFIG_VECTOR), `${name}-config`, 0, () => this.#configInterrupt(vdev));
    if (this.#access.config_vector(VP_MSIX_CONFIG_VECTOR) === VIRTIO_MSI_NO_VECTOR) {
      throw new KernelError('EBUSY', 'virtio_pci.vector.config', `${name}: the device did not take a vector for its configuration`);
    }
    if (!shared) return;
    await this.#request(k.pci_irq_vector(this.#pdev, VP_MSIX_VQ_VECTOR), `${name}-virtqueues`, 0, () => this.#queueInterrupt());
  }

  async #request(irq: number, name: string, flags: number, handler: () => IrqReturn): Promise<void> {
    await this.#k.request_irq(irq, handler, flags, name, this.#devId);
    this.#irqs.push(irq);
  }

  #configInterrupt(vdev: VirtioDevice): IrqReturn {
    this.#k.virtio_config_changed(vdev);
    return 'IRQ_HANDLED';
  }

  #queueInterrupt(): IrqReturn {
    let handled = false;
    for (const { vq } of this.#queues) handled = this.#k.vring_interrupt(vq) || handled;
    return answer(handled);
  }

  /** The pin says only that; the ISR byte says why, once. */
  #pinInterrupt(vdev: VirtioDevice): IrqReturn {
    const isr = this.#access.isr();
    if (isr === 0) return 'IRQ_NONE';
    if ((isr & VIRTIO_PCI_ISR_CONFIG) !== 0) this.#configInterrupt(vdev);
    return this.#queueInterrupt();
  }
}

function answer(handled: boolean): IrqReturn {
  return handled ? 'IRQ_HANDLED' : 'IRQ_NONE';
}
