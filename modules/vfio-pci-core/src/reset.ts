/** Resets that user space asks for. Mirrors `drivers/vfio/pci/vfio_pci_core.c` (Linux 6.1). */
import type { File, Process } from '@vdpalab/fs';
import type { PciDev } from '@vdpalab/pci';
import { vfio_pci_dependent_device, vfio_pci_hot_reset, vfio_pci_hot_reset_info } from '@vdpalab/uapi';
import type { VfioPci } from './device.ts';
import { checkArgsz, refuse } from './refuse.ts';

/** @throws EINVAL when the function cannot reset; EAGAIN while its device lock is taken @see `vfio_pci_ioctl_reset` */
export async function resetDevice(v: VfioPci): Promise<number> {
  if (!v.resetWorks) refuse('EINVAL', 'reset.absent', `${v.name} cannot reset`);
  await v.k.down_write(v.memoryLock);
  try {
    v.zap();
    await v.k.pci_try_reset_function(v.pdev);
  } finally {
    v.unzap();
    v.k.up_write(v.memoryLock);
  }
  return 0;
}

/** What a reset of the bus would reset too. @throws ENODEV on the root bus @see `vfio_pci_for_each_slot_or_bus` */
function dependents(v: VfioPci): readonly PciDev[] {
  try {
    return v.k.pci_probe_reset_bus(v.pdev);
  } catch (cause) {
    return refuse('ENODEV', 'hot-reset.bus', `${v.name}: its bus cannot be reset: ${String((cause as Error).message)}`);
  }
}

/** @throws EFAULT EINVAL ENODEV; EPERM for a function in no group; ENOSPC when the argument is too small, the count in it then */
export function hotResetInfo(v: VfioPci, arg: number, { mm }: Process): number {
  const head = vfio_pci_hot_reset_info;
  const { argsz } = head.decode(mm.read(arg, head.size));
  checkArgsz(argsz, head.size, 'vfio_pci_hot_reset_info');
  const devices = dependents(v);
  const room = argsz - head.size >= devices.length * vfio_pci_dependent_device.size;
  const bytes = new Uint8Array(devices.length * vfio_pci_dependent_device.size);
  if (room) {
    devices.forEach(({ dev, domain, bus, devfn }, i) => {
      const group = dev.iommu_group ?? refuse('EPERM', 'hot-reset.group', `${dev.name} is in no IOMMU group`);
      bytes.set(vfio_pci_dependent_device.encode({ group_id: group.id, segment: domain, bus, devfn }), i * vfio_pci_dependent_device.size);
    });
    mm.write(arg + head.size, bytes);
  }
  mm.write(arg, head.encode({ argsz, flags: 0, count: devices.length }));
  if (!room) refuse('ENOSPC', 'hot-reset.room', `${devices.length} functions do not fit ${argsz} bytes`);
  return 0;
}

/**
 * Reset the bus; the caller shows that all of it is its own, by the open files of the groups.
 *
 * @throws EFAULT EBADF; EINVAL when a function has another driver or its group is not among them, or for a file that is no group's;
 * ENODEV on the root bus; EAGAIN
 * @see `vfio_pci_ioctl_pci_hot_reset`
 */
export async function hotReset(v: VfioPci, arg: number, proc: Process, find: (pdev: PciDev) => VfioPci | null): Promise<number> {
  const head = vfio_pci_hot_reset;
  const { argsz, flags, count } = head.decode(proc.mm.read(arg, head.size));
  checkArgsz(argsz, head.size, 'vfio_pci_hot_reset');
  if (flags !== 0) refuse('EINVAL', 'hot-reset.flags', `flags 0x${flags.toString(16)}`);
  const devices = dependents(v);
  if (count === 0 || count > devices.length) refuse('EINVAL', 'hot-reset.count', `${count} groups for ${devices.length} functions`);
  const fds = new DataView(proc.mm.read(arg + head.size, 4 * count).slice().buffer);
  const files: File[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const file = v.k.fget(proc, fds.getInt32(4 * i, true));
      files.push(file);
      if (!v.k.vfio_file_is_group(file)) refuse('EINVAL', 'hot-reset.file', `${file.path} is no group`);
    }
    await resetAll(v, devices.map((pdev) => ownedOf(pdev, files, find, v)));
  } finally {
    for (const file of files) await v.k.fput(file);
  }
  return 0;
}

/** @throws EINVAL for a function that is not the caller's */
function ownedOf(pdev: PciDev, files: readonly File[], find: (pdev: PciDev) => VfioPci | null, { k }: VfioPci): VfioPci {
  const one = find(pdev) ?? refuse('EINVAL', 'hot-reset.driver', `${pdev.dev.name} is not VFIO's`);
  if (!files.some((file) => k.vfio_file_has_dev(file, one.vdev))) refuse('EINVAL', 'hot-reset.owner', `${pdev.dev.name}: its group's file was not given`);
  return one;
}

/** @see `vfio_pci_dev_set_hot_reset` */
async function resetAll(v: VfioPci, all: readonly VfioPci[]): Promise<void> {
  const locked: VfioPci[] = [];
  try {
    for (const one of all) {
      await v.k.down_write(one.memoryLock);
      locked.push(one);
      one.zap();
    }
    await v.k.pci_reset_bus(v.pdev);
  } finally {
    for (const one of locked.toReversed()) {
      one.unzap();
      v.k.up_write(one.memoryLock);
    }
  }
}
