/** Classes of mediated devices, and what drivers of each are given. After `drivers/vfio/mdev/mdev_core.c` of an RFC of 2019. */
import type { Atomic } from '@vdpalab/abi';
import { MDEV_CLASS_ID_VHOST, MDEV_CLASS_ID_VIRTIO } from '@vdpalab/uapi';
import type { MdevDevice, MdevSymbols, VirtioMdevDeviceOps } from './header.ts';

type ClassSymbols = Pick<MdevSymbols, 'mdev_set_class' | 'mdev_set_virtio_ops' | 'mdev_get_virtio_ops' | 'mdev_set_vhost_ops' | 'mdev_get_vhost_ops'
  | 'mdev_set_iommu_device' | 'mdev_get_iommu_device'>;

function give(mdev: MdevDevice, class_id: number, ops: VirtioMdevDeviceOps): Atomic {
  mdev.class_id = class_id;
  mdev.device_ops = ops;
}

function take(mdev: MdevDevice, class_id: number): VirtioMdevDeviceOps {
  if (mdev.class_id === class_id && mdev.device_ops !== null) return mdev.device_ops;
  throw new Error(`${mdev.uuid}: operations of class ${class_id} are asked of a device of class ${mdev.class_id}`);
}

/** The symbols about classes. */
export const classSymbols: ClassSymbols = {
  mdev_set_class: (mdev, id) => void (mdev.class_id = id) as undefined,
  mdev_set_virtio_ops: (mdev, ops) => give(mdev, MDEV_CLASS_ID_VIRTIO, ops),
  mdev_get_virtio_ops: (mdev) => take(mdev, MDEV_CLASS_ID_VIRTIO),
  mdev_set_vhost_ops: (mdev, ops) => give(mdev, MDEV_CLASS_ID_VHOST, ops),
  mdev_get_vhost_ops: (mdev) => take(mdev, MDEV_CLASS_ID_VHOST),
  mdev_set_iommu_device: (mdev, iommu_device) => void (mdev.iommu_device = iommu_device) as undefined,
  mdev_get_iommu_device: ({ iommu_device }) => iommu_device,
};
