/** Type1 IOMMU driver for VFIO. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: 'vfio_iommu_type1',
  license: 'GPL v2',
  description: 'Type1 IOMMU driver for VFIO',
  imports: ['_printk'],
  exportsGpl: ['iommu_type1_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('iommu_type1 state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, 'iommu_type1: loaded');
    return {
      ksymtab: { iommu_type1_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, 'iommu_type1: unloaded');
      },
    };
  },
});
