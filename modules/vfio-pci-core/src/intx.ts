/** The interrupt pin. Mirrors `drivers/vfio/pci/vfio_pci_intrs.c` (Linux 6.1). */
import type { Process } from '@vdpalab/fs';
import {
  IRQF_SHARED, VFIO_IRQ_SET_DATA_BOOL, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE, VFIO_PCI_INTX_IRQ_INDEX,
} from '@vdpalab/uapi';
import type { IrqContext, VfioPci } from './device.ts';
import { newContext, signal, type IrqRequest } from './irq-request.ts';
import { refuse } from './refuse.ts';

const isIntx = (v: VfioPci): boolean => v.irqType === VFIO_PCI_INTX_IRQ_INDEX;

function context(v: VfioPci): IrqContext | null {
  return isIntx(v) ? v.contexts[0] ?? null : null;
}

/** Mask it, where it is not. @see `vfio_pci_intx_mask` */
export async function intxMask(v: VfioPci): Promise<void> {
  const ctx = context(v);
  if (ctx === null) {
    if (v.pci23) v.k.pci_intx(v.pdev, false);
    return;
  }
  if (ctx.masked) return;
  ctx.masked = true;
  if (v.pci23) v.k.pci_intx(v.pdev, false);
  else await v.k.disable_irq(v.pdev.irq);
}

/** Unmask it; when it is still asserted, it is told at once and stays masked. @see `vfio_pci_intx_unmask` */
export async function intxUnmask(v: VfioPci): Promise<void> {
  const ctx = context(v);
  if (ctx === null) {
    if (v.pci23) v.k.pci_intx(v.pdev, true);
    return;
  }
  if (!ctx.masked || v.virqDisabled) return;
  if (v.pci23) {
    if (!v.k.pci_check_and_unmask_intx(v.pdev)) return void signal(v, ctx);
  } else {
    v.k.enable_irq(v.pdev.irq);
  }
  ctx.masked = false;
}

/** An interrupt masks itself until user space has seen to it. @see `vfio_intx_handler` */
function handler(v: VfioPci): 'IRQ_NONE' | 'IRQ_HANDLED' {
  const ctx = context(v);
  if (ctx === null || ctx.masked || !v.k.pci_check_and_mask_intx(v.pdev)) return 'IRQ_NONE';
  ctx.masked = true;
  if (!v.virqDisabled) signal(v, ctx);
  return 'IRQ_HANDLED';
}

/** @see `vfio_intx_enable` */
async function enable(v: VfioPci): Promise<void> {
  if (v.pdev.irq === 0) refuse('ENODEV', 'intx.none', `${v.name}: its pin leads to no interrupt`);
  if (!v.pci23) refuse('ENODEV', 'intx.mask', `${v.name}: its pin cannot be masked`);
  const ctx = newContext();
  ctx.masked = v.virqDisabled;
  v.k.pci_intx(v.pdev, !ctx.masked);
  v.contexts = [ctx];
  v.irqType = VFIO_PCI_INTX_IRQ_INDEX;
}

/** The eventfd that it signals; a negative descriptor for none. @throws EBADF EINVAL @see `vfio_intx_set_signal` */
async function setSignal(v: VfioPci, fd: number, proc: Process): Promise<void> {
  const { k } = v;
  const ctx = v.contexts[0]!; // enabled
  if (ctx.trigger !== null) {
    await k.free_irq(v.pdev.irq, ctx);
    k.eventfd_ctx_put(ctx.trigger);
    ctx.trigger = null;
  }
  if (fd < 0) return;
  const trigger = k.eventfd_ctx_fdget(proc, fd);
  ctx.trigger = trigger;
  try {
    await k.request_irq(v.pdev.irq, () => handler(v), IRQF_SHARED, `vfio-intx(${v.name})`, ctx);
  } catch (error) {
    ctx.trigger = null;
    k.eventfd_ctx_put(trigger);
    throw error;
  }
}

/** @see `vfio_intx_disable` */
export async function intxDisable(v: VfioPci, proc: Process | null): Promise<void> {
  const ctx = v.contexts[0];
  if (ctx !== undefined) {
    await v.k.vfio_virqfd_disable(ctx.unmask);
    await setSignal(v, -1, proc!); // no descriptor is looked up
  }
  v.irqType = null;
  v.contexts = [];
}

/** @throws EINVAL while the pin is off; ENOTTY for an eventfd @see `vfio_pci_set_intx_mask` */
export async function setIntxMask(v: VfioPci, { start, count, flags, bools }: IrqRequest): Promise<void> {
  if (!isIntx(v) || start !== 0 || count !== 1) refuse('EINVAL', 'intx.off', `${v.name}: the pin is off, or not meant alone`);
  if ((flags & VFIO_IRQ_SET_DATA_EVENTFD) !== 0) refuse('ENOTTY', 'intx.mask-eventfd', 'an eventfd masks nothing');
  if ((flags & VFIO_IRQ_SET_DATA_NONE) !== 0 || bools[0] === true) await intxMask(v);
}

/** @throws EINVAL while the pin is off; what the eventfd refuses with @see `vfio_pci_set_intx_unmask` */
export async function setIntxUnmask(v: VfioPci, { start, count, flags, bools, fds, proc }: IrqRequest): Promise<void> {
  if (!isIntx(v) || start !== 0 || count !== 1) refuse('EINVAL', 'intx.off', `${v.name}: the pin is off, or not meant alone`);
  if ((flags & VFIO_IRQ_SET_DATA_EVENTFD) !== 0) {
    const { unmask } = v.contexts[0]!; // on
    const fd = fds[0] ?? -1;
    if (fd >= 0) v.k.vfio_virqfd_enable(unmask, proc, fd, { thread: () => intxUnmask(v) });
    else await v.k.vfio_virqfd_disable(unmask);
  } else if ((flags & VFIO_IRQ_SET_DATA_NONE) !== 0 || bools[0] === true) {
    await intxUnmask(v);
  }
}

/** @see `vfio_pci_set_intx_trigger` */
export async function setIntxTrigger(v: VfioPci, { start, count, flags, bools, fds, proc }: IrqRequest): Promise<void> {
  if (isIntx(v) && count === 0 && (flags & VFIO_IRQ_SET_DATA_NONE) !== 0) return await intxDisable(v, proc);
  if ((v.irqType !== null && !isIntx(v)) || start !== 0 || count !== 1) refuse('EINVAL', 'irq.other', `${v.name}: other interrupts are on, or the pin is not meant alone`);
  if ((flags & VFIO_IRQ_SET_DATA_EVENTFD) !== 0) {
    const fresh = !isIntx(v);
    if (fresh) await enable(v);
    try {
      await setSignal(v, fds[0] ?? -1, proc);
    } catch (error) {
      if (fresh) await intxDisable(v, proc);
      throw error;
    }
    return;
  }
  if (!isIntx(v)) refuse('EINVAL', 'intx.off', `${v.name}: the pin is off`);
  const ctx = context(v);
  if (ctx !== null && ((flags & VFIO_IRQ_SET_DATA_NONE) !== 0 || ((flags & VFIO_IRQ_SET_DATA_BOOL) !== 0 && bools[0] === true))) signal(v, ctx);
}

