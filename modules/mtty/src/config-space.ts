/** PCI configuration of a serial card. Mirrors `samples/vfio-mdev/mtty.c` (Linux 6.1), `mtty_create_config_space`, `handle_pci_cfg_write`. */
import {
  PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_1, PCI_BASE_ADDRESS_2, PCI_BASE_ADDRESS_3, PCI_BASE_ADDRESS_4, PCI_BASE_ADDRESS_SPACE_IO,
  PCI_CLASS_REVISION, PCI_COMMAND, PCI_COMMAND_IO, PCI_INTERRUPT_LINE, PCI_INTERRUPT_PIN, PCI_STATUS, PCI_SUBSYSTEM_VENDOR_ID, PCI_VENDOR_ID,
} from '@vdpalab/uapi';

/** What the region says of its size; the last byte of a dword read at 0xfc is beyond it, and reads 0. */
export const MTTY_CONFIG_SPACE_SIZE = 0xff;
const BYTES = 0x100;
/** Bytes of a port's registers. */
export const MTTY_IO_BAR_SIZE = 8;
/** "HCSR", vendor and device. */
const ID = 0x3253_4348;
const LABEL = 'PCI Serial/UART';

/** The bytes, and what may be written of them. */
export class ConfigSpace {
  readonly #bytes = new Uint8Array(BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #ports: 1 | 2;
  readonly #info: (text: string) => void;

  /** @param info the kernel log */
  constructor(ports: 1 | 2, info: (text: string) => void) {
    this.#ports = ports;
    this.#info = info;
    const view = this.#view;
    view.setUint32(PCI_VENDOR_ID, ID, true);
    view.setUint16(PCI_COMMAND, PCI_COMMAND_IO, true);
    view.setUint16(PCI_STATUS, 0x0200, true);
    view.setUint32(PCI_CLASS_REVISION, 0x0700_0210, true); // a 16550 among the simple communication controllers
    for (const at of ports === 2 ? [PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_1] : [PCI_BASE_ADDRESS_0]) view.setUint32(at, PCI_BASE_ADDRESS_SPACE_IO, true);
    view.setUint32(PCI_SUBSYSTEM_VENDOR_ID, ID, true);
    view.setUint8(PCI_INTERRUPT_PIN, 1);
    for (const [at, value] of [[0x40, 0x23], [0x43, 0x80], [0x44, 0x23], [0x48, 0x23], [0x4c, 0x23]] as const) view.setUint8(at, value);
    for (const [n, letter] of [...LABEL].entries()) view.setUint8(0x60 + n, letter.charCodeAt(0));
  }

  /** @returns `null` when a byte lies outside */
  read(offset: number, len: number): Uint8Array | null {
    return offset + len > BYTES ? null : this.#bytes.slice(offset, offset + len);
  }

  /** @param bytes 1, 2 or 4, aligned. @returns false when a byte lies outside */
  write(offset: number, bytes: Uint8Array): boolean {
    if (offset + bytes.length > BYTES) return false;
    switch (offset) {
      case PCI_COMMAND: case PCI_STATUS: case PCI_INTERRUPT_PIN: break;
      case PCI_INTERRUPT_LINE:
        this.#bytes[offset] = bytes[0]!; // at least one
        break;
      case PCI_BASE_ADDRESS_0: case PCI_BASE_ADDRESS_1:
        this.#writeBar((offset - PCI_BASE_ADDRESS_0) / 4, offset, bytes);
        break;
      case PCI_BASE_ADDRESS_2: case PCI_BASE_ADDRESS_3: case PCI_BASE_ADDRESS_4:
        this.#view.setUint32(offset, 0, true);
        break;
      default:
        this.#info(`PCI config write @0x${offset.toString(16)} of ${bytes.length} bytes not handled`);
    }
    return true;
  }

  #writeBar(index: number, offset: number, bytes: Uint8Array): void {
    if (index >= this.#ports) return;
    const padded = new Uint8Array(4);
    padded.set(bytes);
    let address = new DataView(padded.buffer).getUint32(0, true);
    this.#info(`BAR${index} addr 0x${address.toString(16)}`);
    if (address === 0xffff_ffff) address = -MTTY_IO_BAR_SIZE >>> 0; // the sizing write
    this.#view.setUint32(offset, (address | (this.#view.getUint8(offset) & 3)) >>> 0, true);
  }
}
