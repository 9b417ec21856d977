/** Configuration space of one function. Mirrors `drivers/pci/access.c` (Linux 6.1). */
import type { PciHost } from '@vdpalab/abi';
import { PCI_CFG_SPACE_EXP_SIZE } from '@vdpalab/uapi';

/** Reads and writes of registers, by byte offset, naturally aligned. */
export interface ConfigSpace {
  readonly read: (where: number, size: 1 | 2 | 4) => number;
  readonly write: (where: number, size: 1 | 2 | 4, value: number) => undefined;
}

/** All ones of a register, by its bytes: what nobody's answer reads as. */
export const ALL_ONES = { 1: 0xff, 2: 0xffff, 4: 0xffff_ffff } as const;

/**
 * The registers of one function.
 *
 * Accesses that are misaligned or outside read all ones and write nothing, as `PCIBIOS_BAD_REGISTER_NUMBER` leaves it.
 */
export function configSpace(host: PciHost, bus: number, devfn: number): ConfigSpace {
  return {
    read: (where, size) => (valid(where, size) ? host.configRead(bus, devfn, where, size) : ALL_ONES[size]),
    write(where, size, value) {
      if (valid(where, size)) host.configWrite(bus, devfn, where, size, value);
    },
  };
}

function valid(where: number, size: number): boolean {
  return Number.isInteger(where) && where >= 0 && where % size === 0 && where < PCI_CFG_SPACE_EXP_SIZE;
}
