/** What other parts of the kernel ask of a group's file. Mirrors `vfio_file_*` in `drivers/vfio/vfio_main.c` (Linux 6.1). */
import type { File } from '@vdpalab/fs';
import { VfioGroup } from './group.ts';
import type { VfioSymbols } from './header.ts';

/** @returns null for a file that is no group's */
function groupOf({ private_data }: File): VfioGroup | null {
  return private_data instanceof VfioGroup ? private_data : null;
}

/** The symbols about files. */
export const fileSymbols: Pick<VfioSymbols,
  'vfio_file_iommu_group' | 'vfio_file_is_group' | 'vfio_file_enforced_coherent' | 'vfio_file_set_kvm' | 'vfio_file_has_dev'> = {
  vfio_file_iommu_group: (file) => groupOf(file)?.iommuGroup ?? null,
  vfio_file_is_group: (file) => groupOf(file) !== null,
  // The platform IOMMU of a lab keeps caches coherent, and a group without one is not asked to.
  vfio_file_enforced_coherent: () => true,
  vfio_file_set_kvm(file, kvm) {
    const group = groupOf(file);
    if (group !== null) group.kvm = kvm;
  },
  vfio_file_has_dev: (file, vdev) => groupOf(file)?.devices.some((one) => one === vdev) ?? false,
};
