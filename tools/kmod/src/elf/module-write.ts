/** A module of ours as the bytes of a .ko file: what the build of a real one leaves for depmod, modprobe, modinfo and the kernel. */
import { underscores } from '../names.ts';
import type { TreeExport, TreeModule } from '../tree.ts';
import { SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHN_UNDEF, STB_GLOBAL, STB_LOCAL, STB_WEAK, STT_FUNC, STT_NOTYPE, STT_OBJECT, ELF32, ELF64, Words } from './format.ts';
import type { ElfTarget, SectionSpec, SymbolSpec } from './write.ts';
import { concat, writeElf, X86_64 } from './write.ts';

/** Section that says whose code a file of ours stands for: NUL-separated `package=`, `size=`, `init=`. */
export const PACKAGE_SECTION = '.vdpalab';

/** Version of the kernel's `struct module`, which every module is built against. */
export const MODULE_LAYOUT_CRC = 0xb1ad_28e0;

/** What cannot be told from the tree's record of a module. */
export interface ModuleOrigin {
  /** Folder of the package that holds the code; `null` for a file without code. */
  readonly package: string | null;
  /** Bytes of code that go after init; absent: none. */
  readonly initSize?: number | undefined;
  /** CRC of `module_layout` it is built against; `null` for a file without `__versions`; absent: what its magic and its needs suggest. */
  readonly layoutCrc?: number | null | undefined;
}

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** `.modinfo`: the record's fields; parameters, last declared first, stand after those of the module's own macros. */
function modinfoSection(m: TreeModule): Uint8Array {
  const params = [...m.params].reverse().flatMap((p): (readonly [string, string])[] => [
    ...(p.desc === null ? [] : [['parm', `${p.name}:${p.desc}`] as const]),
    ...(p.type === '' ? [] : [['parmtype', `${p.name}:${p.type}`] as const]),
  ]);
  const own = m.modinfo.findIndex(([key]) => key === 'srcversion' || key === 'depends');
  const at = own < 0 ? m.modinfo.length : own;
  const all = [...m.modinfo.slice(0, at), ...params, ...m.modinfo.slice(at)];
  return ascii(all.map(([key, value]) => `${key}=${value}\0`).join(''));
}

/** `__versions`: the layout's CRC, then that of every need that has one; empty for a module built without. */
function versionsSection(m: TreeModule, layoutCrc: number | null | undefined, target: ElfTarget): Uint8Array {
  const known = m.needs.filter((n) => n.crc !== null).map((n) => [n.name, n.crc as number] as const); // just filtered
  const built = m.modinfo.some(([key, value]) => key === 'vermagic' && / modversions( |$)/.test(value));
  if (layoutCrc === null || (layoutCrc === undefined && known.length === 0 && !built)) return new Uint8Array();
  const { version } = target.bits === 64 ? ELF64 : ELF32;
  const all = [['module_layout', layoutCrc ?? MODULE_LAYOUT_CRC] as const, ...known];
  const bytes = new Uint8Array(all.length * version.bytes);
  const words = new Words(bytes, target.little);
  all.forEach(([name, crc], i) => {
    words.set(i * version.bytes, [0, version.crc], crc);
    bytes.set(ascii(name).subarray(0, version.bytes - version.crc - 1), i * version.bytes + version.crc);
  });
  return bytes;
}

