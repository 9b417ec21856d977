/** vDPA bus driver with the vhost character device. Mirrors `drivers/vhost/vdpa.c` (Linux 6.1). */
import { defineModule, KernelError, param } from '@vdpalab/abi';
import type { FileOperations } from '@vdpalab/fs';
import type { VdpaDevice, VdpaDriver } from '@vdpalab/vdpa-core';
import { VhostVdpa } from './device.ts';
import { mapDoorbell } from './doorbell.ts';
import { ioctl } from './ioctl.ts';

/** Minors of the region. */
const VHOST_VDPA_DEV_MAX = 1 << 20;

export default defineModule({
  name: 'vhost_vdpa',
  license: 'GPL v2',
  version: '0.0.1',
  description: 'vDPA-based vhost backend for virtio',
  author: 'Intel Corporation',
  params: { max_iotlb_entries: param.int(2048, { perm: 0o444, desc: 'Maximum number of iotlb entries. (default: 2048)' }) },
  imports: [
    // In the order of the real module's symbol table, which a load without them shows.
    'vhost_vring_ioctl', 'vhost_dev_stop', 'vhost_dev_init', 'vdpa_unregister_driver', 'vhost_iotlb_del_range', 'vdpa_get_config', 'vhost_iotlb_init',
    'vdpa_set_config', 'vhost_iotlb_itree_first', 'vhost_chr_write_iter', 'irq_bypass_register_producer', 'vhost_iotlb_map_free',
    '__vdpa_register_driver', 'vhost_dev_ioctl', 'vhost_set_backend_features', 'irq_bypass_unregister_producer', 'vhost_dev_cleanup',
    'vhost_iotlb_add_range_ctx', 'vhost_dev_check_owner', 'vdpa_set_status',
    'device_iommu_capable', 'iommu_domain_alloc', 'iommu_domain_free', 'iommu_attach_device', 'iommu_detach_device', 'iommu_map',
    'iommu_unmap', 'pin_user_pages', 'unpin_user_pages', 'mutex_lock', 'mutex_unlock', 'init_completion', 'complete',
    'wait_for_completion', 'current_task', 'eventfd_ctx_fdget', 'eventfd_ctx_put', 'eventfd_signal', 'alloc_chrdev_region', 'unregister_chrdev_region',
    'ida_init', 'ida_alloc_max', 'ida_free', 'device_initialize', 'put_device', 'dev_get_drvdata', 'dev_set_drvdata', 'cdev_device_add', 'cdev_device_del', 'dev_err', 'dev_warn', 'dev_info',
    '_printk',
  ],

  async module_init(k, { THIS_MODULE, params, undo }) {
    const minors = k.ida_init();
    const major = k.alloc_chrdev_region('vhost-vdpa', 0, VHOST_VDPA_DEV_MAX);
    undo.push('vhost-vdpa majors', () => k.unregister_chrdev_region(major));

    const fops = (v: VhostVdpa): FileOperations => ({
      owner: THIS_MODULE,
      open: () => v.open(),
      release: () => v.release(),
      unlocked_ioctl: (_, cmd, arg, proc) => ioctl(k, v, cmd, arg, proc),
      async write(_, bytes, __, proc) {
        if (v.state === null) throw new Error(`/dev/vhost-vdpa-${v.minor}: a write without an open file`);
        return await k.vhost_chr_write_iter(v.state.vhost, bytes, proc);
      },
      mmap: async (_, vma) => mapDoorbell(v.vdpa, vma),
    });

    const driver: VdpaDriver = {
      name: 'vhost_vdpa',
      owner: THIS_MODULE,
      model: 'vhost',

      async probe(vdpa: VdpaDevice) {
        if (vdpa.dma_type === 'platform' && (vdpa.ngroups > 1 || vdpa.nas > 1)) {
          throw new KernelError('EOPNOTSUPP', 'vhost_vdpa.probe.groups',
            `${vdpa.dev.name}: ${vdpa.ngroups} groups and ${vdpa.nas} address spaces, and the platform IOMMU translates for one`);
        }
        const minor = k.ida_alloc_max(minors, VHOST_VDPA_DEV_MAX - 1);
        const v = new VhostVdpa(k, vdpa, minor, params.max_iotlb_entries);
        const freeMinor = () => k.ida_free(minors, minor);
        try {
          v.dev = k.device_initialize({ name: `vhost-vdpa-${minor}`, parent: vdpa.dev, devt: { major, minor }, release: freeMinor });
        } catch (error) {
          freeMinor();
          throw error;
        }
        try {
          await k.cdev_device_add(v.dev, fops(v), THIS_MODULE, v);
        } catch (error) {
          k.put_device(v.dev);
          throw error;
        }
        k.dev_set_drvdata(vdpa.dev, v);
      },

      async remove(vdpa: VdpaDevice) {
        const v = k.dev_get_drvdata(vdpa.dev) as VhostVdpa; // set by probe
        await k.cdev_device_del(v.dev);
        await v.shut();
        k.put_device(v.dev);
      },
    };
    await k.__vdpa_register_driver(driver);
    return { ksymtab: {}, module_exit: () => k.vdpa_unregister_driver(driver) };
  },
});
