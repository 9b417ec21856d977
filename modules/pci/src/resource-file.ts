/** The sysfs files `resourceN`. Mirrors `drivers/pci/{pci-sysfs,mmap}.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { BinAttribute, Device } from '@vdpalab/driver-core';
import type { VmArea } from '@vdpalab/mm';
import { PCI_STD_NUM_BARS } from '@vdpalab/uapi';
import { IORESOURCE_IO, isAssigned } from './ioresource.ts';
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
      read: async (dev, offset, len) => readPorts(world, dev.name, bar, of(dev), offset, len),
      write: async (dev, offset, bytes) => writePorts(world, dev.name, bar, of(dev), offset, bytes),
      mmap: async (dev, vma) => mapResource(dev.name, bar, of(dev), vma),
    };
  });
}

/** @throws ENODEV for I/O ports; EINVAL when the area reaches beyond the BAR's last page @see `pci_mmap_fits`, `pci_mmap_resource_range` */
function mapResource(name: string, bar: number, res: Resource, vma: VmArea): undefined {
  if ((res.flags & IORESOURCE_IO) !== 0) throw new KernelError('ENODEV', 'pci.mmap.ports', `${name}: BAR ${bar} is I/O ports`);
  const length = vma.end - vma.start;
  const pages = Math.ceil(res.size / PAGE_SIZE);
  if (vma.pgoff + length / PAGE_SIZE > pages) {
    throw new KernelError('EINVAL', 'pci.mmap.size',
      `${name}: BAR ${bar} has ${pages} pages, ${length / PAGE_SIZE} from page ${vma.pgoff} on were asked for`);
  }
  const first = res.start - (res.start % PAGE_SIZE);
  vma.backing = { kind: 'io', pa: first + vma.pgoff * PAGE_SIZE, size: length };
}

/** @throws EIO for memory, which is mapped and not read; EINVAL unless 1, 2 or 4 bytes inside the BAR @see `pci_resource_io` */
async function readPorts(world: PciWorld, name: string, bar: number, res: Resource, pos: number, len: number): Promise<Uint8Array> {
  const size = portAccess(name, bar, res, pos, len);
  const value = world.k.machine.mmio.read((world.root?.host.io?.window ?? 0) + res.start + pos, size);
  return Uint8Array.from({ length: size }, (_, i) => value >>> (8 * i));
}

/** @throws EIO EINVAL as {@link readPorts} */
async function writePorts(world: PciWorld, name: string, bar: number, res: Resource, pos: number, bytes: Uint8Array): Promise<number> {
  const size = portAccess(name, bar, res, pos, bytes.length);
  const value = bytes.reduce((sum, byte, i) => sum + byte * 2 ** (8 * i), 0);
  world.k.machine.mmio.write((world.root?.host.io?.window ?? 0) + res.start + pos, size, value);
  return size;
}

function portAccess(name: string, bar: number, res: Resource, pos: number, len: number): 1 | 2 | 4 {
  if ((res.flags & IORESOURCE_IO) === 0) throw new KernelError('EIO', 'pci.resource.memory', `${name}: BAR ${bar} is memory: map it`);
  if ((len !== 1 && len !== 2 && len !== 4) || pos % len !== 0 || pos + len > res.size) {
    throw new KernelError('EINVAL', 'pci.resource.port', `${name}: BAR ${bar}: ${len} bytes at ${pos} of ${res.size}`);
  }
  return len;
}
