/** What every VFIO device answers: what it has, its interrupts, its reset. */
import type { Process } from '@vdpalab/fs';
import {
  VFIO_DEVICE_FLAGS_RESET, VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE,
  get_user, vfio_device_info, vfio_irq_info, vfio_irq_set, vfio_region_info,
} from '@vdpalab/uapi';
import type { VhostMdev } from './device.ts';
import { describeRegion, REGION_SPAN } from './region.ts';
import { checkArgsz, refuse } from './refuse.ts';

/** Index 0 is changes of the configuration; queues have VHOST_SET_VRING_CALL. */
const NUM_IRQS = 1;
/** Bytes up to `num_irqs`. */
const INFO_MIN = vfio_device_info.offsetof('cap_offset');

/** @throws EFAULT EINVAL */
export function getInfo({ nvqs }: VhostMdev, arg: number, { mm }: Process): void {
  const argsz = Number(get_user(mm, arg, 4));
  checkArgsz(argsz, INFO_MIN, 'vfio_device_info');
  const info = vfio_device_info.encode({ argsz, flags: VFIO_DEVICE_FLAGS_RESET, num_regions: nvqs, num_irqs: NUM_IRQS });
  mm.write(arg, info.subarray(0, INFO_MIN));
}

/** @throws EFAULT EINVAL */
export function getRegionInfo(m: VhostMdev, arg: number, { mm }: Process): void {
  const { argsz, index } = vfio_region_info.decode(mm.read(arg, vfio_region_info.size));
  checkArgsz(argsz, vfio_region_info.size, 'vfio_region_info');
  const { size, flags } = describeRegion(m, index);
  mm.write(arg, vfio_region_info.encode({ argsz, index, flags, size: BigInt(size), offset: BigInt(index * REGION_SPAN) }));
}

/** @throws EFAULT EINVAL */
export function getIrqInfo(m: VhostMdev, arg: number, { mm }: Process): void {
  const { argsz, index } = vfio_irq_info.decode(mm.read(arg, vfio_irq_info.size));
  checkArgsz(argsz, vfio_irq_info.size, 'vfio_irq_info');
  if (index >= NUM_IRQS) refuse('EINVAL', 'irq.index', `${m.name}: interrupt index ${index} of ${NUM_IRQS}`);
  mm.write(arg, vfio_irq_info.encode({ argsz, index, flags: VFIO_IRQ_INFO_EVENTFD, count: 1 }));
}

/** An eventfd for changes of the configuration, or none: -1, or no data. @throws EFAULT EINVAL EBADF; ENOTTY for all else */
export function setIrqs(m: VhostMdev, arg: number, proc: Process): void {
  const { mm } = proc;
  const hdr = vfio_irq_set.decode(mm.read(arg, vfio_irq_set.size));
  m.k.vfio_set_irqs_validate_and_prepare(hdr, 1, NUM_IRQS);
  switch (hdr.flags) {
    case VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER: {
      if (hdr.count > 0) refuse('ENOTTY', 'irq.action', 'an interrupt is not tried out');
      return void m.setConfigTrigger(null);
    }
    case VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER: {
      if (hdr.count === 0) return undefined;
      const fd = Number(BigInt.asIntN(32, get_user(mm, arg + vfio_irq_set.size, 4)));
      return void m.setConfigTrigger(fd === -1 ? null : m.k.eventfd_ctx_fdget(proc, fd));
    }
    default: return refuse('ENOTTY', 'irq.action', `flags 0x${hdr.flags.toString(16)}: only an eventfd is set`);
  }
}
