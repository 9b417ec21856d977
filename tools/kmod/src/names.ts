/** Names of modules, aliases and files. */

/** Endings of module files. */
const ENDINGS = ['.ko', '.ko.gz', '.ko.xz', '.ko.zst'];

/** Whether a file name is a module's; `.ko` alone is none. */
export function isModuleFile(name: string): boolean {
  return ENDINGS.some((ending) => name.endsWith(ending) && name.length > ending.length);
}

/** Module name of a path: last component, cut at the first dot, `-` turned into `_`. */
export function moduleName(path: string): string {
  const file = path.slice(path.lastIndexOf('/') + 1);
  const dot = file.indexOf('.');
  return underscores(dot < 0 ? file : file.slice(0, dot));
}

/** `-` turned into `_` everywhere. */
export function underscores(name: string): string {
  return name.replaceAll('-', '_');
}

/**
 * Alias as indexes and lookups spell it: `-` turned into `_` except between brackets.
 *
 * @returns `null` when a bracket is not closed or not opened
 */
export function normalizeAlias(alias: string): string | null {
  let out = '';
  for (let i = 0; i < alias.length; i++) {
    const c = alias[i] as string; // i is in range
    if (c === ']') return null;
    if (c === '[') {
      const end = alias.indexOf(']', i);
      if (end < 0) return null;
      out += alias.slice(i, end + 1);
      i = end;
    } else out += c === '-' ? '_' : c;
  }
  return out;
}

/** Byte order of ASCII strings, as `strcmp` has it. */
export function strcmp(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
