/** The IOVA domain of a device: what it may reach, and through which pages. Mirrors `drivers/vdpa/vdpa_user/iova_domain.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { DmaMapOps, IommuSymbols, IovaDomain } from '@vdpalab/iommu';
import type { MmSymbols, VmArea, VmBacking } from '@vdpalab/mm';
import { VHOST_ACCESS_RW, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import type { VhostIotlb, VhostIotlbMap, VhostIotlbSymbols } from '@vdpalab/vhost-iotlb';
import { BouncePages, type BounceSymbols } from './bounce.ts';
import { sharedPages, type MapFile, type MapSource } from './map-file.ts';

const PAGE_SIZE = 4096;
const U64_MAX = (1n << 64n) - 1n;

/** `VDUSE_BOUNCE_SIZE`: bytes at the lower end that drivers of this kernel are bounced through. */
export const VDUSE_BOUNCE_SIZE = 64 * 1024 * 1024;
/** `VDUSE_IOVA_SIZE`: bytes in all; coherent memory lies above the bounce buffer. */
export const VDUSE_IOVA_SIZE = 128 * 1024 * 1024;

/** What a domain takes. */
export type DomainSymbols =
  & BounceSymbols
  & Pick<IommuSymbols, 'init_iova_domain' | 'alloc_iova' | 'free_iova' | 'put_iova_domain'>
  & Pick<MmSymbols, 'pin_user_pages' | 'unpin_user_pages'>
  & Pick<VhostIotlbSymbols, 'vhost_iotlb_alloc' | 'vhost_iotlb_free' | 'vhost_iotlb_add_range_ctx' | 'vhost_iotlb_map_free' | 'vhost_iotlb_itree_first'
    | 'vhost_iotlb_itree_next'>;

/** `struct vduse_iova_domain` */
export class Domain {
  readonly bounce: BouncePages;
  /** Whether the bounce buffer is in the IOTLB: from the first mapping of this kernel on, until reset. */
  bounceMapped = false;
  readonly #k: DomainSymbols;
  readonly #iotlb: VhostIotlb;
  readonly #stream: IovaDomain;
  readonly #consistent: IovaDomain;
  /** The device itself, and files and mappings of the domain that processes hold. */
  #users = 1;
  /** The domain's own memory as a file: the bounce buffer, coherent memory above it. */
  readonly #file: MapSource;

