/** What the module declares: read without running it. */
import { param } from '@vdpalab/abi';

/** Parameters. */
export const params = {
  enable_unsafe_noiommu_mode: param.bool(false, {
    perm: 0o644,
    desc: 'Enable UNSAFE, no-IOMMU mode.  This mode provides no device isolation, no DMA translation, no host kernel protection, cannot be used for device assignment to virtual machines, requires RAWIO permissions, and will taint the kernel.  If you do not know what this is for, step away. (default: false)',
  }),
} as const;

/** Imported symbols. */
export const imports = [
  '_printk', 'try_module_get', 'module_put', 'add_taint',
  'mutex_init', 'mutex_lock', 'mutex_unlock', 'init_rwsem', 'down_read', 'up_read', 'down_write', 'up_write', 'init_waitqueue_head',
  'wake_up', 'wait_event', 'wait_event_timeout',
  'capable', 'current', 'fget', 'fput', 'get_file', 'anon_inode_getfd', 'wait_event_interruptible', 'alloc_chrdev_region', 'unregister_chrdev_region',
  'ida_init', 'ida_alloc_max', 'ida_free', 'class_register', 'class_unregister', 'device_initialize', 'device_add', 'device_del', 'get_device', 'put_device',
  'cdev_device_add', 'cdev_device_del', 'misc_register', 'misc_deregister', 'dev_warn',
  'iommu_group_get', 'device_iommu_capable', 'iommu_group_alloc', 'iommu_group_put', 'iommu_group_add_device', 'iommu_group_remove_device',
  'iommu_group_claim_dma_owner', 'iommu_group_release_dma_owner', 'iommu_group_dma_owner_claimed',
] as const;
