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
    /** What its `name` file says; null for a group without one. */
    readonly name: string | null;
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
export type IommuDomainType = 'identity' | 'blocked' | 'DMA' | 'DMA-FQ' | 'unmanaged';

/** `struct iommu_domain` */
export interface IommuDomain {
  readonly type: IommuDomainType;
  readonly table: IommuTable | null;
  /** Largest IOVA, inclusive. */
  readonly aperture_end: number;
  readonly force_aperture: boolean;
  /** A bit for each page size the hardware has. */
  readonly pgsize_bitmap: bigint;
  /** Bytes mapped now. */
  readonly mapped: number;
}

/** `struct iommu_resv_region`: bus addresses that must not be mapped. */
export interface IommuResvRegion {
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  readonly type: 'msi' | 'reserved' | 'direct';
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

/** `struct dma_map_ops`: a device's own way from pages to bus addresses, in place of the platform's. */
export interface DmaMapOps {
  /** @returns the bus address of `[pa, pa + size)`. @throws ENOMEM */
  readonly map_page: (dev: Device, pa: number, size: number, dir: DmaDirection) => number;
  readonly unmap_page: (dev: Device, dma: number, size: number, dir: DmaDirection) => Atomic;
  /** (optional) For coherent memory, whole pages, of which both sides must see every store; map_page when absent, DMA_BIDIRECTIONAL. */
  readonly map_coherent?: (dev: Device, pa: number, size: number) => number;
  /** (optional; goes with map_coherent) */
  readonly unmap_coherent?: (dev: Device, dma: number, size: number) => Atomic;
}

/** `struct iova_domain`: bus addresses to hand out, in granules. */
export interface IovaDomain {
  /** Bytes of one address: 1, or a page. */
  readonly granule: number;
  /** First granule that may be handed out. */
  readonly start_pfn: number;
  /** Granules handed out now. */
  readonly used: number;
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
  /** A group without hardware behind it, for devices whose driver translates. @param name for its `name` file */
  iommu_group_alloc: (name: string) => IommuGroup;
  /** Give up a group that no device has joined. */
  iommu_group_put: (group: IommuGroup) => Atomic;
  /** Put a device into a group: of {@link iommu_group_alloc}, or of the device that does its DMA. @throws EEXIST */
  iommu_group_add_device: (group: IommuGroup, dev: Device) => Atomic;
  /** Take it out; the group goes with its last device. */
  iommu_group_remove_device: (dev: Device) => Atomic;
  /** Bus addresses that the group's devices must not be given; none for a group without hardware. */
  iommu_get_group_resv_regions: (group: IommuGroup) => readonly IommuResvRegion[];

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
  /** One claim of the device rests: whoever drives it leaves its DMA to user space. Nothing without a claim. */
  iommu_device_lend_dma: (dev: Device) => Atomic;
  /** The claim counts again, at once, or when user space lets the group go. */
  iommu_device_reclaim_dma: (dev: Device) => Atomic;
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
  /** Give a device that is on no bus of the platform a DMA API of its own; null takes it away. */
  set_dma_ops: (dev: Device, ops: DmaMapOps | null) => Atomic;
  /** An empty space of 2^32 granules. */
  init_iova_domain: (granule: number, start_pfn: number) => IovaDomain;
  /** Take `size` granules as high as possible, at or below `limit_pfn`, aligned to their size. @returns the first, or null when there is no room */
  alloc_iova: (iovad: IovaDomain, size: number, limit_pfn: number) => number | null;
  /** Give back the range that begins at `pfn`; nothing when there is none. */
  free_iova: (iovad: IovaDomain, pfn: number) => Atomic;
  put_iova_domain: (iovad: IovaDomain) => Atomic;
  /** Live mappings of a device, for tests and leak reports. */
  dma_mappings: (dev: Device) => readonly { dma: number; size: number; coherent: boolean }[];

  /** Faults seen since boot, oldest first. */
  iommu_faults: () => readonly IommuFault[];
  iommu_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends IommuSymbols {}
}
