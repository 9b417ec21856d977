/** VFIO_DEVICE_GET_IRQ_INFO and SET_IRQS. Mirrors `drivers/vfio/pci/{vfio_pci_core,vfio_pci_intrs}.c` (Linux 6.1). */
import type { EventfdCtx, Process } from '@vdpalab/fs';
import {
  PCI_CAP_ID_MSIX, PCI_INTERRUPT_PIN, PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_QSIZE, VFIO_IRQ_INFO_AUTOMASKED, VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_INFO_MASKABLE, VFIO_IRQ_INFO_NORESIZE, VFIO_IRQ_SET_ACTION_MASK, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_TYPE_MASK,
  VFIO_IRQ_SET_ACTION_UNMASK, VFIO_IRQ_SET_DATA_BOOL, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE, VFIO_PCI_ERR_IRQ_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_REQ_IRQ_INDEX, vfio_irq_info, vfio_irq_set,
} from '@vdpalab/uapi';
import type { VfioPci } from './device.ts';
import { intxDisable, setIntxMask, setIntxTrigger, setIntxUnmask } from './intx.ts';
import type { IrqRequest } from './irq-request.ts';
import { msixDisable, setMsixTrigger } from './msix.ts';
import { checkArgsz, refuse } from './refuse.ts';

/** Interrupts of an index. @see `vfio_pci_get_irq_count` */
function irqCount({ k, pdev }: VfioPci, index: number): number {
  switch (index) {
    case VFIO_PCI_INTX_IRQ_INDEX: return !pdev.is_virtfn && k.pci_read_config_byte(pdev, PCI_INTERRUPT_PIN) !== 0 ? 1 : 0;
    case VFIO_PCI_MSI_IRQ_INDEX: return 0; // no function here has it
    case VFIO_PCI_MSIX_IRQ_INDEX: {
      const pos = k.pci_find_capability(pdev, PCI_CAP_ID_MSIX);
      return pos === 0 ? 0 : (k.pci_read_config_word(pdev, pos + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE) + 1;
    }
    case VFIO_PCI_ERR_IRQ_INDEX: return pdev.pcie_cap === 0 ? 0 : 1;
    default: return index === VFIO_PCI_REQ_IRQ_INDEX ? 1 : 0;
  }
}

/** @throws EFAULT EINVAL */
export function getIrqInfo(v: VfioPci, arg: number, { mm }: Process): number {
  const { argsz, index } = vfio_irq_info.decode(mm.read(arg, vfio_irq_info.size));
  checkArgsz(argsz, vfio_irq_info.size, 'vfio_irq_info');
  if (index >= VFIO_PCI_NUM_IRQS || (index === VFIO_PCI_ERR_IRQ_INDEX && v.pdev.pcie_cap === 0)) {
    refuse('EINVAL', 'irq.index', `${v.name}: no interrupts of index ${index}`);
  }
  const kind = index === VFIO_PCI_INTX_IRQ_INDEX ? VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED : VFIO_IRQ_INFO_NORESIZE;
  mm.write(arg, vfio_irq_info.encode({ argsz, index, flags: VFIO_IRQ_INFO_EVENTFD | kind, count: irqCount(v, index) }));
  return 0;
}

/** @throws EFAULT EINVAL EBADF; ENOTTY for what this index cannot @returns 0, or how many vectors there could be when that is fewer */
export async function setIrqs(v: VfioPci, arg: number, proc: Process): Promise<number> {
  const { mm } = proc;
  const hdr = vfio_irq_set.decode(mm.read(arg, vfio_irq_set.size));
  const { index, start, count, flags } = hdr;
  const bytes = v.k.vfio_set_irqs_validate_and_prepare(hdr, irqCount(v, index), VFIO_PCI_NUM_IRQS);
  const data = Uint8Array.from(mm.read(arg + vfio_irq_set.size, bytes));
  const view = new DataView(data.buffer);
  const request: IrqRequest = {
    index, start, count, flags, proc,
    bools: (flags & VFIO_IRQ_SET_DATA_BOOL) === 0 ? [] : Array.from(data, (byte) => byte !== 0),
    fds: (flags & VFIO_IRQ_SET_DATA_EVENTFD) === 0 ? [] : Array.from({ length: count }, (_, i) => view.getInt32(4 * i, true)),
  };
  await v.k.mutex_lock(v.igate);
  try {
    return await dispatch(v, request);
  } finally {
    v.k.mutex_unlock(v.igate);
  }
}

/** @see `vfio_pci_set_irqs_ioctl` */
async function dispatch(v: VfioPci, request: IrqRequest): Promise<number> {
  const action = request.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
  switch (request.index) {
    case VFIO_PCI_INTX_IRQ_INDEX:
      if (action === VFIO_IRQ_SET_ACTION_MASK) await setIntxMask(v, request);
      else if (action === VFIO_IRQ_SET_ACTION_UNMASK) await setIntxUnmask(v, request);
      else if (action === VFIO_IRQ_SET_ACTION_TRIGGER) await setIntxTrigger(v, request);
      else break;
      return 0;
    case VFIO_PCI_MSIX_IRQ_INDEX:
      if (action === VFIO_IRQ_SET_ACTION_TRIGGER) return await setMsixTrigger(v, request);
      break;
    case VFIO_PCI_ERR_IRQ_INDEX:
      if (action !== VFIO_IRQ_SET_ACTION_TRIGGER) break;
      v.errTrigger = singleTrigger(v, v.errTrigger, request);
      return 0;
    case VFIO_PCI_REQ_IRQ_INDEX:
      if (action !== VFIO_IRQ_SET_ACTION_TRIGGER) break;
      v.reqTrigger = singleTrigger(v, v.reqTrigger, request);
      return 0;
    default: break;
  }
  return refuse('ENOTTY', 'irq.action', `interrupts of index ${request.index}: flags 0x${request.flags.toString(16)} ask for what they cannot`);
}

/** The eventfd of what is no interrupt of the function; data of other kinds try it out. @see `vfio_pci_set_ctx_trigger_single` */
function singleTrigger({ k }: VfioPci, now: EventfdCtx | null, { count, flags, bools, fds, proc }: IrqRequest): EventfdCtx | null {
  const drop = (): null => {
    if (now !== null) k.eventfd_ctx_put(now);
    return null;
  };
  if ((flags & VFIO_IRQ_SET_DATA_NONE) !== 0 && now !== null) {
    if (count === 0) return drop();
    k.eventfd_signal(now, 1);
    return now;
  }
  if ((flags & VFIO_IRQ_SET_DATA_BOOL) !== 0 && count > 0) {
    if (bools[0] === true && now !== null) k.eventfd_signal(now, 1);
    return now;
  }
  if ((flags & VFIO_IRQ_SET_DATA_EVENTFD) !== 0 && count > 0) {
    const fd = fds[0] ?? -1;
    if (fd === -1) return drop();
    if (fd < 0) return now;
    const ctx = k.eventfd_ctx_fdget(proc, fd);
    drop();
    return ctx;
  }
  return refuse('EINVAL', 'irq.single', 'no eventfd is set, or no data are given');
}

/** Everything off: the device is closed. */
export async function disableIrqs(v: VfioPci): Promise<void> {
  await v.k.mutex_lock(v.igate);
  try {
    if (v.irqType === VFIO_PCI_INTX_IRQ_INDEX) await intxDisable(v, null);
    else if (v.irqType !== null) await msixDisable(v);
  } finally {
    v.k.mutex_unlock(v.igate);
  }
}

/** @see `vfio_pci_core_close_device` */
export async function dropTriggers(v: VfioPci): Promise<void> {
  await v.k.mutex_lock(v.igate);
  if (v.errTrigger !== null) v.k.eventfd_ctx_put(v.errTrigger);
  if (v.reqTrigger !== null) v.k.eventfd_ctx_put(v.reqTrigger);
  v.errTrigger = null;
  v.reqTrigger = null;
  v.k.mutex_unlock(v.igate);
}
