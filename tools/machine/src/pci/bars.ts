/** Base address registers: sizing by all ones, and the MMIO window that is open while decoding is on. */
import { PCI_BASE_ADDRESS_MEM_PREFETCH, PCI_BASE_ADDRESS_MEM_TYPE_64, PCI_BASE_ADDRESS_SPACE_IO } from '@vdpalab/uapi';
import type { MmioHandler, MmioRange } from '../mmio.ts';
import type { ConfigImage } from './config-image.ts';
import type { ConfigSpace } from './config-space.ts';

const TWO_32 = 0x1_0000_0000;
/** The type bits of a memory BAR, and of one of ports. */
const TYPE_MASK = 0x0f;
const IO_TYPE_MASK = 0x03;

/** One BAR: of memory, or of I/O ports. */
export interface BarSpec {
  /** 0 to 5; a 64-bit BAR takes the next register too. */
  readonly index: number;
  /** I/O ports instead of memory: then neither wide nor prefetchable. */
  readonly io?: boolean;
  /** Bytes, a power of two from 16 up, of ports from 4. */
  readonly size: number;
  readonly wide: boolean;
  readonly prefetch: boolean;
}

/** Opens windows in the machine's address space. */
export interface BarSpace {
  /** @returns `null` when the range is outside the bridge's windows or taken */
  readonly open: (base: number, size: number, handler: MmioHandler) => MmioRange | null;
  /** Ports instead of memory. @param port the first one */
  readonly openPorts: (port: number, size: number, handler: MmioHandler) => MmioRange | null;
  readonly close: (range: MmioRange) => undefined;
}

/**
 * Lay BARs out in a configuration image.
 *
 * @param at offset of BAR 0's register
 * @throws RangeError when a size is not a power of two from 16 up, of ports from 4
 */
export function describeBars(image: ConfigImage, at: number, specs: readonly BarSpec[]): undefined {
  for (const { index, size, wide, prefetch, io } of specs) {
    if (!Number.isInteger(Math.log2(size)) || size < (io === true ? 4 : 16) || size >= TWO_32) {
      throw new RangeError(`BAR ${index} of ${size} bytes: not a power of two from ${io === true ? 4 : 16} up`);
    }
    if (io === true) {
      image.put(at + 4 * index, 4, PCI_BASE_ADDRESS_SPACE_IO, (~(size - 1)) >>> 0);
      continue;
    }
    const type = (wide ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) | (prefetch ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
    image.put(at + 4 * index, 4, type, (~(size - 1)) >>> 0);
    if (wide) image.put(at + 4 * index + 4, 4, 0, 0xffff_ffff);
  }
}

/** The BARs of a function, or of its virtual functions, and the windows they open. */
export class BarWindows {
  private readonly config: ConfigSpace;
  private readonly at: number;
  private readonly space: BarSpace;
  private readonly specs: readonly BarSpec[];
  private readonly handlers: readonly MmioHandler[];
  private readonly open: (MmioRange | null)[];
  /** Addresses the windows were opened at: memory, or ports. */
  private readonly starts: number[];

  /**
   * @param at offset of BAR 0's register
   * @param handlers one for each of `specs`
   */
  constructor(
    config: ConfigSpace, at: number, specs: readonly BarSpec[], space: BarSpace, handlers: readonly MmioHandler[],
  ) {
    this.config = config;
    this.at = at;
    this.specs = specs;
    this.space = space;
    this.handlers = handlers;
    this.open = specs.map(() => null);
    this.starts = specs.map(() => 0);
  }

  /** The address in a BAR's registers. */
  address(spec: BarSpec): number {
    const mask = spec.io === true ? IO_TYPE_MASK : TYPE_MASK;
    const low = (this.config.get(this.at + 4 * spec.index, 4) & ~mask) >>> 0;
    return spec.wide ? low + this.config.get(this.at + 4 * spec.index + 4, 4) * TWO_32 : low;
  }

  /**
   * Make the open windows what the registers say.
   *
   * @param copies windows side by side in each BAR: virtual functions; 0 when decoding is off
   * @param ports whether ports are decoded
   */
  update(copies: number, ports = false): undefined {
    const { specs, open } = this;
    const copiesOf = (spec: BarSpec): number => (spec.io === true ? Number(ports) : copies);
    // Close first: an address may move from one BAR to another.
    for (const [i, spec] of specs.entries()) {
      const range = open[i] ?? null;
      if (range === null || (this.starts[i] === this.address(spec) && range.size === spec.size * copiesOf(spec))) continue;
      this.space.close(range);
      open[i] = null;
    }
    for (const [i, spec] of specs.entries()) {
      const base = this.address(spec);
      if (open[i] !== null || copiesOf(spec) === 0 || !Number.isSafeInteger(base)) continue;
      this.starts[i] = base;
      open[i] = spec.io === true
        ? this.space.openPorts(base, spec.size, this.handlers[i]!)
        : this.space.open(base, spec.size * copies, this.handlers[i]!);
    }
  }
}
