/** How a function tells its driver: by MSI-X message, or by the ISR byte and the interrupt pin. */
import { VIRTIO_MSI_NO_VECTOR, VIRTIO_PCI_ISR_CONFIG } from '@vdpalab/uapi';
import type { HwMachine } from '../machine.ts';
import type { MsixVectors } from '../pci/msix.ts';
import type { VirtioCounters } from './counters.ts';
import type { DeviceRing, VirtQueue } from './queue.ts';

const ISR_QUEUE = 1;

/** The function's two ways of interrupting. */
export interface InterruptLines {
  readonly msix: Pick<MsixVectors, 'on' | 'fire'> | null;
  /** Drive the pin, where the function has one. */
  readonly pin: (asserted: boolean) => undefined;
}

/** Interrupts of one function. */
export class Interrupts {
  private isr = 0;
  private readonly device: string;
  private readonly hw: HwMachine;
  private readonly lines: InterruptLines;
  private readonly counters: VirtioCounters;

  /** @param device the function's bdf, for traces */
  constructor(device: string, hw: HwMachine, lines: InterruptLines, counters: VirtioCounters) {
    this.device = device;
    this.hw = hw;
    this.lines = lines;
    this.counters = counters;
  }

  /** The ISR byte; reading clears it and lets go of the pin. */
  takeIsr(): number {
    const { isr } = this;
    this.isr = 0;
    this.lines.pin(false);
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
    this.fire(vector, VIRTIO_PCI_ISR_CONFIG);
  }

  /** By message; without MSI-X by the pin, and the ISR byte tells why. */
  private fire(vector: number, isr: number): undefined {
    const { msix, pin } = this.lines;
    if (msix?.on === true) {
      if (vector !== VIRTIO_MSI_NO_VECTOR) msix.fire(vector);
      return;
    }
    this.isr |= isr;
    pin(true);
  }
}