  /** @param maxEntries of the IOTLB */
  constructor(k: DomainSymbols, maxEntries: number) {
    this.#k = k;
    this.bounce = new BouncePages(k);
    this.#iotlb = k.vhost_iotlb_alloc(maxEntries, 0);
    this.#stream = k.init_iova_domain(PAGE_SIZE, 0);
    this.#consistent = k.init_iova_domain(PAGE_SIZE, VDUSE_BOUNCE_SIZE / PAGE_SIZE);
    this.#file = {
      name: 'vduse-domain',
      backing: (): VmBacking => ({ kind: 'fault', fault: (pgoff) => this.#page(pgoff) }),
      get: () => void this.#users++ as undefined,
      put: () => this.put(),
    };
  }

  /** The DMA API of drivers of this kernel: copies, or memory that both see. */
  readonly dmaOps: DmaMapOps = {
    map_page: (dev, pa, size, dir) => {
      this.#mapBounceBuffer();
      const iova = this.#take(this.#stream, size, VDUSE_BOUNCE_SIZE, dev.name);
      try {
        this.bounce.map(iova, pa, size);
      } catch (error) {
        this.#k.free_iova(this.#stream, iova / PAGE_SIZE);
        throw error;
      }
      if (dir !== 'DMA_FROM_DEVICE') this.bounce.copy(iova, size, 'DMA_TO_DEVICE');
      return iova;
    },
    unmap_page: (_, iova, size, dir) => {
      if (dir !== 'DMA_TO_DEVICE') this.bounce.copy(iova, size, 'DMA_FROM_DEVICE');
      this.bounce.unmap(iova, size);
      return this.#k.free_iova(this.#stream, iova / PAGE_SIZE);
    },
    map_coherent: (dev, pa, size) => {
      const iova = this.#take(this.#consistent, size, VDUSE_IOVA_SIZE, dev.name);
      try {
        this.#add(BigInt(iova), BigInt(iova + size - 1), BigInt(pa), VHOST_ACCESS_RW, { source: this.#file, offset: BigInt(iova) });
      } catch (cause) {
        this.#k.free_iova(this.#consistent, iova / PAGE_SIZE);
        throw new KernelError('ENOMEM', 'vduse.dma.iotlb', `${dev.name}: the IOTLB takes no mapping of ${size} bytes`, { cause });
      }
      return iova;
    },
    unmap_coherent: (_, iova, size) => {
      this.#drop(BigInt(iova), BigInt(iova + size - 1));
      return this.#k.free_iova(this.#consistent, iova / PAGE_SIZE);
    },
  };

  /** `vduse_domain_set_map`: what user space has mapped, in place of all there was. @throws EFAULT ENOSPC, nothing is mapped then */
  setMap(iotlb: VhostIotlb): Atomic {
    this.#drop(0n, U64_MAX);
    try {
      for (const map of this.#maps(iotlb)) {
        const write = (map.perm & VHOST_ACCESS_WO) !== 0;
        const source = sharedPages(this.#k, map.opaque as VmArea, Number(map.addr), Number(map.size), write); // parents with use_va are given areas
        try {
          this.#k.vhost_iotlb_add_range_ctx(this.#iotlb, map.start, map.last, map.addr, map.perm, { source, offset: 0n } satisfies MapFile);
        } catch (error) {
          source.put();
          throw error;
        }
      }
    } catch (error) {
      this.#drop(0n, U64_MAX);
      throw error;
    }
    return undefined;
  }

  /** `vduse_domain_reset_bounce_map` */
  resetBounceMap(): Atomic {
    if (!this.bounceMapped) return undefined;
    this.bounceMapped = false;
    return this.#drop(0n, BigInt(VDUSE_BOUNCE_SIZE - 1));
  }

  /** The first range that overlaps; null when none does. */
  find(start: bigint, last: bigint): (VhostIotlbMap & { readonly opaque: MapFile }) | null {
    return this.#k.vhost_iotlb_itree_first(this.#iotlb, start, last) as (VhostIotlbMap & { opaque: MapFile }) | null; // only files are entered
  }

  /** The device lets go; the pages stay while a process has the file. */
  put(): Atomic {
    if (--this.#users > 0) return undefined;
    this.#k.put_iova_domain(this.#stream);
    this.#k.put_iova_domain(this.#consistent);
    return this.#k.vhost_iotlb_free(this.#iotlb);
  }

  /** `vduse_domain_clear_map`: what user space has mapped is gone. */
  forget(): Atomic {
    return this.#drop(0n, U64_MAX);
  }

  /** Forget every mapping and every page behind one: nobody on the bus uses the device any more. */
  clear(): Atomic {
    this.bounceMapped = false;
    this.bounce.free();
    return this.#drop(0n, U64_MAX);
  }

  /** `vduse_domain_init_bounce_map` */
  #mapBounceBuffer(): void {
    if (this.bounceMapped) return;
    this.#add(0n, BigInt(VDUSE_BOUNCE_SIZE - 1), 0n, VHOST_ACCESS_RW, { source: this.#file, offset: 0n });
    this.bounceMapped = true;
  }

  /** `vduse_domain_mmap_fault` */
  #page(pgoff: number): number | null {
    const iova = pgoff * PAGE_SIZE;
    if (iova < VDUSE_BOUNCE_SIZE) return this.bounce.pageAt(pgoff);
    const map = this.find(BigInt(iova), BigInt(iova + PAGE_SIZE - 1));
    return map === null ? null : Number(map.addr - map.start) + iova;
  }

  #add(start: bigint, last: bigint, addr: bigint, perm: number, file: MapFile): void {
    this.#k.vhost_iotlb_add_range_ctx(this.#iotlb, start, last, addr, perm, file);
    file.source.get();
  }

  #drop(start: bigint, last: bigint): undefined {
    for (let map = this.find(start, last); map !== null; map = this.find(start, last)) {
      map.opaque.source.put();
      this.#k.vhost_iotlb_map_free(this.#iotlb, map);
    }
  }

  *#maps(iotlb: VhostIotlb): Generator<VhostIotlbMap> {
    let map = this.#k.vhost_iotlb_itree_first(iotlb, 0n, U64_MAX);
    while (map !== null) {
      yield map;
      map = this.#k.vhost_iotlb_itree_next(iotlb, map, 0n, U64_MAX);
    }
  }

  #take(space: IovaDomain, size: number, limit: number, name: string): number {
    const pages = Math.ceil(size / PAGE_SIZE);
    const pfn = this.#k.alloc_iova(space, pages, limit / PAGE_SIZE - 1);
    if (pfn === null) throw new KernelError('ENOMEM', 'vduse.dma.iova', `${name}: no ${pages} pages below 0x${limit.toString(16)}, ${space.used} are in use`);
    return pfn * PAGE_SIZE;
  }
}
