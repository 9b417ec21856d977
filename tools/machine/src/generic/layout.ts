/** What a dumped configuration space was at power-on, and which of its bits can be written. */
import {
  PCI_ACS_CTRL, PCI_ARI_CTRL, PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_PREFETCH, PCI_BASE_ADDRESS_MEM_TYPE_64, PCI_BASE_ADDRESS_SPACE_IO,
  PCI_CACHE_LINE_SIZE, PCI_CAP_ID_EXP, PCI_CAP_ID_MSI, PCI_CAP_ID_MSIX, PCI_CAP_ID_PM, PCI_CAP_LIST_NEXT, PCI_CAPABILITY_LIST,
  PCI_CFG_SPACE_SIZE, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, PCI_COMMAND_IO, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY,
  PCI_COMMAND_SERR, PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL2, PCI_EXP_DEVCTL_BCR_FLR, PCI_EXP_DEVSTA,
  PCI_EXP_LNKCTL, PCI_EXT_CAP_ID_ACS, PCI_EXT_CAP_ID_ARI, PCI_EXT_CAP_ID_SRIOV, PCI_INTERRUPT_LINE, PCI_MSI_ADDRESS_HI,
  PCI_MSI_ADDRESS_LO, PCI_MSI_DATA_32, PCI_MSI_DATA_64, PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT, PCI_MSI_FLAGS_ENABLE, PCI_MSI_FLAGS_MASKBIT,
  PCI_MSI_FLAGS_QSIZE, PCI_MSI_MASK_32, PCI_MSI_MASK_64, PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, PCI_MSIX_FLAGS_MASKALL, PCI_PM_CTRL,
  PCI_PM_CTRL_PME_ENABLE, PCI_PM_CTRL_PME_STATUS, PCI_PM_CTRL_STATE_MASK, PCI_ROM_ADDRESS, PCI_ROM_ADDRESS_ENABLE, PCI_SRIOV_BAR,
  PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_ARI, PCI_SRIOV_CTRL_MSE, PCI_SRIOV_CTRL_VFE, PCI_SRIOV_NUM_VF, PCI_SRIOV_SUP_PGSIZE, PCI_SRIOV_SYS_PGSIZE,
  PCI_STATUS, PCI_STATUS_CAP_LIST,
} from '@vdpalab/uapi';
import type { BarSpec } from '../pci/bars.ts';
import type { ConfigLayout } from '../pci/config-image.ts';

const COMMAND_BITS = PCI_COMMAND_MASTER | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE;
/** Error bits of the status register, cleared by writing 1. */
const STATUS_ERRORS = 0xf900;
/** Detected errors of PCI Express. */
const DEVSTA_ERRORS = 0x000f;
/** Bits of the device control register, without the one that resets. */
const DEVCTL_BITS = 0x7fff;
/** ASPM, common clock, extended synch. */
const LNKCTL_BITS = 0x0fff;

/** A configuration space with the places the function itself must find again. */
export interface DumpedSpace {
  readonly layout: ConfigLayout;
  readonly bars: readonly BarSpec[];
  /** Offsets of capabilities, by id; of the extended ones by id + 0x100. */
  readonly at: ReadonlyMap<number, number>;
}

/** Key of an extended capability in {@link DumpedSpace.at}. */
export const extended = (id: number): number => id + 0x100;

/** BARs of a dump. @param from offset of BAR 0's register; @param sizes bytes, by number */
export function dumpedBars(bytes: Uint8Array, from: number, sizes: Readonly<Record<string, number>>): BarSpec[] {
  return Object.entries(sizes).map(([number, size]): BarSpec => {
    const index = Number(number);
    const type = bytes[from + 4 * index] ?? 0;
    const io = (type & PCI_BASE_ADDRESS_SPACE_IO) !== 0;
    return {
      index, size, io,
      wide: !io && (type & PCI_BASE_ADDRESS_MEM_TYPE_64) !== 0,
      prefetch: !io && (type & PCI_BASE_ADDRESS_MEM_PREFETCH) !== 0,
    };
  });
}

