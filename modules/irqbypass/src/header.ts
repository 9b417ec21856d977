/**
 * IRQ bypass: connects a producer (a device's interrupt) with a consumer (a virtual CPU) by a common token.
 *
 * Mirrors `include/linux/irqbypass.h` and `virt/lib/irqbypass.c` (Linux 6.1).
 */
export type {} from '@vdpalab/abi';

/** `struct irq_bypass_producer` */
export interface IrqBypassProducer {
  /** The eventfd both sides know. */
  token: unknown;
  /** Linux interrupt number. */
  irq: number;
  readonly add_consumer?: (consumer: IrqBypassConsumer) => Promise<void>;
  readonly del_consumer?: (consumer: IrqBypassConsumer) => Promise<void>;
  readonly stop?: () => Promise<void>;
  readonly start?: () => Promise<void>;
}

/** `struct irq_bypass_consumer` */
export interface IrqBypassConsumer {
  token: unknown;
  readonly add_producer: (producer: IrqBypassProducer) => Promise<void>;
  readonly del_producer: (producer: IrqBypassProducer) => Promise<void>;
  readonly stop?: () => Promise<void>;
  readonly start?: () => Promise<void>;
}

export interface IrqBypassSymbols {
  /** @throws EINVAL without a token, EBUSY when the token has a producer; a consumer's refusal is passed on and nothing registered */
  irq_bypass_register_producer: (producer: IrqBypassProducer) => Promise<void>;
  irq_bypass_unregister_producer: (producer: IrqBypassProducer) => Promise<void>;
  irq_bypass_register_consumer: (consumer: IrqBypassConsumer) => Promise<void>;
  irq_bypass_unregister_consumer: (consumer: IrqBypassConsumer) => Promise<void>;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends IrqBypassSymbols {}
}
