/** Where a device's DMA goes while its file is open. Mirrors `vhost_vdpa_alloc_domain` in `drivers/vhost/vdpa.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { IommuDomain, IommuSymbols } from '@vdpalab/iommu';
import type { VdpaDevice, VdpaIovaRange } from '@vdpalab/vdpa-core';

const U64_MAX = (1n << 64n) - 1n;

/** What a domain takes. */
export type DomainSymbols =
  Pick<IommuSymbols, 'device_iommu_capable' | 'iommu_domain_alloc' | 'iommu_domain_free' | 'iommu_attach_device' | 'iommu_detach_device'>;

/**
 * A domain of the platform IOMMU with the device attached; `null` for a parent that translates itself.
 *
 * @throws EFAULT for a DMA device on no bus; ENOTSUPP without a coherent IOMMU; what attaching throws
 */
export function allocDomain(k: DomainSymbols, vdev: VdpaDevice): IommuDomain | null {
  if (vdev.dma_type === 'device') return null;
  const { dma_dev } = vdev;
  if (dma_dev.bus === null) throw new KernelError('EFAULT', 'vhost_vdpa.domain.bus', `${dma_dev.name}: the DMA device is on no bus`);
  if (!k.device_iommu_capable(dma_dev, 'IOMMU_CAP_CACHE_COHERENCY')) {
    throw new KernelError('ENOTSUPP', 'vhost_vdpa.domain.coherency', `${dma_dev.name}: no IOMMU that keeps caches coherent`);
  }
  const domain = k.iommu_domain_alloc(dma_dev);
  try {
    k.iommu_attach_device(domain, dma_dev);
  } catch (error) {
    k.iommu_domain_free(domain);
    throw error;
  }
  return domain;
}

export function freeDomain(k: DomainSymbols, vdev: VdpaDevice, domain: IommuDomain | null): Atomic {
  if (domain === null) return undefined;
  k.iommu_detach_device(domain, vdev.dma_dev);
  return k.iommu_domain_free(domain);
}

/** Addresses the device can be given: the parent's word, else the domain's aperture, else all 64 bits. */
export function iovaRange(vdev: VdpaDevice, domain: IommuDomain | null): VdpaIovaRange {
  const own = vdev.config.get_iova_range?.(vdev);
  if (own !== undefined) return own;
  return domain?.force_aperture === true ? { first: 0n, last: BigInt(domain.aperture_end) } : { first: 0n, last: U64_MAX };
}
