/** The sysfs files `resourceN`. Mirrors `drivers/pci/{pci-sysfs,mmap}.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { BinAttribute, Device } from '@vdpalab/driver-core';
import type { VmArea } from '@vdpalab/mm';
import { PCI_STD_NUM_BARS } from '@vdpalab/uapi';
import { isAssigned } from './ioresource.ts';
import type { Resource } from './ioresource.ts';
import type { PciWorld } from './world.ts';

const PAGE_SIZE = 4096;

/** One file for each BAR with an address; memory is mapped, not read. */
export function resourceAttributes(world: PciWorld): BinAttribute<Device>[] {
  return Array.from({ length: PCI_STD_NUM_BARS }, (_, bar): BinAttribute<Device> => {
    const of = (dev: Device): Resource => world.functions.of(dev).resource[bar]!;
    return {
      name: `resource${bar}`, mode: 0o600,
      is_visible: (dev) => isAssigned(of(dev)),
      size: (dev) => of(dev).size,
      mmap: async (dev, vma) => mapResource(dev.name, bar, of(dev), vma),
    };
  });
}

/** @throws EINVAL when the area reaches beyond the BAR's last page @see `pci_mmap_fits`, `pci_mmap_resource_range` */
function mapResource(name: string, bar: number, res: Resource, vma: VmArea): undefined {
  const length = vma.end - vma.start;
  const pages = Math.ceil(res.size / PAGE_SIZE);
  if (vma.pgoff + length / PAGE_SIZE > pages) {
    throw new KernelError('EINVAL', 'pci.mmap.size',
      `${name}: BAR ${bar} has ${pages} pages, ${length / PAGE_SIZE} from page ${vma.pgoff} on were asked for`);
  }
  const first = res.start - (res.start % PAGE_SIZE);
  vma.backing = { kind: 'io', pa: first + vma.pgoff * PAGE_SIZE, size: length };
}
