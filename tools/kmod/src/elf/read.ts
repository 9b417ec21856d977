/** Reading ELF files as depmod does: both word sizes, both byte orders, nothing outside the file. */
import {
  cString, EI_NIDENT, ELF32, ELF64, ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFDATA2MSB, SHT_NOBITS, Words,
} from './format.ts';
import type { ElfLayout } from './format.ts';

/** A section header. */
export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
  readonly link: number;
}

/** A symbol. */
export interface ElfSymbol {
  readonly name: string;
  readonly value: number;
  /** STB_*. */
  readonly bind: number;
  /** STT_*. */
  readonly type: number;
  /** Section index, or SHN_*. */
  readonly shndx: number;
}

/** Why a file is no ELF file for kmod: not one at all, or one with headers that lie. */
export type ElfErrno = 'ENOEXEC' | 'EINVAL';

/** An ELF file whose headers have been checked. */
export class ElfFile {
  readonly bytes: Uint8Array;
  readonly layout: ElfLayout;
  readonly sections: readonly ElfSection[];

  constructor(bytes: Uint8Array, layout: ElfLayout, sections: readonly ElfSection[]) {
    this.bytes = bytes;
    this.layout = layout;
    this.sections = sections;
  }

  /** The first section of a name. */
  section(name: string): ElfSection | undefined {
    return this.sections.find((s, i) => i > 0 && s.name === name);
  }

  /** Contents of a section; empty when there is none, it takes no place in the file, or it reaches past its end. */
  contents(section: ElfSection | undefined): Uint8Array {
    if (section === undefined || section.type === SHT_NOBITS || section.offset + section.size > this.bytes.length) return new Uint8Array();
    return this.bytes.subarray(section.offset, section.offset + section.size);
  }

  /** Symbols of `.symtab` in its order, the empty first one left out. */
  symbols(): ElfSymbol[] {
    const table = this.contents(this.section('.symtab'));
    const strings = this.contents(this.section('.strtab'));
    const { sym } = this.layout;
    const words = new Words(table, this.little);
    const out: ElfSymbol[] = [];
    for (let at = sym.bytes; at + sym.bytes <= table.length; at += sym.bytes) {
      const info = words.get(at, sym.info);
      const name = words.get(at, sym.name);
      out.push({
        name: name < strings.length ? cString(strings, name) : '',
        value: words.get(at, sym.value), bind: info >> 4, type: info & 15, shndx: words.get(at, sym.shndx),
      });
    }
    return out;
  }

  /** Whether numbers have their lowest byte first. */
  get little(): boolean {
    return this.bytes[5] === ELFDATA2LSB;
  }
}

/** Check a file's headers and list its sections. */
export function parseElf(bytes: Uint8Array): ElfFile | ElfErrno {
  if (bytes.length < 6) return 'EINVAL'; // too short to tell what it is
  if (bytes.length < EI_NIDENT || bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) return 'ENOEXEC';
  const [kind, order] = [bytes[4], bytes[5]];
  if (kind !== ELFCLASS32 && kind !== ELFCLASS64) return 'EINVAL';
  if (order !== ELFDATA2LSB && order !== ELFDATA2MSB) return 'EINVAL';
  const layout = kind === ELFCLASS64 ? ELF64 : ELF32;
  const { ehdr, shdr } = layout;
  if (bytes.length < ehdr.size) return 'EINVAL';
  const words = new Words(bytes, order === ELFDATA2LSB);
  const [shoff, entry, count, strings] = [words.get(0, ehdr.shoff), words.get(0, ehdr.shentsize), words.get(0, ehdr.shnum), words.get(0, ehdr.shstrndx)];
  if (entry !== shdr.bytes || shoff + count * entry > bytes.length || strings >= count) return 'EINVAL';
  const at = (i: number): number => shoff + i * entry;
  const names = range(bytes, words.get(at(strings), shdr.offset), words.get(at(strings), shdr.size));
  if (names === null || names.length === 0 || names[names.length - 1] !== 0) return 'EINVAL';
  const sections = Array.from({ length: count }, (_, i): ElfSection => {
    const name = words.get(at(i), shdr.name);
    return {
      name: name < names.length ? cString(names, name) : '',
      type: words.get(at(i), shdr.type), flags: words.get(at(i), shdr.flags),
      offset: words.get(at(i), shdr.offset), size: words.get(at(i), shdr.size), link: words.get(at(i), shdr.link),
    };
  });
  return new ElfFile(bytes, layout, sections);
}

function range(bytes: Uint8Array, offset: number, size: number): Uint8Array | null {
  return offset + size > bytes.length ? null : bytes.subarray(offset, offset + size);
}
