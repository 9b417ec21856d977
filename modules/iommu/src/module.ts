/** IOMMU groups and domains, the DMA API, DMA ownership. Mirrors `drivers/iommu`, `kernel/dma` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import { defaultDomainType } from './cmdline.ts';
import { createIommu } from './iommu.ts';

export default defineModule({
  name: 'iommu',
  license: 'GPL',
  description: 'IOMMU groups, domains, the DMA API and DMA ownership',
  builtin: true,
  imports: [
    'machine', '_printk',
    'kernfs_create_dir', 'kernfs_create_file', 'kernfs_create_link', 'kernfs_remove', 'kernfs_remove_by_name', 'capable',
    'kernel_dir', 'device_lock', 'device_unlock', 'dev_info',
    'alloc_pages', 'free_pages',
  ],
  exports: [
    'dma_set_mask_and_coherent', 'dma_alloc_coherent', 'dma_free_coherent', 'dma_map_single', 'dma_unmap_single',
    'set_dma_ops',
  ],
  exportsGpl: [
    'iommu_present',
    'iommu_probe_device', 'iommu_release_device', 'iommu_group_get', 'iommu_groups',
    'iommu_group_alloc', 'iommu_group_put', 'iommu_group_add_device', 'iommu_group_remove_device', 'iommu_get_group_resv_regions',
    'iommu_domain_alloc', 'iommu_domain_free', 'iommu_attach_device', 'iommu_detach_device', 'iommu_attach_group',
    'iommu_detach_group', 'iommu_map', 'iommu_unmap', 'iommu_iova_to_phys', 'device_iommu_capable',
    'iommu_device_use_default_domain', 'iommu_device_unuse_default_domain', 'iommu_group_claim_dma_owner',
    'iommu_group_release_dma_owner', 'iommu_group_dma_owner_claimed', 'iommu_device_lend_dma', 'iommu_device_reclaim_dma',
    'init_iova_domain', 'alloc_iova', 'free_iova', 'put_iova_domain',
    'dma_mappings', 'iommu_faults', 'iommu_leftovers',
  ],

  module_init(k) {
    return { ksymtab: createIommu(k, defaultDomainType(k.machine.cmdline)), module_exit: null };
  },
});
