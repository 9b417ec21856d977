/** Domains: what a group's DMA goes through. Mirrors `drivers/iommu/iommu.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { IommuAttachment, IommuTable, IommuUnit } from '@vdpalab/abi';
import type { IommuDomain, IommuDomainType } from './header.ts';
import { IovaSpace } from './iova.ts';
import { hex, PAGE_SIZE } from './page.ts';

const IOMMU_READ = 1;
const IOMMU_WRITE = 2;
/** 4 KiB, 2 MiB and 1 GiB: the leaves of the unit's tables. */
const PGSIZES = 0x4020_1000n;

/** A range of addresses, last one included. */
export interface AddressRange {
  readonly first: number;
  readonly last: number;
}

/** `struct iommu_domain` */
export class Domain implements IommuDomain {
  readonly type: IommuDomainType;
  readonly table: IommuTable | null;
  readonly aperture_end: number;
  readonly force_aperture = true;
  readonly pgsize_bitmap = PGSIZES;
  /** Groups whose DMA goes through it now. */
  users = 0;

  private readonly reserved: readonly AddressRange[];
  private space: IovaSpace | null = null;

  /** @param reserved what {@link iova} hands out to nobody */
  constructor(type: IommuDomainType, table: IommuTable | null, apertureEnd: number, reserved: readonly AddressRange[]) {
    this.type = type;
    this.table = table;
    this.aperture_end = apertureEnd;
    this.reserved = reserved;
  }

  /** Where the DMA API takes addresses from, made when first asked for: most devices' memory is never mapped so. */
  get iova(): IovaSpace {
    if (this.space !== null) return this.space;
    const space = new IovaSpace((this.aperture_end + 1) / PAGE_SIZE);
    // Page 0 is never handed out: a bus address of 0 would look like none.
    space.reserve(0, 0);
    for (const { first, last } of this.reserved) space.reserve(pageOf(first), pageOf(last));
    this.space = space;
    return space;
  }

  get mapped(): number {
    return this.table === null ? 0 : this.table.mappedPages * PAGE_SIZE;
  }

  /** What the platform IOMMU is told. */
  get attachment(): IommuAttachment {
    if (this.table !== null) return this.table;
    return this.type === 'identity' ? 'identity' : 'blocked';
  }
}

/** Domains of one machine with an IOMMU. */
export interface Domains {
  readonly alloc: (type: IommuDomainType) => Domain;
  readonly free: (domain: Domain) => undefined;
  /** Domains alive. */
  readonly all: ReadonlySet<Domain>;
}

/**
 * Make the domains of one machine.
 *
 * @param reserved what the DMA API hands out in no domain: devices' windows and the interrupt window
 */
export function createDomains(unit: IommuUnit, reserved: readonly AddressRange[]): Domains {
  const all = new Set<Domain>();
  return {
    all,
    alloc(type) {
      const paging = type === 'DMA' || type === 'DMA-FQ' || type === 'unmanaged';
      const domain = new Domain(type, paging ? unit.createTable() : null, unit.apertureEnd, reserved);
      all.add(domain);
      return domain;
    },
    free(domain) {
      if (domain.users !== 0) throw new Error(`iommu: a ${domain.type} domain is freed while ${domain.users} groups use it`);
      if (!all.delete(domain)) throw new Error(`iommu: a ${domain.type} domain is freed twice`);
      if (domain.table === null) return;
      if (domain.table.mappedPages > 0) domain.table.unmap(0, unit.apertureEnd + 1);
      unit.destroyTable(domain.table);
    },
  };
}

/**
 * Map a range of a domain.
 *
 * @param iova page-aligned
 * @param pa page-aligned
 * @param size bytes, whole pages
 * @param prot IOMMU_READ 1 | IOMMU_WRITE 2; further bits are hints
 * @throws EINVAL when a value is not page-aligned, there is no permission, or the domain maps nothing
 * @throws EFAULT when the range leaves the aperture
 * @throws EEXIST when a page of it is mapped; then nothing is
 * @see drivers/iommu/iommu.c `iommu_map`, drivers/iommu/intel/iommu.c `__domain_mapping`
 */
export function iommuMap(domain: IommuDomain, iova: number, pa: number, size: number, prot: number): undefined {
  if (domain.table === null) {
    throw new KernelError('EINVAL', 'iommu.map.paging', `a ${domain.type} domain has no mappings`);
  }
  if (iova % PAGE_SIZE !== 0 || pa % PAGE_SIZE !== 0 || size % PAGE_SIZE !== 0 || size <= 0) {
    throw new KernelError('EINVAL', 'iommu.map.unaligned',
      `unaligned: iova ${hex(iova)} pa ${hex(pa)} size ${hex(size)} min_pagesz ${hex(PAGE_SIZE)}`);
  }
  if ((prot & (IOMMU_READ | IOMMU_WRITE)) === 0) {
    throw new KernelError('EINVAL', 'iommu.map.prot', `iova ${hex(iova)}: neither read nor write in ${prot}`);
  }
  domain.table.map(iova, pa, size, prot & (IOMMU_READ | IOMMU_WRITE));
}

/**
 * Unmap a range; holes are skipped, and what is not page-aligned unmaps nothing.
 *
 * @returns bytes unmapped
 * @see drivers/iommu/iommu.c `__iommu_unmap`
 */
export function iommuUnmap(domain: IommuDomain, iova: number, size: number): number {
  if (domain.table === null || iova % PAGE_SIZE !== 0 || size % PAGE_SIZE !== 0) return 0;
  return domain.table.unmap(iova, size);
}

/** Where an address of the domain lies in memory; `null` when it is not mapped. */
export function iommuIovaToPhys(domain: IommuDomain, iova: number): number | null {
  if (domain.type === 'identity') return iova;
  return domain.table?.lookup(iova)?.pa ?? null;
}

function pageOf(address: number): number {
  return Math.floor(address / PAGE_SIZE);
}
