/** The management device: `vdpa dev add` makes a vDPA device of one that a process has set up. Mirrors `vdpa_dev_add` in `drivers/vdpa/vdpa_user/vduse_dev.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { IommuSymbols } from '@vdpalab/iommu';
import type { Mutex, SchedSymbols } from '@vdpalab/sched';
import { VIRTIO_ID_BLOCK } from '@vdpalab/uapi';
import type { VdpaDevice, VdpaMgmtDev, VdpaSymbols } from '@vdpalab/vdpa-core';
import type { VduseDev } from './device.ts';
import { vduseOps } from './ops.ts';

/** All of a 64-bit mask that a number holds; addresses here are below 2^53. */
const DMA_BIT_MASK_64 = Number.MAX_SAFE_INTEGER;

/** What making vDPA devices takes. */
export type ManagementSymbols =
  & Pick<VdpaSymbols, '__vdpa_alloc_device' | '_vdpa_register_device' | '_vdpa_unregister_device' | 'vdpa_put_device'>
  & Pick<IommuSymbols, 'set_dma_ops' | 'dma_set_mask_and_coherent'>
  & Pick<SchedSymbols, 'mutex_lock' | 'mutex_unlock'>;

/** `allowed_device_id` */
export const ALLOWED_DEVICES: readonly number[] = [VIRTIO_ID_BLOCK];

/**
 * The management device `vduse`.
 *
 * @param lock guards the devices that processes have set up
 */
export function managementOf(k: ManagementSymbols, device: Device, devices: ReadonlyMap<string, VduseDev>, lock: Mutex): VdpaMgmtDev {
  /** `vduse_dev_init_vdpa` */
  async function make(mdev: VdpaMgmtDev, name: string): Promise<{ vdev: VdpaDevice; nvqs: number }> {
    const dev = devices.get(name);
    if (dev === undefined) throw new KernelError('EINVAL', 'vduse.add.unknown', `${name}: no process has set it up`);
    if (!dev.ready) throw new KernelError('EINVAL', 'vduse.add.not-ready', `${name}: not every queue has been given its size`);
    if (dev.vdev !== null) throw new KernelError('EEXIST', 'vduse.add.exists', `${name}: it is on the bus already`);
    const ops = vduseOps(dev);
    const vdev = await k.__vdpa_alloc_device({
      parent: dev.dev, dma_dev: null, ngroups: 1, nas: 1, name, use_va: true, models: ['virtio', 'vhost'], priv: dev,
      config: {
        ...ops,
        free(freed) {
          dev.vdev = null;
          dev.domain.clear(); // what a front-end mapped; Linux keeps it until the next table, or until the device is destroyed
          return k.set_dma_ops(freed.dev, null);
        },
      },
    });
    dev.vdev = vdev;
    k.set_dma_ops(vdev.dev, dev.domain.dmaOps);
    k.dma_set_mask_and_coherent(vdev.dev, DMA_BIT_MASK_64);
    vdev.mdev = mdev;
    return { vdev, nvqs: dev.vqs.length };
  }

  return {
    device,
    id_table: ALLOWED_DEVICES,
    config_attr_mask: 0n,
    supported_features: 0n,
    max_supported_vqs: 0,
    priv: null,
    ops: {
      async dev_add(mdev, name) {
        await k.mutex_lock(lock);
        let made;
        try {
          made = await make(mdev, name);
        } finally {
          k.mutex_unlock(lock); // the process may want it while the bus drivers ask it
        }
        try {
          await k._vdpa_register_device(made.vdev, made.nvqs);
        } catch (error) {
          k.vdpa_put_device(made.vdev);
          throw error;
        }
      },
      dev_del: (_, vdev) => k._vdpa_unregister_device(vdev),
    },
  };
}
