/** Permissions of vhost as VFIO says them. */
import { VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VHOST_ACCESS_RO, VHOST_ACCESS_WO } from '@vdpalab/uapi';

/** @param perm VHOST_ACCESS_*. @returns VFIO_DMA_MAP_FLAG_* */
export function dmaMapFlags(perm: number): number {
  return ((perm & VHOST_ACCESS_RO) === 0 ? 0 : VFIO_DMA_MAP_FLAG_READ) | ((perm & VHOST_ACCESS_WO) === 0 ? 0 : VFIO_DMA_MAP_FLAG_WRITE);
}
