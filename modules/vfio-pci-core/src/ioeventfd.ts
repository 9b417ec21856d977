/** Eventfds that write to a register. Mirrors `vfio_pci_ioeventfd` in `drivers/vfio/pci/vfio_pci_rdwr.c` (Linux 6.1). */
import type { Process } from '@vdpalab/fs';
import { VFIO_DEVICE_IOEVENTFD_SIZE_MASK, vfio_device_ioeventfd, VFIO_PCI_BAR5_REGION_INDEX } from '@vdpalab/uapi';
import type { Width } from './config.ts';
import type { Ioeventfd, VfioPci } from './device.ts';
import { regionAt, setupBarmap, writeWindow } from './rdwr.ts';
import { checkArgsz, refuse } from './refuse.ts';

/** `VFIO_PCI_IOEVENTFD_MAX` */
const MAX = 1000;

/** @throws EFAULT; EINVAL outside BARs, in the MSI-X table, or for another size; EEXIST; ENODEV for one to be removed that is not there; ENOSPC; EBADF */
export async function setIoeventfd(v: VfioPci, arg: number, proc: Process): Promise<number> {
  const { argsz, flags, offset: pos, data, fd } = vfio_device_ioeventfd.decode(proc.mm.read(arg, vfio_device_ioeventfd.size));
  const invalid = (text: string): never => refuse('EINVAL', 'ioeventfd', `${v.name}: ${text}`);
  checkArgsz(argsz, vfio_device_ioeventfd.offsetof('fd') + 4, 'vfio_device_ioeventfd');
  if ((flags & ~VFIO_DEVICE_IOEVENTFD_SIZE_MASK) !== 0) invalid(`flags 0x${flags.toString(16)}`);
  const count = flags;
  if (![1, 2, 4, 8].includes(count) || fd < -1) invalid(`a size of ${count}, descriptor ${fd}`);
  const { index: bar, offset } = regionAt(Number(pos));
  if (bar > VFIO_PCI_BAR5_REGION_INDEX) invalid(`region ${bar} is no BAR`);
  if (offset + count > v.k.pci_resource_len(v.pdev, bar)) invalid(`${count} bytes at ${offset} are not inside BAR ${bar}`);
  if (bar === v.msixBar && offset < v.msixOffset + v.msixSize && offset + count > v.msixOffset) invalid('the MSI-X table is the kernel\'s');
  const mem = setupBarmap(v, bar);
  const found = v.ioeventfds.find((one) => one.bar === bar && one.pos === offset && one.data === data && one.count === count);
  if (found !== undefined) {
    if (fd !== -1) return refuse('EEXIST', 'ioeventfd.twice', `${count} bytes at ${offset} of BAR ${bar} have an eventfd for this value`);
    v.ioeventfds.splice(v.ioeventfds.indexOf(found), 1);
    await v.k.vfio_virqfd_disable(found.slot);
    return 0;
  }
  if (fd === -1) return refuse('ENODEV', 'ioeventfd.none', `${count} bytes at ${offset} of BAR ${bar} have no eventfd for this value`);
  if (v.ioeventfds.length >= MAX) return refuse('ENOSPC', 'ioeventfd.full', `${v.name}: ${MAX} eventfds`);
  const entry: Ioeventfd = { slot: { virqfd: null }, bar, pos: offset, data, count };
  v.k.vfio_virqfd_enable(entry.slot, proc, fd, {
    handler: () => {
      if (v.memoryEnabled) write(entry, (at, size, value) => writeWindow(mem, at, size, value));
      return false;
    },
  });
  v.ioeventfds.push(entry);
  return 0;
}

/** Eight bytes are two registers, the lower first. */
function write({ pos, data, count }: Ioeventfd, store: (at: number, size: Width, value: number) => undefined): void {
  const low = Number(data & 0xffff_ffffn);
  if (count === 1 || count === 2 || count === 4) {
    store(pos, count, low);
    return;
  }
  store(pos, 4, low);
  store(pos + 4, 4, Number((data >> 32n) & 0xffff_ffffn));
}

/** The device is closed. */
export async function dropIoeventfds(v: VfioPci): Promise<void> {
  for (const { slot } of v.ioeventfds.splice(0)) await v.k.vfio_virqfd_disable(slot);
}
