/** From what was typed to modules: `kmod_module_new_from_lookup` of kmod 30. */
import type { Config } from './config.ts';
import { fnmatch } from './fnmatch.ts';
import type { ModuleIndex } from './modindex.ts';
import { normalizeAlias } from './names.ts';

/** A module that a request leads to. */
export interface Found {
  readonly module: string;
  /** The alias it was reached by, as modprobe.d words it or as it was asked for; `null` when it was named. */
  readonly alias: string | null;
  /** For people: where the request was found. */
  readonly by: string;
  /** Whether an alias says that it is part of the kernel image. */
  readonly builtin?: boolean;
}

/**
 * All modules for a name or alias; the first stage that finds anything ends the search.
 *
 * Stages: `alias` lines, modules.dep by name, exported symbols, `install` and `remove` lines, modules.alias,
 * modules.builtin, aliases of built-in modules. An alias is not followed twice.
 *
 * @returns empty when nothing is found
 */
export function lookup(request: string, index: ModuleIndex, config: Config): readonly Found[] {
  const name = normalizeAlias(request);
  if (name === null) return [];
  const aliases = config.aliases.filter((a) => fnmatch(a.pattern, name));
  if (aliases.length > 0) return aliases.map((a) => ({ module: a.module, alias: a.pattern, by: `alias ${a.pattern} (${a.file}:${a.line})` }));
  if (!name.includes(':') && index.modules.has(name)) return [{ module: name, alias: null, by: 'modules.dep' }];
  if (name.startsWith('symbol:')) {
    const found = index.bySymbol(name);
    if (found.length > 0) return found.map((module) => ({ module, alias: name, by: 'modules.symbols' }));
  }
  const command = config.installs.find((c) => c.module === name) ?? config.removes.find((c) => c.module === name);
  if (command !== undefined) return [{ module: name, alias: null, by: `${command.file}:${command.line}` }];
  const indexed = index.byAlias(name);
  if (indexed.length > 0) return indexed.map((module) => ({ module, alias: name, by: 'modules.alias' }));
  if (index.isBuiltin(name)) return [{ module: name, alias: null, by: 'modules.builtin' }];
  return index.byBuiltinAlias(name).map((module) => ({ module, alias: name, by: 'modules.builtin.modinfo', builtin: true }));
}
