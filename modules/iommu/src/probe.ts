/** Devices come and go. Mirrors `drivers/iommu/iommu.c` (Linux 6.1), `iommu_probe_device`, `iommu_release_device`. */
import type { IommuUnit } from '@vdpalab/abi';
import type { Device, DriverCoreSymbols } from '@vdpalab/driver-core';
import type { DmaDevices } from './dma-state.ts';
import type { Domain, Domains } from './domain.ts';
import { attachDevice } from './group.ts';
import type { Group, Groups } from './group.ts';
import type { GroupDir } from './group-sysfs.ts';
import type { IommuSymbols } from './header.ts';

/** What probing needs. */
export interface ProbeDeps {
  readonly unit: IommuUnit;
  readonly groups: Groups;
  readonly domains: Domains;
  /** A domain for a new group. */
  readonly defaultDomain: () => Domain;
  readonly makeDir: (group: Group) => GroupDir;
  readonly devInfo: DriverCoreSymbols['dev_info'];
  readonly dmaDevices: DmaDevices;
}

/** Make the probing of one machine with an IOMMU. */
export function createProbe(deps: ProbeDeps): Pick<IommuSymbols, 'iommu_probe_device' | 'iommu_release_device'> {
  const { unit, groups, domains, makeDir, devInfo, dmaDevices } = deps;

  function createGroup(): Group {
    const group = groups.create();
    try {
      group.dir = makeDir(group);
      group.default_domain = deps.defaultDomain();
      groups.setDomain(group, group.default_domain);
    } catch (error) {
      removeGroup(group);
      throw error;
    }
    return group;
  }

  function removeGroup(group: Group): undefined {
    groups.setDomain(group, null);
    if (group.default_domain !== null) domains.free(group.default_domain);
    if (group.blocking_domain !== null) domains.free(group.blocking_domain);
    group.dir?.remove();
    groups.remove(group);
  }

  function join(dev: Device, group: Group): undefined {
    attachDevice(unit, dev, group.domain);
    try {
      group.dir?.link(dev);
    } catch (error) {
      attachDevice(unit, dev, null);
      throw error;
    }
  }

  return {
    iommu_probe_device(dev, rid, peer, pasid) {
      const shared = peer === null ? null : groups.of(peer);
      if (peer !== null && shared === null) throw new Error(`${dev.name}: its peer ${peer.name} has no iommu group`);
      dmaDevices.add(dev, rid, pasid ?? null);
      try {
        const group = shared ?? createGroup();
        try {
          join(dev, group);
        } catch (error) {
          if (shared === null) removeGroup(group);
          throw error;
        }
        group.devices.push(dev);
        dev.iommu_group = group;
        devInfo(dev, `Adding to iommu group ${group.id}`);
      } catch (error) {
        dmaDevices.remove(dev);
        throw error;
      }
    },
    iommu_release_device(dev) {
      const group = groups.of(dev);
      if (group !== null) {
        devInfo(dev, `Removing from iommu group ${group.id}`);
        group.dir?.unlink(dev);
        attachDevice(unit, dev, null);
        group.devices.splice(group.devices.indexOf(dev), 1);
        dev.iommu_group = null;
        if (group.devices.length === 0) removeGroup(group);
      }
      dmaDevices.remove(dev);
    },
  };
}
