/** Writing relocatable ELF files. */
import {
  ELF32, ELF64, ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFDATA2MSB, EM_X86_64, ET_REL, SHT_NOBITS, SHT_NULL, SHT_PROGBITS, SHT_STRTAB, SHT_SYMTAB,
  STB_LOCAL, Words,
} from './format.ts';

/** A section to write. */
export interface SectionSpec {
  readonly name: string;
  /** SHT_*; absent: PROGBITS. */
  readonly type?: number;
  /** SHF_*. */
  readonly flags?: number;
  /** Contents, or for NOBITS the bytes it will take. */
  readonly contents: Uint8Array | number;
  readonly align?: number;
}

/** A symbol to write; local ones come first, as ELF has it. */
export interface SymbolSpec {
  readonly name: string;
  readonly value: number;
  readonly bind: number;
  readonly type: number;
  /** Name of its section, or SHN_*. */
  readonly section: string | number;
}

/** What a file is made for. */
export interface ElfTarget {
  readonly bits: 32 | 64;
  readonly little: boolean;
  /** EM_*. */
  readonly machine: number;
}

/** What modules of an x86-64 kernel are. */
export const X86_64: ElfTarget = { bits: 64, little: true, machine: EM_X86_64 };

/** Strings, each once, by offset. */
class Strings {
  #size = 1;
  readonly #offsets = new Map<string, number>([['', 0]]);
  readonly #pieces: Uint8Array[] = [new Uint8Array(1)];

  add(text: string): number {
    const known = this.#offsets.get(text);
    if (known !== undefined) return known;
    const bytes = new TextEncoder().encode(`${text}\0`);
    const offset = this.#size;
    this.#offsets.set(text, offset);
    this.#pieces.push(bytes);
    this.#size += bytes.length;
    return offset;
  }

  bytes(): Uint8Array {
    return concat(this.#pieces);
  }
}

/** All pieces, one after the other. */
export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** A relocatable file: the sections in order, then the symbol table and the two string tables, the section headers last. */
export function writeElf(sections: readonly SectionSpec[], symbols: readonly SymbolSpec[], target: ElfTarget = X86_64): Uint8Array {
  const layout = target.bits === 64 ? ELF64 : ELF32;
  const { ehdr, shdr, sym } = layout;
  const index = new Map(sections.map((s, i) => [s.name, i + 1] as const));
  const strtab = new Strings();
  const ordered = [...symbols.filter((s) => s.bind === STB_LOCAL), ...symbols.filter((s) => s.bind !== STB_LOCAL)];
  const symtab = new Uint8Array((ordered.length + 1) * sym.bytes);
  const symWords = new Words(symtab, target.little);
  ordered.forEach((s, i) => {
    const at = (i + 1) * sym.bytes;
    const section = typeof s.section === 'number' ? s.section : index.get(s.section);
    if (section === undefined) throw new RangeError(`symbol ${s.name} is in ${s.section}, which is not written`);
    symWords.set(at, sym.name, strtab.add(s.name));
    symWords.set(at, sym.info, (s.bind << 4) | s.type);
    symWords.set(at, sym.shndx, section);
    symWords.set(at, sym.value, s.value);
  });
  const shstrtab = new Strings();
  const all: (SectionSpec & { readonly link?: number; readonly info?: number; readonly entsize?: number })[] = [
    { name: '', type: SHT_NULL, contents: new Uint8Array(), align: 0 },
    ...sections,
    { name: '.symtab', type: SHT_SYMTAB, contents: symtab, align: target.bits / 8, link: sections.length + 2, info: 1 + ordered.filter((s) => s.bind === STB_LOCAL).length, entsize: sym.bytes },
    { name: '.strtab', type: SHT_STRTAB, contents: strtab.bytes() },
  ];
  const names = [...all.map((s) => s.name), '.shstrtab'].map((name) => shstrtab.add(name));
  all.push({ name: '.shstrtab', type: SHT_STRTAB, contents: shstrtab.bytes() });
  let end: number = ehdr.size;
  const offsets = all.map((s) => {
    if (s.type === SHT_NULL) return 0;
    const align = s.align ?? 1;
    const offset = Math.ceil(end / align) * align;
    end = offset + (typeof s.contents === 'number' ? 0 : s.contents.length);
    return offset;
  });
  const shoff = Math.ceil(end / 8) * 8;
  const file = new Uint8Array(shoff + all.length * shdr.bytes);
  file.set([0x7f, 0x45, 0x4c, 0x46, target.bits === 64 ? ELFCLASS64 : ELFCLASS32, target.little ? ELFDATA2LSB : ELFDATA2MSB, 1]);
  const words = new Words(file, target.little);
  const head = { type: ET_REL, machine: target.machine, version: 1, shoff, ehsize: ehdr.size, shentsize: shdr.bytes, shnum: all.length, shstrndx: all.length - 1 };
  for (const [key, value] of Object.entries(head)) words.set(0, ehdr[key as keyof typeof head], value);
  all.forEach((s, i) => {
    const at = shoff + i * shdr.bytes;
    const size = typeof s.contents === 'number' ? s.contents : s.contents.length;
    words.set(at, shdr.name, names[i] ?? 0);
    words.set(at, shdr.type, s.type ?? SHT_PROGBITS);
    words.set(at, shdr.flags, s.flags ?? 0);
    words.set(at, shdr.offset, offsets[i] ?? 0);
    words.set(at, shdr.size, size);
    words.set(at, shdr.link, s.link ?? 0);
    words.set(at, shdr.info, s.info ?? 0);
    words.set(at, shdr.addralign, s.align ?? 1);
    words.set(at, shdr.entsize, s.entsize ?? 0);
    if (typeof s.contents !== 'number' && s.type !== SHT_NOBITS) file.set(s.contents, offsets[i] ?? 0);
  });
  return file;
}
