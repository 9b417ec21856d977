/** How a function tells its driver: by MSI-X message, or by the ISR byte. */
import { VIRTIO_MSI_NO_VECTOR, VIRTIO_PCI_ISR_CONFIG } from '@vdpalab/uapi';
import type { HwMachine } from '../machine.ts';
import type { MsixVectors } from '../pci/msix.ts';
import type { N3000Counters } from './counters.ts';
import type { DeviceRing, VirtQueue } from './queue.ts';

const ISR_QUEUE = 1;

/** Interrupts of one function. */
export class Interrupts {
  private isr = 0;
  private readonly device: string;
  private readonly hw: HwMachine;
  private readonly msix: MsixVectors | null;
  private readonly counters: N3000Counters;

  /** @param device the function's bdf, for traces */
  constructor(device: string, hw: HwMachine, msix: MsixVectors | null, counters: N3000Counters) {
    this.device = device;
    this.hw = hw;
    this.msix = msix;
    this.counters = counters;
  }

  /** The ISR byte, which reading clears. */
  takeIsr(): number {
    const { isr } = this;
    this.isr = 0;
    return isr;
  }

  /** Chains were used and published: interrupt if the driver wants to hear. */
  used(queue: VirtQueue, ring: DeviceRing, chains: number): undefined {
    const { trace, sched } = this.hw;
    const outer = sched.cause;
    if (trace.enabled) sched.cause = trace.emit('used', { device: this.device, queue: queue.index, chains });
    if (ring.needInterrupt()) {
      this.counters.interrupts++;
      this.fire(queue.vector, ISR_QUEUE);
    }
    sched.cause = outer;
  }

  /** The configuration changed, or the device needs a reset: the ISR byte says so with MSI-X too (virtio 1.2, section 4.1.4.5.1). */
  config(vector: number): undefined {
    this.counters.configInterrupts++;
    this.isr |= VIRTIO_PCI_ISR_CONFIG;
    this.fire(vector, 0);
  }

  /** By message; without MSI-X the ISR byte alone tells, since no interrupt pin is modelled. */
  private fire(vector: number, isr: number): undefined {
    if (this.msix?.on !== true) this.isr |= isr;
    else if (vector !== VIRTIO_MSI_NO_VECTOR) this.msix.fire(vector);
  }
}
