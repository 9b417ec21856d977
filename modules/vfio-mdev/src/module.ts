/** The VFIO bus driver for mediated devices of 2016. Mirrors `drivers/vfio/mdev/vfio_mdev.c` (Linux 4.10). */
import { defineModule } from '@vdpalab/abi';
import type { MdevBusDriver } from '@vdpalab/mdev-core';
import type { VfioDevice } from '@vdpalab/vfio';
import { vfioMdevOps } from './ops.ts';

export default defineModule({
  name: 'vfio_mdev',
  license: 'GPL v2',
  description: 'VFIO based driver for Mediated device',
  author: 'NVIDIA Corporation',
  version: '0.1',
  imports: [
    'mdev_register_driver', 'mdev_unregister_driver', 'mdev_from_dev', '_vfio_alloc_device', 'vfio_register_emulated_iommu_dev',
    'vfio_unregister_group_dev', 'put_device', 'dev_get_drvdata', 'dev_set_drvdata', 'try_module_get', 'module_put',
  ],

  async module_init(k, { THIS_MODULE, undo }) {
    const driver: MdevBusDriver = {
      name: 'vfio_mdev',
      async probe(dev) {
        const mdev = k.mdev_from_dev(dev)!; // the bus has no others
        const vdev = await k._vfio_alloc_device(dev, vfioMdevOps(k, mdev.parent.ops!), mdev); // matched for having ops
        try {
          await k.vfio_register_emulated_iommu_dev(vdev);
        } catch (error) {
          k.put_device(vdev.device);
          throw error;
        }
        k.dev_set_drvdata(dev, vdev);
      },
      async remove(dev) {
        const vdev = k.dev_get_drvdata(dev) as VfioDevice; // set by probe
        await k.vfio_unregister_group_dev(vdev);
        k.put_device(vdev.device);
      },
    };
    await k.mdev_register_driver(driver, THIS_MODULE);
    undo.push('driver vfio_mdev', () => k.mdev_unregister_driver(driver));
    return { ksymtab: {}, module_exit: () => undefined };
  },
});
