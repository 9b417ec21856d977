/** A translation table with its IOTLB. */
import { KernelError } from '@vdpalab/abi';
import type { IommuHit, IommuTable } from '@vdpalab/abi';
import { PAGE_SIZE } from '../memory-map.ts';
import type { IommuEntry } from './entry.ts';
import { Iotlb } from './iotlb.ts';
import { Radix } from './radix.ts';

const TWO_32 = 0x1_0000_0000;
/** Bytes of a leaf, by level. */
const LEAF_SPAN = [0x1000, 0x20_0000, 0x4000_0000] as const;
/** Bytes that a hit in a large leaf is extended to at least, where its neighbours go on: buffers of one pool are then one hit. */
const LARGE_REACH = 16 * LEAF_SPAN[1];

/** The unit's own table. After a successful {@link resolve} the answer is in the `hit` fields. */
export class RadixTable implements IommuTable {
  readonly id: number;
  mappedPages = 0;
  /** Who translates through it. */
  readonly users: IommuEntry[] = [];
  /** Start of the contiguous mapping that was found, bus and physical; and its permissions. */
  hitIova = 0;
  hitPa = 0;
  hitLength = 0;
  hitProt = 0;
  /** Pages that devices have asked for; what the kernel looks up does not enter. */
  readonly iotlb = new Iotlb();
  /** Pages looked up in the tree because the IOTLB missed. */
  walks = 0;
  private readonly radix = new Radix();
  /** Level of the leaf `walk` found. */
  private leafLevel = 0;
  private readonly apertureEnd: number;

  constructor(id: number, apertureEnd: number) {
    this.id = id;
    this.apertureEnd = apertureEnd;
  }

  /**
   * @throws KernelError EINVAL when a value is not page-aligned, the size is 0 or `prot` has no permission
   * @throws KernelError EFAULT when the range leaves the aperture
   * @throws KernelError EEXIST when a page of it is mapped
   * @see Linux 6.1 drivers/iommu/iommu.c `__iommu_map`, drivers/iommu/intel/iommu.c `intel_iommu_map`
   */
  map(iova: number, pa: number, size: number, prot: number): undefined {
    if (!isPages(iova) || !isPages(pa) || !isPages(size) || size === 0) {
      throw new KernelError('EINVAL', 'iommu.map.unaligned', `unaligned: ${hex(iova)} pa ${hex(pa)} size ${hex(size)}`);
    }
    if ((prot & 3) === 0) {
      throw new KernelError('EINVAL', 'iommu.map.prot', `IOVA ${hex(iova)}: neither read nor write in prot ${prot}`);
    }
    if (iova + size - 1 > this.apertureEnd) {
      throw new KernelError('EFAULT', 'iommu.map.aperture',
        `IOVA ${hex(iova)} size ${hex(size)}: beyond the aperture's end ${hex(this.apertureEnd)}`);
    }
    const taken = this.radix.firstMapped(iova, size);
    if (taken >= 0) {
      throw new KernelError('EEXIST', 'iommu.map.mapped', `IOVA ${hex(iova)} size ${hex(size)}: ${hex(taken)} is mapped`);
    }
    this.radix.map(iova, pa, size, prot & 3);
    this.mappedPages += size / PAGE_SIZE;
  }

  /** @throws KernelError EINVAL when a value is not page-aligned */
  unmap(iova: number, size: number): number {
    if (!isPages(iova) || !isPages(size)) {
      throw new KernelError('EINVAL', 'iommu.unmap.unaligned', `unaligned: ${hex(iova)} size ${hex(size)}`);
    }
    const end = Math.min(iova + size, this.apertureEnd + 1);
    if (end <= iova) return 0;
    const bytes = this.radix.unmap(iova, end - iova);
    if (bytes === 0) return 0;
    this.mappedPages -= bytes / PAGE_SIZE;
    this.iotlb.invalidate(iova, end - iova);
    this.invalidateUsers();
    return bytes;
  }

  lookup(iova: number): IommuHit | null {
    if (!Number.isSafeInteger(iova) || iova < 0 || iova > this.apertureEnd) return null;
    const lo = iova >>> 0;
    const hi = Math.floor(iova / TWO_32);
    if (!this.walk(lo, hi, this.apertureEnd)) return null;
    const into = iova - this.hitIova;
    return { pa: this.hitPa + into, prot: this.hitProt, length: this.hitLength - into };
  }

  /**
   * Translate for a device: the IOTLB first, then the tree.
   *
   * @param len bytes the device wants, a hint: the hit is extended over neighbours until it holds them
   * @returns whether the address is mapped; the `hit` fields then hold a contiguous mapping around it
   */
  resolve(lo: number, hi: number, len: number): boolean {
    const { iotlb } = this;
    if ((lo & (PAGE_SIZE - 1)) + len <= PAGE_SIZE && iotlb.probe(lo, hi)) {
      this.hitIova = hi * TWO_32 + ((lo & 0xffff_f000) >>> 0);
      this.hitPa = iotlb.targetHi * TWO_32 + iotlb.targetLo;
      this.hitLength = PAGE_SIZE;
      this.hitProt = iotlb.prot;
      return true;
    }
    if (!this.walk(lo, hi, len)) return false;
    if (this.leafLevel > 0) {
      this.extend(lo & (LEAF_SPAN[this.leafLevel]! - 1), LARGE_REACH);
    } else {
      const pa = this.hitPa;
      iotlb.fill(lo, hi, pa >>> 0, Math.floor(pa / TWO_32), this.hitProt);
    }
    return true;
  }

  /** Tell every device that translates through this table to forget what it cached. */
  invalidateUsers(): undefined {
    const { users } = this;
    for (let i = 0; i < users.length; i++) users[i]!.tlb?.invalidate();
  }

  /** Find the leaf of an address and go on over contiguous neighbours until `want` bytes from the address are held. */
  private walk(lo: number, hi: number, want: number): boolean {
    const { radix } = this;
    this.walks++;
    // A tree of 48 bits: an address above would alias.
    if (hi > 0xffff || !radix.find(lo, hi)) return false;
    const span = LEAF_SPAN[radix.level]!;
    const into = lo & (span - 1);
    this.leafLevel = radix.level;
    this.hitIova = hi * TWO_32 + lo - into;
    this.hitPa = radix.targetHi * TWO_32 + radix.targetLo;
    this.hitProt = radix.prot;
    this.hitLength = span;
    this.extend(into, want);
    return true;
  }

  /** Go on over contiguous neighbours until `want` bytes from `into` the hit are held. */
  private extend(into: number, want: number): undefined {
    const { radix, hitIova, hitPa, hitProt } = this;
    while (this.hitLength - into < want) {
      const next = hitIova + this.hitLength;
      if (next > this.apertureEnd || !radix.find(next >>> 0, Math.floor(next / TWO_32))) break;
      if (radix.prot !== hitProt || radix.targetHi * TWO_32 + radix.targetLo !== hitPa + this.hitLength) break;
      this.hitLength += LEAF_SPAN[radix.level]!;
    }
  }
}

function isPages(value: number): boolean {
  // `&` takes the low 32 bits of any integer; `%` on numbers would call fmod.
  return Number.isSafeInteger(value) && value >= 0 && (value & (PAGE_SIZE - 1)) === 0;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
