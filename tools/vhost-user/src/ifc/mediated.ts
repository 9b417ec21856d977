/** Used rings of the driver's own, which the function writes instead of the guest's. @see DPDK drivers/vdpa/ifc/ifcvf_vdpa.c `m_ifcvf_start` */
import type { UndoStack } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE, vring_used_size } from '@vdpalab/uapi';
import type { VfioContainerFile } from '@vdpalab/user';
import { mapHigh } from './dma.ts';

const PAGE_SIZE = 4096;
/** Bus address of the first ring. */
const IFCVF_MEDIATED_VRING = [0x2000_0000_0000n, 0x70_0000_0000n] as const;

/** One ring. */
export interface MediatedRing {
  /** Bus address. */
  readonly used: number;
  /** The same in the driver's process. */
  readonly va: number;
  /** Signalled when the function has used entries. */
  readonly intrFd: number;
}

/**
 * Make rings and map them for the function.
 *
 * @param sizes descriptors of each ring, by index
 * @param undo takes them back; the function must write them no more then
 */
export async function mapMediatedRings(
  p: UserProcess, container: VfioContainerFile, sizes: ReadonlyMap<number, number>, undo: UndoStack,
): Promise<ReadonlyMap<number, MediatedRing>> {
  const offsets = new Map<number, number>();
  let bytes = 0;
  for (const [index, num] of sizes) {
    offsets.set(index, bytes);
    bytes += Math.ceil(vring_used_size(num) / PAGE_SIZE) * PAGE_SIZE;
  }
  const va = await p.mmap(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  undo.push('mediated rings', () => p.munmap(va, bytes));
  const { iova, size } = await mapHigh(container, IFCVF_MEDIATED_VRING, BigInt(va), BigInt(bytes));
  undo.push('mapping of mediated rings', async () => void await container.unmapDma(iova, size));
  const rings = new Map<number, MediatedRing>();
  for (const [index, offset] of offsets) {
    const intrFd = p.eventfd();
    undo.push('interrupt of a mediated ring', () => p.close(intrFd));
    rings.set(index, { used: Number(iova) + offset, va: va + offset, intrFd });
  }
  return rings;
}
