/** Into which group a device goes when its driver registers it. Mirrors `drivers/vfio/vfio_main.c` (Linux 6.1). */
import { addDevice, delDevice, own } from './device.ts';
import { createGroup, removeFromGroup, type VfioGroup } from './group.ts';
import type { VfioDevice, VfioGroupType } from './header.ts';
import { refuse } from './refuse.ts';
import type { Vfio } from './state.ts';

const TAINT_USER = 6;

/** @throws EINVAL without an IOMMU group or coherent DMA @see `vfio_register_group_dev` */
export async function registerGroupDev(vfio: Vfio, given: VfioDevice): Promise<void> {
  const vdev = own(given);
  await register(vfio, vdev, await findOrAllocGroup(vfio, vdev));
}

/** @see `vfio_register_emulated_iommu_dev` */
export async function registerEmulated(vfio: Vfio, given: VfioDevice): Promise<void> {
  await register(vfio, given, await ownGroup(vfio, given, 'VFIO_EMULATED_IOMMU'));
}

/** @see `vfio_unregister_group_dev` */
export async function unregisterGroupDev(vfio: Vfio, given: VfioDevice): Promise<void> {
  const vdev = own(given);
  const group = await delDevice(vfio, vdev);
  await removeFromGroup(vfio, group, vdev.dev);
}

async function register(vfio: Vfio, given: VfioDevice, group: VfioGroup): Promise<void> {
  const vdev = own(given);
  try {
    await addDevice(vfio, vdev, group);
  } catch (error) {
    await removeFromGroup(vfio, group, vdev.dev);
    throw error;
  }
}

/** The group of the device's iommu group, counted once more. @see `vfio_group_find_or_alloc` */
async function findOrAllocGroup(vfio: Vfio, vdev: VfioDevice): Promise<VfioGroup> {
  const { k } = vfio;
  const { dev } = vdev;
  const iommuGroup = k.iommu_group_get(dev);
  if (iommuGroup === null && vfio.params.enable_unsafe_noiommu_mode) {
    const group = await ownGroup(vfio, vdev, 'VFIO_NO_IOMMU');
    k.add_taint(TAINT_USER);
    k.dev_warn(dev, 'Adding kernel taint for vfio-noiommu group on device');
    return group;
  }
  if (iommuGroup === null) return refuse('EINVAL', 'register.no-group', `${dev.name}: in no IOMMU group`);
  if (!k.device_iommu_capable(dev, 'IOMMU_CAP_CACHE_COHERENCY')) {
    return refuse('EINVAL', 'register.coherency', `${dev.name}: its IOMMU does not keep caches coherent`);
  }
  await k.mutex_lock(vfio.groupsLock);
  try {
    const group = [...vfio.groups].find((one) => one.iommuGroup === iommuGroup) ?? await createGroup(vfio, iommuGroup, 'VFIO_IOMMU');
    group.drivers++;
    return group;
  } finally {
    k.mutex_unlock(vfio.groupsLock);
  }
}

/** A group of its own, without hardware behind it. @see `vfio_noiommu_group_alloc` */
async function ownGroup(vfio: Vfio, { dev }: VfioDevice, type: VfioGroupType): Promise<VfioGroup> {
  const { k } = vfio;
  const iommuGroup = k.iommu_group_alloc('vfio-noiommu');
  try {
    k.iommu_group_add_device(iommuGroup, dev);
  } catch (error) {
    k.iommu_group_put(iommuGroup);
    throw error;
  }
  await k.mutex_lock(vfio.groupsLock);
  try {
    const group = await createGroup(vfio, iommuGroup, type);
    group.drivers = 1;
    return group;
  } catch (error) {
    k.iommu_group_remove_device(dev);
    throw error;
  } finally {
    k.mutex_unlock(vfio.groupsLock);
  }
}
