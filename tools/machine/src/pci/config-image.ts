/** What a kind of function's configuration space looks like at reset, and which bits of it may be written. */
import {
  PCI_CAPABILITY_LIST, PCI_CAP_LIST_NEXT, PCI_CFG_SPACE_EXP_SIZE, PCI_CFG_SPACE_SIZE, PCI_STATUS, PCI_STATUS_CAP_LIST,
  PCI_STD_HEADER_SIZEOF,
} from '@vdpalab/uapi';

/** Bytes of a configuration space with their masks; shared by all functions of a kind. */
export interface ConfigLayout {
  /** 256, or 4096 for PCI Express. */
  readonly size: number;
  /** Values at reset. Shorter than `size`: what is not there reads as 0 and ignores writes. */
  readonly bytes: Uint8Array;
  /** Bits a write changes. */
  readonly writable: Uint8Array;
  /** Bits that writing 1 clears. */
  readonly clears: Uint8Array;
}

/** Bytes are kept up to the end of what is used, in steps of this many. */
const GRAIN = 64;

/** Builds a {@link ConfigLayout}, register by register. */
export class ConfigImage {
  private readonly bytes = new Uint8Array(PCI_CFG_SPACE_EXP_SIZE);
  private readonly writable = new Uint8Array(PCI_CFG_SPACE_EXP_SIZE);
  private readonly clears = new Uint8Array(PCI_CFG_SPACE_EXP_SIZE);
  private end = PCI_STD_HEADER_SIZEOF;
  private nextCapability = PCI_STD_HEADER_SIZEOF;
  private capabilityLink = PCI_CAPABILITY_LIST;
  private nextExtended = PCI_CFG_SPACE_SIZE;
  private lastExtended = 0;

  /**
   * Set a register's value at reset.
   *
   * @param size 1, 2 or 4 bytes
   * @param writable bits that a write changes
   */
  put(at: number, size: 1 | 2 | 4, value: number, writable = 0): this {
    this.store(this.bytes, at, size, value);
    this.store(this.writable, at, size, writable);
    return this;
  }

  /** Let a register's bits be cleared by writing 1 to them. */
  clearedByOnes(at: number, size: 1 | 2 | 4, bits: number): this {
    this.store(this.clears, at, size, bits);
    return this;
  }

  /**
   * Append a capability to the list.
   *
   * @param length bytes, with the two of id and link
   * @returns its offset
   * @throws RangeError when the first 256 bytes are full
   */
  capability(id: number, length: number): number {
    const at = this.nextCapability;
    if (at + length > PCI_CFG_SPACE_SIZE) throw new RangeError(`PCI capability 0x${id.toString(16)}: no room at ${at}`);
    this.put(this.capabilityLink, 1, at);
    this.put(at, 1, id);
    this.put(PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
    this.capabilityLink = at + PCI_CAP_LIST_NEXT;
    this.nextCapability = (at + length + 3) & ~3;
    this.end = Math.max(this.end, at + length);
    return at;
  }

  /**
   * Append an extended capability.
   *
   * @param length bytes, with the four of the header
   * @returns its offset
   * @throws RangeError when 4096 bytes are full
   */
  extended(id: number, version: number, length: number): number {
    const at = this.nextExtended;
    if (at + length > PCI_CFG_SPACE_EXP_SIZE) throw new RangeError(`PCI extended capability 0x${id.toString(16)}: no room at ${at}`);
    this.put(at, 4, id | (version << 16));
    if (this.lastExtended !== 0) {
      // The link is the upper 12 bits of the previous header.
      this.put(this.lastExtended + 2, 1, (this.bytes[this.lastExtended + 2]! & 0x0f) | ((at & 0x0f) << 4));
      this.put(this.lastExtended + 3, 1, at >>> 4);
    }
    this.lastExtended = at;
    this.nextExtended = (at + length + 3) & ~3;
    this.end = Math.max(this.end, at + length);
    return at;
  }

  /** @param size 256, or 4096 when the function is PCI Express */
  build(size: 256 | 4096 = 4096): ConfigLayout {
    const end = Math.ceil(this.end / GRAIN) * GRAIN;
    return {
      size,
      bytes: this.bytes.slice(0, end),
      writable: this.writable.slice(0, end),
      clears: this.clears.slice(0, end),
    };
  }

  private store(into: Uint8Array, at: number, size: number, value: number): undefined {
    for (let i = 0; i < size; i++) into[at + i] = value >>> (8 * i);
    this.end = Math.max(this.end, at + size);
  }
}
