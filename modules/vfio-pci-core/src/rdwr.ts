/** Reading and writing regions of the device's file. Mirrors `drivers/vfio/pci/vfio_pci_rdwr.c` (Linux 6.1). */
import type { Process } from '@vdpalab/fs';
import type { IoMem } from '@vdpalab/pci';
import { VFIO_PCI_BAR5_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_NUM_REGIONS, VFIO_PCI_ROM_REGION_INDEX } from '@vdpalab/uapi';
import type { Width } from './config.ts';
import { configWritten } from './config-event.ts';
import type { VfioPci } from './device.ts';
import type { VfioPciRegion } from './header.ts';
import { refuse } from './refuse.ts';

/** `VFIO_PCI_OFFSET_SHIFT`: where in an offset the region's index is, as a factor. */
export const REGION_SPAN = 2 ** 40;
const IORESOURCE_MEM = 0x200;

/** A place in the file, as a region and an offset inside. */
export function regionAt(pos: number): { readonly index: number; readonly offset: number } {
  return { index: Math.floor(pos / REGION_SPAN), offset: pos % REGION_SPAN };
}

/** @throws EINVAL for a region that is absent; EFAULT outside configuration space; EIO while memory is off @see `vfio_pci_rw` */
export async function readRegion(v: VfioPci, len: number, pos: number, proc: Process): Promise<Uint8Array> {
  const { index, offset } = regionAt(pos);
  const bytes = new Uint8Array(len);
  if (len === 0) return bytes;
  if (index === VFIO_PCI_CONFIG_REGION_INDEX) return await configRead(v, bytes, offset);
  if (index <= VFIO_PCI_BAR5_REGION_INDEX) return bytes.subarray(0, await barAccess(v, index, offset, bytes, false));
  const read = extraRegion(v, index, 'read').ops.read;
  return await (read?.(len, offset, proc) ?? refuse('EINVAL', 'region.op', `region ${index} cannot be read`));
}

/** @returns bytes taken. @throws as {@link readRegion} */
export async function writeRegion(v: VfioPci, bytes: Uint8Array, pos: number, proc: Process): Promise<number> {
  const { index, offset } = regionAt(pos);
  if (bytes.length === 0) return 0;
  if (index === VFIO_PCI_CONFIG_REGION_INDEX) return await configWrite(v, bytes, offset);
  if (index <= VFIO_PCI_BAR5_REGION_INDEX) return await barAccess(v, index, offset, bytes, true);
  const write = extraRegion(v, index, 'write').ops.write;
  return await (write?.(bytes, offset, proc) ?? refuse('EINVAL', 'region.op', `region ${index} cannot be written`));
}

/** A region beyond PCI's own; the ROM and VGA ones are absent. @throws EINVAL */
export function extraRegion(v: VfioPci, index: number, what: string): VfioPciRegion {
  if (index === VFIO_PCI_ROM_REGION_INDEX && what === 'read') refuse('EINVAL', 'region.absent', `${v.name}: no expansion ROM`);
  return v.regions[index - VFIO_PCI_NUM_REGIONS] ?? refuse('EINVAL', 'region.absent', `${v.name}: no region ${index}`);
}

/** Accesses that cover a range: as wide as alignment lets them be, none across a register of four bytes. */
function* pieces(at: number, count: number): Generator<{ at: number; size: Width; from: number }> {
  for (let done = 0; done < count;) {
    const left = count - done;
    const where = at + done;
    const size: Width = where % 4 === 0 && left >= 4 ? 4 : where % 2 === 0 && left >= 2 ? 2 : 1;
    yield { at: where, size, from: done };
    done += size;
  }
}

function get(bytes: Uint8Array, from: number, size: Width): number {
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = ((value << 8) | (bytes[from + i] ?? 0)) >>> 0;
  return value;
}

function put(bytes: Uint8Array, from: number, size: Width, value: number): void {
  for (let i = 0; i < size; i++) bytes[from + i] = value >>> (8 * i);
}

function checkConfig(v: VfioPci, at: number, count: number): void {
  const { size } = v.openConfig;
  if (at + count > size) refuse('EFAULT', 'config.range', `${count} bytes at ${at} of ${size} bytes of configuration space`);
}

async function configRead(v: VfioPci, bytes: Uint8Array, offset: number): Promise<Uint8Array> {
  checkConfig(v, offset, bytes.length);
  for (const { at, size, from } of pieces(offset, bytes.length)) put(bytes, from, size, v.openConfig.read(at, size));
  return bytes;
}

async function configWrite(v: VfioPci, bytes: Uint8Array, offset: number): Promise<number> {
  checkConfig(v, offset, bytes.length);
  for (const { at, size, from } of pieces(offset, bytes.length)) await configWritten(v, at, size, get(bytes, from, size));
  return bytes.length;
}

/** The window of a BAR, mapped when first asked for. @throws EBUSY ENOMEM @see `vfio_pci_setup_barmap` */
export function setupBarmap(v: VfioPci, bar: number): IoMem {
  const { k, pdev } = v;
  const found = v.barmap[bar];
  if (found !== null && found !== undefined) return found;
  k.pci_request_selected_regions(pdev, 1 << bar, 'vfio');
  try {
    const mem = k.pci_iomap(pdev, bar);
    v.barmap[bar] = mem;
    return mem;
  } catch (error) {
    k.pci_release_selected_regions(pdev, 1 << bar);
    throw error;
  }
}

/** The MSI-X table is the kernel's: it reads as ones, and writes are lost. @returns bytes done @see `vfio_pci_bar_rw` */
async function barAccess(v: VfioPci, bar: number, offset: number, bytes: Uint8Array, write: boolean): Promise<number> {
  const { k, pdev } = v;
  const end = k.pci_resource_start(pdev, bar) === 0 ? 0 : k.pci_resource_len(pdev, bar);
  if (offset >= end) refuse('EINVAL', 'region.absent', `${v.name}: offset ${offset} of ${end} bytes of BAR ${bar}`);
  const count = Math.min(bytes.length, end - offset);
  const inMemory = (k.pci_resource_flags(pdev, bar) & IORESOURCE_MEM) !== 0;
  const mem = setupBarmap(v, bar);
  const [hidden, shown] = bar === v.msixBar ? [v.msixOffset, v.msixOffset + v.msixSize] : [0, 0];
  for (const { at, size, from } of pieces(offset, count)) {
    if (at < shown && at + size > hidden) {
      if (!write) bytes.fill(0xff, from, from + size);
      continue;
    }
    await k.down_read(v.memoryLock);
    try {
      if (inMemory && !v.memoryEnabled) refuse('EIO', 'region.memory-off', `${v.name}: memory is switched off in its command register`);
      if (write) writeWindow(mem, at, size, get(bytes, from, size));
      else put(bytes, from, size, readWindow(mem, at, size));
    } finally {
      k.up_read(v.memoryLock);
    }
  }
  return count;
}

function readWindow(mem: IoMem, at: number, size: Width): number {
  if (size === 1) return mem.read8(at);
  return size === 2 ? mem.read16(at) : mem.read32(at);
}

/** One register write of a window. */
export function writeWindow(mem: IoMem, at: number, size: Width, value: number): undefined {
  if (size === 1) return mem.write8(at, value);
  return size === 2 ? mem.write16(at, value) : mem.write32(at, value);
}
