/** Mapped register windows. Mirrors `drivers/pci/iomap` of lib/pci_iomap.c (Linux 6.1). */
import type { Mmio } from '@vdpalab/abi';
import type { IoMem } from './header.ts';

/** A mapped window; an access outside it or after it was unmapped is a driver's mistake, and an error. */
export class IoWindow implements IoMem {
  readonly pa: number;
  readonly size: number;
  readonly bar: number;
  private readonly mmio: Mmio;
  /** Bytes that may be accessed: 0 once unmapped. */
  private open: number;

  constructor(mmio: Mmio, bar: number, pa: number, size: number) {
    this.mmio = mmio;
    this.bar = bar;
    this.pa = pa;
    this.size = size;
    this.open = size;
  }

  // Function properties, so that a driver may keep one of them.
  readonly read8 = (offset: number): number => this.mmio.read(this.at(offset, 1), 1);
  readonly read16 = (offset: number): number => this.mmio.read(this.at(offset, 2), 2);
  readonly read32 = (offset: number): number => this.mmio.read(this.at(offset, 4), 4);
  readonly write8 = (offset: number, value: number): undefined => this.mmio.write(this.at(offset, 1), 1, value);
  readonly write16 = (offset: number, value: number): undefined => this.mmio.write(this.at(offset, 2), 2, value);
  readonly write32 = (offset: number, value: number): undefined => this.mmio.write(this.at(offset, 4), 4, value);

  /** No access from now on. */
  unmap(): undefined {
    this.open = 0;
  }

  private at(offset: number, size: number): number {
    if (offset >= 0 && offset + size <= this.open) return this.pa + offset;
    const state = this.open === 0 ? 'unmapped' : `of ${this.size} bytes`;
    throw new RangeError(`BAR ${this.bar} at 0x${this.pa.toString(16)}: ${size} bytes at ${offset} of a window ${state}`);
  }
}
