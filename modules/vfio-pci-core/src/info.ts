/** VFIO_DEVICE_GET_INFO and GET_REGION_INFO. Mirrors `drivers/vfio/pci/vfio_pci_core.c` (Linux 6.1). */
import type { Process } from '@vdpalab/fs';
import {
  VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_FLAGS_RESET, vfio_device_info, vfio_info_cap_header, VFIO_PCI_BAR5_REGION_INDEX,
  VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS, VFIO_PCI_ROM_REGION_INDEX, vfio_region_info,
  VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, VFIO_REGION_INFO_CAP_TYPE, vfio_region_info_cap_type, VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP, VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
} from '@vdpalab/uapi';
import type { VfioInfoCap } from '@vdpalab/vfio';
import type { VfioPci } from './device.ts';
import { REGION_SPAN } from './rdwr.ts';
import { checkArgsz, refuse } from './refuse.ts';

const RW = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
/** Bytes up to `num_irqs`. */
const INFO_MIN = vfio_device_info.offsetof('cap_offset');

/** @throws EFAULT EINVAL */
export function getInfo(v: VfioPci, arg: number, { mm }: Process): number {
  const argsz = new DataView(mm.read(arg, INFO_MIN).slice().buffer).getUint32(0, true);
  checkArgsz(argsz, INFO_MIN, 'vfio_device_info');
  const info = vfio_device_info.encode({
    argsz, flags: VFIO_DEVICE_FLAGS_PCI | (v.resetWorks ? VFIO_DEVICE_FLAGS_RESET : 0), num_regions: VFIO_PCI_NUM_REGIONS + v.regions.length, num_irqs: VFIO_PCI_NUM_IRQS,
  });
  mm.write(arg, info.subarray(0, argsz >= vfio_device_info.size ? vfio_device_info.size : INFO_MIN));
  return 0;
}

/** A region as it is told of. */
interface Region {
  readonly size: number;
  readonly flags: number;
}

/** @throws EFAULT; EINVAL for a region that is absent */
export function getRegionInfo(v: VfioPci, arg: number, { mm }: Process): number {
  const { argsz, index } = vfio_region_info.decode(mm.read(arg, vfio_region_info.size));
  checkArgsz(argsz, vfio_region_info.size, 'vfio_region_info');
  const caps: VfioInfoCap = { buf: new Uint8Array(0) };
  const { size, flags } = describe(v, index, caps);
  const length = vfio_region_info.size + caps.buf.length;
  const hasCaps = caps.buf.length > 0;
  const fits = hasCaps && argsz >= length;
  if (fits) {
    v.k.vfio_info_cap_shift(caps, vfio_region_info.size);
    mm.write(arg + vfio_region_info.size, caps.buf);
  }
  mm.write(arg, vfio_region_info.encode({
    argsz: hasCaps && !fits ? length : argsz, index, size: BigInt(size), offset: BigInt(index) * BigInt(REGION_SPAN),
    flags: flags | (hasCaps ? VFIO_REGION_INFO_FLAG_CAPS : 0), cap_offset: fits ? vfio_region_info.size : 0,
  }));
  return 0;
}

function describe(v: VfioPci, index: number, caps: VfioInfoCap): Region {
  const { k, pdev } = v;
  if (index === VFIO_PCI_CONFIG_REGION_INDEX) return { size: pdev.cfg_size, flags: RW };
  if (index <= VFIO_PCI_BAR5_REGION_INDEX) {
    const size = k.pci_resource_len(pdev, index);
    const mappable = v.mmapSupported[index] === true;
    if (size > 0 && mappable && index === v.msixBar) {
      // The table may be mapped too: which interrupts a function may send is the IOMMU's business.
      k.vfio_info_add_capability(caps, vfio_info_cap_header.encode({ id: VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, version: 1 }));
    }
    return { size, flags: size === 0 ? 0 : RW | (mappable ? VFIO_REGION_INFO_FLAG_MMAP : 0) };
  }
  if (index === VFIO_PCI_ROM_REGION_INDEX) return { size: 0, flags: 0 }; // no function here has one
  const extra = v.regions[index - VFIO_PCI_NUM_REGIONS];
  if (extra === undefined) return refuse('EINVAL', 'region.absent', `${v.name}: no region ${index}`);
  k.vfio_info_add_capability(caps, vfio_region_info_cap_type.encode({
    header: { id: VFIO_REGION_INFO_CAP_TYPE, version: 1, next: 0 }, type: extra.type, subtype: extra.subtype,
  }));
  return { size: extra.size, flags: extra.flags };
}
