/** What a .ko file says: of itself, of what it offers and of what it needs. */
import { moduleName } from '../names.ts';
import type { TreeExport, TreeModule, TreeNeed } from '../tree.ts';
import { cString, cStrings, SHN_ABS, SHN_UNDEF, STB_WEAK, STT_REGISTER, Words } from './format.ts';
import { PACKAGE_SECTION, thisModuleName } from './module-write.ts';
import { parseElf } from './read.ts';
import type { ElfErrno, ElfFile, ElfSymbol } from './read.ts';
import { signatureOf } from './signature.ts';
import type { ModuleSignature } from './signature.ts';

/** A module file that has been read. */
export interface ModuleFile {
  /** Whether there is a `.modinfo`, empty or not. */
  readonly hasModinfo: boolean;
  /** `.modinfo` as it stands, parameters and all. */
  readonly modinfo: readonly (readonly [key: string, value: string])[];
  readonly exports: readonly TreeExport[];
  /** Undefined symbols in the order of the symbol table. */
  readonly needs: readonly TreeNeed[];
  /** `__versions` in its order; `null` when there is no such section. */
  readonly versions: readonly { readonly name: string; readonly crc: number }[] | null;
  /** The name inside, which is the module's whatever the file is called; `null` when there is none. */
  readonly name: string | null;
  /** Whose code it stands for; `null` for a module that is not ours. */
  readonly package: string | null;
  /** Bytes of core code. */
  readonly size: number;
  /** Bytes that go after init. */
  readonly initSize: number;
  readonly signature: ModuleSignature | null;
  readonly bits: 32 | 64;
}

/** Read a .ko file's bytes. */
export function readModule(bytes: Uint8Array): ModuleFile | ElfErrno {
  const elf = parseElf(bytes);
  if (typeof elf === 'string') return elf;
  const bits = elf.layout.version.crc === 8 ? 64 : 32;
  const symbols = elf.symbols();
  const versions = versionsOf(elf);
  const ours = new Map(pairs(elf.contents(elf.section(PACKAGE_SECTION))));
  const self = elf.contents(elf.section('.gnu.linkonce.this_module'));
  return {
    bits, versions,
    hasModinfo: elf.section('.modinfo') !== undefined,
    modinfo: pairs(elf.contents(elf.section('.modinfo'))),
    exports: exportsOf(elf, symbols),
    needs: needsOf(symbols, versions ?? []),
    name: self.length === 0 ? null : cString(self, thisModuleName(bits)),
    package: ours.get('package') ?? null,
    size: Number(ours.get('size') ?? 16384),
    initSize: Number(ours.get('init') ?? 0),
    signature: signatureOf(bytes),
  };
}

/** NUL-separated `key=value`; without `=` the value is empty. */
function pairs(bytes: Uint8Array): (readonly [string, string])[] {
  return cStrings(bytes).map((text) => {
    const equals = text.indexOf('=');
    return equals < 0 ? [text, ''] as const : [text.slice(0, equals), text.slice(equals + 1)] as const;
  });
}

function versionsOf(elf: ElfFile): { name: string; crc: number }[] | null {
  const section = elf.section('__versions');
  if (section === undefined) return null;
  const bytes = elf.contents(section);
  const words = new Words(bytes, elf.little);
  const { crc, bytes: record } = elf.layout.version;
  return Array.from({ length: Math.floor(bytes.length / record) }, (_, i) => ({
    crc: words.get(i * record, [0, crc]),
    name: cString(bytes.subarray(i * record + crc, (i + 1) * record)),
  }));
}

