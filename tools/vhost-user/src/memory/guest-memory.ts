/** A front-end's memory table: which of its addresses are which guest addresses, and where the lab sees them. */
import { closeSync } from 'node:fs';
import { decodeRegion, memTableCount, type MemoryRegionEntry } from '../protocol/message.ts';
import { MEMORY_HEAD_SIZE, MEMORY_REGION_SIZE, VHOST_MEMORY_MAX_NREGIONS } from '../protocol/requests.ts';
import { refuse } from '../refuse.ts';
import { HostFile, type MemorySite } from './host-file.ts';

const PAGE_SIZE = 4096;

/** `struct rte_vhost_mem_region` */
export interface GuestRegion {
  /** Guest physical address. */
  readonly guest_phys_addr: number;
  /** Where the front-end sees it. */
  readonly guest_user_addr: number;
  /** Where the serving process of the lab sees it. */
  readonly host_user_addr: number;
  /** Bytes. */
  readonly size: number;
  readonly file: HostFile;
}

const hex = (n: number): string => `0x${n.toString(16)}`;

/** An address or size that a message gives. @throws EINVAL beyond what any machine has */
function integer(value: bigint, what: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse('memory.number', `${what} 0x${value.toString(16)} is beyond 53 bits`);
  return Number(value);
}

/** All regions of one front-end. */
export class GuestMemory {
  readonly #regions: GuestRegion[] = [];

  /**
   * The table of a SET_MEM_TABLE.
   *
   * @param fds one for each region; taken over, also when the table is refused
   * @throws EINVAL for a table that cannot be; nothing is mapped then
   */
  static async ofTable(site: MemorySite, payload: Uint8Array, fds: readonly number[]): Promise<GuestMemory> {
    const count = memTableCount(payload);
    const memory = new GuestMemory();
    const left = [...fds];
    try {
      if (count > VHOST_MEMORY_MAX_NREGIONS) throw refuse('memory.regions', `${count} regions, at most ${VHOST_MEMORY_MAX_NREGIONS}`);
      if (payload.length < MEMORY_HEAD_SIZE + count * MEMORY_REGION_SIZE) throw refuse('memory.table', `${payload.length} bytes do not hold ${count} regions`);
      if (fds.length !== count) throw refuse('memory.fds', `${count} regions with ${fds.length} descriptors`);
      for (let i = 0; i < count; i++) {
        await memory.add(site, decodeRegion(payload, MEMORY_HEAD_SIZE + i * MEMORY_REGION_SIZE), left.shift() ?? -1);
      }
      return memory;
    } catch (error) {
      for (const fd of left) closeSync(fd);
      await memory.unmap();
      throw error;
    }
  }

  get regions(): readonly GuestRegion[] {
    return this.#regions;
  }

  /**
   * Map one more region.
   *
   * @param fd taken over
   * @throws EINVAL when it cannot be mapped, or overlaps another
   */
  async add(site: MemorySite, entry: MemoryRegionEntry, fd: number): Promise<void> {
    let region: Omit<GuestRegion, 'file' | 'host_user_addr'>;
    let offset: number;
    try {
      region = {
        guest_phys_addr: integer(entry.guestPhysAddr, 'guest address'), guest_user_addr: integer(entry.userspaceAddr, 'user address'),
        size: integer(entry.memorySize, 'size'),
      };
      offset = integer(entry.mmapOffset, 'offset');
      const { guest_phys_addr: at, size } = region;
      if (at % PAGE_SIZE !== 0) throw refuse('memory.address', `guest address ${hex(at)} is not page-aligned`);
      integer(entry.guestPhysAddr + entry.memorySize, 'end of the region');
      integer(entry.userspaceAddr + entry.memorySize, 'end of the region');
      integer(entry.mmapOffset + entry.memorySize, 'end of the region');
      const other = this.#regions.find((r) => r.guest_phys_addr < at + size && at < r.guest_phys_addr + r.size);
      if (other !== undefined) throw refuse('memory.overlap', `${hex(at)} + ${hex(size)} overlaps ${hex(other.guest_phys_addr)} + ${hex(other.size)}`);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    const file = await HostFile.map(site, fd, offset, region.size, region.guest_phys_addr);
    this.#regions.push({ ...region, file, host_user_addr: file.va });
  }

  /** Take one region out. @returns false when there is no such region */
  async remove(entry: MemoryRegionEntry): Promise<boolean> {
    const at = this.#regions.findIndex((r) => BigInt(r.guest_phys_addr) === entry.guestPhysAddr
      && BigInt(r.guest_user_addr) === entry.userspaceAddr && BigInt(r.size) === entry.memorySize);
    if (at < 0) return false;
    await this.#regions.splice(at, 1)[0]?.file.unmap();
    return true;
  }

  /**
   * The guest address of memory that the front-end knows by its own.
   *
   * @param len bytes, all in one region
   * @returns `null` when they are not
   */
  guestPhys(user: bigint, len: number): number | null {
    for (const r of this.#regions) {
      const into = Number(user - BigInt(r.guest_user_addr));
      if (into >= 0 && into + len <= r.size) return r.guest_phys_addr + into;
    }
    return null;
  }

  /** Where the serving process sees guest memory. @returns `null` when it is not in one region */
  hostVa(gpa: number, len: number): number | null {
    for (const r of this.#regions) {
      const into = gpa - r.guest_phys_addr;
      if (into >= 0 && into + len <= r.size) return r.host_user_addr + into;
    }
    return null;
  }

  /** Whether a file has been cut short under us. */
  get cut(): boolean {
    return this.#regions.some((r) => r.file.cut);
  }

  /** Give all of it back. */
  async unmap(): Promise<void> {
    for (const { file } of this.#regions.splice(0)) await file.unmap();
  }
}
