/** Groups: devices whose DMA the platform IOMMU cannot tell apart. Mirrors `drivers/iommu/iommu.c` (Linux 6.1). */
import type { IommuUnit } from '@vdpalab/abi';
import type { Device, IommuGroup } from '@vdpalab/driver-core';
import type { Domain } from './domain.ts';
import type { DmaState } from './dma-state.ts';
import type { GroupDir } from './group-sysfs.ts';

/** `struct iommu_group` */
export class Group implements IommuGroup {
  readonly id: number;
  readonly name: string | null;
  readonly devices: Device[] = [];
  domain: Domain | null = null;
  default_domain: Domain | null = null;
  blocking_domain: Domain | null = null;
  owner: unknown = null;
  /** Claims of host drivers, by device. */
  readonly claims = new Map<Device, number>();
  /** Devices of which one claim rests: their DMA is lent to user space. */
  readonly lent = new Set<Device>();
  /** Its directory in /sys/kernel/iommu_groups. */
  dir: GroupDir | null = null;

  constructor(id: number, name: string | null) {
    this.id = id;
    this.name = name;
  }

  get owner_cnt(): number {
    if (this.owner !== null) return 1;
    return [...this.claims.values()].reduce((sum, count) => sum + count, 0) - this.lent.size;
  }
}

/** Which groups there are. */
export interface Groups {
  /** By id, lowest first. */
  readonly list: () => readonly Group[];
  /** A group with the lowest free id. @param name of a group without hardware behind it */
  readonly create: (name?: string) => Group;
  readonly remove: (group: Group) => undefined;
  /** @returns `null` when the device has none */
  readonly of: (dev: Device) => Group | null;
  /** The group behind a handle. @throws Error (a lab bug) when it is not alive */
  readonly own: (handle: IommuGroup) => Group;
  /** Send the DMA of all devices of the group through `domain`. */
  readonly setDomain: (group: Group, domain: Domain | null) => undefined;
}

/** Make the groups of one machine. @param unit `null` when none of them has hardware behind it */
export function createGroups(unit: IommuUnit | null): Groups {
  const byId: (Group | undefined)[] = [];
  /** No id below it is free. */
  let lowest = 0;

  function own(handle: IommuGroup): Group {
    if (!(handle instanceof Group) || byId[handle.id] !== handle) throw new Error('iommu: the group is gone');
    return handle;
  }

  return {
    list: () => byId.filter((group) => group !== undefined),
    create(name) {
      while (byId[lowest] !== undefined) lowest++;
      const group = new Group(lowest, name ?? null);
      byId[lowest++] = group;
      return group;
    },
    remove(group) {
      byId[own(group).id] = undefined;
      lowest = Math.min(lowest, group.id);
    },
    of: (dev) => (dev.iommu_group === null ? null : own(dev.iommu_group)),
    own,
    setDomain(group, domain) {
      if (group.domain === domain) return;
      if (unit !== null) for (const dev of group.devices) attachDevice(unit, dev, domain);
      if (group.domain !== null) group.domain.users--;
      if (domain !== null) domain.users++;
      group.domain = domain;
    },
  };
}

/** Send one device's DMA through `domain`, or nowhere with `null`. One without DMA of its own is in the group beside the one that does it. */
export function attachDevice(unit: IommuUnit, dev: Device, domain: Domain | null): undefined {
  const dma = dev.dma as DmaState | null;
  if (dma === null) return;
  if (domain === null) unit.detach(dma.rid, dma.pasid);
  else unit.attach(dma.rid, dma.pasid, domain.attachment);
}
