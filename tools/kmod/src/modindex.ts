/** What modprobe knows of a tree: depmod's indexes. */
import { BinIndex, writeIndex } from './bin-index.ts';
import type { IndexEntry } from './bin-index.ts';
import { moduleName, normalizeAlias } from './names.ts';

/** A module of modules.dep. */
export interface IndexedModule {
  readonly name: string;
  /** As in modules.dep: below `/lib/modules/RELEASE`, or absolute. */
  readonly path: string;
  /** Paths of its dependencies, nearest first. */
  readonly deps: readonly string[];
  /** Place in modules.dep: the priority of its aliases. */
  readonly index: number;
}

/** Contents of a tree's files; a missing file is `null` and is skipped silently. */
export interface IndexFiles {
  readonly dep: Uint8Array | null;
  readonly alias: Uint8Array | null;
  readonly symbols: Uint8Array | null;
  readonly builtin: Uint8Array | null;
  readonly builtinAlias: Uint8Array | null;
  /** Text of modules.builtin.modinfo. */
  readonly builtinModinfo: string | null;
}

/** The same as texts, for trees without `.bin` files. */
export interface IndexTexts {
  readonly dep: string | null;
  readonly alias: string | null;
  readonly symbols: string | null;
  readonly builtin: string | null;
  readonly builtinModinfo: string | null;
}

/** Depmod's files as lookups. */
export class ModuleIndex {
  /** `/lib/modules/RELEASE` */
  readonly dirname: string;
  /** By module name, in the order of modules.dep. */
  readonly modules: ReadonlyMap<string, IndexedModule>;
  /** modinfo of built-in modules by name. */
  readonly builtinModinfo: ReadonlyMap<string, readonly (readonly [string, string])[]>;
  readonly #aliases: BinIndex | null;
  readonly #symbols: BinIndex | null;
  readonly #builtins: BinIndex | null;
  readonly #builtinAliases: BinIndex | null;

  constructor(dirname: string, files: IndexFiles) {
    this.dirname = dirname;
    const lines = (BinIndex.open(files.dep)?.entries() ?? []).sort((a, b) => a.priority - b.priority);
    this.modules = new Map(lines.map(({ key, value }, index) => [key, depLine(key, value, index)]));
    this.#aliases = BinIndex.open(files.alias);
    this.#symbols = BinIndex.open(files.symbols);
    this.#builtins = BinIndex.open(files.builtin);
    this.#builtinAliases = BinIndex.open(files.builtinAlias);
    this.builtinModinfo = modinfoOfBuiltin(files.builtinModinfo ?? '');
  }

  /** From depmod's text files. */
  static ofTexts(dirname: string, texts: IndexTexts): ModuleIndex {
    const deps = lines(texts.dep).map((line, priority): IndexEntry => ({ key: moduleName(line.slice(0, line.indexOf(':'))), value: line, priority }));
    const place = new Map(deps.map((d) => [d.key, d.priority] as const));
    const aliases = (text: string | null): Uint8Array | null => (text === null ? null : writeIndex(lines(text).flatMap((line) => {
      const [word, alias, module] = line.split(/[ \t]+/);
      const key = normalizeAlias(alias ?? '');
      return word !== 'alias' || module === undefined || key === null ? [] : [{ key, value: module, priority: place.get(module) ?? deps.length }];
    })));
    const builtin = [...modinfoOfBuiltin(texts.builtinModinfo ?? '')].flatMap(([module, pairs]) => pairs.flatMap(([key, value]): IndexEntry[] => {
      const alias = key === 'alias' ? normalizeAlias(value) : null;
      return alias === null ? [] : [{ key: alias, value: module, priority: 0 }];
    }));
    return new ModuleIndex(dirname, {
      dep: writeIndex(deps), alias: aliases(texts.alias), symbols: aliases(texts.symbols),
      builtin: writeIndex(lines(texts.builtin).filter((line) => /^[A-Za-z]/.test(line)).map((line) => ({ key: moduleName(line), value: '', priority: 0 }))),
      builtinAlias: writeIndex(builtin), builtinModinfo: texts.builtinModinfo,
    });
  }

  /** Modules whose aliases match, in the order modprobe takes them; one entry per matching alias. @param alias normalised */
  byAlias(alias: string): string[] {
    return this.#aliases?.match(alias) ?? [];
  }

  /** Modules that export `symbol:NAME`. */
  bySymbol(alias: string): string[] {
    return this.#symbols?.match(alias) ?? [];
  }

  /** Built-in modules whose aliases match. */
  byBuiltinAlias(alias: string): string[] {
    return this.#builtinAliases?.match(alias) ?? [];
  }

  isBuiltin(name: string): boolean {
    return (this.#builtins?.get(name) ?? null) !== null;
  }

  /** `alias KEY VALUE` lines of both indexes in key order, as `modprobe -c` dumps them. */
  dump(): string[] {
    return [this.#aliases, this.#symbols].flatMap((index) => index?.entries() ?? []).map(({ key, value }) => `alias ${key} ${value}`);
  }

  /** Absolute path of a file named in modules.dep. */
  absolute(path: string): string {
    return path.startsWith('/') ? path : `${this.dirname}/${path}`;
  }
}

/** `PATH: DEP DEP` */
function depLine(name: string, line: string, index: number): IndexedModule {
  const colon = line.indexOf(':');
  const deps = line.slice(colon + 1).split(/[ \t]+/).filter((word) => word !== '');
  return { name, path: line.slice(0, Math.max(colon, 0)), deps, index };
}

function lines(text: string | null): string[] {
  return (text ?? '').split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

function modinfoOfBuiltin(text: string): Map<string, (readonly [string, string])[]> {
  const info = new Map<string, (readonly [string, string])[]>();
  for (const record of text.split('\0')) {
    const m = /^([^.=]+)\.([^=]+)=(.*)$/s.exec(record);
    if (m === null) continue;
    const [, module, key, value] = m as unknown as [string, string, string, string]; // three groups, none optional
    const pairs = info.get(module) ?? [];
    pairs.push([key, value]);
    info.set(module, pairs);
  }
  return info;
}
