/**
 * IOMMU groups and domains, the DMA API, DMA ownership.
 *
 * Mirrors `include/linux/{iommu,dma-mapping}.h` (Linux 6.1). The platform IOMMU is the machine's; here are the groups,
 * who owns them, and the DMA API that kernel drivers use.
 */
import type { Atomic, IommuFault, IommuTable } from '@vdpalab/abi';
import type { Device, IommuGroup } from '@vdpalab/driver-core';
import type { PageRun } from '@vdpalab/mm';

declare module '@vdpalab/driver-core' {
  interface IommuGroup {
    readonly id: number;
    readonly devices: readonly Device[];
    /** Domain the group's DMA goes through now. */
    readonly domain: IommuDomain | null;
    readonly default_domain: IommuDomain | null;
    /** Claims: host drivers share the default domain, user space owns exclusively. */
    readonly owner: unknown;
    readonly owner_cnt: number;
  }

  interface DeviceDma {
    /** Requester id of its DMA: bus << 8 | devfn. */
    readonly rid: number;
    readonly pasid: number | null;
    /** `dma_mask` */
    mask: number;
  }
}

/** `IOMMU_DOMAIN_*`, as `/sys/kernel/iommu_groups/N/type` names them. */
export type IommuDomainType = 'identity' | 'blocked' | 'DMA' | 'unmanaged';

/** `struct iommu_domain` */
export interface IommuDomain {
  readonly type: IommuDomainType;
  readonly table: IommuTable | null;
  /** Largest IOVA, inclusive. */
  readonly aperture_end: number;
  readonly force_aperture: boolean;
  /** Bytes mapped now. */
  readonly mapped: number;
}

/** Directions as the DMA API names them. */
export type DmaDirection = 'DMA_TO_DEVICE' | 'DMA_FROM_DEVICE' | 'DMA_BIDIRECTIONAL';

/** Coherent memory: pages and where the device sees them. */
export interface DmaCoherent {
  /** Bus address. */
  readonly dma: number;
  readonly run: PageRun;
  readonly size: number;
}

export interface IommuSymbols {
  /** Whether the machine has an IOMMU. */
  iommu_present: () => boolean;
  /** Put a device that DMAs as `rid` into its group, joining `peer`'s when they cannot be told apart. @param peer null for a group of its own */
  iommu_probe_device: (dev: Device, rid: number, peer: Device | null, pasid?: number) => Atomic;
  /** Take it out; the group goes with its last device. */
  iommu_release_device: (dev: Device) => Atomic;
  iommu_group_get: (dev: Device) => IommuGroup | null;
  iommu_groups: () => readonly IommuGroup[];

  /** An unmanaged domain. @throws ENODEV without an IOMMU */
  iommu_domain_alloc: (dev: Device) => IommuDomain;
  /** @throws Error (a lab bug) while attached */
  iommu_domain_free: (domain: IommuDomain) => Atomic;
  /** @throws EBUSY when the group has another owner or domain; EINVAL when the group has several devices */
  iommu_attach_device: (domain: IommuDomain, dev: Device) => Atomic;
  iommu_detach_device: (domain: IommuDomain, dev: Device) => Atomic;
  iommu_attach_group: (domain: IommuDomain, group: IommuGroup) => Atomic;
  iommu_detach_group: (domain: IommuDomain, group: IommuGroup) => Atomic;
  /** @param prot IOMMU_READ 1 | IOMMU_WRITE 2 | IOMMU_CACHE 4; @throws EINVAL misaligned or no permission; EEXIST */
  iommu_map: (domain: IommuDomain, iova: number, pa: number, size: number, prot: number) => Atomic;
  /** @returns bytes unmapped */
  iommu_unmap: (domain: IommuDomain, iova: number, size: number) => number;
  iommu_iova_to_phys: (domain: IommuDomain, iova: number) => number | null;
  /** Capability `IOMMU_CAP_CACHE_COHERENCY`. */
  device_iommu_capable: (dev: Device, cap: 'IOMMU_CAP_CACHE_COHERENCY' | 'IOMMU_CAP_INTR_REMAP') => boolean;

  /** A host driver's claim, shared. @throws EBUSY when user space owns the group */
  iommu_device_use_default_domain: (dev: Device) => Atomic;
  iommu_device_unuse_default_domain: (dev: Device) => Atomic;
  /** An exclusive claim. @throws EPERM when anybody claims it; EBUSY when it is not on its default domain */
  iommu_group_claim_dma_owner: (group: IommuGroup, owner: unknown) => Atomic;
  iommu_group_release_dma_owner: (group: IommuGroup) => Atomic;
  iommu_group_dma_owner_claimed: (group: IommuGroup) => boolean;

  /** @throws EIO when the mask cannot be met */
  dma_set_mask_and_coherent: (dev: Device, mask: number) => Atomic;
  /** @throws ENOMEM */
  dma_alloc_coherent: (dev: Device, size: number) => DmaCoherent;
  dma_free_coherent: (dev: Device, mem: DmaCoherent) => Atomic;
  /** Make `[pa, pa + size)` reachable for the device. @returns its bus address. @throws ENOMEM without IOVA space */
  dma_map_single: (dev: Device, pa: number, size: number, dir: DmaDirection) => number;
  dma_unmap_single: (dev: Device, dma: number, size: number, dir: DmaDirection) => Atomic;
  /** Live mappings of a device, for tests and leak reports. */
  dma_mappings: (dev: Device) => readonly { dma: number; size: number; coherent: boolean }[];

  /** Faults seen since boot, oldest first. */
  iommu_faults: () => readonly IommuFault[];
  iommu_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends IommuSymbols {}
}
