/**
 * Interrupts: vectors, handlers, counts.
 *
 * Mirrors `include/linux/{interrupt,irq}.h` (Linux 6.1). A Linux interrupt number here is one MSI vector of the machine.
 */
import type { Atomic } from '@vdpalab/abi';

/** What a handler answers. */
export type IrqReturn = 'IRQ_NONE' | 'IRQ_HANDLED';

/** `irq_handler_t`: atomic. */
export type IrqHandler = (irq: number, devId: unknown) => IrqReturn;

/** Where a posted interrupt goes instead of to the host's handler. */
export interface IrqVcpuInfo {
  /** Deliver to the virtual CPU; atomic. */
  readonly post: () => Atomic;
}

/** One line of /proc/interrupts. */
export interface IrqInfo {
  readonly irq: number;
  /** Interrupts handled by the host. */
  readonly count: number;
  /** Interrupts posted straight to a virtual CPU. */
  readonly posted: number;
  readonly chip: string;
  readonly actions: readonly string[];
}

export interface IrqSymbols {
  /**
   * Make an interrupt number for one message-signalled vector.
   *
   * @param chip as in /proc/interrupts: `PCI-MSI`
   * @param hwirq index within the chip
   * @param source requester id that may fire it, checked where interrupts are remapped; any when absent
   * @returns the number and the message the device must write
   * @throws ENOSPC
   */
  irq_alloc_msi: (chip: string, hwirq: number, source?: number) => { irq: number; address: number; data: number };
  /** @throws Error (a lab bug) while a handler is registered */
  irq_free_msi: (irq: number) => Atomic;
  /** @param flags IRQF_*; @throws EINVAL for an unknown number, or shared without a devId; EBUSY when taken and not shared */
  request_irq: (irq: number, handler: IrqHandler, flags: number, name: string, devId: unknown) => Promise<void>;
  /** Waits for a handler that runs. */
  free_irq: (irq: number, devId: unknown) => Promise<void>;
  /** Interrupts that arrive meanwhile are delivered at the matching enable. Nests. */
  disable_irq: (irq: number) => Promise<void>;
  enable_irq: (irq: number) => Atomic;
  /** Post the interrupt past the host's handlers, or stop doing so with `null`. @throws EINVAL for an unknown number */
  irq_set_vcpu_affinity: (irq: number, info: IrqVcpuInfo | null) => Atomic;
  irq_info: () => readonly IrqInfo[];
  /** Numbers allocated and handlers registered, for leak reports. */
  irq_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends IrqSymbols {}
}
