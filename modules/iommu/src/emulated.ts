/**
 * Groups without hardware behind them: their driver translates, or nobody does.
 *
 * Mirrors `iommu_group_alloc` and its like in `drivers/iommu/iommu.c` (Linux 6.1), as VFIO uses them.
 */
import { KernelError } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { Group, Groups } from './group.ts';
import type { GroupDir } from './group-sysfs.ts';
import type { IommuSymbols } from './header.ts';
import { resvRegions } from './resv.ts';

/** Make the symbols about such groups. */
export function createEmulated(
  groups: Groups, makeDir: (group: Group) => GroupDir, devInfo: DriverCoreSymbols['dev_info'],
): Pick<IommuSymbols, 'iommu_group_alloc' | 'iommu_group_put' | 'iommu_group_add_device' | 'iommu_group_remove_device' | 'iommu_get_group_resv_regions'> {
  function remove(group: Group): undefined {
    group.dir?.remove();
    groups.remove(group);
  }

  return {
    iommu_group_alloc(name) {
      const group = groups.create(name);
      try {
        group.dir = makeDir(group);
      } catch (error) {
        groups.remove(group);
        throw error;
      }
      return group;
    },
    iommu_group_put(handle) {
      const group = groups.own(handle);
      if (group.devices.length > 0) throw new Error(`iommu group ${group.id}: given up with ${group.devices.length} devices`);
      remove(group);
    },
    iommu_group_add_device(handle, dev) {
      const group = groups.own(handle);
      if (dev.iommu_group !== null) throw new KernelError('EEXIST', 'iommu.group.twice', `${dev.name}: in an iommu group already`);
      group.dir?.link(dev);
      group.devices.push(dev);
      dev.iommu_group = group;
      devInfo(dev, `Adding to iommu group ${group.id}`);
    },
    iommu_group_remove_device(dev) {
      const group = groups.of(dev);
      if (group === null) return;
      devInfo(dev, `Removing from iommu group ${group.id}`);
      group.dir?.unlink(dev);
      group.devices.splice(group.devices.indexOf(dev), 1);
      dev.iommu_group = null;
      if (group.devices.length === 0) remove(group);
    },
    iommu_get_group_resv_regions: (handle) => resvRegions(groups.own(handle)),
  };
}
