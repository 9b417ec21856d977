/** The IOTLBs of an open file: updates, pins, and who is told. Mirrors the IOTLB half of `drivers/vhost/vdpa.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { IommuDomain, IommuSymbols } from '@vdpalab/iommu';
import type { MmStruct, MmSymbols, PageRun } from '@vdpalab/mm';
import {
  IOMMU_CACHE, IOMMU_READ, IOMMU_WRITE, VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO, VHOST_IOTLB_BATCH_BEGIN,
  VHOST_IOTLB_BATCH_END, VHOST_IOTLB_INVALIDATE, VHOST_IOTLB_UPDATE,
} from '@vdpalab/uapi';
import type { VdpaDevice, VdpaIovaRange } from '@vdpalab/vdpa-core';
import type { VhostIotlbMsg } from '@vdpalab/vhost';
import type { VhostIotlb, VhostIotlbMap, VhostIotlbSymbols } from '@vdpalab/vhost-iotlb';

const PAGE_SIZE = 4096n;
const U64_MAX = (1n << 64n) - 1n;
const hex = (n: bigint): string => `0x${n.toString(16)}`;

/** What address spaces take. */
export type AddressSpaceSymbols =
  & Pick<VhostIotlbSymbols, 'vhost_iotlb_alloc' | 'vhost_iotlb_add_range_ctx' | 'vhost_iotlb_del_range' | 'vhost_iotlb_map_free'
    | 'vhost_iotlb_itree_first'>
  & Pick<IommuSymbols, 'iommu_map' | 'iommu_unmap'>
  & Pick<MmSymbols, 'pin_user_pages' | 'unpin_user_pages'>
  & Pick<DriverCoreSymbols, 'dev_err' | 'dev_info'>;

/** Whose memory is mapped, and how much of it may be pinned. */
export interface Payer {
  readonly mm: MmStruct;
  /** RLIMIT_MEMLOCK, bytes. */
  readonly memlock: number;
}

/** All address spaces of one open file. */
export class AddressSpaces {
  readonly #k: AddressSpaceSymbols;
  readonly #vdev: VdpaDevice;
  readonly #domain: IommuDomain | null;
  readonly #range: VdpaIovaRange;
  readonly #limit: number;
  readonly #spaces = new Map<number, VhostIotlb>();
  #batchAsid: number | null = null;

  /** @param limit entries an address space holds at most; 0 for no limit */
  constructor(k: AddressSpaceSymbols, vdev: VdpaDevice, domain: IommuDomain | null, range: VdpaIovaRange, limit: number) {
    this.#k = k;
    this.#vdev = vdev;
    this.#domain = domain;
    this.#range = range;
    this.#limit = limit;
  }

  /** A reset ends a batch that was under way. */
  endBatch(): Atomic {
    this.#batchAsid = null;
    return undefined;
  }

  /** `vhost_vdpa_process_iotlb_msg`. @throws EINVAL EEXIST EFAULT ENOMEM ENOSPC, and what the parent throws */
  async message(asid: number, msg: VhostIotlbMsg, payer: Payer): Promise<void> {
    const creates = msg.type === VHOST_IOTLB_UPDATE || msg.type === VHOST_IOTLB_BATCH_BEGIN;
    const iotlb = creates ? this.#findOrMake(asid) : this.#spaces.get(asid);
    if (this.#batchAsid !== null && this.#batchAsid !== asid) {
      this.#k.dev_info(this.#vdev.dev, `batch id ${this.#batchAsid} asid ${asid}`);
      throw new KernelError('EINVAL', 'vhost_vdpa.iotlb.batch', `asid ${asid} inside a batch of asid ${this.#batchAsid}`);
    }
    if (iotlb === undefined) {
      this.#k.dev_err(this.#vdev.dev, `no iotlb for asid ${asid}`);
      throw new KernelError('EINVAL', 'vhost_vdpa.iotlb.asid', `asid ${asid} has no address space`);
    }
    switch (msg.type) {
      case VHOST_IOTLB_UPDATE: return await this.#update(asid, iotlb, msg, payer);
      case VHOST_IOTLB_INVALIDATE: return await this.#invalidate(asid, iotlb, msg.iova, msg.iova + msg.size - 1n, payer.mm);
      case VHOST_IOTLB_BATCH_BEGIN: this.#batchAsid = asid; return undefined;
      case VHOST_IOTLB_BATCH_END:
        if (this.#batchAsid !== null) await this.#vdev.config.set_map?.(this.#vdev, asid, iotlb);
        this.#batchAsid = null;
        return undefined;
      default: throw new KernelError('EINVAL', 'vhost_vdpa.iotlb.kind', `message kind ${msg.type}`);
    }
  }

  /** Unmap and forget everything: the file closes. */
  async removeAll(mm: MmStruct | null): Promise<void> {
    this.#batchAsid = null;
    for (const [asid, iotlb] of this.#spaces) await this.#invalidate(asid, iotlb, 0n, U64_MAX, mm);
    this.#spaces.clear();
  }

  #findOrMake(asid: number): VhostIotlb {
    const found = this.#spaces.get(asid);
    if (found !== undefined) return found;
    if (asid >= this.#vdev.nas) {
      this.#k.dev_err(this.#vdev.dev, `can't find and alloc asid ${asid}`);
      throw new KernelError('EINVAL', 'vhost_vdpa.iotlb.asid-range', `asid ${asid} of ${this.#vdev.nas}`);
    }
    const made = this.#k.vhost_iotlb_alloc(this.#limit, 0);
    this.#spaces.set(asid, made);
    return made;
  }

  async #update(asid: number, iotlb: VhostIotlb, msg: VhostIotlbMsg, payer: Payer): Promise<void> {
    const { first, last } = this.#range;
    const end = msg.iova + msg.size - 1n;
    if (msg.size === 0n || msg.iova < first || end > U64_MAX || end > last) {
      throw new KernelError('EINVAL', 'vhost_vdpa.iotlb.range', `${hex(msg.iova)}+${hex(msg.size)} is not inside ${hex(first)}-${hex(last)}`);
    }
    if (this.#k.vhost_iotlb_itree_first(iotlb, msg.iova, end) !== null) {
      throw new KernelError('EEXIST', 'vhost_vdpa.iotlb.overlap', `${hex(msg.iova)}+${hex(msg.size)} overlaps a mapping`);
    }
    if (this.#vdev.use_va) return await this.#map(asid, iotlb, msg.iova, msg.size, msg.uaddr, msg.perm, payer.mm);
    await this.#mapPages(asid, iotlb, msg, payer);
  }

  /** `vhost_vdpa_pa_map`: pin the pages, map each contiguous run; what fails leaves nothing pinned or mapped. */
  async #mapPages(asid: number, iotlb: VhostIotlb, msg: VhostIotlbMsg, { mm, memlock }: Payer): Promise<void> {
    const offset = msg.iova % PAGE_SIZE;
    const pages = (msg.size + offset + PAGE_SIZE - 1n) / PAGE_SIZE;
    const budget = Math.floor(memlock / Number(PAGE_SIZE));
    if (Number(pages) + mm.pinned_vm > budget) {
      throw new KernelError('ENOMEM', 'vhost_vdpa.iotlb.memlock', `${pages} pages and ${mm.pinned_vm} pinned are over RLIMIT_MEMLOCK, ${budget} pages`);
    }
    const base = msg.uaddr - (msg.uaddr % PAGE_SIZE);
    const runs = this.#k.pin_user_pages(mm, Number(base), Number(pages * PAGE_SIZE), (msg.perm & VHOST_ACCESS_WO) !== 0);
    const start = msg.iova - offset;
    let at = start;
    let mapped = 0;
    try {
      for (const run of runs) {
        const size = BigInt(run.pages) * PAGE_SIZE;
        await this.#map(asid, iotlb, at, size, BigInt(run.pa), msg.perm, mm);
        mapped++;
        at += size;
      }
    } catch (error) {
      this.#k.unpin_user_pages(runs.slice(mapped), false);
      if (at > start) await this.#invalidate(asid, iotlb, start, at - 1n, mm);
      throw error;
    }
  }

