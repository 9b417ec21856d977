/** Groups: what the IOMMU cannot tell apart is used together. Mirrors `drivers/vfio/vfio_main.c` (Linux 6.1). */
import type { Device, IommuGroup } from '@vdpalab/driver-core';
import type { File, FileOperations, Process } from '@vdpalab/fs';
import type { Mutex } from '@vdpalab/sched';
import {
  CAP_SYS_RAWIO, get_user, VFIO_GROUP_FLAGS_CONTAINER_SET, VFIO_GROUP_FLAGS_VIABLE, VFIO_GROUP_GET_DEVICE_FD, VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER, VFIO_GROUP_UNSET_CONTAINER, vfio_group_status,
} from '@vdpalab/uapi';
import { attachGroup, detachGroup, VfioContainer } from './container.ts';
import { getDeviceFd, type VfioDeviceState } from './device.ts';
import type { VfioGroupType } from './header.ts';
import { checkArgsz, refuse } from './refuse.ts';
import type { Vfio } from './state.ts';

const MINORMASK = (1 << 20) - 1;

/** `struct vfio_group` */
export class VfioGroup {
  readonly type: VfioGroupType;
  /** Null once its last device has left. */
  iommuGroup: IommuGroup | null;
  /** Devices registered; `drivers` */
  readonly devices: VfioDeviceState[] = [];
  drivers = 0;
  container: VfioContainer | null = null;
  /** 1 for being in the container, and 1 for each open device. */
  container_users = 0;
  openedFile: File | null = null;
  kvm: unknown = null;
  /** `group_lock` */
  readonly lock: Mutex;
  /** /dev/vfio/N; set right after construction. */
  dev!: Device;

  constructor(type: VfioGroupType, iommuGroup: IommuGroup, lock: Mutex) {
    this.type = type;
    this.iommuGroup = iommuGroup;
    this.lock = lock;
  }

  /** @throws Error (a lab bug) once the last device has left */
  get liveIommuGroup(): IommuGroup {
    if (this.iommuGroup === null) throw new Error('vfio: a group is used after its last device has left');
    return this.iommuGroup;
  }

  get name(): string {
    return this.dev.name;
  }
}

/** Make the node of a group. @throws ENOSPC EEXIST @see `vfio_create_group` */
export async function createGroup(vfio: Vfio, iommuGroup: IommuGroup, type: VfioGroupType): Promise<VfioGroup> {
  const { k, groupClass: cls, major } = vfio;
  const name = `${type === 'VFIO_NO_IOMMU' ? 'noiommu-' : ''}${iommuGroup.id}`;
  const group = new VfioGroup(type, iommuGroup, k.mutex_init(`vfio group ${name}`));
  const minor = k.ida_alloc_max(vfio.groupIds, MINORMASK);
  group.dev = k.device_initialize({
    name, class: cls, devt: { major, minor }, devnode: { name: `vfio/${name}`, mode: 0o600 }, release: () => k.ida_free(vfio.groupIds, minor),
  });
  try {
    await k.cdev_device_add(group.dev, groupFops(vfio, group), vfio.owner, null);
  } catch (error) {
    k.put_device(group.dev);
    throw error;
  }
  vfio.groups.add(group);
  return group;
}

/** A device has left its group; with the last goes the node. @see `vfio_device_remove_group` */
export async function removeFromGroup(vfio: Vfio, group: VfioGroup, dev: Device): Promise<void> {
  const { k } = vfio;
  // Its own group goes with it, as far as nobody else holds it: at the end of this function.
  await k.mutex_lock(vfio.groupsLock);
  try {
    if (--group.drivers === 0) {
      vfio.groups.delete(group);
      await k.cdev_device_del(group.dev);
      await k.mutex_lock(group.lock);
      try {
        if (group.container !== null) await detachGroup(vfio, group);
        group.iommuGroup = null;
      } finally {
        k.mutex_unlock(group.lock);
      }
      k.put_device(group.dev);
    }
  } finally {
    k.mutex_unlock(vfio.groupsLock);
  }
  if (group.type !== 'VFIO_IOMMU') k.iommu_group_remove_device(dev);
}

