/** Mapping a queue's doorbell page into user space. Mirrors `vhost_vdpa_mmap` in `drivers/vhost/vdpa.c` (Linux 6.1). */
import { KernelError, type ErrnoName } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { VmArea } from '@vdpalab/mm';
import { MAP_SHARED, PROT_READ } from '@vdpalab/uapi';
import type { VdpaDevice } from '@vdpalab/vdpa-core';

const PAGE_SIZE = 4096;

/**
 * One page, shared, write only; the page offset is the queue.
 *
 * @throws EINVAL for another shape or queue, or a doorbell that is not on a page of its own; ENOTSUPP without the op
 */
export function mapDoorbell(vdpa: VdpaDevice, vma: VmArea): Atomic {
  const refuse = (errno: ErrnoName, rule: string, text: string): never => {
    throw new KernelError(errno, `vhost_vdpa.mmap.${rule}`, `${vdpa.dev.name}: ${text}`);
  };
  const size = vma.end - vma.start;
  const index = vma.pgoff;
  if (size !== PAGE_SIZE) refuse('EINVAL', 'size', `${size} bytes, a doorbell is one page`);
  if ((vma.flags & MAP_SHARED) === 0) refuse('EINVAL', 'shared', 'not MAP_SHARED');
  if ((vma.prot & PROT_READ) !== 0) refuse('EINVAL', 'readable', 'doorbells are written only');
  const op = vdpa.config.get_vq_notification;
  if (op === undefined) return refuse('ENOTSUPP', 'op', 'the parent reports no doorbells');
  if (index > 65535 || index >= vdpa.nvqs) refuse('EINVAL', 'index', `queue ${index} of ${vdpa.nvqs}`);
  const area = op(vdpa, index);
  if (area.addr % PAGE_SIZE !== 0) refuse('EINVAL', 'align', `the doorbell at 0x${area.addr.toString(16)} shares its page`);
  if (area.size !== size) refuse('ENOTSUPP', 'area', `the doorbell is ${area.size} bytes`);
  vma.backing = { kind: 'io', pa: area.addr, size: area.size };
  return undefined;
}
