/** What VFIO asks of a mediated device is passed to its parent. Mirrors `drivers/vfio/mdev/vfio_mdev.c` (Linux 4.10). */
import { KernelError } from '@vdpalab/abi';
import type { KernelSymbols } from '@vdpalab/abi';
import type { MdevDevice, ParentOps } from '@vdpalab/mdev-core';
import type { VfioDevice, VfioDeviceOps } from '@vdpalab/vfio';

const mdevOf = (vdev: VfioDevice): MdevDevice => vdev.data as MdevDevice; // put there by probe

/** @throws EINVAL for a callback that the vendor left out */
function present<T>(callback: T | undefined, name: string, mdev: MdevDevice): T {
  if (callback === undefined) throw new KernelError('EINVAL', 'vfio_mdev.callback', `${mdev.parent.dev.name}: has no ${name}`);
  return callback;
}

/** Operations of a device of one parent. A parent without `notifier` cannot pin pages. */
export function vfioMdevOps(k: Pick<KernelSymbols, 'try_module_get' | 'module_put'>, ops: ParentOps): VfioDeviceOps {
  const { notifier } = ops;
  return {
    name: 'vfio-mdev',
    async open_device(vdev) {
      const mdev = mdevOf(vdev);
      const open = present(ops.open, 'open', mdev);
      if (!k.try_module_get(ops.owner)) throw new KernelError('ENODEV', 'vfio_mdev.open.owner', `${mdev.uuid}: module ${ops.owner.name} is going`);
      try {
        await open(mdev);
      } catch (error) {
        k.module_put(ops.owner);
        throw error;
      }
    },
    async close_device(vdev) {
      try {
        await ops.close?.(mdevOf(vdev));
      } finally {
        k.module_put(ops.owner);
      }
    },
    read: async (vdev, len, pos) => present(ops.read, 'read', mdevOf(vdev))(mdevOf(vdev), len, pos),
    write: async (vdev, bytes, pos) => present(ops.write, 'write', mdevOf(vdev))(mdevOf(vdev), bytes, pos),
    ioctl: async (vdev, cmd, arg, proc) => present(ops.ioctl, 'ioctl', mdevOf(vdev))(mdevOf(vdev), cmd, arg, proc),
    mmap: async (vdev, vma, proc) => present(ops.mmap, 'mmap', mdevOf(vdev))(mdevOf(vdev), vma, proc),
    ...(notifier === undefined ? {} : {
      dma_unmap: (vdev: VfioDevice, iova: number, length: number) => notifier(mdevOf(vdev), 'VFIO_IOMMU_NOTIFY_DMA_UNMAP', iova, length),
    }),
  };
}