  /** `vhost_vdpa_map`: into the table, then to whoever translates. */
  async #map(asid: number, iotlb: VhostIotlb, iova: bigint, size: bigint, pa: bigint, perm: number, mm: MmStruct): Promise<void> {
    const { config } = this.#vdev;
    this.#k.vhost_iotlb_add_range_ctx(iotlb, iova, iova + size - 1n, pa, perm, null);
    try {
      if (config.dma_map !== undefined) await config.dma_map(this.#vdev, asid, iova, size, pa, perm, null);
      else if (config.set_map !== undefined) {
        if (this.#batchAsid === null) await config.set_map(this.#vdev, asid, iotlb);
      } else if (this.#domain !== null) {
        this.#k.iommu_map(this.#domain, Number(iova), Number(pa), Number(size), this.#prot(perm));
      }
    } catch (error) {
      this.#k.vhost_iotlb_del_range(iotlb, iova, iova + size - 1n);
      throw error;
    }
    if (!this.#vdev.use_va) mm.pinned_vm += Number(size / PAGE_SIZE);
  }

  /** `vhost_vdpa_unmap`: every entry that overlaps goes whole. */
  async #invalidate(asid: number, iotlb: VhostIotlb, start: bigint, last: bigint, mm: MmStruct | null): Promise<void> {
    const { config } = this.#vdev;
    let removed = 0;
    for (let map = this.#k.vhost_iotlb_itree_first(iotlb, start, last); map !== null; map = this.#k.vhost_iotlb_itree_first(iotlb, start, last)) {
      if (config.dma_unmap !== undefined) await config.dma_unmap(this.#vdev, asid, map.start, map.size);
      else if (config.set_map === undefined && this.#domain !== null) this.#k.iommu_unmap(this.#domain, Number(map.start), Number(map.size));
      this.#k.vhost_iotlb_map_free(iotlb, map);
      if (!this.#vdev.use_va) this.#unpin(map, mm);
      removed++;
    }
    if (config.set_map !== undefined && this.#batchAsid === null && removed > 0) await config.set_map(this.#vdev, asid, iotlb);
  }

  #unpin(map: VhostIotlbMap, mm: MmStruct | null): Atomic {
    const run: PageRun = { pa: Number(map.addr), pages: Number(map.size / PAGE_SIZE) };
    this.#k.unpin_user_pages([run], (map.perm & VHOST_ACCESS_WO) !== 0);
    if (mm !== null) mm.pinned_vm -= run.pages;
    return undefined;
  }

  /** `perm_to_iommu_flags` */
  #prot(perm: number): number {
    switch (perm) {
      case VHOST_ACCESS_RO: return IOMMU_READ | IOMMU_CACHE;
      case VHOST_ACCESS_WO: return IOMMU_WRITE | IOMMU_CACHE;
      case VHOST_ACCESS_RW: return IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE;
      default:
        this.#k.dev_err(this.#vdev.dev, 'invalidate vhost IOTLB permission');
        return IOMMU_CACHE;
    }
  }
}
