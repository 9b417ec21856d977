/** Devices: made by their drivers, opened through their group. Mirrors `drivers/vfio/vfio_main.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { File, FileOperations, Process } from '@vdpalab/fs';
import type { WaitQueue } from '@vdpalab/sched';
import { CAP_SYS_RAWIO, O_CLOEXEC, O_RDWR, VFIO_DEVICE_FEATURE } from '@vdpalab/uapi';
import { deviceFeature } from './feature.ts';
import type { VfioGroup } from './group.ts';
import type { VfioDevice, VfioDeviceOps, VfioLogOps, VfioMigrationOps, VfioUnmapNotifier } from './header.ts';
import { refuse } from './refuse.ts';
import type { Vfio, VfioSet } from './state.ts';

const MINORMASK = (1 << 20) - 1;
const PAGE_SIZE = 4096;
/** Between two requests to close a device. */
const REQUEST_NS = 10e9;

/** `struct vfio_device` */
export class VfioDeviceState implements VfioDevice {
  readonly dev: Device;
  device!: Device;
  readonly ops: VfioDeviceOps;
  readonly data: unknown;
  readonly index: number;
  open_count = 0;
  dev_set: VfioSet | null = null;
  kvm: unknown = null;
  migration_flags = 0;
  mig_ops: VfioMigrationOps | null = null;
  log_ops: VfioLogOps | null = null;
  group: VfioGroup | null = null;
  /** The registration's, and each open file's. */
  users = 0;
  /** The registration counts among the users. */
  registered = false;
  readonly wq: WaitQueue;
  /** What {@link VfioDeviceOps.dma_unmap} is for those that pin by page numbers. */
  notifier: VfioUnmapNotifier | null = null;

  constructor(dev: Device, ops: VfioDeviceOps, data: unknown, index: number, wq: WaitQueue) {
    this.dev = dev;
    this.ops = ops;
    this.data = data;
    this.index = index;
    this.wq = wq;
  }
}

/** The device behind a handle. */
export function own(vdev: VfioDevice): VfioDeviceState {
  if (vdev instanceof VfioDeviceState) return vdev;
  throw new Error(`vfio: ${vdev.dev.name} was not made by _vfio_alloc_device`);
}

/** @see `_vfio_alloc_device`, `vfio_init_device`, `vfio_device_release` */
export async function allocDevice(vfio: Vfio, dev: Device, ops: VfioDeviceOps, data: unknown): Promise<VfioDevice> {
  const { k } = vfio;
  const index = k.ida_alloc_max(vfio.deviceIds, MINORMASK);
  const vdev = new VfioDeviceState(dev, ops, data, index, k.init_waitqueue_head(`vfio${index}`));
  const free = (): Atomic => {
    vfio.devices.delete(vdev);
    return k.ida_free(vfio.deviceIds, index);
  };
  try {
    await ops.init?.(vdev);
  } catch (error) {
    free();
    throw error;
  }
  try {
    vdev.device = k.device_initialize({
      name: `vfio${index}`, parent: dev, class: vfio.deviceClass,
      release: () => {
        leaveSet(vfio, vdev);
        ops.release?.(vdev);
        return free();
      },
    });
  } catch (error) {
    ops.release?.(vdev);
    free();
    throw error;
  }
  vfio.devices.add(vdev);
  return vdev;
}

/** @see `vfio_assign_device_set` */
export function assignDeviceSet(vfio: Vfio, given: VfioDevice, id: unknown): Atomic {
  const vdev = own(given);
  leaveSet(vfio, vdev);
  let set = vfio.sets.get(id);
  if (set === undefined) {
    set = { id, lock: vfio.k.mutex_init(`vfio device set of ${vdev.dev.name}`), devices: [] };
    vfio.sets.set(id, set);
  }
  set.devices.push(vdev);
  vdev.dev_set = set;
}

function leaveSet(vfio: Vfio, vdev: VfioDeviceState): void {
  const set = vdev.dev_set;
  if (set === null) return;
  set.devices.splice(set.devices.indexOf(vdev), 1);
  if (set.devices.length === 0) vfio.sets.delete(set.id);
  vdev.dev_set = null;
}

/** Show it in sysfs and in its group; `group` has been counted. @see `__vfio_register_dev` */
export async function addDevice(vfio: Vfio, vdev: VfioDeviceState, group: VfioGroup): Promise<void> {
  if (vdev.dev_set === null) assignDeviceSet(vfio, vdev, vdev);
  await vfio.k.device_add(vdev.device);
  vdev.group = group;
  vdev.users = 1;
  vdev.registered = true;
  group.devices.push(vdev);
}

