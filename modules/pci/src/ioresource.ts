/** Address ranges of BARs and bridge windows. Mirrors `include/linux/ioport.h` and `%pR` of lib/vsprintf.c (Linux 6.1). */

export const IORESOURCE_IO = 0x100;
export const IORESOURCE_MEM = 0x200;
export const IORESOURCE_PREFETCH = 0x2000;
export const IORESOURCE_READONLY = 0x4000;
export const IORESOURCE_SIZEALIGN = 0x4_0000;
export const IORESOURCE_MEM_64 = 0x10_0000;
export const IORESOURCE_WINDOW = 0x20_0000;
const IORESOURCE_TYPE_BITS = 0x1f00;

/** `struct resource`, of a BAR: assigned when `start` is not 0. */
export interface Resource {
  /** Physical address. */
  start: number;
  /** Bytes; 0 when the BAR is absent. */
  size: number;
  /** IORESOURCE_*, and in the low bits those of the register. */
  flags: number;
  /** Bytes; a power of two. */
  align: number;
}

/** An absent BAR. */
export function noResource(): Resource {
  return { start: 0, size: 0, flags: 0, align: 0 };
}

/** Whether it has an address, of those that exist here: memory. */
export function isAssigned(res: Resource): boolean {
  return res.size > 0 && res.start > 0;
}

/** A line of the sysfs file `resource`. */
export function resourceLine({ start, size, flags }: { start: number; size: number; flags: number }): string {
  const shown = size > 0 && start > 0;
  const values = shown ? [start, start + size - 1, flags] : [0, 0, 0];
  return `${values.map((value) => `0x${value.toString(16).padStart(16, '0')}`).join(' ')}\n`;
}

/**
 * `%pR`: `[mem 0xfe000000-0xfe003fff 64bit pref]`.
 *
 * @param unset whether to show the size instead of the range
 */
export function formatResource({ start, size, flags }: Omit<Resource, 'align'>, unset = start === 0): string {
  const parts = [kind(flags)];
  if (!unset) parts.push(`${hex(start, flags)}-${hex(start + size - 1, flags)}`);
  else parts.push(`size ${hex(size, flags)}`);
  if ((flags & IORESOURCE_MEM_64) !== 0) parts.push('64bit');
  if ((flags & IORESOURCE_PREFETCH) !== 0) parts.push('pref');
  if ((flags & IORESOURCE_WINDOW) !== 0) parts.push('window');
  return `[${parts.join(' ')}]`;
}

function kind(flags: number): string {
  if ((flags & IORESOURCE_IO) !== 0) return 'io ';
  return (flags & IORESOURCE_MEM) === 0 ? `??? flags ${hex(flags & IORESOURCE_TYPE_BITS, 0)}` : 'mem';
}

function hex(value: number, flags: number): string {
  return `0x${value.toString(16).padStart((flags & IORESOURCE_IO) !== 0 ? 4 : 8, '0')}`;
}

/** Where VFs' BARs and bridge windows are counted from, after six BARs and the ROM. */
const ROM = 6;
const FIRST_WINDOW = 13;

/** What messages call a resource: `BAR 0`, `ROM`, `VF BAR 0`, `bridge window`. @see drivers/pci/pci.c `pci_resource_name` */
export function resourceName(index: number): string {
  if (index < ROM) return `BAR ${index}`;
  if (index === ROM) return 'ROM';
  return index < FIRST_WINDOW ? `VF BAR ${index - ROM - 1}` : 'bridge window';
}
