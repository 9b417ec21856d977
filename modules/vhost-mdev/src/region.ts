/** Regions of a device: the doorbell of each queue, a page that is written only. */
import type { Atomic } from '@vdpalab/abi';
import type { VmArea } from '@vdpalab/mm';
import { MAP_SHARED, PROT_READ, VFIO_REGION_INFO_FLAG_MMAP, VFIO_REGION_INFO_FLAG_WRITE } from '@vdpalab/uapi';
import type { VhostMdev } from './device.ts';
import { refuse } from './refuse.ts';

const PAGE_SIZE = 4096;
/** Bytes from one region to the next in the device's file. */
export const REGION_SPAN = 2 ** 40;

/** A region as it is told of. */
interface Region {
  readonly size: number;
  readonly flags: number;
}

/** Physical address of a doorbell that has a page of its own; null for another, which is rung by eventfd. */
function doorbell({ backend }: VhostMdev, index: number): number | null {
  const area = backend.get_vq_notification(index);
  return area !== null && area.addr % PAGE_SIZE === 0 && area.size === PAGE_SIZE ? area.addr : null;
}

/** @throws EINVAL for a region beyond the last queue */
export function describeRegion(m: VhostMdev, index: number): Region {
  if (index >= m.nvqs) refuse('EINVAL', 'region', `${m.name}: region ${index} of ${m.nvqs}`);
  const mapped = doorbell(m, index) === null ? 0 : VFIO_REGION_INFO_FLAG_MMAP;
  return { size: PAGE_SIZE, flags: VFIO_REGION_INFO_FLAG_WRITE | mapped };
}

/** A store to a doorbell rings it, whatever is stored. @returns bytes taken. @throws EINVAL outside of the regions */
export function kickRegion(m: VhostMdev, bytes: Uint8Array, pos: number): number {
  const index = Math.floor(pos / REGION_SPAN);
  const { size } = describeRegion(m, index);
  if ((pos % REGION_SPAN) + bytes.length > size) refuse('EINVAL', 'region.range', `${bytes.length} bytes at ${pos % REGION_SPAN} of ${size}`);
  m.backend.kick_vq(index);
  return bytes.length;
}

/** @throws EINVAL for another shape than one shared page that is not read, or a region that cannot be mapped */
export function mapRegion(m: VhostMdev, vma: VmArea): Atomic {
  const at = vma.pgoff * PAGE_SIZE;
  const index = Math.floor(at / REGION_SPAN);
  describeRegion(m, index);
  if (vma.end - vma.start !== PAGE_SIZE || at % REGION_SPAN !== 0) refuse('EINVAL', 'mmap.size', 'a doorbell is one page');
  if ((vma.flags & MAP_SHARED) === 0 || (vma.prot & PROT_READ) !== 0) refuse('EINVAL', 'mmap.access', 'a doorbell is shared, and written only');
  const pa = doorbell(m, index);
  if (pa === null) return refuse('EINVAL', 'mmap.doorbell', `${m.name}: the doorbell of queue ${index} has no page of its own`);
  vma.backing = { kind: 'io', pa, size: PAGE_SIZE };
  return undefined;
}