/** Wait until nobody has it open, then take it out of sysfs and its group. @see `vfio_unregister_group_dev` */
export async function delDevice(vfio: Vfio, vdev: VfioDeviceState): Promise<VfioGroup> {
  const { k } = vfio;
  const group = vdev.group;
  if (group === null) throw new Error(`vfio: ${vdev.dev.name} is unregistered, but not registered`);
  vdev.users--;
  vdev.registered = false;
  const closed = (): boolean => vdev.users === 0;
  const what = `the last close of VFIO device ${vdev.dev.name}`;
  let interruptible = k.current() !== null;
  for (let i = 0; !closed(); i++) {
    const ns = vdev.ops.request?.(vdev, i) === true ? REQUEST_NS : -1;
    if (interruptible) interruptible = await napped(vfio, vdev, closed, what, ns);
    else if (ns < 0) await k.wait_event(vdev.wq, closed, what, undefined, 'vfio_unregister_group_dev');
    else await k.wait_event_timeout(vdev.wq, closed, what, ns);
  }
  group.devices.splice(group.devices.indexOf(vdev), 1);
  await k.device_del(vdev.device);
  vdev.group = null;
  return group;
}

/** @returns false once a signal came: it is told, and waiting goes on without minding any */
async function napped({ k }: Vfio, vdev: VfioDeviceState, closed: () => boolean, what: string, ns: number): Promise<boolean> {
  try {
    await k.wait_event_interruptible(vdev.wq, closed, what, 'vfio_unregister_group_dev', ns);
    return true;
  } catch (error) {
    if (!isKernelError(error) || error.errno !== 'ERESTARTSYS') throw error;
    const task = k.current();
    k.dev_warn(vdev.dev, `Device is currently in use, task "${task?.comm}" (${task?.pid}) blocked until device is released`);
    return false;
  }
}

function putRegistration({ k }: Vfio, vdev: VfioDeviceState): void {
  if (--vdev.users === 0) k.wake_up(vdev.wq);
}

/** Text up to the zero byte. @throws EFAULT; EINVAL for a page or more @see `strndup_user` */
function userString({ mm }: Process, at: number): string {
  const bytes: number[] = [];
  for (;;) {
    const [byte = 0] = mm.read(at + bytes.length, 1);
    if (byte === 0) return String.fromCharCode(...bytes);
    bytes.push(byte);
    if (bytes.length >= PAGE_SIZE) return refuse('EINVAL', 'device-fd.name', 'a device name of a page or more');
  }
}

/** VFIO_GROUP_GET_DEVICE_FD. @throws EFAULT; ENODEV for an unknown name; EINVAL before there is an IOMMU; EMFILE; the driver's errno */
export async function getDeviceFd(vfio: Vfio, group: VfioGroup, arg: number, proc: Process): Promise<number> {
  const name = userString(proc, arg);
  const vdev = group.devices.find((one) => one.users > 0 && (one.ops.match?.(one, name) ?? one.dev.name === name));
  if (vdev === undefined) return refuse('ENODEV', 'device-fd.unknown', `group ${group.name} has no device ${JSON.stringify(name)}`);
  if (vdev.ops.exclusive === true && vdev.users > (vdev.registered ? 1 : 0)) refuse('EBUSY', 'device-fd.exclusive', `${name}: open already`);
  vdev.users++;
  try {
    return await openDevice(vfio, group, vdev, proc);
  } catch (error) {
    putRegistration(vfio, vdev);
    throw error;
  }
}

/** @see `vfio_device_open` */
async function openDevice(vfio: Vfio, group: VfioGroup, vdev: VfioDeviceState, proc: Process): Promise<number> {
  const { k } = vfio;
  const file = await assignContainer(vfio, group);
  const owner = vdev.dev.driver?.owner ?? null;
  if (!k.try_module_get(owner)) {
    await unassignContainer(vfio, group, file);
    return refuse('ENODEV', 'device-fd.going', `${vdev.dev.name}: its driver's module is going`);
  }
  let first = false;
  const close = async (): Promise<void> => {
    if (first) await closeDevice(vfio, group, vdev);
    k.module_put(owner);
    await unassignContainer(vfio, group, file);
  };
  try {
    first = await firstOpen(vfio, group, vdev);
    const fd = k.anon_inode_getfd(proc, '[vfio-device]', deviceFops(vfio, group, vdev, file, owner), vdev, O_RDWR | O_CLOEXEC);
    if (group.type === 'VFIO_NO_IOMMU') k.dev_warn(vdev.dev, `vfio-noiommu device opened by user (${proc.comm}:${proc.pid})`);
    return fd;
  } catch (error) {
    await close();
    throw error;
  }
}

