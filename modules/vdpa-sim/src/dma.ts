/**
 * The simulator's own DMA API, for rings that this kernel's drivers make: addresses are handed out from a space of its
 * own, byte by byte, and lead through the first IOTLB. Mirrors `vdpasim_dma_ops` of `drivers/vdpa/vdpa_sim/vdpa_sim.c`
 * (Linux 6.1).
 */
import { KernelError } from '@vdpalab/abi';
import type { DmaDirection, DmaMapOps, IommuSymbols, IovaDomain } from '@vdpalab/iommu';
import { VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import type { VhostIotlb, VhostIotlbSymbols } from '@vdpalab/vhost-iotlb';

/** What mapping takes. */
export type DmaSymbols =
  & Pick<IommuSymbols, 'alloc_iova' | 'free_iova'>
  & Pick<VhostIotlbSymbols, 'vhost_iotlb_add_range_ctx' | 'vhost_iotlb_del_range'>;

/** `dir_to_perm` */
const perm: Readonly<Record<DmaDirection, number>> = {
  DMA_FROM_DEVICE: VHOST_ACCESS_WO,
  DMA_TO_DEVICE: VHOST_ACCESS_RO,
  DMA_BIDIRECTIONAL: VHOST_ACCESS_RW,
};

/** The operations over one table. */
export function dmaOps(k: DmaSymbols, iotlb: VhostIotlb, iova: IovaDomain): DmaMapOps {
  return {
    map_page(dev, pa, size, dir) {
      const dma = k.alloc_iova(iova, size, Number.MAX_SAFE_INTEGER);
      if (dma === null) throw new KernelError('ENOMEM', 'vdpa_sim.dma.iova', `${dev.name}: no room for ${size} bytes beside ${iova.used}`);
      const start = BigInt(dma);
      try {
        k.vhost_iotlb_add_range_ctx(iotlb, start, start + BigInt(size) - 1n, BigInt(pa), perm[dir], dma);
      } catch (cause) {
        k.free_iova(iova, dma);
        throw new KernelError('ENOMEM', 'vdpa_sim.dma.iotlb', `${dev.name}: the IOTLB takes no mapping of ${size} bytes`, { cause });
      }
      return dma;
    },
    unmap_page(_, dma, size) {
      k.vhost_iotlb_del_range(iotlb, BigInt(dma), BigInt(dma) + BigInt(size) - 1n);
      return k.free_iova(iova, dma);
    },
  };
}
