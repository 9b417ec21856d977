/** Configuration space as the user has it. Mirrors `drivers/vfio/pci/vfio_pci_config.c` (Linux 6.1). */
import type { PciDev } from '@vdpalab/pci';
import {
  PCI_AF_CAP, PCI_AF_CAP_FLR, PCI_AF_CTRL, PCI_AF_CTRL_FLR, PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_TYPE_64, PCI_CAP_ID_AF, PCI_CAP_ID_EXP,
  PCI_CAP_ID_VNDR, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, PCI_COMMAND_IO, PCI_COMMAND_MEMORY, PCI_DEVICE_ID, PCI_EXP_DEVCAP,
  PCI_EXP_DEVCAP_FLR, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, PCI_EXT_CAP_ID_VNDR, PCI_INTERRUPT_PIN, PCI_ROM_ADDRESS, PCI_ROM_ADDRESS_ENABLE,
  PCI_STD_NUM_BARS, PCI_VENDOR_ID,
} from '@vdpalab/uapi';
import { readLayout, type CapabilityAt, type ConfigLayout } from './config-layout.ts';
import { HEADER_PERMS, STANDARD_PERMS, type PermBits } from './config-perms.ts';
import type { Kernel } from './device.ts';

/** What a write asks for beyond its bits. */
export type ConfigEvent = 'flr' | 'command';

/** Bytes of one access. */
export type Width = 1 | 2 | 4;

const ROM = 6;

/** `vconfig` and what it is laid over. */
export class VirtualConfig {
  readonly #k: Kernel;
  readonly #pdev: PciDev;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #layout: ConfigLayout;
  #barDirty = true;

  /** @param noIntx hide the interrupt pin */
  constructor(k: Kernel, pdev: PciDev, noIntx: boolean) {
    this.#k = k;
    this.#pdev = pdev;
    this.#bytes = new Uint8Array(pdev.cfg_size);
    this.#view = new DataView(this.#bytes.buffer);
    for (let at = 0; at < pdev.cfg_size; at += 4) this.#view.setUint32(at, k.pci_read_config_dword(pdev, at), true);
    const regs = {
      byte: (at: number): number => this.#view.getUint8(at),
      word: (at: number): number => this.#view.getUint16(at, true),
      dword: (at: number): number => this.#view.getUint32(at, true),
    };
    if (pdev.is_virtfn) {
      this.#view.setUint16(PCI_VENDOR_ID, pdev.vendor, true);
      this.#view.setUint16(PCI_DEVICE_ID, pdev.device, true);
      // Decoding needs no bit there, and a driver expects to see one.
      this.#view.setUint16(PCI_COMMAND, regs.word(PCI_COMMAND) | PCI_COMMAND_MEMORY, true);
    }
    if (pdev.is_virtfn || noIntx) this.#view.setUint8(PCI_INTERRUPT_PIN, 0);
    this.#layout = readLayout(regs, pdev.cfg_size);
    for (const { at, size, value } of this.#layout.patches) this.#store(at, size, value);
  }

  get size(): number {
    return this.#pdev.cfg_size;
  }

  /** The user's own bits of a register of two bytes. */
  word(at: number): number {
    return this.#view.getUint16(at, true);
  }

  /** What a user reads. @param at inside, aligned to `size` */
  read(at: number, size: Width): number {
    const cap = this.#layout.owners[at >> 2] ?? null;
    if (cap === null) return this.#physRead(at, size);
    const offset = at - cap.start;
    const perms = permsOf(cap);
    if (perms === null) return this.#readDirect(cap, at, offset, size);
    if (cap.kind === 'header' && isBar(at)) this.#fixBars();
    const value = this.#mixed(perms, at, offset, size);
    const commandMemory = cap.kind === 'header' && at === PCI_COMMAND && this.#pdev.is_virtfn;
    return commandMemory ? (value | (this.word(PCI_COMMAND) & PCI_COMMAND_MEMORY)) >>> 0 : value;
  }

  /**
   * What a user writes.
   *
   * @param at inside, aligned to `size`
   * @returns what else it asks for
   */
  write(at: number, size: Width, value: number): ConfigEvent | null {
    const cap = this.#layout.owners[at >> 2] ?? null;
    if (cap === null) return this.#physWrite(at, size, value);
    const offset = at - cap.start;
    const perms = permsOf(cap);
    if (perms === null) return isVendor(cap) ? this.#physWrite(at, size, value) : null;
    this.#spread(perms, at, offset, size, value);
    if (cap.kind === 'header') return this.#headerWritten(at, value);
    return cap.id === PCI_CAP_ID_EXP || cap.id === PCI_CAP_ID_AF ? this.#takeFlr(cap) : null;
  }

  /** A register of the function itself. */
  #physRead(at: number, size: Width): number {
    if (size === 1) return this.#k.pci_read_config_byte(this.#pdev, at);
    return size === 2 ? this.#k.pci_read_config_word(this.#pdev, at) : this.#k.pci_read_config_dword(this.#pdev, at);
  }

