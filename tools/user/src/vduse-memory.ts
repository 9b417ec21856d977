/** What a VDUSE device may reach, mapped into its process: the IOVAs of descriptors become memory. */
import { isKernelError } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import { EINVAL, EPERM, MAP_SHARED, PROT_READ, PROT_WRITE, VHOST_ACCESS_RO, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import { ringMemory, type Extent, type RingMemory, type Translate } from '@vdpalab/vring';
import type { VduseFile } from './vduse-file.ts';

const PAGE_SIZE = 4096;
const U64_MAX = (1n << 64n) - 1n;

/** A range of the IOTLB, mapped. */
interface Region {
  readonly start: number;
  /** Bytes. */
  readonly size: number;
  readonly perm: number;
  /** Where the process sees it. */
  readonly va: number;
}

/** All ranges of one device. */
export class VduseMemory implements Translate {
  generation = 0;
  /** An address was looked up that nothing here maps: the kernel may have mapped it since. */
  missed = false;
  readonly #p: UserProcess;
  readonly #file: VduseFile;
  #regions: Region[] = [];
  /** One set of views per buffer: extents of one memory share it. */
  readonly #memories = new Map<ArrayBufferLike, RingMemory>();

  constructor(p: UserProcess, file: VduseFile) {
    this.#p = p;
    this.#file = file;
  }

  /** Map what there is now, in place of what there was. */
  async refresh(): Promise<void> {
    await this.drop();
    for (let start = 0n; ;) {
      const found = await this.#next(start);
      if (found === null) return;
      const { fd, entry } = found;
      const size = Number(entry.last - entry.start + 1n);
      const prot = ((entry.perm & VHOST_ACCESS_RO) === 0 ? 0 : PROT_READ) | ((entry.perm & VHOST_ACCESS_WO) === 0 ? 0 : PROT_WRITE);
      try {
        const va = await this.#p.mmap(size, prot, MAP_SHARED, fd, Number(entry.offset));
        this.#regions.push({ start: Number(entry.start), size, perm: entry.perm, va });
      } finally {
        await this.#p.close(fd);
      }
      if (entry.last === U64_MAX) return;
      start = entry.last + 1n;
    }
  }

  /** Map nothing any more. */
  async drop(): Promise<void> {
    this.generation++;
    this.missed = false;
    const regions = this.#regions;
    this.#regions = [];
    for (const { va, size } of regions) await this.#p.munmap(va, size);
  }

  lookup(addrLo: number, addrHi: number, len: number, write: boolean, out: Extent): number {
    const iova = addrHi * 0x1_0000_0000 + addrLo;
    const region = this.#regions.find((r) => iova >= r.start && iova < r.start + r.size);
    if (region === undefined) {
      this.missed = true;
      return EINVAL;
    }
    if ((region.perm & (write ? VHOST_ACCESS_WO : VHOST_ACCESS_RO)) === 0) return EPERM;
    const va = region.va + iova - region.start;
    const left = region.size - (iova - region.start);
    const { mm } = this.#p.proc;
    const view = mm.view(va, Math.min(len, left)) ?? mm.view(va, Math.min(PAGE_SIZE - va % PAGE_SIZE, left));
    if (view === null) return EINVAL; // no page there: nothing was ever mapped at that address
    out.baseLo = addrLo;
    out.baseHi = addrHi;
    out.length = view.length;
    out.perm = region.perm;
    out.memory = this.#memoryOf(view.buffer);
    out.offset = view.byteOffset;
    return 0;
  }

  #memoryOf(buffer: ArrayBufferLike): RingMemory {
    const found = this.#memories.get(buffer) ?? ringMemory(buffer);
    this.#memories.set(buffer, found);
    return found;
  }

  async #next(start: bigint): Promise<Awaited<ReturnType<VduseFile['iotlbFd']>> | null> {
    try {
      return await this.#file.iotlbFd(start, U64_MAX);
    } catch (error) {
      if (isKernelError(error) && error.errno === 'EINVAL') return null; // nothing further up
      throw error;
    }
  }
}