/** @returns true: the device counts as open */
async function firstOpen({ k }: Vfio, group: VfioGroup, vdev: VfioDeviceState): Promise<true> {
  const set = vdev.dev_set!; // registered
  await k.mutex_lock(set.lock);
  try {
    if (vdev.open_count === 0) {
      await k.mutex_lock(group.lock);
      try {
        vdev.kvm = group.kvm;
        await vdev.ops.open_device?.(vdev);
        const { backend } = group.container!; // counted in by assignContainer
        if (vdev.ops.dma_unmap !== undefined) backend?.ops.register_device?.(backend.data, vdev);
      } finally {
        k.mutex_unlock(group.lock);
      }
    }
    vdev.open_count++;
    return true;
  } finally {
    k.mutex_unlock(set.lock);
  }
}

async function closeDevice({ k }: Vfio, group: VfioGroup, vdev: VfioDeviceState): Promise<void> {
  const set = vdev.dev_set!; // registered
  await k.mutex_lock(set.lock);
  try {
    if (vdev.open_count === 1) {
      await k.mutex_lock(group.lock);
      try {
        await vdev.ops.close_device?.(vdev);
        const backend = group.container?.backend ?? null;
        if (vdev.ops.dma_unmap !== undefined || vdev.notifier !== null) backend?.ops.unregister_device?.(backend.data, vdev);
        vdev.notifier = null;
      } finally {
        k.mutex_unlock(group.lock);
      }
      vdev.kvm = null;
    }
    vdev.open_count--;
  } finally {
    k.mutex_unlock(set.lock);
  }
}

/** The group's file stays open as long as a device is. @throws EINVAL before VFIO_SET_IOMMU; EPERM @see `vfio_device_assign_container` */
async function assignContainer({ k }: Vfio, group: VfioGroup): Promise<File> {
  await k.mutex_lock(group.lock);
  try {
    const { container, openedFile } = group;
    if (container === null || container.backend === null || openedFile === null) {
      return refuse('EINVAL', 'device-fd.no-iommu', `group ${group.name}: VFIO_GROUP_SET_CONTAINER and VFIO_SET_IOMMU come first`);
    }
    if (group.type === 'VFIO_NO_IOMMU' && !k.capable(CAP_SYS_RAWIO)) refuse('EPERM', 'noiommu.cap', 'DMA without an IOMMU needs CAP_SYS_RAWIO');
    k.get_file(openedFile);
    group.container_users++;
    return openedFile;
  } finally {
    k.mutex_unlock(group.lock);
  }
}

async function unassignContainer({ k }: Vfio, group: VfioGroup, file: File): Promise<void> {
  await k.mutex_lock(group.lock);
  group.container_users--;
  k.mutex_unlock(group.lock);
  await k.fput(file);
}

/** The file of an open device. @see `vfio_device_fops` */
function deviceFops(vfio: Vfio, group: VfioGroup, vdev: VfioDeviceState, groupFile: File, owner: Parameters<Vfio['k']['module_put']>[0]): FileOperations {
  const { ops } = vdev;
  const absent = (what: string): never => refuse('EINVAL', 'device.op', `${vdev.dev.name}: its driver has no ${what}`);
  return {
    owner: vfio.owner,
    async release() {
      await closeDevice(vfio, group, vdev);
      vfio.k.module_put(owner);
      await unassignContainer(vfio, group, groupFile);
      putRegistration(vfio, vdev);
    },
    read: async (_, len, pos, proc) => await (ops.read?.(vdev, len, pos, proc) ?? absent('read')),
    write: async (_, bytes, pos, proc) => await (ops.write?.(vdev, bytes, pos, proc) ?? absent('write')),
    mmap: async (_, vma, proc) => await (ops.mmap?.(vdev, vma, proc) ?? absent('mmap')),
    async unlocked_ioctl(_, cmd, arg, proc) {
      if (cmd === VFIO_DEVICE_FEATURE) return await deviceFeature(vfio.k, vdev, arg, proc);
      return await (ops.ioctl?.(vdev, cmd, arg, proc) ?? absent('ioctl'));
    },
  };
}

