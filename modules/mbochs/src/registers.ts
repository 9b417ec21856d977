/** Registers of a Bochs display, and its monitor's data. Mirrors `samples/vfio-mdev/mbochs.c` (Linux 6.1). */
import { VFIO_DEVICE_GFX_LINK_STATE_UP, vfio_region_gfx_edid } from '@vdpalab/uapi';

const VBE_DISPI_INDEX_ID = 0;
const VBE_DISPI_INDEX_XRES = 1;
const VBE_DISPI_INDEX_YRES = 2;
const VBE_DISPI_INDEX_BPP = 3;
const VBE_DISPI_INDEX_ENABLE = 4;
const VBE_DISPI_INDEX_VIRT_WIDTH = 6;
const VBE_DISPI_INDEX_X_OFFSET = 8;
const VBE_DISPI_INDEX_Y_OFFSET = 9;
const VBE_DISPI_INDEX_VIDEO_MEMORY_64K = 10;
const VBE_DISPI_INDEX_COUNT = 11;
const VBE_DISPI_ID5 = 0xb0c5;
const VBE_DISPI_ENABLED = 1;

/** Where the registers lie in their BAR; the monitor's data is before them. */
const VBE_BASE = 0x500;
const EDID_BLOCK_END = 0x400;
/** Where the data lies in the EDID region. */
const MBOCHS_EDID_BLOB_OFFSET = 2048;
const BLOB_SIZE = 0x400;
const BYTES_PER_PIXEL = 4;

/** What is on the display. */
export interface Framebuffer {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Bytes of a line. */
  readonly stride: number;
  /** Of the first pixel in video memory, bytes. */
  readonly offset: number;
}

/** VBE registers, and the EDID region. */
export class MbochsRegisters {
  readonly #vbe = new Uint16Array(VBE_DISPI_INDEX_COUNT);
  readonly #edid: Uint8Array;
  readonly #blob = new Uint8Array(BLOB_SIZE);
  readonly #memsize: number;

  /** @param memsize video memory, bytes @param max_xres, max_yres pixels; 0 for any */
  constructor(memsize: number, max_xres: number, max_yres: number) {
    this.#memsize = memsize;
    this.#edid = vfio_region_gfx_edid.encode({ edid_offset: MBOCHS_EDID_BLOB_OFFSET, edid_max_size: BLOB_SIZE, max_xres, max_yres });
    this.reset();
  }

  reset(): void {
    this.#vbe.fill(0);
    this.#vbe[VBE_DISPI_INDEX_ID] = VBE_DISPI_ID5;
    this.#vbe[VBE_DISPI_INDEX_VIDEO_MEMORY_64K] = this.#memsize >> 16;
  }

  /** Read from the registers' BAR; what is no register reads 0. */
  readMmio(offset: number, len: number): Uint8Array {
    const out = new Uint8Array(len);
    const edid = vfio_region_gfx_edid.decode(this.#edid);
    if (offset < EDID_BLOCK_END) {
      if (edid.link_state === VFIO_DEVICE_GFX_LINK_STATE_UP && offset < edid.edid_size) out.set(this.#blob.subarray(offset, offset + len));
      return out;
    }
    const register = this.#register(offset, len);
    if (register !== null) new DataView(out.buffer).setUint16(0, this.#vbe[register]!, true); // inside
    return out;
  }

  /** Write to the registers' BAR; what is no register takes no harm. */
  writeMmio(offset: number, bytes: Uint8Array): void {
    const register = this.#register(offset, bytes.length);
    if (register !== null) this.#vbe[register] = new DataView(bytes.buffer, bytes.byteOffset).getUint16(0, true);
  }

  /** Read from the EDID region: its registers, by words, and the monitor's data. */
  readEdid(offset: number, len: number): Uint8Array {
    const out = new Uint8Array(len);
    const at = offset - MBOCHS_EDID_BLOB_OFFSET;
    if (at >= 0 && at + len <= BLOB_SIZE) out.set(this.#blob.subarray(at, at + len));
    else if (this.#isEdidWord(offset, len)) out.set(this.#edid.subarray(offset, offset + len));
    return out;
  }

  /** Write to the EDID region: link_state, edid_size, and the monitor's data. */
  writeEdid(offset: number, bytes: Uint8Array): void {
    const at = offset - MBOCHS_EDID_BLOB_OFFSET;
    const { link_state, edid_size } = vfio_region_gfx_edid.offsets;
    if (at >= 0 && at + bytes.length <= BLOB_SIZE) this.#blob.set(bytes, at);
    else if (this.#isEdidWord(offset, bytes.length) && (offset === link_state || offset === edid_size)) this.#edid.set(bytes, offset);
  }

  /** What the driver has set up; null for nothing that can be shown. */
  framebuffer(): Framebuffer | null {
    const vbe = (index: number): number => this.#vbe[index]!; // all indexes are below the count
    if ((vbe(VBE_DISPI_INDEX_ENABLE) & VBE_DISPI_ENABLED) === 0 || vbe(VBE_DISPI_INDEX_BPP) !== 8 * BYTES_PER_PIXEL) return null;
    const [width, height] = [vbe(VBE_DISPI_INDEX_XRES), vbe(VBE_DISPI_INDEX_YRES)];
    const stride = Math.max(width, vbe(VBE_DISPI_INDEX_VIRT_WIDTH)) * BYTES_PER_PIXEL;
    const offset = vbe(VBE_DISPI_INDEX_X_OFFSET) * BYTES_PER_PIXEL + vbe(VBE_DISPI_INDEX_Y_OFFSET) * stride;
    if (width < 64 || height < 64 || offset + stride * height > this.#memsize) return null;
    return { width, height, stride, offset };
  }

  /** A register is two bytes and is accessed as such. */
  #register(offset: number, len: number): number | null {
    const index = (offset - VBE_BASE) / 2;
    return len === 2 && Number.isInteger(index) && index >= 0 && index < VBE_DISPI_INDEX_COUNT ? index : null;
  }

  #isEdidWord(offset: number, len: number): boolean {
    return len === 4 && offset % 4 === 0 && offset + len <= this.#edid.length;
  }
}
