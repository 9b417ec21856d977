/** /sys/kernel/iommu_groups. Mirrors `drivers/iommu/iommu.c` (Linux 6.1), `iommu_group_*_attr`. */
import { KernelError } from '@vdpalab/abi';
import type { VmlinuxSymbols } from '@vdpalab/abi';
import type { Device, DriverCoreSymbols } from '@vdpalab/driver-core';
import type { DirNode, FsSymbols } from '@vdpalab/fs';
import { CAP_SYS_ADMIN, CAP_SYS_RAWIO } from '@vdpalab/uapi';
import type { Domains } from './domain.ts';
import type { Group, Groups } from './group.ts';
import type { IommuDomainType, IommuResvRegion } from './header.ts';
import { resvRegions } from './resv.ts';

const KERN_ERR = 3;

/** The directory of one group. */
export interface GroupDir {
  /** Show the device in `devices/` and the group in the device's directory, if that is there. */
  readonly link: (dev: Device) => undefined;
  readonly unlink: (dev: Device) => undefined;
  readonly remove: () => undefined;
}

/** What the directories need. */
export interface GroupSysfsDeps {
  readonly fs: Pick<FsSymbols, 'kernfs_create_dir' | 'kernfs_create_file' | 'kernfs_create_link' | 'kernfs_remove'
    | 'kernfs_remove_by_name' | 'capable'>;
  readonly core: Pick<DriverCoreSymbols, 'kernel_dir' | 'device_lock' | 'device_unlock'>;
  readonly printk: VmlinuxSymbols['_printk'];
  readonly groups: Groups;
  /** `null` without an IOMMU: then no group has a domain. */
  readonly domains: Domains | null;
  /** What `auto` stands for. */
  readonly defaultType: IommuDomainType;
}

/** Make the directories of groups; the parent, `iommu_groups`, is given. @returns a maker of one group's directory */
export function createGroupSysfs(deps: GroupSysfsDeps, parent: DirNode): (group: Group) => GroupDir {
  const { fs } = deps;
  return (group) => {
    const dir = fs.kernfs_create_dir(parent, String(group.id));
    try {
      const devices = fs.kernfs_create_dir(dir, 'devices');
      fs.kernfs_create_file(dir, 'reserved_regions', 0o444, { show: async () => resvRegions(group).map(regionLine).join('') });
      const { name } = group;
      if (name !== null) fs.kernfs_create_file(dir, 'name', 0o444, { show: async () => `${name}\n` });
      fs.kernfs_create_file(dir, 'type', 0o644, {
        show: async () => `${group.default_domain?.type ?? 'unknown'}\n`,
        store: (text) => storeType(deps, group, text),
      });
      return {
        link: (dev) => linkDevice(fs, dir, devices, dev),
        unlink(dev) {
          if (dev.sd !== null) fs.kernfs_remove_by_name(dev.sd, 'iommu_group');
          fs.kernfs_remove_by_name(devices, dev.name);
        },
        remove: () => fs.kernfs_remove(dir),
      };
    } catch (error) {
      fs.kernfs_remove(dir);
      throw error;
    }
  };
}

function regionLine({ start, length, type }: IommuResvRegion): string {
  const hex16 = (n: number): string => `0x${n.toString(16).padStart(16, '0')}`;
  return `${hex16(start)} ${hex16(start + length - 1)} ${type}\n`;
}

function linkDevice(fs: GroupSysfsDeps['fs'], dir: DirNode, devices: DirNode, dev: Device): undefined {
  if (dev.sd === null) return;
  fs.kernfs_create_link(dev.sd, 'iommu_group', dir);
  try {
    fs.kernfs_create_link(devices, dev.name, dev.sd);
  } catch (error) {
    fs.kernfs_remove_by_name(dev.sd, 'iommu_group');
    throw error;
  }
}

/**
 * Change a group's default domain.
 *
 * @throws EACCES without CAP_SYS_ADMIN and CAP_SYS_RAWIO
 * @throws EINVAL for an unknown type and for a group of several devices
 * @throws EBUSY while a driver is bound or a user's domain attached
 * @see drivers/iommu/iommu.c `iommu_group_store_type`, `iommu_change_dev_def_domain`
 */
async function storeType(deps: GroupSysfsDeps, group: Group, text: string): Promise<void> {
  const { fs, core, groups, domains, printk } = deps;
  if (!fs.capable(CAP_SYS_ADMIN) || !fs.capable(CAP_SYS_RAWIO)) {
    throw new KernelError('EACCES', 'iommu.type.cap', `iommu group ${group.id}: needs CAP_SYS_ADMIN and CAP_SYS_RAWIO`);
  }
  const type = parseType(text.replace(/\n$/, ''), deps.defaultType);
  if (type === null) {
    throw new KernelError('EINVAL', 'iommu.type.unknown', `iommu group ${group.id}: no type ${JSON.stringify(text)}`);
  }
  const [dev, ...others] = group.devices;
  if (dev === undefined || others.length > 0) {
    printk(KERN_ERR, 'iommu: Cannot change default domain: Group has more than one device');
    throw new KernelError('EINVAL', 'iommu.type.not-alone', `iommu group ${group.id}: has ${group.devices.length} devices`);
  }
  if (domains === null || group.name !== null) {
    throw new KernelError('EINVAL', 'iommu.type.emulated', `iommu group ${group.id}: no hardware translates for it`);
  }
  await core.device_lock(dev);
  try {
    if (dev.iommu_group !== group) {
      throw new KernelError('EBUSY', 'iommu.type.moved', `${dev.name}: left iommu group ${group.id} meanwhile`);
    }
    if (dev.driver !== null) {
      printk(KERN_ERR, 'iommu: Device is still bound to driver');
      throw new KernelError('EBUSY', 'iommu.type.bound', `${dev.name}: bound to ${dev.driver.name}`);
    }
    if (group.domain !== group.default_domain) {
      throw new KernelError('EBUSY', 'iommu.type.user', `iommu group ${group.id}: not on its default domain`);
    }
    const before = group.default_domain!; // set with the first device
    if (before.type === type) return;
    group.default_domain = domains.alloc(type);
    groups.setDomain(group, group.default_domain);
    domains.free(before);
  } finally {
    core.device_unlock(dev);
  }
}

function parseType(text: string, auto: IommuDomainType): IommuDomainType | null {
  if (text === 'auto') return auto;
  return text === 'identity' || text === 'DMA' || text === 'DMA-FQ' ? text : null; // flushed at once here, queue or not
}
