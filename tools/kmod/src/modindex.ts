/** What modprobe knows of a tree: depmod's files, read back. */
import { fnmatch } from './fnmatch.ts';
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

/** A line of an alias file. */
interface AliasLine {
  /** Normalised. */
  readonly pattern: string;
  readonly module: string;
  readonly priority: number;
}

/** Texts of a tree's files; a missing file is `null` and is skipped silently. */
export interface IndexTexts {
  readonly dep: string | null;
  readonly alias: string | null;
  readonly symbols: string | null;
  readonly softdep: string | null;
  readonly builtin: string | null;
  readonly builtinModinfo: string | null;
}

/** Depmod's files as lookups. */
export class ModuleIndex {
  /** `/lib/modules/RELEASE` */
  readonly dirname: string;
  /** By module name, in the order of modules.dep. */
  readonly modules: ReadonlyMap<string, IndexedModule>;
  /** Text of modules.softdep: part of the configuration. */
  readonly softdepText: string | null;
  /** modinfo of built-in modules by name. */
  readonly builtinModinfo: ReadonlyMap<string, readonly (readonly [string, string])[]>;
  readonly #aliases: readonly AliasLine[];
  readonly #symbols: readonly AliasLine[];
  readonly #builtins: ReadonlySet<string>;
  readonly #builtinAliases: readonly AliasLine[];

  constructor(dirname: string, texts: IndexTexts) {
    this.dirname = dirname;
    const modules = new Map<string, IndexedModule>();
    for (const line of lines(texts.dep)) {
      const colon = line.indexOf(':');
      if (colon <= 0) continue;
      const path = line.slice(0, colon);
      const deps = line.slice(colon + 1).split(/[ \t]+/).filter((word) => word !== '');
      modules.set(moduleName(path), { name: moduleName(path), path, deps, index: modules.size });
    }
    this.modules = modules;
    this.softdepText = texts.softdep;
    const priority = (module: string): number => modules.get(module)?.index ?? modules.size;
    this.#aliases = aliasLines(texts.alias, priority);
    this.#symbols = aliasLines(texts.symbols, priority);
    this.#builtins = new Set(lines(texts.builtin).filter((line) => /^[A-Za-z]/.test(line)).map(moduleName));
    const info = new Map<string, (readonly [string, string])[]>();
    for (const record of (texts.builtinModinfo ?? '').split('\0')) {
      const m = /^([^.=]+)\.([^=]+)=(.*)$/s.exec(record);
      if (m === null) continue;
      const [, module, key, value] = m as unknown as [string, string, string, string]; // three groups, none optional
      info.set(module, [...(info.get(module) ?? []), [key, value]]);
    }
    this.builtinModinfo = info;
    this.#builtinAliases = [...info].flatMap(([module, pairs]) => pairs.filter(([key]) => key === 'alias').flatMap(([, value]) => {
      const pattern = normalizeAlias(value);
      return pattern === null ? [] : [{ pattern, module, priority: 0 }];
    }));
  }

  /** Modules whose aliases match, in the order modprobe takes them; one entry per matching alias. @param alias normalised */
  byAlias(alias: string): string[] {
    return search(this.#aliases, alias);
  }

  /** Modules that export `symbol:NAME`. */
  bySymbol(alias: string): string[] {
    return search(this.#symbols, alias);
  }

  /** Built-in modules whose aliases match. */
  byBuiltinAlias(alias: string): string[] {
    return search(this.#builtinAliases, alias);
  }

  isBuiltin(name: string): boolean {
    return this.#builtins.has(name);
  }

  /** `alias KEY VALUE` lines of both indexes in key order, as `modprobe -c` dumps them. */
  dump(): string[] {
    const dumped = (all: readonly AliasLine[]): string[] => [...all]
      .sort((a, b) => (a.pattern < b.pattern ? -1 : a.pattern > b.pattern ? 1 : a.priority - b.priority))
      .map((line) => `alias ${line.pattern} ${line.module}`);
    return [...dumped(this.#aliases), ...dumped(this.#symbols)];
  }

  /** Absolute path of a file named in modules.dep. */
  absolute(path: string): string {
    return path.startsWith('/') ? path : `${this.dirname}/${path}`;
  }
}

function lines(text: string | null): string[] {
  return (text ?? '').split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

function aliasLines(text: string | null, priority: (module: string) => number): AliasLine[] {
  return lines(text).flatMap((line) => {
    const [word, alias, module] = line.split(/[ \t]+/);
    if (word !== 'alias' || alias === undefined || module === undefined) return [];
    const pattern = normalizeAlias(alias);
    return pattern === null ? [] : [{ pattern, module, priority: priority(module) }];
  });
}

/** Index keys are patterns: plain text up to the first of `*?[`, `fnmatch` from there. */
function matches(pattern: string, text: string): boolean {
  const wild = pattern.search(/[*?[]/);
  if (wild < 0) return pattern === text;
  return text.startsWith(pattern.slice(0, wild)) && fnmatch(pattern.slice(wild), text.slice(wild));
}

function search(all: readonly AliasLine[], text: string): string[] {
  return all.filter((line) => matches(line.pattern, text))
    .reverse() // of equal priorities the one found last comes first
    .sort((a, b) => a.priority - b.priority)
    .map((line) => line.module);
}
