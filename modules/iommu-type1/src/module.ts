/** The backend for IOMMUs that map page by page. Mirrors `drivers/vfio/vfio_iommu_type1.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import {
  VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU, VFIO_IOMMU_DIRTY_PAGES, VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA,
  VFIO_TYPE1_IOMMU, VFIO_TYPE1_NESTING_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_UNMAP_ALL, VFIO_UPDATE_VADDR,
} from '@vdpalab/uapi';
import type { VfioIommuDriverOps } from '@vdpalab/vfio';
import { dirtyPages } from './dirty.ts';
import { attachGroup, detachGroup, releaseAll } from './groups.ts';
import { getInfo } from './info.ts';
import { VfioIommu } from './iommu.ts';
import { mapDma } from './map.ts';
import { imports, params } from './module-data.ts';
import { dmaRw, pinPages, unpinPages } from './pin.ts';
import { refuse } from './refuse.ts';
import { unmapDma } from './unmap.ts';

/** @see `vfio_iommu_type1_check_extension` */
function checkExtension(iommu: VfioIommu | null, arg: number): number {
  switch (arg) {
    case VFIO_TYPE1_IOMMU:
    case VFIO_TYPE1v2_IOMMU:
    case VFIO_TYPE1_NESTING_IOMMU:
    case VFIO_UNMAP_ALL: return 1;
    case VFIO_UPDATE_VADDR: return iommu !== null && !iommu.hasEmulated ? 1 : 0;
    case VFIO_DMA_CC_IOMMU: return iommu !== null && iommu.domain !== null ? 1 : 0;
    default: return 0;
  }
}

async function ioctl(iommu: VfioIommu | null, cmd: number, arg: number, proc: Process): Promise<number> {
  if (cmd === VFIO_CHECK_EXTENSION) return checkExtension(iommu, arg);
  if (iommu === null) throw new Error('vfio_iommu_type1: an ioctl without a container');
  switch (cmd) {
    case VFIO_IOMMU_GET_INFO: return await getInfo(iommu, arg, proc);
    case VFIO_IOMMU_MAP_DMA: return await mapDma(iommu, arg, proc);
    case VFIO_IOMMU_UNMAP_DMA: return await unmapDma(iommu, arg, proc);
    case VFIO_IOMMU_DIRTY_PAGES: return await dirtyPages(iommu, arg, proc);
    default: return refuse('ENOTTY', 'ioctl', `command 0x${cmd.toString(16)} is none of a type 1 container's`);
  }
}

export default defineModule({
  name: 'vfio_iommu_type1',
  license: 'GPL v2',
  version: '0.2',
  description: 'Type1 IOMMU driver for VFIO',
  author: 'Alex Williamson <alex.williamson@redhat.com>',
  params,
  imports,

  module_init(k, { THIS_MODULE, params: values, undo }) {
    const of = (data: unknown): VfioIommu => data as VfioIommu; // what open gave
    const ops: VfioIommuDriverOps = {
      name: 'vfio-iommu-type1',
      owner: THIS_MODULE,
      async open(arg) {
        if (arg !== VFIO_TYPE1_IOMMU && arg !== VFIO_TYPE1v2_IOMMU && arg !== VFIO_TYPE1_NESTING_IOMMU) refuse('EINVAL', 'open.type', `IOMMU type ${arg}`);
        return new VfioIommu(k, values, arg !== VFIO_TYPE1_IOMMU);
      },
      release: (data) => releaseAll(of(data)),
      ioctl: (data, cmd, arg, proc) => ioctl(data === null ? null : of(data), cmd, arg, proc),
      attach_group: (data, group, type) => attachGroup(of(data), group, type),
      detach_group: (data, group) => detachGroup(of(data), group),
      pin_pages: (data, group, iova, npage, prot) => pinPages(of(data), group, iova, npage, prot),
      unpin_pages: (data, iova, npage) => unpinPages(of(data), iova, npage),
      register_device: (data, vdev) => void of(data).devices.add(vdev),
      unregister_device: (data, vdev) => void of(data).devices.delete(vdev),
      dma_rw: (data, iova, bytes, write) => dmaRw(of(data), iova, bytes, write),
      group_iommu_domain: (data) => of(data).domain ?? refuse('ENODEV', 'domain.none', 'the container has no group with hardware'),
    };
    k.vfio_register_iommu_driver(ops);
    undo.push('vfio-iommu-type1', () => k.vfio_unregister_iommu_driver(ops));
    return { ksymtab: {} };
  },
});
