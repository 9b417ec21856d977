/** What a container keeps. Mirrors `struct vfio_iommu` in `drivers/vfio/vfio_iommu_type1.c` (Linux 6.1). */
import type { KernelSymbols, ParamValues } from '@vdpalab/abi';
import type { IommuGroup } from '@vdpalab/driver-core';
import type { IommuDomain } from '@vdpalab/iommu';
import type { Mutex } from '@vdpalab/sched';
import type { VfioDevice } from '@vdpalab/vfio';
import { DmaList } from './dma-list.ts';
import { PAGE, PAGE_SIZE, type VfioDma } from './dma.ts';
import type { IovaRange } from './iova-ranges.ts';
import type { imports, params } from './module-data.ts';

/** The kernel as this module sees it. */
export type Kernel = Pick<KernelSymbols, (typeof imports)[number]>;
/** Parameters now. */
export type Params = ParamValues<typeof params>;

const ALL_PAGE_SIZES = (1n << 64n) - PAGE;

/** `struct vfio_iommu_group` */
export interface AttachedGroup {
  readonly group: IommuGroup;
  readonly emulated: boolean;
  /** It writes only pages that its driver pinned. */
  pinnedOnly: boolean;
}

/** `struct vfio_iommu` */
export class VfioIommu {
  readonly k: Kernel;
  readonly params: Params;
  readonly lock: Mutex;
  readonly v2: boolean;
  readonly list = new DmaList<VfioDma>();
  readonly groups: AttachedGroup[] = [];
  /** Open devices that want to hear of unmaps. */
  readonly devices = new Set<VfioDevice>();
  /** What the groups with hardware are attached to; null without one. */
  domain: IommuDomain | null = null;
  /** Usable addresses; empty while nothing translates. */
  ranges: readonly IovaRange[] = [];
  /** More mappings that may be made. */
  avail: number;
  dirtyTracking = false;
  /** Mappings whose user address is about to change. */
  vaddrInvalid = 0;

  constructor(k: Kernel, params: Params, v2: boolean) {
    this.k = k;
    this.params = params;
    this.v2 = v2;
    this.lock = k.mutex_init('vfio_iommu.lock');
    this.avail = params.dma_entry_limit;
  }

  get pgsizes(): bigint {
    return this.domain?.pgsize_bitmap ?? ALL_PAGE_SIZES;
  }

  /** The smallest page size, in bytes. */
  get pgsize(): number {
    return PAGE_SIZE; // the least bit of every pgsizes
  }

  get hasEmulated(): boolean {
    return this.groups.some(({ emulated }) => emulated);
  }

  /** Whether a group may have written pages that no driver pinned. */
  get writesAnywhere(): boolean {
    return this.groups.some(({ pinnedOnly }) => !pinnedOnly);
  }

  /** Run with the lock held. */
  async locked<T>(body: () => Promise<T> | T): Promise<T> {
    await this.k.mutex_lock(this.lock);
    try {
      return await body();
    } finally {
      this.k.mutex_unlock(this.lock);
    }
  }
}
