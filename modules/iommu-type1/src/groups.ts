/** Groups of a container. Mirrors `vfio_iommu_type1_attach_group` and `_detach_group` in `drivers/vfio/vfio_iommu_type1.c` (Linux 6.1). */
import type { IommuGroup } from '@vdpalab/driver-core';
import type { IommuDomain } from '@vdpalab/iommu';
import type { VfioGroupType } from '@vdpalab/vfio';
import { mapAll, removeDma, unmapAll } from './backing.ts';
import { markAll } from './dirty.ts';
import type { VfioDma } from './dma.ts';
import type { VfioIommu } from './iommu.ts';
import { usableRanges, type IovaRange } from './iova-ranges.ts';
import { hex, refuse } from './refuse.ts';

const KERN_WARNING = 4;
const EVERYWHERE = 1n << 64n;

/**
 * Take a group in; its devices then see the container's mappings.
 *
 * @throws EINVAL for a group that is in already, or when a mapping lies where the group allows none
 * @throws EPERM without interrupt remapping, unless allow_unsafe_interrupts says so
 * @throws EBUSY while user addresses change; what the IOMMU refuses with
 */
export async function attachGroup(iommu: VfioIommu, group: IommuGroup, type: VfioGroupType): Promise<void> {
  await iommu.locked(() => {
    if (iommu.vaddrInvalid > 0) refuse('EBUSY', 'attach.vaddr', `${iommu.vaddrInvalid} mappings wait for a new user address`);
    if (iommu.groups.some((one) => one.group === group)) refuse('EINVAL', 'attach.twice', `iommu group ${group.id} is in the container`);
    if (type === 'VFIO_EMULATED_IOMMU') iommu.groups.push({ group, emulated: true, pinnedOnly: true });
    else attachHardware(iommu, group);
  });
}

function attachHardware(iommu: VfioIommu, group: IommuGroup): void {
  const { k } = iommu;
  const [dev] = group.devices;
  if (dev === undefined) throw new Error(`iommu group ${group.id} has no devices`);
  const domain = iommu.domain ?? k.iommu_domain_alloc(dev);
  const fresh = iommu.domain === null;
  let attached = false;
  const mapped: VfioDma[] = [];
  try {
    k.iommu_attach_group(domain, group);
    attached = true;
    const ranges = rangesWith(iommu, domain, group);
    checkMappings(iommu, ranges);
    if (!iommu.params.allow_unsafe_interrupts && !k.device_iommu_capable(dev, 'IOMMU_CAP_INTR_REMAP')) {
      k._printk(KERN_WARNING, 'vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param "allow_unsafe_interrupts" to enable VFIO IOMMU support on this platform');
      refuse('EPERM', 'attach.interrupts', `${dev.name}: its interrupts are not remapped`);
    }
    if (fresh) {
      for (const dma of iommu.list.overlapping(0n, EVERYWHERE)) {
        mapAll(iommu, domain, dma);
        mapped.push(dma);
      }
    }
    iommu.domain = domain;
    iommu.ranges = ranges;
    iommu.groups.push({ group, emulated: false, pinnedOnly: false });
  } catch (error) {
    for (const dma of mapped) unmapAll(iommu, domain, dma);
    if (attached) k.iommu_detach_group(domain, group);
    if (fresh) k.iommu_domain_free(domain);
    throw error;
  }
}

/** Usable addresses with one more group, or without any when there is no domain. */
function rangesWith(iommu: VfioIommu, domain: IommuDomain, extra: IommuGroup | null): readonly IovaRange[] {
  const groups = iommu.groups.filter(({ emulated }) => !emulated).map(({ group }) => group);
  const holes = [...groups, ...(extra === null ? [] : [extra])].flatMap((group) => iommu.k.iommu_get_group_resv_regions(group))
    .map(({ start, length }) => ({ start: BigInt(start), end: BigInt(start + length - 1) }));
  return usableRanges({ start: 0n, end: BigInt(domain.aperture_end) }, holes);
}

/** @throws EINVAL when a mapping reaches outside @see `vfio_iommu_aper_conflict`, `vfio_iommu_resv_conflict` */
function checkMappings(iommu: VfioIommu, ranges: readonly IovaRange[]): void {
  for (const { iova, size } of iommu.list.overlapping(0n, EVERYWHERE)) {
    if (ranges.some(({ start, end }) => iova >= start && iova + size - 1n <= end)) continue;
    refuse('EINVAL', 'attach.conflict', `${hex(iova)}+${hex(size)} is mapped, where the group allows nothing`);
  }
}

/** Let a group go; with the last one with hardware goes the domain, with the very last every mapping. */
export async function detachGroup(iommu: VfioIommu, group: IommuGroup): Promise<void> {
  await iommu.locked(() => {
    const at = iommu.groups.findIndex((one) => one.group === group);
    const [gone] = at < 0 ? [] : iommu.groups.splice(at, 1);
    if (gone === undefined) return;
    const { k, domain } = iommu;
    if (!gone.emulated && domain !== null) {
      k.iommu_detach_group(domain, group);
      if (iommu.groups.every(({ emulated }) => emulated)) {
        dropMappings(iommu, domain);
        iommu.domain = null;
        iommu.ranges = [];
        k.iommu_domain_free(domain);
      } else {
        iommu.ranges = rangesWith(iommu, domain, null);
      }
    } else if (iommu.groups.length === 0) {
      dropMappings(iommu, null);
    }
    // Until now everything counted as written; from here on only what is pinned does.
    if (!gone.pinnedOnly && iommu.dirtyTracking) for (const dma of iommu.list.overlapping(0n, EVERYWHERE)) markAll(dma);
  });
}

/** With groups left that translate themselves, mappings stay without their pages. */
function dropMappings(iommu: VfioIommu, domain: IommuDomain | null): void {
  for (const dma of iommu.list.overlapping(0n, EVERYWHERE)) {
    if (iommu.groups.length === 0) removeDma(iommu, dma);
    else if (domain !== null) unmapAll(iommu, domain, dma);
  }
}

/** The backend is released: nothing may be left, and what is goes. */
export async function releaseAll(iommu: VfioIommu): Promise<void> {
  for (const { group } of [...iommu.groups]) await detachGroup(iommu, group);
  await iommu.locked(() => dropMappings(iommu, iommu.domain));
}
