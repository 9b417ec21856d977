/** Queues of one vDPA device: doorbells, callbacks, interrupts. Mirrors `struct vp_vdpa` in `drivers/vdpa/virtio_pci/vp_vdpa.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { IrqSymbols } from '@vdpalab/irq';
import type { PciSymbols } from '@vdpalab/pci';
import { ERRNO, VIRTIO_MSI_NO_VECTOR } from '@vdpalab/uapi';
import type { VdpaCallback } from '@vdpalab/vdpa-core';
import type { VirtioPciModernDevice, VirtioPciModernDevSymbols, VpNotify } from '@vdpalab/virtio-pci-modern-dev';

/** What queues take. */
export type VringSymbols =
  & Pick<VirtioPciModernDevSymbols, 'vp_modern_map_vq_notify' | 'vp_modern_queue_vector' | 'vp_modern_config_vector'>
  & Pick<PciSymbols, 'pci_alloc_irq_vectors' | 'pci_free_irq_vectors' | 'pci_irq_vector' | 'pci_name' | 'pci_iounmap'>
  & Pick<IrqSymbols, 'request_irq' | 'free_irq'> & Pick<DriverCoreSymbols, 'dev_err' | 'dev_warn'>;

/** `struct vp_vring` */
interface Vring {
  readonly notify: VpNotify;
  cb: VdpaCallback | null;
  irq: number | null;
}

/** The queues, and the vectors they have while the driver runs. */
export class VpVrings {
  readonly vrings: Vring[] = [];
  configCb: VdpaCallback | null = null;
  readonly #k: VringSymbols;
  readonly #mdev: VirtioPciModernDevice;
  #configIrq: number | null = null;
  #vectors = 0;

  /**
   * Map the doorbells.
   *
   * @throws EINVAL when one lies outside the notification structure; none stays mapped
   */
  constructor(k: VringSymbols, mdev: VirtioPciModernDevice, queues: number) {
    this.#k = k;
    this.#mdev = mdev;
    for (let i = 0; i < queues; i++) {
      const notify = k.vp_modern_map_vq_notify(mdev, i);
      if (notify === null) {
        k.dev_warn(mdev.pci_dev.dev, `Fail to map vq notify ${i}`);
        this.unmap();
        throw new KernelError('EINVAL', 'vp_vdpa.add.notify', `${mdev.pci_dev.dev.name}: queue ${i} of ${queues} has no doorbell`);
      }
      this.vrings.push({ notify, cb: null, irq: null });
    }
  }

  /** @throws Error (a lab bug) for a queue that is not there: whoever asks has checked */
  of(index: number): Vring {
    const vring = this.vrings[index];
    if (vring === undefined) throw new Error(`vp_vdpa: queue ${index} of ${this.vrings.length}`);
    return vring;
  }

  /** Give the doorbells back that were mapped one by one. */
  unmap(): undefined {
    const { pci_dev: pdev, notify_base: base } = this.#mdev;
    for (const { notify } of this.vrings.splice(0)) if (base === null) this.#k.pci_iounmap(pdev, notify.mem);
  }

  /**
   * A vector for each queue, and one for the configuration; logs what fails, and leaves nothing then.
   *
   * @see `vp_vdpa_request_irq`; what it returns is dropped by its caller
   */
  async requestIrqs(): Promise<void> {
    const k = this.#k;
    const { pci_dev: pdev } = this.#mdev;
    const wanted = this.vrings.length + 1;
    try {
      this.#vectors = await k.pci_alloc_irq_vectors(pdev, wanted, wanted);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      k.dev_err(pdev.dev, `vp_vdpa: fail to allocate irq vectors want ${wanted} but ${-ERRNO[error.errno]}`);
      return;
    }
    for (let i = 0; i <= this.vrings.length; i++) {
      try {
        await this.#request(i);
      } catch (error) {
        if (!isKernelError(error)) throw error;
        k.dev_err(pdev.dev, `vp_vdpa: fail to request irq for vq ${i}`);
        await this.freeIrqs();
        return;
      }
    }
  }

  /** @see `vp_vdpa_free_irq` */
  async freeIrqs(): Promise<void> {
    const k = this.#k;
    for (const [i, vring] of this.vrings.entries()) {
      if (vring.irq === null) continue;
      k.vp_modern_queue_vector(this.#mdev, i, VIRTIO_MSI_NO_VECTOR);
      await k.free_irq(vring.irq, vring);
      vring.irq = null;
    }
    if (this.#configIrq !== null) {
      k.vp_modern_config_vector(this.#mdev, VIRTIO_MSI_NO_VECTOR);
      await k.free_irq(this.#configIrq, this);
      this.#configIrq = null;
    }
    if (this.#vectors > 0) await k.pci_free_irq_vectors(this.#mdev.pci_dev);
    this.#vectors = 0;
  }

  /** @param i a queue, or the configuration behind the last */
  async #request(i: number): Promise<void> {
    const k = this.#k;
    const { pci_dev: pdev } = this.#mdev;
    const irq = k.pci_irq_vector(pdev, i);
    const name = (what: string | number): string => `vp-vdpa[${k.pci_name(pdev)}]-${what}`;
    const vring = this.vrings[i];
    if (vring === undefined) {
      await k.request_irq(irq, () => tell(this.configCb), 0, name('config'), this);
      k.vp_modern_config_vector(this.#mdev, i);
      this.#configIrq = irq;
    } else {
      await k.request_irq(irq, () => tell(vring.cb), 0, name(i), vring);
      k.vp_modern_queue_vector(this.#mdev, i, i);
      vring.irq = irq;
    }
  }
}

function tell(cb: VdpaCallback | null): 'IRQ_HANDLED' {
  cb?.callback();
  return 'IRQ_HANDLED';
}
