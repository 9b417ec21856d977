/** Base address registers: what they ask for, and what they are given. Mirrors `drivers/pci/probe.c` (Linux 6.1). */
import {
  PCI_BASE_ADDRESS_IO_MASK, PCI_BASE_ADDRESS_MEM_PREFETCH, PCI_BASE_ADDRESS_MEM_TYPE_64,
  PCI_BASE_ADDRESS_MEM_TYPE_MASK, PCI_BASE_ADDRESS_SPACE_IO, PCI_COMMAND, PCI_COMMAND_IO, PCI_COMMAND_MEMORY,
  PCI_ROM_ADDRESS_ENABLE, PCI_ROM_ADDRESS_MASK,
} from '@vdpalab/uapi';
import type { ConfigSpace } from './config.ts';
import {
  IORESOURCE_IO, IORESOURCE_MEM, IORESOURCE_MEM_64, IORESOURCE_PREFETCH, IORESOURCE_READONLY, IORESOURCE_SIZEALIGN,
  noResource,
} from './ioresource.ts';
import type { Resource } from './ioresource.ts';

const TWO_32 = 0x1_0000_0000;
const ONES = 0xffff_ffff;

/** One base address register as found. */
export interface BarReading {
  readonly res: Resource;
  /** Registers it takes: 2 for a 64-bit one. */
  readonly registers: 1 | 2;
}

/**
 * Read what a BAR asks for, by writing all ones, and what firmware put there. The register is left as it was.
 *
 * @param reg byte offset of the register
 * @see `__pci_read_base`
 */
export function readBar(config: ConfigSpace, reg: number): BarReading {
  const low = config.read(reg, 4);
  const lowMask = probe(config, reg, low);
  if (lowMask === 0 || lowMask === ONES) return { res: noResource(), registers: 1 };
  if ((low & PCI_BASE_ADDRESS_SPACE_IO) !== 0) {
    const size = lowestBit(lowMask & PCI_BASE_ADDRESS_IO_MASK & 0xffff);
    const start = (low & PCI_BASE_ADDRESS_IO_MASK) >>> 0;
    return { res: { start, size, align: size, flags: (low & 3) | IORESOURCE_IO | IORESOURCE_SIZEALIGN }, registers: 1 };
  }
  const wide = (low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) === PCI_BASE_ADDRESS_MEM_TYPE_64;
  const high = wide ? config.read(reg + 4, 4) : 0;
  const highMask = wide ? probe(config, reg + 4, high) : ONES;
  const inLow = (lowMask & ~0xf) >>> 0;
  const size = inLow === 0 ? lowestBit(highMask) * TWO_32 : lowestBit(inLow);
  let flags = (low & 0xf) | IORESOURCE_MEM | IORESOURCE_SIZEALIGN;
  if ((low & PCI_BASE_ADDRESS_MEM_PREFETCH) !== 0) flags |= IORESOURCE_PREFETCH;
  if (wide) flags |= IORESOURCE_MEM_64;
  return { res: { start: high * TWO_32 + ((low & ~0xf) >>> 0), size, align: size, flags }, registers: wide ? 2 : 1 };
}

/** Read the expansion ROM's register. @see `__pci_read_base` */
export function readRom(config: ConfigSpace, reg: number): Resource {
  const before = config.read(reg, 4);
  config.write(reg, 4, PCI_ROM_ADDRESS_MASK);
  const mask = config.read(reg, 4);
  config.write(reg, 4, before);
  const size = mask === ONES ? 0 : lowestBit((mask & PCI_ROM_ADDRESS_MASK) >>> 0);
  if (size === 0) return noResource();
  const flags = IORESOURCE_MEM | IORESOURCE_PREFETCH | IORESOURCE_READONLY | IORESOURCE_SIZEALIGN;
  return { start: (before & PCI_ROM_ADDRESS_MASK) >>> 0, size, align: size, flags: flags | (before & PCI_ROM_ADDRESS_ENABLE) };
}

/** Read `count` BARs from `reg` on, decoding switched off meanwhile. @see `pci_read_bases` */
export function readBars(config: ConfigSpace, reg: number, count: number): Resource[] {
  const found: Resource[] = [];
  withoutDecoding(config, () => {
    while (found.length < count) {
      const { res, registers } = readBar(config, reg + 4 * found.length);
      found.push(res);
      if (registers === 2 && found.length < count) found.push(noResource());
    }
  });
  return found;
}

/** Write an address into a BAR. @see drivers/pci/setup-res.c `pci_std_update_resource` */
export function writeBar(config: ConfigSpace, reg: number, { start, flags }: Resource): undefined {
  config.write(reg, 4, ((start % TWO_32) | (flags & 0xf)) >>> 0);
  if ((flags & IORESOURCE_MEM_64) !== 0) config.write(reg + 4, 4, Math.floor(start / TWO_32));
}

/** Sizing moves a BAR for a moment: nothing may answer there. */
export function withoutDecoding(config: ConfigSpace, body: () => undefined): undefined {
  const decode = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
  const command = config.read(PCI_COMMAND, 2);
  if ((command & decode) !== 0) config.write(PCI_COMMAND, 2, command & ~decode);
  body();
  if ((command & decode) !== 0) config.write(PCI_COMMAND, 2, command);
}

function probe(config: ConfigSpace, reg: number, before: number): number {
  config.write(reg, 4, ONES);
  const mask = config.read(reg, 4);
  config.write(reg, 4, before);
  return mask;
}

function lowestBit(value: number): number {
  return (value & -value) >>> 0;
}
