/** PCI configuration of a display with two BARs. Mirrors `samples/vfio-mdev/mbochs.c` (Linux 6.1). */
import {
  PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_2, PCI_BASE_ADDRESS_MEM_PREFETCH, PCI_CLASS_REVISION, PCI_COMMAND, PCI_COMMAND_IO, PCI_COMMAND_MEMORY,
  PCI_SUBSYSTEM_VENDOR_ID, PCI_VENDOR_ID,
} from '@vdpalab/uapi';

/** What the region says of its size; the last byte of a dword read at 0xfc is beyond it, and reads 0. */
export const MBOCHS_CONFIG_SPACE_SIZE = 0xff;
const BYTES = 0x100;
/** 1234:1111, as QEMU's own. */
const ID = 0x1111_1234;
const SUBSYSTEM = 0x1100_1af4;
/** Class "other display", revision 1. */
const CLASS_REVISION = 0x0380_0001;
const BAR_FLAGS = 0xf;

/** The bytes, and what may be written of them: the addresses of both BARs. */
export class MbochsConfig {
  readonly #bytes = new Uint8Array(BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #sizes: Readonly<Record<number, number>>;
  readonly #info: (text: string) => void;

  /** @param memsize, mmioSize bytes, powers of two */
  constructor(memsize: number, mmioSize: number, info: (text: string) => void) {
    this.#sizes = { [PCI_BASE_ADDRESS_0]: memsize, [PCI_BASE_ADDRESS_2]: mmioSize };
    this.#info = info;
    const view = this.#view;
    view.setUint32(PCI_VENDOR_ID, ID, true);
    view.setUint32(PCI_SUBSYSTEM_VENDOR_ID, SUBSYSTEM, true);
    view.setUint16(PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, true);
    view.setUint32(PCI_CLASS_REVISION, CLASS_REVISION, true);
    view.setUint32(PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_PREFETCH, true);
  }

  /** @returns `null` when a byte lies outside */
  read(pos: number, len: number): Uint8Array | null {
    return pos + len > BYTES ? null : this.#bytes.slice(pos, pos + len);
  }

  /** @returns false when a byte lies outside */
  write(pos: number, bytes: Uint8Array): boolean {
    if (pos + bytes.length > BYTES) return false;
    const size = this.#sizes[pos];
    if (size !== undefined && bytes.length === 4) this.#writeBar(pos, size, new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true));
    return true;
  }

  #writeBar(at: number, size: number, value: number): void {
    const address = value === 0xffff_ffff ? -size : value & ~BAR_FLAGS;
    if (value !== 0xffff_ffff && address !== 0) this.#info(`BAR #${(at - PCI_BASE_ADDRESS_0) / 4} @ 0x${(address >>> 0).toString(16)}`);
    this.#view.setUint32(at, (address | (this.#view.getUint32(at, true) & BAR_FLAGS)) >>> 0, true);
  }
}
