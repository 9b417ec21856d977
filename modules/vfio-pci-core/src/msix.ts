/** Message-signalled interrupts. Mirrors `drivers/vfio/pci/vfio_pci_intrs.c` (Linux 6.1); functions here have MSI-X only. */
import { isKernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import type { IrqBypassProducer } from '@vdpalab/irqbypass';
import { ERRNO, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE } from '@vdpalab/uapi';
import type { VfioPci } from './device.ts';
import { newContext, signal, type IrqRequest } from './irq-request.ts';
import { refuse } from './refuse.ts';

/** Switch all off. @see `vfio_msi_disable` */
export async function msixDisable(v: VfioPci): Promise<void> {
  for (let vector = 0; vector < v.contexts.length; vector++) await dropSignal(v, vector);
  await v.k.pci_free_irq_vectors(v.pdev);
  // Some functions leave their pin masked.
  v.k.pci_intx(v.pdev, !v.virqDisabled);
  v.irqType = null;
  v.contexts = [];
}

/** @returns 0, or how many vectors there could be when that is fewer @see `vfio_msi_enable` */
async function enable(v: VfioPci, nvec: number, index: number): Promise<number> {
  const got = await v.k.pci_alloc_irq_vectors(v.pdev, 1, nvec);
  if (got < nvec) {
    await v.k.pci_free_irq_vectors(v.pdev);
    return got;
  }
  v.contexts = Array.from({ length: nvec }, newContext);
  v.irqType = index;
  return 0;
}

async function dropSignal(v: VfioPci, vector: number): Promise<void> {
  const { k } = v;
  const ctx = v.contexts[vector];
  if (ctx === undefined || ctx.trigger === null) return;
  if (ctx.producer !== null) await k.irq_bypass_unregister_producer(ctx.producer);
  await k.free_irq(k.pci_irq_vector(v.pdev, vector), ctx);
  k.eventfd_ctx_put(ctx.trigger);
  ctx.trigger = null;
  ctx.producer = null;
}

/** The eventfd of one vector; a negative descriptor for none. @throws EBADF EINVAL, and what request_irq throws @see `vfio_msi_set_vector_signal` */
async function setSignal(v: VfioPci, vector: number, fd: number, proc: Process): Promise<void> {
  const { k } = v;
  const ctx = v.contexts[vector];
  if (ctx === undefined) return refuse('EINVAL', 'irq.vector', `${v.name}: vector ${vector} of ${v.contexts.length}`);
  await dropSignal(v, vector);
  if (fd < 0) return;
  const trigger = k.eventfd_ctx_fdget(proc, fd);
  const irq = k.pci_irq_vector(v.pdev, vector);
  try {
    await k.request_irq(irq, () => {
      signal(v, ctx);
      return 'IRQ_HANDLED';
    }, 0, `vfio-msix[${vector}](${v.name})`, ctx);
  } catch (error) {
    k.eventfd_ctx_put(trigger);
    throw error;
  }
  ctx.trigger = trigger;
  ctx.producer = await offer(v, { token: trigger, irq }, trigger.id);
}

/** Without a producer, interrupts are relayed. @returns null then */
async function offer(v: VfioPci, producer: IrqBypassProducer, token: number): Promise<IrqBypassProducer | null> {
  try {
    await v.k.irq_bypass_register_producer(producer);
    return producer;
  } catch (error) {
    if (!isKernelError(error)) throw error;
    v.k.dev_info(v.pdev.dev, `irq bypass producer (token ${token}) registration fails: ${-ERRNO[error.errno]}`);
    return null;
  }
}

/** All or none of a row of vectors. @see `vfio_msi_set_block` */
async function setBlock(v: VfioPci, { start, count, fds, proc }: IrqRequest): Promise<void> {
  if (start + count > v.contexts.length) refuse('EINVAL', 'irq.vector', `${v.name}: vectors ${start} to ${start + count - 1} of ${v.contexts.length}`);
  for (let i = 0; i < count; i++) {
    try {
      await setSignal(v, start + i, fds[i] ?? -1, proc);
    } catch (error) {
      for (let done = i; done >= 0; done--) await dropSignal(v, start + done);
      throw error;
    }
  }
}

/** @returns 0, or how many vectors there could be when that is fewer @throws EINVAL EBADF ... @see `vfio_pci_set_msi_trigger` */
export async function setMsixTrigger(v: VfioPci, request: IrqRequest): Promise<number> {
  const { index, start, count, flags, bools } = request;
  const on = v.irqType === index;
  if (on && count === 0 && (flags & VFIO_IRQ_SET_DATA_NONE) !== 0) {
    await msixDisable(v);
    return 0;
  }
  if (!on && v.irqType !== null) refuse('EINVAL', 'irq.other', `${v.name}: interrupts of index ${v.irqType} are on`);
  if ((flags & VFIO_IRQ_SET_DATA_EVENTFD) !== 0) {
    if (!on) {
      const fewer = await enable(v, start + count, index);
      if (fewer > 0) return fewer;
    }
    try {
      await setBlock(v, request);
    } catch (error) {
      if (!on) await msixDisable(v);
      throw error;
    }
    return 0;
  }
  if (!on || start + count > v.contexts.length) refuse('EINVAL', 'irq.vector', `${v.name}: vectors ${start} to ${start + count - 1} of ${v.contexts.length}`);
  const all = (flags & VFIO_IRQ_SET_DATA_NONE) !== 0;
  v.contexts.slice(start, start + count).forEach((ctx, i) => {
    if (all || bools[i] === true) signal(v, ctx);
  });
  return 0;
}
