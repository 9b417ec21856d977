/** The check of a struct vfio_irq_set. Mirrors `drivers/vfio/vfio_main.c` (Linux 6.1). */
import {
  VFIO_IRQ_SET_ACTION_TYPE_MASK, VFIO_IRQ_SET_DATA_BOOL, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE, VFIO_IRQ_SET_DATA_TYPE_MASK, vfio_irq_set,
} from '@vdpalab/uapi';
import type { VfioIrqSet } from '@vdpalab/uapi';
import { refuse } from './refuse.ts';

const U32_MAX = 0xffff_ffff;

/**
 * Check it.
 *
 * @param numIrqs interrupts of the index
 * @param maxIrqType indexes there are
 * @returns bytes of data that follow the struct
 * @throws EINVAL
 * @see `vfio_set_irqs_validate_and_prepare`
 */
export function validateIrqSet({ argsz, index, start, count, flags }: VfioIrqSet, numIrqs: number, maxIrqType: number): number {
  const invalid = (text: string): never => refuse('EINVAL', 'irq-set', text);
  if (argsz < vfio_irq_set.size) invalid(`argsz ${argsz}, at least ${vfio_irq_set.size} bytes`);
  if (index >= maxIrqType) invalid(`index ${index} of ${maxIrqType}`);
  if (count >= U32_MAX - start) invalid(`${count} interrupts from ${start} on`);
  if ((flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK)) !== 0) invalid(`flags 0x${flags.toString(16)}`);
  if (start >= numIrqs || start + count > numIrqs) invalid(`index ${index}: ${count} interrupts from ${start} on, of ${numIrqs}`);
  const size = dataSize(flags & VFIO_IRQ_SET_DATA_TYPE_MASK);
  if (size === null) return invalid(`flags 0x${flags.toString(16)}: one kind of data`);
  if (argsz - vfio_irq_set.size < count * size) invalid(`argsz ${argsz}: ${count} elements of ${size} bytes follow the struct`);
  return count * size;
}

function dataSize(kind: number): number | null {
  switch (kind) {
    case VFIO_IRQ_SET_DATA_NONE: return 0;
    case VFIO_IRQ_SET_DATA_BOOL: return 1;
    case VFIO_IRQ_SET_DATA_EVENTFD: return 4;
    default: return null;
  }
}