/** The file /dev/vfio/N. @see `vfio_group_fops` */
function groupFops(vfio: Vfio, group: VfioGroup): FileOperations {
  const { k } = vfio;
  return {
    owner: vfio.owner,
    async open(file) {
      await k.mutex_lock(group.lock);
      try {
        if (group.drivers === 0) refuse('ENODEV', 'group.open.gone', `/dev/vfio/${group.name}: its last device has left`);
        if (group.type === 'VFIO_NO_IOMMU' && !k.capable(CAP_SYS_RAWIO)) refuse('EPERM', 'noiommu.cap', 'DMA without an IOMMU needs CAP_SYS_RAWIO');
        if (group.openedFile !== null) refuse('EBUSY', 'group.open.busy', `/dev/vfio/${group.name}: open already, or a device of it is`);
        group.openedFile = file;
        file.private_data = group;
      } finally {
        k.mutex_unlock(group.lock);
      }
    },
    async release() {
      await k.mutex_lock(group.lock);
      try {
        if (group.container !== null) await detachGroup(vfio, group);
        group.openedFile = null;
      } finally {
        k.mutex_unlock(group.lock);
      }
    },
    unlocked_ioctl: (_, cmd, arg, proc) => groupIoctl(vfio, group, cmd, arg, proc),
  };
}

async function groupIoctl(vfio: Vfio, group: VfioGroup, cmd: number, arg: number, proc: Process): Promise<number> {
  switch (cmd) {
    case VFIO_GROUP_GET_DEVICE_FD: return await getDeviceFd(vfio, group, arg, proc);
    case VFIO_GROUP_GET_STATUS: return await locked(vfio, group, async () => getStatus(vfio, group, arg, proc));
    case VFIO_GROUP_SET_CONTAINER: return await setContainer(vfio, group, arg, proc);
    case VFIO_GROUP_UNSET_CONTAINER: return await locked(vfio, group, () => unsetContainer(vfio, group));
    default: return refuse('ENOTTY', 'group.ioctl', `command 0x${cmd.toString(16)} is none of a group's`);
  }
}

async function locked(vfio: Vfio, group: VfioGroup, body: () => Promise<void>): Promise<number> {
  await vfio.k.mutex_lock(group.lock);
  try {
    await body();
    return 0;
  } finally {
    vfio.k.mutex_unlock(group.lock);
  }
}

/** @see `vfio_group_ioctl_get_status` */
function getStatus({ k }: Vfio, group: VfioGroup, arg: number, { mm }: Process): void {
  const { argsz } = vfio_group_status.decode(mm.read(arg, vfio_group_status.size));
  checkArgsz(argsz, vfio_group_status.size, 'vfio_group_status');
  const { iommuGroup } = group;
  if (iommuGroup === null) return gone(group);
  let flags = 0;
  if (group.container !== null) flags = VFIO_GROUP_FLAGS_CONTAINER_SET | VFIO_GROUP_FLAGS_VIABLE;
  else if (group.type !== 'VFIO_IOMMU' || !k.iommu_group_dma_owner_claimed(iommuGroup)) flags = VFIO_GROUP_FLAGS_VIABLE;
  mm.write(arg, vfio_group_status.encode({ argsz, flags }));
}

/** @throws EFAULT; EBADF for a closed descriptor; EINVAL for another file, or a second container @see `vfio_group_ioctl_set_container` */
async function setContainer(vfio: Vfio, group: VfioGroup, arg: number, proc: Process): Promise<number> {
  const { k } = vfio;
  const fd = Number(BigInt.asIntN(32, get_user(proc.mm, arg, 4)));
  const file = k.fget(proc, fd);
  try {
    return await locked(vfio, group, async () => {
      if (group.container !== null) refuse('EINVAL', 'set-container.twice', `group ${group.name} is in a container already`);
      if (group.iommuGroup === null) return gone(group);
      const container: unknown = file.private_data;
      if (!(container instanceof VfioContainer)) refuse('EINVAL', 'set-container.file', `descriptor ${fd} is ${file.path}, no container`);
      else await attachGroup(vfio, container, group);
    });
  } finally {
    await k.fput(file);
  }
}

/** @throws EINVAL without a container; EBUSY with a device open @see `vfio_group_ioctl_unset_container` */
async function unsetContainer(vfio: Vfio, group: VfioGroup): Promise<void> {
  if (group.container === null) refuse('EINVAL', 'unset-container.none', `group ${group.name} is in no container`);
  if (group.container_users !== 1) refuse('EBUSY', 'unset-container.busy', `group ${group.name}: ${group.container_users - 1} devices are open`);
  await detachGroup(vfio, group);
}

function gone(group: VfioGroup): never {
  return refuse('ENODEV', 'group.gone', `group ${group.name}: its last device has left`);
}
