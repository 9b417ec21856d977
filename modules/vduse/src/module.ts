/** vDPA devices that a process serves. Mirrors `drivers/vdpa/vdpa_user` (Linux 6.1). */
import { defineModule, param } from '@vdpalab/abi';
import type { Class, DeviceInit } from '@vdpalab/driver-core';
import { controlIoctl, type ControlFile } from './control.ts';
import { deviceSet } from './device-set.ts';
import { managementOf } from './management.ts';

/** Minors of the region; the control node has the first. */
const VDUSE_DEV_MAX = 1 << 20;

export default defineModule({
  name: 'vduse',
  license: 'GPL v2',
  description: 'vDPA Device in Userspace',
  author: 'Yongji Xie <xieyongji@bytedance.com>',
  params: { max_iotlb_entries: param.int(2048, { perm: 0o444, desc: 'Maximum number of iotlb entries. (default: 2048)' }) },
  imports: [
    '__vdpa_alloc_device', '_vdpa_register_device', '_vdpa_unregister_device', 'vdpa_put_device', 'vdpa_mgmtdev_register',
    'vdpa_mgmtdev_unregister', 'vhost_iotlb_alloc', 'vhost_iotlb_free', 'vhost_iotlb_add_range_ctx', 'vhost_iotlb_map_free', 'vhost_iotlb_itree_first',
    'vhost_iotlb_itree_next', 'init_iova_domain', 'alloc_iova', 'free_iova', 'put_iova_domain', 'set_dma_ops', 'dma_set_mask_and_coherent',
    'alloc_pages', 'free_pages', 'phys_view', 'pin_user_pages', 'unpin_user_pages', 'mmget', 'mmput', 'alloc_chrdev_region',
    'unregister_chrdev_region', 'cdev_device_add', 'cdev_device_del', 'class_register', 'class_unregister', 'device_initialize',
    'device_add', 'device_unregister', 'workqueue_sysfs_register', 'workqueue_sysfs_unregister', 'put_device', 'anon_inode_getfd', 'eventfd_signal', 'eventfd_ctx_fdget', 'eventfd_ctx_put',
    'alloc_workqueue', 'destroy_workqueue', 'INIT_WORK', 'queue_work', 'flush_work', 'mutex_init', 'mutex_lock', 'mutex_unlock',
    'init_waitqueue_head', 'wait_event', 'wait_event_timeout', 'wake_up', '__module_get', 'module_put',
  ],

  async module_init(k, { THIS_MODULE, params, undo }) {
    const cls: Class = { name: 'vduse' };
    k.class_register(cls);
    undo.push('class vduse', () => k.class_unregister(cls));

    const major = k.alloc_chrdev_region('vduse', 0, VDUSE_DEV_MAX);
    undo.push('vduse majors', () => k.unregister_chrdev_region(major));
    const node = (name: string, minor: number): Pick<DeviceInit, 'name' | 'class' | 'devt' | 'devnode'> =>
      ({ name, class: cls, devt: { major, minor }, devnode: { name: `vduse/${name}`, mode: 0o600 } });

    const lock = k.mutex_init('vduse_lock');
    const irqs = k.alloc_workqueue('vduse-irq');
    undo.push('vduse-irq', () => k.destroy_workqueue(irqs));
    const { devices, create, destroy } = deviceSet(k, { node, irqs, owner: THIS_MODULE, maxIotlbEntries: params.max_iotlb_entries });

    const control = k.device_initialize(node('control', 0));
    try {
      await k.cdev_device_add(control, {
        owner: THIS_MODULE,
        async open(file) {
          file.private_data = { api_version: 0n } satisfies ControlFile;
        },
        async unlocked_ioctl(file, cmd, arg, proc) {
          await k.mutex_lock(lock);
          try {
            return await controlIoctl({ create, destroy }, file.private_data as ControlFile, cmd, arg, proc); // set by open
          } finally {
            k.mutex_unlock(lock);
          }
        },
      }, THIS_MODULE, null);
    } catch (error) {
      k.put_device(control);
      throw error;
    }
    undo.push('control node', async () => {
      await k.cdev_device_del(control);
      k.put_device(control);
    });
    await k.workqueue_sysfs_register(irqs, { unbound: true, max_active: 256, nice: -20 });
    undo.push('vduse-irq in sysfs', () => k.workqueue_sysfs_unregister(irqs));

    const root = k.device_initialize({ name: 'vduse' });
    try {
      await k.device_add(root);
    } catch (error) {
      k.put_device(root);
      throw error;
    }
    undo.push('management device', () => k.device_unregister(root));
    const mdev = managementOf(k, root, devices, lock);
    await k.vdpa_mgmtdev_register(mdev);
    undo.push('management', () => k.vdpa_mgmtdev_unregister(mdev));

    return { ksymtab: {}, module_exit: () => undefined };
  },
});
