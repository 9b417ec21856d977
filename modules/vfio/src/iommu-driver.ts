/** Backends that keep a container's mappings, and the one that keeps none. Mirrors `drivers/vfio/container.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import { CAP_SYS_RAWIO, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU } from '@vdpalab/uapi';
import type { VfioIommuDriverOps } from './header.ts';
import { refuse } from './refuse.ts';

/** The registered backends. */
export class IommuDrivers {
  readonly #ops = new Set<VfioIommuDriverOps>();

  /** In the order they were registered. */
  get list(): readonly VfioIommuDriverOps[] {
    return [...this.#ops];
  }

  /** @throws EINVAL when it is there already @see `vfio_register_iommu_driver` */
  register(ops: VfioIommuDriverOps): Atomic {
    if (this.#ops.has(ops)) refuse('EINVAL', 'iommu-driver.twice', `${ops.name}: registered already`);
    this.#ops.add(ops);
  }

  unregister(ops: VfioIommuDriverOps): Atomic {
    this.#ops.delete(ops);
  }
}

/** What answers for devices without an IOMMU. @see `vfio_noiommu_ops` */
export function noiommuOps(enabled: () => boolean, capable: (cap: number) => boolean): VfioIommuDriverOps {
  return {
    name: 'vfio-noiommu',
    owner: null,
    async open(arg) {
      if (arg !== VFIO_NOIOMMU_IOMMU) refuse('EINVAL', 'noiommu.type', `IOMMU type ${arg}, VFIO_NOIOMMU_IOMMU is ${VFIO_NOIOMMU_IOMMU}`);
      if (!capable(CAP_SYS_RAWIO)) refuse('EPERM', 'noiommu.cap', 'DMA without an IOMMU needs CAP_SYS_RAWIO');
      return null;
    },
    release: async () => undefined,
    async ioctl(_, cmd, arg) {
      if (cmd === VFIO_CHECK_EXTENSION) return enabled() && arg === VFIO_NOIOMMU_IOMMU ? 1 : 0;
      return refuse('ENOTTY', 'noiommu.ioctl', `command 0x${cmd.toString(16)}: without an IOMMU there is nothing to map`);
    },
    attach_group: async () => undefined,
    detach_group: async () => undefined,
  };
}