/**
 * A function's configuration space.
 *
 * @param rom bytes of the expansion ROM, 0 for none
 * @param isVf decoding is the physical function's, and there are no BARs of its own
 */
export function dumpedSpace(dump: Uint8Array, bars: readonly BarSpec[], rom: number, vfBars: readonly BarSpec[], isVf = false): DumpedSpace {
  const space = new Registers(dump);
  const ports = bars.some(({ io }) => io === true);
  const memory = !isVf && (bars.some(({ io }) => io !== true) || rom > 0);
  space.field(PCI_COMMAND, 2, COMMAND_BITS | (memory ? PCI_COMMAND_MEMORY : 0) | (ports ? PCI_COMMAND_IO : 0), 0);
  space.clearedByOnes(PCI_STATUS, 2, STATUS_ERRORS);
  space.field(PCI_CACHE_LINE_SIZE, 1, 0xff, 0);
  space.field(PCI_INTERRUPT_LINE, 1, 0xff, 0);
  space.field(PCI_BASE_ADDRESS_0, 4, 0, 0).zero(PCI_BASE_ADDRESS_0, 24);
  if (!isVf) space.bars(PCI_BASE_ADDRESS_0, bars);
  space.zero(PCI_ROM_ADDRESS, 4);
  if (rom > 0) space.field(PCI_ROM_ADDRESS, 4, (~(rom - 1) | PCI_ROM_ADDRESS_ENABLE) >>> 0, 0);
  const at = new Map<number, number>();
  for (const [id, pos] of space.capabilities()) {
    if (!at.has(id)) at.set(id, pos);
    if (id === PCI_CAP_ID_PM) space.power(pos);
    else if (id === PCI_CAP_ID_MSI) space.msi(pos);
    else if (id === PCI_CAP_ID_MSIX) space.field(pos + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 0);
    else if (id === PCI_CAP_ID_EXP) space.express(pos);
  }
  for (const [id, pos] of space.extendedCapabilities()) {
    at.set(extended(id), pos);
    if (id === PCI_EXT_CAP_ID_ACS) space.field(pos + PCI_ACS_CTRL, 2, 0x7f, 0);
    else if (id === PCI_EXT_CAP_ID_ARI) space.field(pos + PCI_ARI_CTRL, 2, 0x3, 0);
    else if (id === PCI_EXT_CAP_ID_SRIOV) space.sriov(pos, vfBars);
  }
  return { layout: space.layout(), bars: isVf ? [] : bars, at };
}

/** The registers of a dump, on their way to a {@link ConfigLayout}. */
class Registers {
  private readonly bytes: Uint8Array;
  private readonly writable: Uint8Array;
  private readonly clears: Uint8Array;

  constructor(dump: Uint8Array) {
    // 64 bytes are a function whose capabilities nobody dumped.
    this.bytes = new Uint8Array(Math.max(dump.length, PCI_CFG_SPACE_SIZE));
    this.bytes.set(dump);
    if (dump.length < PCI_CFG_SPACE_SIZE) {
      this.bytes[PCI_STATUS]! &= ~PCI_STATUS_CAP_LIST;
      this.bytes[PCI_CAPABILITY_LIST] = 0;
    }
    this.writable = new Uint8Array(this.bytes.length);
    this.clears = new Uint8Array(this.bytes.length);
  }

  layout(): ConfigLayout {
    const { bytes, writable, clears } = this;
    return { size: bytes.length, bytes, writable, clears };
  }

  /** Bits that a write changes, and what they are at power-on; the register's others stay as dumped. */
  field(at: number, size: 1 | 2 | 4, writable: number, reset: number): this {
    for (let i = 0; i < size; i++) {
      const mask = (writable >>> (8 * i)) & 0xff;
      this.writable[at + i] = mask;
      this.bytes[at + i] = (this.bytes[at + i]! & ~mask) | ((reset >>> (8 * i)) & mask);
    }
    return this;
  }

  clearedByOnes(at: number, size: 1 | 2 | 4, bits: number): undefined {
    for (let i = 0; i < size; i++) {
      this.clears[at + i] = bits >>> (8 * i);
      this.bytes[at + i]! &= ~(bits >>> (8 * i));
    }
  }

