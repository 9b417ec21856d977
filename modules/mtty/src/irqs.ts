/** Interrupts of a serial card: one eventfd per index. Mirrors `samples/vfio-mdev/mtty.c` (Linux 6.1), `mtty_set_irqs`. */
import type { KernelSymbols } from '@vdpalab/abi';
import type { EventfdCtx, Process } from '@vdpalab/fs';
import {
  VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_TYPE_MASK, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE, VFIO_PCI_ERR_IRQ_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_REQ_IRQ_INDEX,
} from '@vdpalab/uapi';

const OTHERS: Readonly<Record<number, string>> = {
  [VFIO_PCI_MSIX_IRQ_INDEX]: 'MSIX_IRQ', [VFIO_PCI_ERR_IRQ_INDEX]: 'ERR_IRQ', [VFIO_PCI_REQ_IRQ_INDEX]: 'REQ_IRQ',
};

/** Who is told of an interrupt. */
export class Irqs {
  readonly #k: Pick<KernelSymbols, 'eventfd_ctx_fdget' | 'eventfd_ctx_put' | 'eventfd_signal'>;
  readonly #info: (text: string) => void;
  readonly #eventfds = new Map<number, EventfdCtx>();
  /** The index that was set up last; null before any. */
  #index: number | null = null;

  /** @param info the kernel log */
  constructor(k: Pick<KernelSymbols, 'eventfd_ctx_fdget' | 'eventfd_ctx_put' | 'eventfd_signal'>, info: (text: string) => void) {
    this.#k = k;
    this.#info = info;
  }

  /**
   * VFIO_DEVICE_SET_IRQS, checked by VFIO. Masking is taken and does nothing, as in the sample.
   *
   * @param data what follows the struct
   * @throws EBADF EINVAL for a descriptor that is no eventfd
   */
  set(index: number, flags: number, data: DataView, proc: Process): void {
    const other = OTHERS[index];
    if (other !== undefined) {
      this.#info(`mtty_set_irqs: ${other}`);
      return;
    }
    if ((flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) !== VFIO_IRQ_SET_ACTION_TRIGGER) return;
    if ((flags & VFIO_IRQ_SET_DATA_NONE) !== 0) {
      this.#info(`mtty_set_irqs: disable ${index === VFIO_PCI_INTX_IRQ_INDEX ? 'INTx' : 'MSI'}`);
      this.#put(index);
      if (index === VFIO_PCI_MSI_IRQ_INDEX) this.#index = VFIO_PCI_INTX_IRQ_INDEX;
    } else if ((flags & VFIO_IRQ_SET_DATA_EVENTFD) !== 0 && data.byteLength >= 4) {
      this.#bind(index, data.getInt32(0, true), proc);
    }
  }

  /** Raise the interrupt that is set up; nobody may be told. */
  trigger(): void {
    if (this.#index === null) return;
    const eventfd = this.#eventfds.get(this.#index);
    if (eventfd !== undefined) this.#k.eventfd_signal(eventfd, 1);
    else if (this.#index === VFIO_PCI_INTX_IRQ_INDEX) this.#info('mtty_trigger_interrupt: Intr eventfd not found');
  }

  /** Let go of all eventfds. */
  release(): void {
    for (const index of [...this.#eventfds.keys()]) this.#put(index);
    this.#index = null;
  }

  /** @param fd -1 takes the eventfd away */
  #bind(index: number, fd: number, proc: Process): void {
    const eventfd = fd < 0 ? null : this.#k.eventfd_ctx_fdget(proc, fd);
    this.#put(index);
    if (eventfd === null) return;
    this.#eventfds.set(index, eventfd);
    this.#index = index;
  }

  #put(index: number): void {
    const eventfd = this.#eventfds.get(index);
    if (eventfd === undefined) return;
    this.#eventfds.delete(index);
    this.#k.eventfd_ctx_put(eventfd);
  }
}
