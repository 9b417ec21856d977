/** PCI configuration of a display. Mirrors `samples/vfio-mdev/mdpy.c` and `mdpy-defs.h` (Linux 6.1). */
import {
  PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_PREFETCH, PCI_CAPABILITY_LIST, PCI_CLASS_REVISION, PCI_COMMAND, PCI_COMMAND_IO, PCI_COMMAND_MEMORY,
  PCI_DEVICE_ID, PCI_STATUS, PCI_STATUS_CAP_LIST, PCI_SUBSYSTEM_ID, PCI_SUBSYSTEM_VENDOR_ID, PCI_VENDOR_ID,
} from '@vdpalab/uapi';

/** What the region says of its size; the last byte of a dword read at 0xfc is beyond it, and reads 0. */
export const MDPY_CONFIG_SPACE_SIZE = 0xff;
const BYTES = 0x100;

const MDPY_PCI_VENDOR_ID = 0x1b36;
const MDPY_PCI_DEVICE_ID = 0x000f;
const MDPY_PCI_SUBVENDOR_ID = 0x1af4;
const MDPY_PCI_SUBDEVICE_ID = 0x1100;
/** A vendor capability that says how the framebuffer is to be read. */
const MDPY_VENDORCAP_OFFSET = 0x40;
const MDPY_VENDORCAP_SIZE = 0x10;
const MDPY_FORMAT_OFFSET = MDPY_VENDORCAP_OFFSET + 0x04;
const MDPY_WIDTH_OFFSET = MDPY_VENDORCAP_OFFSET + 0x08;
const MDPY_HEIGHT_OFFSET = MDPY_VENDORCAP_OFFSET + 0x0c;
/** Class "other display", revision 1. */
const CLASS_REVISION = 0x0380_0001;
const BAR_FLAGS = 0xf;

/** The bytes, and what may be written of them: the address of the framebuffer. */
export class MdpyConfig {
  readonly #bytes = new Uint8Array(BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #memsize: number;
  readonly #info: (text: string) => void;

  /** @param memsize of the framebuffer, bytes, a power of two */
  constructor(memsize: number, { width, height }: { readonly width: number; readonly height: number }, format: number, info: (text: string) => void) {
    this.#memsize = memsize;
    this.#info = info;
    const view = this.#view;
    view.setUint16(PCI_VENDOR_ID, MDPY_PCI_VENDOR_ID, true);
    view.setUint16(PCI_DEVICE_ID, MDPY_PCI_DEVICE_ID, true);
    view.setUint16(PCI_SUBSYSTEM_VENDOR_ID, MDPY_PCI_SUBVENDOR_ID, true);
    view.setUint16(PCI_SUBSYSTEM_ID, MDPY_PCI_SUBDEVICE_ID, true);
    view.setUint16(PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, true);
    view.setUint16(PCI_STATUS, PCI_STATUS_CAP_LIST, true);
    view.setUint32(PCI_CLASS_REVISION, CLASS_REVISION, true);
    view.setUint32(PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_PREFETCH, true);
    view.setUint8(PCI_CAPABILITY_LIST, MDPY_VENDORCAP_OFFSET);
    for (const [n, byte] of [0x09, 0x00, MDPY_VENDORCAP_SIZE].entries()) view.setUint8(MDPY_VENDORCAP_OFFSET + n, byte);
    view.setUint32(MDPY_FORMAT_OFFSET, format, true);
    view.setUint32(MDPY_WIDTH_OFFSET, width, true);
    view.setUint32(MDPY_HEIGHT_OFFSET, height, true);
  }

  /** @returns `null` when a byte lies outside */
  read(pos: number, len: number): Uint8Array | null {
    return pos + len > BYTES ? null : this.#bytes.slice(pos, pos + len);
  }

  /** @returns false when a byte lies outside */
  write(pos: number, bytes: Uint8Array): boolean {
    if (pos + bytes.length > BYTES) return false;
    if (pos === PCI_BASE_ADDRESS_0 && bytes.length === 4) this.#writeBar(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true));
    return true;
  }

  #writeBar(value: number): void {
    const address = value === 0xffff_ffff ? -this.#memsize : value & ~BAR_FLAGS;
    if (value !== 0xffff_ffff && address !== 0) this.#info(`BAR0 @ 0x${(address >>> 0).toString(16)}`);
    this.#view.setUint32(PCI_BASE_ADDRESS_0, (address | (this.#view.getUint32(PCI_BASE_ADDRESS_0, true) & BAR_FLAGS)) >>> 0, true);
  }
}
