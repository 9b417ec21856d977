/** Entering ranges into an IOTLB and taking them out. Mirrors `vhost_vdpa_map` and its like in `drivers/vhost/vdpa.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { Atomic, VmlinuxSymbols } from '@vdpalab/abi';
import type { Device, DriverCoreSymbols } from '@vdpalab/driver-core';
import type { IommuDomain, IommuSymbols } from '@vdpalab/iommu';
import type { MmStruct, MmSymbols, PageRun, VmArea } from '@vdpalab/mm';
import { IOMMU_CACHE, IOMMU_READ, IOMMU_WRITE, MAP_SHARED, VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import type { VdpaDevice } from '@vdpalab/vdpa-core';
import type { VhostIotlbMsg } from '@vdpalab/vhost';
import type { VhostIotlb, VhostIotlbMap, VhostIotlbSymbols } from '@vdpalab/vhost-iotlb';

const PAGE_SIZE = 4096n;
const KERN_WARNING = 4;

/** What mapping takes. */
export type MappingSymbols =
  & Pick<VhostIotlbSymbols, 'vhost_iotlb_add_range_ctx' | 'vhost_iotlb_del_range' | 'vhost_iotlb_map_free' | 'vhost_iotlb_itree_first'>
  & Pick<IommuSymbols, 'iommu_map' | 'iommu_unmap'>
  & Pick<MmSymbols, 'pin_user_pages' | 'unpin_user_pages'>
  & Pick<DriverCoreSymbols, 'dev_warn'> & Pick<VmlinuxSymbols, '_printk'>;

/** Whose memory is mapped, and how much of it may be pinned. */
export interface Payer {
  readonly mm: MmStruct;
  /** RLIMIT_MEMLOCK, bytes. */
  readonly memlock: number;
}

/** One address space: its number, its table, and whether set_map waits for the end of a batch. */
export interface Space {
  readonly asid: number;
  readonly iotlb: VhostIotlb;
  readonly batching: boolean;
}

/** Maps for one open file. */
export class Mapper {
  readonly #k: MappingSymbols;
  readonly #vdev: VdpaDevice;
  readonly #dev: Device;
  readonly #domain: IommuDomain | null;

  /** @param dev the `vhost-vdpa-N` device, which speaks in the log */
  constructor(k: MappingSymbols, vdev: VdpaDevice, dev: Device, domain: IommuDomain | null) {
    this.#k = k;
    this.#vdev = vdev;
    this.#dev = dev;
    this.#domain = domain;
  }

