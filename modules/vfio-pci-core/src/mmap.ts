/** Mapping BARs into user space. Mirrors `vfio_pci_core_mmap` in `drivers/vfio/pci/vfio_pci_core.c` (Linux 6.1). */
import type { VmArea } from '@vdpalab/mm';
import { MAP_SHARED, VFIO_PCI_NUM_REGIONS, VFIO_PCI_ROM_REGION_INDEX } from '@vdpalab/uapi';
import type { VfioPci } from './device.ts';
import { REGION_SPAN, setupBarmap } from './rdwr.ts';
import { refuse } from './refuse.ts';

const PAGE_SIZE = 4096;
const IORESOURCE_MEM = 0x200;

/** Which BARs can be mapped: those in memory of whole pages. @see `vfio_pci_probe_mmaps` */
export function probeMmaps(v: VfioPci): void {
  const { k, pdev } = v;
  for (let bar = 0; bar < v.mmapSupported.length; bar++) {
    const memory = (k.pci_resource_flags(pdev, bar) & IORESOURCE_MEM) !== 0;
    v.mmapSupported[bar] = memory && k.pci_resource_len(pdev, bar) >= PAGE_SIZE;
  }
}

/** @throws EINVAL for a region that cannot be mapped, a private mapping, or one beyond its end; EBUSY ENOMEM */
export async function mapRegion(v: VfioPci, vma: VmArea): Promise<void> {
  const { k, pdev } = v;
  const index = Math.floor((vma.pgoff * PAGE_SIZE) / REGION_SPAN);
  const extra = v.regions[index - VFIO_PCI_NUM_REGIONS];
  if (index >= VFIO_PCI_NUM_REGIONS && extra === undefined) refuse('EINVAL', 'region.absent', `${v.name}: no region ${index}`);
  if ((vma.flags & MAP_SHARED) === 0) refuse('EINVAL', 'mmap.private', 'not MAP_SHARED');
  if (extra !== undefined) return await (extra.ops.mmap?.(vma) ?? refuse('EINVAL', 'mmap.region', `region ${index} cannot be mapped`));
  if (index >= VFIO_PCI_ROM_REGION_INDEX || v.mmapSupported[index] !== true) refuse('EINVAL', 'mmap.region', `${v.name}: region ${index} cannot be mapped`);
  const size = Math.ceil(k.pci_resource_len(pdev, index) / PAGE_SIZE) * PAGE_SIZE;
  const offset = (vma.pgoff * PAGE_SIZE) % REGION_SPAN;
  const length = vma.end - vma.start;
  if (offset + length > size) refuse('EINVAL', 'mmap.range', `${length} bytes at ${offset} of ${size} bytes of BAR ${index}`);
  setupBarmap(v, index);
  const start = k.pci_resource_start(pdev, index);
  v.areas.set(vma, { kind: 'io', pa: start - (start % PAGE_SIZE) + offset, size: length });
  vma.close = (): undefined => {
    v.areas.delete(vma);
  };
  v.unzap();
}
