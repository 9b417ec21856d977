/** The parts of the module, put together for a machine with or without an IOMMU. */
import { KernelError } from '@vdpalab/abi';
import type { IommuUnit, KernelSymbols, Machine } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { DirNode } from '@vdpalab/fs';
import { createAttach } from './attach.ts';
import type { DefaultDomainType } from './cmdline.ts';
import { createDmaApi } from './dma.ts';
import { DmaDevices } from './dma-state.ts';
import { createDomains, iommuIovaToPhys, iommuMap, iommuUnmap } from './domain.ts';
import type { AddressRange, Domains } from './domain.ts';
import { createEmulated } from './emulated.ts';
import { createFaultLog } from './fault.ts';
import { createGroupSysfs } from './group-sysfs.ts';
import { createGroups } from './group.ts';
import type { Groups } from './group.ts';
import type { IommuSymbols } from './header.ts';
import { iovaDomains } from './iova-domain.ts';
import { createOwnership } from './ownership.ts';
import { createProbe } from './probe.ts';
import { MSI_REGION } from './resv.ts';

/** What the module imports. */
export type IommuNeeds = Pick<KernelSymbols,
  'machine' | '_printk' | 'kernfs_create_dir' | 'kernfs_create_file' | 'kernfs_create_link' | 'kernfs_remove'
  | 'kernfs_remove_by_name' | 'capable' | 'kernel_dir' | 'device_lock' | 'device_unlock' | 'dev_info' | 'alloc_pages'
  | 'free_pages'>;

const KERN_INFO = 6;
/** The interrupt window. */
const MSI_WINDOW: AddressRange = { first: MSI_REGION.start, last: MSI_REGION.start + MSI_REGION.length - 1 };

const mapping = { iommu_map: iommuMap, iommu_unmap: iommuUnmap, iommu_iova_to_phys: iommuIovaToPhys } as const;

/** Make the module's symbols. @param choice type of the groups' default domains */
export function createIommu(k: IommuNeeds, choice: DefaultDomainType): IommuSymbols {
  const parent = k.kernfs_create_dir(k.kernel_dir, 'iommu_groups');
  const name = choice.type === 'DMA' ? 'Translated' : 'Passthrough';
  k._printk(KERN_INFO, `iommu: Default domain type: ${name} ${choice.fromCmdline ? '(set via kernel command line)' : ''}`);
  const { iommu } = k.machine;
  return iommu === null ? withoutUnit(k, parent) : withUnit(k, iommu, parent, choice);
}

function withUnit(k: IommuNeeds, unit: IommuUnit, parent: DirNode, { type }: DefaultDomainType): IommuSymbols {
  if (type === 'DMA') k._printk(KERN_INFO, 'iommu: DMA domain TLB invalidation policy: strict mode ');
  unit.onFault = createFaultLog(k._printk);
  const groups = createGroups(unit);
  const domains = createDomains(unit, reservedRanges(k.machine));
  const dmaDevices = new DmaDevices();
  const makeDir = createGroupSysfs({ fs: k, core: k, printk: k._printk, groups, domains, defaultType: type }, parent);
  return {
    ...createProbe({
      unit, groups, domains, makeDir, dmaDevices, devInfo: k.dev_info, defaultDomain: () => domains.alloc(type),
    }),
    ...createEmulated(groups, makeDir, k.dev_info),
    ...createAttach(groups, domains),
    ...createOwnership(groups, domains),
    ...iovaDomains,
    ...createDmaApi({
      ram: k.machine.ram, mm: k, devices: dmaDevices,
      domainOf(dev) {
        const domain = groups.of(dev)?.default_domain ?? null;
        return domain?.type === 'DMA' || domain?.type === 'DMA-FQ' ? domain : null;
      },
    }),
    ...mapping,
    iommu_present: () => true,
    iommu_group_get: groups.of,
    iommu_groups: groups.list,
    device_iommu_capable: (dev) => (groups.of(dev)?.default_domain ?? null) !== null,
    iommu_faults: () => unit.faults,
    iommu_leftovers: () => [...dmaDevices.leftovers(), ...heldGroups(groups), ...heldDomains(domains)],
  };
}

/** No groups but emulated ones: bus addresses are physical, and every claim is granted. */
function withoutUnit(k: IommuNeeds, parent: DirNode): IommuSymbols {
  const groups = createGroups(null);
  const makeDir = createGroupSysfs({ fs: k, core: k, printk: k._printk, groups, domains: null, defaultType: 'identity' }, parent);
  const dmaDevices = new DmaDevices();
  const noGroup = (dev: Device): never => {
    throw new KernelError('ENODEV', 'iommu.absent', `${dev.name}: the machine has no IOMMU`);
  };
  const noGroups = (): never => {
    throw new Error('iommu: the machine has no IOMMU, so there are no groups and domains');
  };
  return {
    ...iovaDomains,
    ...createDmaApi({ ram: k.machine.ram, mm: k, devices: dmaDevices, domainOf: () => null }),
    ...mapping,
    iommu_present: () => false,
    iommu_probe_device: (dev, rid, _peer, pasid) => dmaDevices.add(dev, rid, pasid ?? null),
    iommu_release_device: (dev) => dmaDevices.remove(dev),
    ...createEmulated(groups, makeDir, k.dev_info),
    iommu_group_get: groups.of,
    iommu_groups: groups.list,
    iommu_domain_alloc: noGroup,
    iommu_domain_free: noGroups,
    iommu_attach_device: (_domain, dev) => noGroup(dev),
    iommu_detach_device: () => undefined,
    iommu_attach_group: noGroups,
    iommu_detach_group: noGroups,
    device_iommu_capable: () => false,
    iommu_device_use_default_domain: () => undefined,
    iommu_device_unuse_default_domain: () => undefined,
    iommu_device_lend_dma: () => undefined,
    iommu_device_reclaim_dma: () => undefined,
    iommu_group_claim_dma_owner: noGroups,
    iommu_group_release_dma_owner: noGroups,
    iommu_group_dma_owner_claimed: noGroups,
    iommu_faults: () => [],
    iommu_leftovers: () => dmaDevices.leftovers(),
  };
}

/** Addresses the DMA API hands out to nobody; `iova_reserve_pci_windows` and the interrupt window. */
function reservedRanges({ pci }: Machine): AddressRange[] {
  const windows = pci === null ? [] : [pci.mem32, pci.mem64];
  return [MSI_WINDOW, ...windows.filter(({ size }) => size > 0).map(({ base, size }) => ({ first: base, last: base + size - 1 }))];
}

function heldGroups(groups: Groups): string[] {
  return groups.list().filter(({ owner_cnt }) => owner_cnt > 0).map(({ id, owner, owner_cnt }) =>
    (owner === null ? `iommu group ${id}: claimed by ${owner_cnt} host drivers` : `iommu group ${id}: owned by user space`));
}

function heldDomains(domains: Domains): string[] {
  return [...domains.all].filter(({ type }) => type === 'unmanaged').map(({ mapped, users }) =>
    `an unmanaged iommu domain: ${mapped} bytes mapped, ${users} groups attached`);
}