  #physWrite(at: number, size: Width, value: number): null {
    if (size === 1) this.#k.pci_write_config_byte(this.#pdev, at, value);
    else if (size === 2) this.#k.pci_write_config_word(this.#pdev, at, value);
    else this.#k.pci_write_config_dword(this.#pdev, at, value);
    return null;
  }

  #load(at: number, size: Width): number {
    if (size === 1) return this.#view.getUint8(at);
    return size === 2 ? this.#view.getUint16(at, true) : this.#view.getUint32(at, true);
  }

  #store(at: number, size: Width, value: number): void {
    if (size === 1) this.#view.setUint8(at, value);
    else if (size === 2) this.#view.setUint16(at, value, true);
    else this.#view.setUint32(at, value, true);
  }

  /** The function's own register, its list pointers as the user sees the list. @see `vfio_direct_config_read` */
  #readDirect(cap: CapabilityAt, at: number, offset: number, size: Width): number {
    const head = cap.kind === 'extended' ? 4 : 2;
    let value = this.#physRead(at, size);
    for (let i = 0; i < size && offset + i < head; i++) {
      const shift = 8 * i;
      value = ((value & ~(0xff << shift)) | (this.#view.getUint8(at + i) << shift)) >>> 0;
    }
    return value;
  }

  /** @see `vfio_default_config_read` */
  #mixed(perms: PermBits, at: number, offset: number, size: Width): number {
    const virt = bits(perms.virt, offset, size);
    const mine = this.#load(at, size) & virt;
    return (virt === ones(size) ? mine : mine | (this.#physRead(at, size) & ~virt)) >>> 0;
  }

  /** @see `vfio_default_config_write` */
  #spread(perms: PermBits, at: number, offset: number, size: Width, value: number): void {
    const virt = bits(perms.virt, offset, size);
    const write = bits(perms.write, offset, size);
    if ((write & virt) !== 0) this.#store(at, size, (this.#load(at, size) & ~(write & virt)) | (value & write & virt));
    if ((write & ~virt) !== 0) this.#physWrite(at, size, ((this.#physRead(at, size) & ~(write & ~virt)) | (value & write & ~virt)) >>> 0);
  }

  /** @see `vfio_basic_config_write` */
  #headerWritten(at: number, value: number): ConfigEvent | null {
    if (isBar(at)) this.#barDirty = true;
    if (at === PCI_COMMAND) {
      const mask = PCI_COMMAND_MEMORY | PCI_COMMAND_IO;
      this.#store(PCI_COMMAND, 2, (this.word(PCI_COMMAND) & ~mask) | (value & mask));
    }
    return at === PCI_COMMAND || at === PCI_COMMAND + 1 ? 'command' : null;
  }

  /** Whether the user has masked its interrupt pin. */
  get intxDisabled(): boolean {
    return (this.word(PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE) !== 0;
  }

  /** The bit for a reset is taken, and reads as 0. @see `vfio_exp_config_write`, `vfio_af_config_write` */
  #takeFlr(cap: CapabilityAt): ConfigEvent | null {
    const [reg, bit, size] = cap.id === PCI_CAP_ID_EXP ? [PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2] as const : [PCI_AF_CTRL, PCI_AF_CTRL_FLR, 1] as const;
    const at = cap.start + reg;
    const now = this.#load(at, size);
    if ((now & bit) === 0) return null;
    this.#store(at, size, now & ~bit);
    const able = cap.id === PCI_CAP_ID_EXP
      ? (this.#physRead(cap.start + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR) !== 0
      : (this.#physRead(cap.start + PCI_AF_CAP, 1) & PCI_AF_CAP_FLR) !== 0;
    return able ? 'flr' : null;
  }

  /** BARs read as sized: below their size all zeros, the kind in the low bits. @see `vfio_bar_fixup` */
  #fixBars(): void {
    if (!this.#barDirty) return;
    this.#barDirty = false;
    for (let bar = 0; bar < PCI_STD_NUM_BARS; bar++) {
      const at = PCI_BASE_ADDRESS_0 + 4 * bar;
      const { size, flags } = this.#pdev.resource[bar] ?? { size: 0, flags: 0 };
      if (size === 0) {
        this.#store(at, 4, 0);
        continue;
      }
      const mask = ~(BigInt(size) - 1n);
      this.#store(at, 4, (this.#load(at, 4) & Number(mask & 0xffff_ffffn)) | (flags & 0xf));
      if ((flags & PCI_BASE_ADDRESS_MEM_TYPE_64) === 0) continue;
      bar++;
      this.#store(at + 4, 4, this.#load(at + 4, 4) & Number((mask >> 32n) & 0xffff_ffffn));
    }
    const { size } = this.#pdev.resource[ROM] ?? { size: 0 };
    this.#store(PCI_ROM_ADDRESS, 4, size === 0 ? 0 : this.#load(PCI_ROM_ADDRESS, 4) & (~(size - 1) | PCI_ROM_ADDRESS_ENABLE));
  }
}

function permsOf(cap: CapabilityAt): PermBits | null {
  if (cap.kind === 'header') return HEADER_PERMS;
  return cap.kind === 'standard' ? STANDARD_PERMS.get(cap.id) ?? null : null;
}

function isVendor({ kind, id }: CapabilityAt): boolean {
  return kind === 'standard' ? id === PCI_CAP_ID_VNDR : kind === 'extended' && id === PCI_EXT_CAP_ID_VNDR;
}

function isBar(at: number): boolean {
  return (at >= PCI_BASE_ADDRESS_0 && at < PCI_BASE_ADDRESS_0 + 4 * PCI_STD_NUM_BARS) || (at >= PCI_ROM_ADDRESS && at < PCI_ROM_ADDRESS + 4);
}

function bits(bytes: Uint8Array, offset: number, size: Width): number {
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = ((value << 8) | (bytes[offset + i] ?? 0)) >>> 0;
  return value;
}

function ones(size: Width): number {
  return size === 4 ? 0xffff_ffff : 2 ** (8 * size) - 1;
}
