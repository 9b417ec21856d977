/** What the module declares: read without running it. */
import { param } from '@vdpalab/abi';

/** Parameters. */
export const params = {
  allow_unsafe_interrupts: param.bool(false, { perm: 0o644, desc: 'Enable VFIO IOMMU support for on platforms without interrupt remapping support.' }),
  disable_hugepages: param.bool(false, { perm: 0o644, desc: 'Disable VFIO IOMMU support for IOMMU hugepages.' }),
  dma_entry_limit: param.uint(65535, { perm: 0o644, desc: 'Maximum number of user DMA mappings per container (65535).' }),
} as const;

/** Imported symbols. */
export const imports = [
  // In the order of the real module's symbol table, which a load without them shows.
  'vfio_info_add_capability', 'vfio_info_cap_shift', 'vfio_register_iommu_driver', 'vfio_unregister_iommu_driver',
  '_printk', 'mutex_init', 'mutex_lock', 'mutex_unlock', 'capable', 'pin_user_pages', 'unpin_user_pages', 'account_locked_vm',
  'device_iommu_capable', 'iommu_domain_alloc', 'iommu_domain_free', 'iommu_attach_group', 'iommu_detach_group', 'iommu_map', 'iommu_unmap',
  'iommu_get_group_resv_regions',
] as const;