/** Export tables: strings, entries and CRCs, with the symbols that mark them. */
function exportSections(exports: readonly TreeExport[], target: ElfTarget): { sections: SectionSpec[]; symbols: SymbolSpec[] } {
  const strings: Uint8Array[] = [];
  const symbols: SymbolSpec[] = [];
  const sections: SectionSpec[] = [];
  let at = 0;
  const string = (text: string): number => {
    const here = at;
    strings.push(ascii(`${text}\0`));
    at += (strings.at(-1) as Uint8Array).length; // just pushed
    return here;
  };
  for (const [suffix, list] of [['', exports.filter((e) => !e.gpl)], ['_gpl', exports.filter((e) => e.gpl)]] as const) {
    if (list.length === 0) continue;
    const crcs = new Uint8Array(list.length * 4);
    list.forEach((e, i) => {
      new Words(crcs, target.little).set(i * 4, [0, 4], e.crc);
      const local = (name: string, section: string, value: number): number => symbols.push({ name, value, section, bind: STB_LOCAL, type: STT_NOTYPE });
      local(`__kstrtab_${e.name}`, '__ksymtab_strings', string(e.name));
      local(`__kstrtabns_${e.name}`, '__ksymtab_strings', string(e.namespace));
      local(`__ksymtab_${e.name}`, `__ksymtab${suffix}`, i * 12);
      // Built without symbol versions, an export has no CRC at all.
      if (e.crc !== 0) local(`__crc_${e.name}`, `__kcrctab${suffix}`, i * 4);
    });
    sections.push(
      { name: `__ksymtab${suffix}`, flags: SHF_ALLOC, align: 4, contents: new Uint8Array(list.length * 12) },
      { name: `__kcrctab${suffix}`, flags: SHF_ALLOC, align: 4, contents: crcs },
    );
  }
  if (exports.length > 0) sections.push({ name: '__ksymtab_strings', flags: SHF_ALLOC, contents: concat(strings) });
  return { sections, symbols };
}

/** `struct module` with nothing filled in but its name, as the compiler leaves it. */
function thisModule(name: string, target: ElfTarget): Uint8Array {
  const bytes = new Uint8Array(target.bits === 64 ? 0x380 : 0x200);
  bytes.set(ascii(name).subarray(0, 55), thisModuleName(target.bits));
  return bytes;
}

/** Offset of `name` in `struct module`: behind the state and a list head. */
export function thisModuleName(bits: 32 | 64): number {
  return bits === 64 ? 24 : 12;
}

/**
 * The bytes of a module's .ko file.
 *
 * @param target what kernel it is for; absent: x86-64
 */
export function writeModule(m: TreeModule, origin: ModuleOrigin, target: ElfTarget = X86_64): Uint8Array {
  const { sections: tables, symbols: marks } = exportSections(m.exports, target);
  const versions = versionsSection(m, origin.layoutCrc, target);
  const sections: SectionSpec[] = [
    { name: '.text', flags: SHF_ALLOC | SHF_EXECINSTR, align: 16, contents: new Uint8Array(16 * (m.exports.length + 2)).fill(0xcc) },
    ...tables,
    { name: '.modinfo', flags: SHF_ALLOC, contents: modinfoSection(m) },
    ...(versions.length === 0 ? [] : [{ name: '__versions', flags: SHF_ALLOC, align: 32, contents: versions }]),
    { name: '.gnu.linkonce.this_module', flags: SHF_ALLOC | SHF_WRITE, align: 64, contents: thisModule(underscores(m.name), target) },
    ...(origin.package === null ? [] : [{ name: PACKAGE_SECTION, contents: ascii(`package=${origin.package}\0size=${m.size}\0init=${origin.initSize ?? 0}\0`) }]),
  ];
  const symbols: SymbolSpec[] = [
    ...marks,
    { name: '__this_module', value: 0, bind: STB_GLOBAL, type: STT_OBJECT, section: '.gnu.linkonce.this_module' },
    { name: 'init_module', value: 0, bind: STB_GLOBAL, type: STT_FUNC, section: '.text' },
    { name: 'cleanup_module', value: 16, bind: STB_GLOBAL, type: STT_FUNC, section: '.text' },
    ...m.exports.map((e, i): SymbolSpec => ({ name: e.name, value: 16 * (i + 2), bind: STB_GLOBAL, type: STT_FUNC, section: '.text' })),
    ...m.needs.map((n): SymbolSpec => ({ name: n.name, value: 0, bind: n.weak ? STB_WEAK : STB_GLOBAL, type: STT_NOTYPE, section: SHN_UNDEF })),
  ];
  return writeElf(sections, symbols, target);
}
