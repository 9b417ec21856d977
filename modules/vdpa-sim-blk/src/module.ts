/** vDPA block device simulator. Mirrors `drivers/vdpa/vdpa_sim/vdpa_sim_blk.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import { managementOf } from './management.ts';

export default defineModule({
  name: 'vdpa_sim_blk',
  license: 'GPL v2',
  description: 'vDPA Device Simulator for block device',
  author: 'Max Gurtovoy <mgurtovoy@nvidia.com>',
  version: '0.1',
  imports: [
    'queue_work', 'vringh_iov_pull_iotlb', 'device_del', '_vdpa_register_device', 'vdpa_mgmtdev_unregister', 'vringh_kiov_advance',
    'put_device', 'vdpasim_create', 'vringh_getdesc_iotlb', 'vringh_iov_push_iotlb', 'vringh_need_notify_iotlb', 'device_initialize',
    'device_add', '_vdpa_unregister_device', 'vdpa_mgmtdev_register', 'vringh_complete_iotlb', 'system_wq',
  ],

  async module_init(k, { undo }) {
    const device = k.device_initialize({ name: 'vdpasim_blk' });
    undo.push('device vdpasim_blk', () => k.put_device(device));
    await k.device_add(device);
    undo.push('vdpasim_blk in sysfs', () => k.device_del(device));
    const mdev = managementOf(k, device);
    await k.vdpa_mgmtdev_register(mdev);
    undo.push('management device vdpasim_blk', () => k.vdpa_mgmtdev_unregister(mdev));
    return { ksymtab: {}, module_exit: () => undefined };
  },
});
