/** One mapping of user memory. Mirrors `struct vfio_dma` in `drivers/vfio/vfio_iommu_type1.c` (Linux 6.1). */
import type { KernelSymbols } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import type { MmStruct, PageRun } from '@vdpalab/mm';
import { CAP_IPC_LOCK, RLIMIT_MEMLOCK } from '@vdpalab/uapi';

export const PAGE_SIZE = 4096;
export const PAGE = 4096n;

/** `struct vfio_pfn`: a page that a driver pinned, and how often. */
export interface ExternalPin {
  readonly pa: number;
  refs: number;
}

/** What memory a mapping is of, and who pays for it. */
export interface Owner {
  readonly mm: MmStruct;
  /** Bytes it may lock; Infinity with CAP_IPC_LOCK. */
  readonly memlock: number;
}

/** Memory behind a mapping. */
export interface Backing {
  readonly runs: readonly PageRun[];
  /** False for device registers, which are neither pinned nor charged. */
  readonly pinned: boolean;
}

/** `struct vfio_dma` */
export class VfioDma {
  readonly iova: bigint;
  readonly size: bigint;
  /** IOMMU_READ | IOMMU_WRITE */
  readonly prot: number;
  vaddr: number;
  owner: Owner;
  /** Mapped in the container's domain, with all its pages pinned. */
  backing: Backing | null = null;
  /** Pages that drivers pinned, by their index in the mapping. */
  readonly pins = new Map<number, ExternalPin>();
  /** Pages charged to the owner now. */
  charged = 0;
  /** A bit for each page, while dirty pages are tracked. */
  bitmap: Uint8Array | null = null;
  /** The user address is about to change: no page may be pinned. */
  vaddrInvalid = false;

  constructor(iova: bigint, size: bigint, prot: number, vaddr: number, owner: Owner) {
    this.iova = iova;
    this.size = size;
    this.prot = prot;
    this.vaddr = vaddr;
    this.owner = owner;
  }

  get pages(): number {
    return Number(this.size / PAGE);
  }

  /** Index of the page that holds an address of the mapping. */
  pageOf(iova: bigint): number {
    return Number((iova - this.iova) / PAGE);
  }

  /** Pages that are pinned, each counted once. */
  get pinnedPages(): number {
    if (this.backing === null) return this.pins.size;
    return this.backing.pinned ? this.pages : 0;
  }
}

/** Who calls. */
export function ownerOf(k: Pick<KernelSymbols, 'capable'>, proc: Process): Owner {
  return { mm: proc.mm, memlock: k.capable(CAP_IPC_LOCK) ? Number.POSITIVE_INFINITY : proc.rlimits.get(RLIMIT_MEMLOCK) ?? Number.POSITIVE_INFINITY };
}
