/** `include/linux/interrupt.h` (Linux 6.1), kernel-internal: flags of request_irq(). */

export const IRQF_SHARED = 0x00000080;
export const IRQF_ONESHOT = 0x00002000;
export const IRQF_NO_AUTOEN = 0x00080000;
