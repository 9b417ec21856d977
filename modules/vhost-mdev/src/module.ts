/** The driver for VFIO, on the vDPA bus and on the bus mdev: vhost ioctls on a VFIO device. After `drivers/vhost/mdev.c` of the RFC of 2019, which was never merged. */
import { defineModule } from '@vdpalab/abi';
import type { MdevBusDriver } from '@vdpalab/mdev-core';
import { MDEV_CLASS_ID_VHOST, VIRTIO_MDEV_F_VERSION_1 } from '@vdpalab/uapi';
import type { VdpaDriver } from '@vdpalab/vdpa-core';
import { mdevBackend, vdpaBackend } from './backend.ts';
import { VhostMdev } from './device.ts';
import { refuse } from './refuse.ts';

export default defineModule({
  name: 'vhost_mdev',
  license: 'GPL v2',
  version: '0.0.1',
  description: 'Mediated device based accelerator for virtio',
  author: 'Intel Corporation',
  imports: [
    'mdev_register_driver', 'mdev_unregister_driver', 'mdev_from_dev', 'mdev_get_vhost_ops', 'mdev_get_iommu_device', 'dev_get_drvdata', 'dev_set_drvdata',
    '__vdpa_register_driver', 'vdpa_unregister_driver', 'vdpa_get_drvdata', 'vdpa_set_drvdata', 'vdpa_get_config', 'vdpa_set_config', 'vdpa_set_status',
    '_vfio_alloc_device', 'vfio_register_group_dev', 'vfio_unregister_group_dev', 'vfio_set_irqs_validate_and_prepare',
    'vhost_dev_init', 'vhost_dev_stop', 'vhost_dev_cleanup', 'vhost_dev_ioctl', 'vhost_vring_ioctl',
    'iommu_group_get', 'iommu_group_add_device', 'iommu_group_remove_device', 'iommu_device_lend_dma', 'iommu_device_reclaim_dma',
    'mutex_lock', 'mutex_unlock', 'eventfd_ctx_fdget', 'eventfd_ctx_put', 'eventfd_signal', 'put_device', 'dev_warn',
  ],

  async module_init(k, { THIS_MODULE, undo }) {
    const driver: VdpaDriver = {
      name: 'vhost_mdev',
      owner: THIS_MODULE,
      model: 'vfio',
      async probe(vdpa) {
        if (vdpa.dma_type === 'device') {
          refuse('EOPNOTSUPP', 'probe.translates', `${vdpa.dev.name}: the parent translates addresses itself, and a container maps in the platform's IOMMU`);
        }
        k.vdpa_set_drvdata(vdpa, await VhostMdev.register(k, vdpaBackend(k, vdpa)));
      },
      remove: (vdpa) => (k.vdpa_get_drvdata(vdpa) as VhostMdev).unregister(), // set by probe
    };
    await k.__vdpa_register_driver(driver);
    undo.push('driver vhost_mdev of the bus vdpa', () => k.vdpa_unregister_driver(driver));

    const mdevDriver: MdevBusDriver = {
      name: 'vhost_mdev',
      id_table: [MDEV_CLASS_ID_VHOST],
      async probe(dev) {
        const mdev = k.mdev_from_dev(dev)!; // the bus has no others
        const features = k.mdev_get_vhost_ops(mdev).get_mdev_features(mdev);
        if (features !== VIRTIO_MDEV_F_VERSION_1) refuse('ENOTSUPP', 'probe.mdev-features', `${dev.name}: operations 0x${features.toString(16)}, not those of version 1`);
        k.dev_set_drvdata(dev, await VhostMdev.register(k, mdevBackend(k, mdev)));
      },
      remove: (dev) => (k.dev_get_drvdata(dev) as VhostMdev).unregister(), // set by probe
    };
    await k.mdev_register_driver(mdevDriver, THIS_MODULE);
    undo.push('driver vhost_mdev of the bus mdev', () => k.mdev_unregister_driver(mdevDriver));
    return { ksymtab: {}, module_exit: () => undefined };
  },
});
