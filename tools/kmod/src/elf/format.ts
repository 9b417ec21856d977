/** Layout of ELF files: names by `elf.h`, offsets for both word sizes. @see System V ABI, chapter 4 */

export const ELFCLASS32 = 1;
export const ELFCLASS64 = 2;
export const ELFDATA2LSB = 1;
export const ELFDATA2MSB = 2;
/** Bytes of `e_ident`. */
export const EI_NIDENT = 16;
export const ET_REL = 1;
export const EM_X86_64 = 62;

export const SHN_UNDEF = 0;
export const SHN_ABS = 0xfff1;
export const SHT_NULL = 0;
export const SHT_PROGBITS = 1;
export const SHT_SYMTAB = 2;
export const SHT_STRTAB = 3;
export const SHT_NOBITS = 8;
export const SHF_WRITE = 1;
export const SHF_ALLOC = 2;
export const SHF_EXECINSTR = 4;
export const STB_LOCAL = 0;
export const STB_GLOBAL = 1;
export const STB_WEAK = 2;
export const STT_NOTYPE = 0;
export const STT_OBJECT = 1;
export const STT_FUNC = 2;
/** `STT_SPARC_REGISTER`: names a register, not a symbol. */
export const STT_REGISTER = 13;

/** A field: offset and bytes. */
export type Field = readonly [offset: number, bytes: 1 | 2 | 4 | 8];

/** Where the fields of the three records are. */
export interface ElfLayout {
  readonly ehdr: Readonly<Record<'type' | 'machine' | 'version' | 'shoff' | 'ehsize' | 'shentsize' | 'shnum' | 'shstrndx', Field>> & { readonly size: number };
  readonly shdr: Readonly<Record<'name' | 'type' | 'flags' | 'addr' | 'offset' | 'size' | 'link' | 'info' | 'addralign' | 'entsize', Field>> & { readonly bytes: number };
  readonly sym: Readonly<Record<'name' | 'value' | 'size' | 'info' | 'other' | 'shndx', Field>> & { readonly bytes: number };
  /** `struct modversion_info`: bytes of the CRC, and of the record. */
  readonly version: { readonly crc: 4 | 8; readonly bytes: number };
}

/** `Elf64_*`. */
export const ELF64: ElfLayout = {
  ehdr: { type: [16, 2], machine: [18, 2], version: [20, 4], shoff: [40, 8], ehsize: [52, 2], shentsize: [58, 2], shnum: [60, 2], shstrndx: [62, 2], size: 64 },
  shdr: { name: [0, 4], type: [4, 4], flags: [8, 8], addr: [16, 8], offset: [24, 8], size: [32, 8], link: [40, 4], info: [44, 4], addralign: [48, 8], entsize: [56, 8], bytes: 64 },
  sym: { name: [0, 4], info: [4, 1], other: [5, 1], shndx: [6, 2], value: [8, 8], size: [16, 8], bytes: 24 },
  version: { crc: 8, bytes: 64 },
};

/** `Elf32_*`. */
export const ELF32: ElfLayout = {
  ehdr: { type: [16, 2], machine: [18, 2], version: [20, 4], shoff: [32, 4], ehsize: [40, 2], shentsize: [46, 2], shnum: [48, 2], shstrndx: [50, 2], size: 52 },
  shdr: { name: [0, 4], type: [4, 4], flags: [8, 4], addr: [12, 4], offset: [16, 4], size: [20, 4], link: [24, 4], info: [28, 4], addralign: [32, 4], entsize: [36, 4], bytes: 40 },
  sym: { name: [0, 4], value: [4, 4], size: [8, 4], info: [12, 1], other: [13, 1], shndx: [14, 2], bytes: 16 },
  version: { crc: 4, bytes: 64 },
};

/** Numbers in a file's byte order. Values above 2^53 come out rounded: they fail every bound they are held against. */
export class Words {
  readonly #view: DataView;
  readonly #little: boolean;

  constructor(bytes: Uint8Array, little: boolean) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#little = little;
  }

  get(base: number, [offset, bytes]: Field): number {
    const at = base + offset;
    switch (bytes) {
      case 1: return this.#view.getUint8(at);
      case 2: return this.#view.getUint16(at, this.#little);
      case 4: return this.#view.getUint32(at, this.#little);
      default: return Number(this.#view.getBigUint64(at, this.#little));
    }
  }

  set(base: number, [offset, bytes]: Field, value: number): void {
    const at = base + offset;
    switch (bytes) {
      case 1: return this.#view.setUint8(at, value);
      case 2: return this.#view.setUint16(at, value, this.#little);
      case 4: return this.#view.setUint32(at, value, this.#little);
      default: return this.#view.setBigUint64(at, BigInt(value), this.#little);
    }
  }
}

/** Bytes as text, one character a byte: names and modinfo of modules may hold any byte. */
export function latin1(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Bytes as UTF-8 text, or byte by byte where they are none. */
export function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return latin1(bytes);
  }
}

/** The NUL-terminated text at an offset; up to the end when no NUL follows. */
export function cString(bytes: Uint8Array, at = 0): string {
  const end = bytes.indexOf(0, at);
  return textOf(bytes.subarray(at, end < 0 ? bytes.length : end));
}

/** NUL-separated texts; empty ones, which padding makes, are left out. */
export function cStrings(bytes: Uint8Array): string[] {
  const out: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const nul = bytes.indexOf(0, at);
    const end = nul < 0 ? bytes.length : nul;
    if (end > at) out.push(textOf(bytes.subarray(at, end)));
    at = end + 1;
  }
  return out;
}