  zero(at: number, length: number): undefined {
    this.bytes.fill(0, at, at + length);
  }

  bars(from: number, specs: readonly BarSpec[]): undefined {
    for (const { index, size, wide, prefetch, io } of specs) {
      const at = from + 4 * index;
      const type = io === true ? PCI_BASE_ADDRESS_SPACE_IO : (wide ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) | (prefetch ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
      this.bytes[at] = type;
      this.field(at, 4, ~(size - 1) >>> 0, 0);
      if (wide) this.field(at + 4, 4, 0xffff_ffff, 0);
    }
  }

  power(pos: number): undefined {
    this.field(pos + PCI_PM_CTRL, 2, PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_PME_ENABLE, 0);
    this.clearedByOnes(pos + PCI_PM_CTRL, 2, PCI_PM_CTRL_PME_STATUS);
  }

  msi(pos: number): undefined {
    const flags = this.get(pos + PCI_MSI_FLAGS, 2);
    const wide = (flags & PCI_MSI_FLAGS_64BIT) !== 0;
    this.field(pos + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE, 0);
    this.field(pos + PCI_MSI_ADDRESS_LO, 4, 0xffff_fffc, 0);
    if (wide) this.field(pos + PCI_MSI_ADDRESS_HI, 4, 0xffff_ffff, 0);
    this.field(pos + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2, 0xffff, 0);
    if ((flags & PCI_MSI_FLAGS_MASKBIT) !== 0) this.field(pos + (wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32), 4, 0xffff_ffff, 0);
  }

  express(pos: number): undefined {
    const flr = (this.get(pos + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR) !== 0;
    this.field(pos + PCI_EXP_DEVCTL, 2, DEVCTL_BITS | (flr ? PCI_EXP_DEVCTL_BCR_FLR : 0), this.get(pos + PCI_EXP_DEVCTL, 2));
    this.clearedByOnes(pos + PCI_EXP_DEVSTA, 2, DEVSTA_ERRORS);
    this.field(pos + PCI_EXP_LNKCTL, 2, LNKCTL_BITS, 0);
    this.field(pos + PCI_EXP_DEVCTL2, 2, 0xffff, 0);
  }

  sriov(pos: number, bars: readonly BarSpec[]): undefined {
    this.field(pos + PCI_SRIOV_CTRL, 2, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE | PCI_SRIOV_CTRL_ARI, 0);
    this.field(pos + PCI_SRIOV_NUM_VF, 2, 0xffff, 0);
    this.field(pos + PCI_SRIOV_SYS_PGSIZE, 4, this.get(pos + PCI_SRIOV_SUP_PGSIZE, 4), 1);
    this.zero(pos + PCI_SRIOV_BAR, 24);
    this.bars(pos + PCI_SRIOV_BAR, bars);
  }

  /** Id and offset of each capability; a chain that comes back to itself ends there. */
  *capabilities(): Generator<readonly [number, number]> {
    if ((this.get(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST) === 0) return;
    const seen = new Set<number>();
    for (let at = this.bytes[PCI_CAPABILITY_LIST]! & ~3; at >= 0x40 && !seen.has(at); at = this.bytes[at + PCI_CAP_LIST_NEXT]! & ~3) {
      seen.add(at);
      yield [this.bytes[at]!, at];
    }
  }

  *extendedCapabilities(): Generator<readonly [number, number]> {
    const seen = new Set<number>();
    for (let at = PCI_CFG_SPACE_SIZE; at >= PCI_CFG_SPACE_SIZE && at + 4 <= this.bytes.length && !seen.has(at); at = (this.get(at, 4) >>> 20) & ~3) {
      seen.add(at);
      const header = this.get(at, 4);
      if (header === 0) return;
      yield [header & 0xffff, at];
    }
  }

  private get(at: number, size: 1 | 2 | 4): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.bytes[at + i] ?? 0) << (8 * i);
    return value >>> 0;
  }
}