/** What `__crc_` symbols say; without any, all names of `__ksymtab_strings`, with no CRC. */
function exportsOf(elf: ElfFile, symbols: readonly ElfSymbol[]): TreeExport[] {
  const named = new Map(symbols.filter((s) => s.name.startsWith('__ksymtab_') || s.name.startsWith('__kstrtabns_')).map((s) => [s.name, s] as const));
  const gpl = (name: string): boolean => elf.sections[named.get(`__ksymtab_${name}`)?.shndx ?? 0]?.name.includes('ksymtab_gpl') === true;
  const namespace = (name: string): string => {
    const mark = named.get(`__kstrtabns_${name}`);
    return mark === undefined ? '' : cString(elf.contents(elf.sections[mark.shndx]), mark.value);
  };
  const marked = symbols.filter((s) => s.name.startsWith('__crc_'));
  const crcs: (readonly [string, number])[] = marked.length > 0
    ? marked.map((s) => [s.name.slice('__crc_'.length), crcAt(elf, s)] as const)
    : cStrings(elf.contents(elf.section('__ksymtab_strings'))).map((name) => [name, 0] as const);
  return crcs.map(([name, crc]) => ({ name, crc, gpl: gpl(name), namespace: namespace(name) }));
}

/** A CRC is the symbol's value, or stands in a section at that offset. */
function crcAt(elf: ElfFile, symbol: ElfSymbol): number {
  if (symbol.shndx === SHN_ABS || symbol.shndx === SHN_UNDEF) return symbol.value % 2 ** 32;
  const bytes = elf.contents(elf.sections[symbol.shndx]);
  return symbol.value + 4 > bytes.length ? 0 : new Words(bytes, elf.little).get(symbol.value, [0, 4]);
}

function needsOf(symbols: readonly ElfSymbol[], versions: readonly { readonly name: string; readonly crc: number }[]): TreeNeed[] {
  const crcs = new Map(versions.map((v) => [v.name, v.crc] as const));
  return symbols
    .filter((s) => s.shndx === SHN_UNDEF && s.name !== '' && s.type !== STT_REGISTER)
    .map((s) => ({ name: s.name, weak: s.bind === STB_WEAK, crc: crcs.get(s.name) ?? null }));
}

/** A name before the first `:`, and what is behind it; `null` without one. */
function named(text: string): readonly [string, string] | null {
  const colon = text.indexOf(':');
  return colon < 0 ? null : [text.slice(0, colon), text.slice(colon + 1)];
}

/** A parameter as `.modinfo` has it. */
export interface FileParam {
  readonly name: string;
  /** `null` without a `parmtype`. */
  readonly type: string | null;
  /** `null` without a `parm`. */
  readonly desc: string | null;
}

/** Parameters in the order they were declared: the section has the last one first. */
export function paramsOf(modinfo: ModuleFile['modinfo']): FileParam[] {
  const params = new Map<string, FileParam>();
  for (const [key, value] of modinfo) {
    if (key !== 'parm' && key !== 'parmtype') continue;
    const entry = named(value);
    if (entry === null) continue;
    const [name, text] = entry;
    const param = params.get(name) ?? { name, type: null, desc: null };
    params.set(name, key === 'parm' ? { ...param, desc: text } : { ...param, type: text });
  }
  return [...params.values()].reverse();
}

/** A read file as a module of a tree; symbols that only `__versions` names are needs too. @param path below the tree's directory */
export function treeModuleOfFile(file: ModuleFile, path: string): TreeModule {
  const values = (key: string): string[] => file.modinfo.filter(([k]) => k === key).map(([, value]) => value);
  const known = new Set(file.needs.map((n) => n.name));
  const versioned = (file.versions ?? []).filter((v) => !known.has(v.name)).map((v): TreeNeed => ({ name: v.name, weak: false, crc: v.crc }));
  return {
    path,
    name: moduleName(path),
    modinfo: file.modinfo.filter(([key]) => key !== 'parm' && key !== 'parmtype'),
    exports: file.exports,
    needs: [...file.needs, ...versioned],
    aliases: values('alias'),
    softdeps: values('softdep'),
    weakdeps: values('weakdep'),
    params: paramsOf(file.modinfo).map((p) => ({ ...p, type: p.type ?? '' })),
    size: file.size,
  };
}
