/** MSI-X: the table and the pending bits as bytes in a BAR, masks, and messages through the DMA door. */
import {
  PCI_MSIX_ENTRY_CTRL_MASKBIT, PCI_MSIX_ENTRY_SIZE, PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, PCI_MSIX_FLAGS_MASKALL,
} from '@vdpalab/uapi';
import type { ConfigSpace } from './config-space.ts';

const TWO_32 = 0x1_0000_0000;
/** u32 words of a table entry: address low, address high, data, vector control. */
const WORDS = PCI_MSIX_ENTRY_SIZE / 4;
const CONTROL = 3;

/** Writes messages: the function's DMA port while it is bus master. */
export interface MessageWriter {
  /** @returns false while the function may not master the bus: the interrupt stays pending */
  readonly send: (address: number, data: number) => boolean;
}

/** The vectors of one function. */
export class MsixVectors {
  readonly count: number;
  /** Messages sent. */
  sent = 0;
  private readonly table: Uint32Array;
  private readonly pending: Uint32Array;
  private readonly config: ConfigSpace;
  private readonly at: number;
  private readonly writer: MessageWriter;
  private enabled = false;
  private masked = false;

  /** @param at offset of the MSI-X capability */
  constructor(count: number, config: ConfigSpace, at: number, writer: MessageWriter) {
    this.count = count;
    this.table = new Uint32Array(count * WORDS);
    this.pending = new Uint32Array(Math.ceil(count / 32));
    this.config = config;
    this.at = at;
    this.writer = writer;
    this.reset();
    config.onWrite(at + PCI_MSIX_FLAGS, 2, () => this.controlWritten());
  }

  /** Whether the driver switched MSI-X on. */
  get on(): boolean {
    return this.enabled;
  }

  /** Whether a vector waits behind a mask. */
  isPending(vector: number): boolean {
    return (this.pending[vector >>> 5]! & (1 << (vector & 31))) !== 0;
  }

  /**
   * Fire a vector: its message is written, or its pending bit set while it is masked.
   *
   * @returns false when MSI-X is off or the vector is not one of the function's
   */
  fire(vector: number): boolean {
    if (!this.enabled || vector >= this.count) return false;
    if (!this.deliver(vector)) this.pending[vector >>> 5]! |= 1 << (vector & 31);
    return true;
  }

  /** Deliver what is pending and no longer masked. */
  settle(): undefined {
    if (!this.enabled || this.masked) return;
    for (let word = 0; word < this.pending.length; word++) {
      if (this.pending[word] === 0) continue;
      for (let bit = 0; bit < 32; bit++) {
        if ((this.pending[word]! & (1 << bit)) !== 0 && this.deliver(word * 32 + bit)) this.pending[word]! &= ~(1 << bit);
      }
    }
  }

  /** All vectors masked, nothing pending, MSI-X off. */
  reset(): undefined {
    this.table.fill(0);
    for (let v = 0; v < this.count; v++) this.table[v * WORDS + CONTROL] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
    this.pending.fill(0);
    this.enabled = false;
    this.masked = false;
  }

  /** A read of the table. @param offset from its start */
  readTable(offset: number, size: 1 | 2 | 4): number {
    return readWords(this.table, offset, size);
  }

  /** A write to the table; unmasking delivers what is pending. */
  writeTable(offset: number, size: 1 | 2 | 4, value: number): undefined {
    const word = offset >>> 2;
    if (word >= this.table.length) return;
    const shift = 8 * (offset & 3);
    const mask = ((size === 4 ? 0xffff_ffff : (1 << (8 * size)) - 1) << shift) >>> 0;
    const next = (this.table[word]! & ~mask) | ((value << shift) & mask);
    this.table[word] = (word & 3) === CONTROL ? next & PCI_MSIX_ENTRY_CTRL_MASKBIT : next;
    if ((word & 3) !== CONTROL) return;
    const vector = word >>> 2;
    if (this.isPending(vector) && this.enabled && this.deliver(vector)) this.pending[vector >>> 5]! &= ~(1 << (vector & 31));
  }

  /** A read of the pending bits, which no write changes. @param offset from their start */
  readPending(offset: number, size: 1 | 2 | 4): number {
    return readWords(this.pending, offset, size);
  }

  private controlWritten(): undefined {
    const flags = this.config.get(this.at + PCI_MSIX_FLAGS, 2);
    this.enabled = (flags & PCI_MSIX_FLAGS_ENABLE) !== 0;
    this.masked = (flags & PCI_MSIX_FLAGS_MASKALL) !== 0;
    this.settle();
  }

  private deliver(vector: number): boolean {
    const { table } = this;
    const entry = vector * WORDS;
    if (this.masked || (table[entry + CONTROL]! & PCI_MSIX_ENTRY_CTRL_MASKBIT) !== 0) return false;
    if (!this.writer.send(table[entry + 1]! * TWO_32 + table[entry]!, table[entry + 2]!)) return false;
    this.sent++;
    return true;
  }
}

function readWords(words: Uint32Array, offset: number, size: 1 | 2 | 4): number {
  const word = (words[offset >>> 2] ?? 0) >>> (8 * (offset & 3));
  return size === 4 ? word : word & ((1 << (8 * size)) - 1);
}