  /**
   * Map what a message names; what fails leaves nothing mapped or pinned.
   *
   * @throws ENOMEM EFAULT ENOSPC EINVAL, and what the parent throws
   */
  async map(space: Space, msg: VhostIotlbMsg, payer: Payer): Promise<void> {
    if (this.#vdev.use_va) await this.#mapAreas(space, msg, payer.mm);
    else await this.#mapPages(space, msg, payer);
  }

  /** `vhost_vdpa_unmap`: every entry that overlaps goes whole, then the parent is told of the new table. */
  async unmap(space: Space, start: bigint, last: bigint, mm: MmStruct | null): Promise<void> {
    await this.clear(space, start, last, mm);
    const { set_map } = this.#vdev.config;
    if (set_map !== undefined && !space.batching) await this.ignoring('set_map', () => set_map(this.#vdev, space.asid, space.iotlb));
  }

  /** `vhost_vdpa_iotlb_unmap`: as {@link unmap}, and a parent that takes whole tables hears nothing of it. */
  async clear({ asid, iotlb }: Space, start: bigint, last: bigint, mm: MmStruct | null): Promise<void> {
    const { dma_unmap, set_map } = this.#vdev.config;
    for (let map = this.#k.vhost_iotlb_itree_first(iotlb, start, last); map !== null; map = this.#k.vhost_iotlb_itree_first(iotlb, start, last)) {
      const { start: iova, size } = map;
      if (dma_unmap !== undefined) await this.ignoring('dma_unmap', () => dma_unmap(this.#vdev, asid, iova, size));
      else if (set_map === undefined && this.#domain !== null) this.#k.iommu_unmap(this.#domain, Number(iova), Number(size));
      this.#k.vhost_iotlb_map_free(iotlb, map);
      if (!this.#vdev.use_va) this.#unpin(map, mm);
    }
  }

  /** Linux drops a parent's refusal where the way on is the same; here it is at least said in the log. */
  async ignoring(op: string, body: () => Promise<void>): Promise<void> {
    try {
      await body();
    } catch (error) {
      if (!isKernelError(error)) throw error;
      this.#k.dev_warn(this.#dev, `${op} failed, which nobody hears: ${error.message} (${error.errno})`);
    }
  }

  /** `vhost_vdpa_pa_map`: pin the pages, map each contiguous run. */
  async #mapPages(space: Space, msg: VhostIotlbMsg, { mm, memlock }: Payer): Promise<void> {
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
        await this.#enter(space, at, size, BigInt(run.pa), msg.perm, null);
        mm.pinned_vm += run.pages;
        mapped++;
        at += size;
      }
    } catch (error) {
      this.#k.unpin_user_pages(runs.slice(mapped), false);
      if (mapped > 0) await this.unmap(space, start, at - 1n, mm);
      throw error;
    }
  }

  /** `vhost_vdpa_va_map`: shared areas are mapped by their user addresses, others are left out. @throws EINVAL for a hole */
  async #mapAreas(space: Space, msg: VhostIotlbMsg, mm: MmStruct): Promise<void> {
    const end = msg.uaddr + msg.size;
    let uaddr = msg.uaddr;
    let iova = msg.iova;
    try {
      while (uaddr < end) {
        const area = mm.areas.find((vma) => BigInt(vma.start) <= uaddr && uaddr < BigInt(vma.end));
        if (area === undefined) throw new KernelError('EINVAL', 'vhost_vdpa.iotlb.area', `nothing is mapped at 0x${uaddr.toString(16)}`);
        const size = (end < BigInt(area.end) ? end : BigInt(area.end)) - uaddr;
        if (isShared(area)) await this.#enter(space, iova, size, uaddr, msg.perm, area);
        uaddr += size;
        iova += size;
      }
    } catch (error) {
      if (iova > msg.iova) await this.unmap(space, msg.iova, iova - 1n, mm);
      throw error;
    }
  }

  /** `vhost_vdpa_map`: into the table, then to whoever translates. */
  async #enter({ asid, iotlb, batching }: Space, iova: bigint, size: bigint, addr: bigint, perm: number, opaque: unknown): Promise<void> {
    const { config } = this.#vdev;
    this.#k.vhost_iotlb_add_range_ctx(iotlb, iova, iova + size - 1n, addr, perm, opaque);
    try {
      if (config.dma_map !== undefined) await config.dma_map(this.#vdev, asid, iova, size, addr, perm, opaque);
      else if (config.set_map !== undefined) {
        if (!batching) await config.set_map(this.#vdev, asid, iotlb);
      } else if (this.#domain !== null) {
        this.#k.iommu_map(this.#domain, Number(iova), Number(addr), Number(size), this.#prot(perm));
      }
    } catch (error) {
      this.#k.vhost_iotlb_del_range(iotlb, iova, iova + size - 1n);
      throw error;
    }
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
        this.#k._printk(KERN_WARNING, '------------[ cut here ]------------');
        this.#k._printk(KERN_WARNING, 'invalidate vhost IOTLB permission');
        return IOMMU_CACHE;
    }
  }
}

/** Shared memory is a file's in Linux, anonymous or not. */
const isShared = (area: VmArea): boolean => (area.flags & MAP_SHARED) !== 0 && area.backing.kind === 'pages';
