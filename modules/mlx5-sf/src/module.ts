/** vDPA devices of ConnectX subfunctions. Mirrors `drivers/vdpa/mlx5` (Linux 6.1). */
import { defineModule, KERNEL_VERSION } from '@vdpalab/abi';
import type { AuxiliaryDriver } from '@vdpalab/auxiliary';
import type { Mlx5Adev } from '@vdpalab/mlx5-core';
import type { VdpaMgmtDev } from '@vdpalab/vdpa-core';
import { imports } from './kernel.ts';
import { managementOf } from './management.ts';

const ids = [{ name: 'mlx5_core.vnet' }] as const;

export default defineModule({
  name: 'mlx5_vdpa',
  license: 'Dual BSD/GPL',
  description: 'Mellanox VDPA driver',
  author: 'Eli Cohen <eli@mellanox.com>',
  alias: ids.map(({ name }) => `auxiliary:${name}`),
  imports,

  async module_init(k, { THIS_MODULE, LINUX_VERSION_CODE }) {
    const driver: AuxiliaryDriver = {
      name: 'vnet',
      owner: THIS_MODULE,
      id_table: ids,
      async probe({ dev, container }) {
        const mgmt = managementOf(k, (container as Mlx5Adev).mdev, LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6)); // mlx5_core registered it
        await k.vdpa_mgmtdev_register(mgmt);
        k.dev_set_drvdata(dev, mgmt);
      },
      remove: ({ dev }) => k.vdpa_mgmtdev_unregister(k.dev_get_drvdata(dev) as VdpaMgmtDev), // set by probe
    };
    await k.__auxiliary_driver_register(driver);
    return { ksymtab: {}, module_exit: () => k.auxiliary_driver_unregister(driver) };
  },
});
