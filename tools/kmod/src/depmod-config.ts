/** depmod.d: which of several files of one module counts, and where else modules are. See depmod.d(5) of kmod 30. */
import { underscores } from './names.ts';

/** A word of a `search` line. */
export type SearchWord = { readonly kind: 'path'; readonly path: string } | { readonly kind: 'builtin' | 'external' };

/** What depmod.d says for one release. */
export interface DepmodConfig {
  /** Highest first. */
  readonly search: readonly SearchWord[];
  /** Last line first: module name, and the directory its file is taken from. */
  readonly overrides: readonly { readonly module: string; readonly dir: string }[];
  /** Directories outside the tree, last line first. */
  readonly external: readonly string[];
  /** Names of files and directories that are not looked at. */
  readonly exclude: ReadonlySet<string>;
  /** Lines that are ignored, as depmod complains of them. */
  readonly errors: readonly string[];
}

/** Directories of depmod.d; the first that has a file name wins. */
export const DEPMOD_DIRS: readonly string[] = ['/etc/depmod.d', '/run/depmod.d', '/usr/local/lib/depmod.d', '/lib/depmod.d'];

/** `*`, or an unanchored extended regular expression. */
function isFor(pattern: string, release: string): boolean {
  if (pattern === '*') return true;
  try {
    return new RegExp(pattern).test(release);
  } catch {
    return false;
  }
}

/** Read configuration files in their order. */
export function parseDepmodConfig(files: readonly { readonly path: string; readonly text: string }[], release: string): DepmodConfig {
  const search: SearchWord[] = [];
  const overrides: { module: string; dir: string }[] = [];
  const external: string[] = [];
  const exclude = new Set<string>();
  const errors: string[] = [];
  for (const { path, text } of files) {
    for (const { line, words: [command, ...args] } of logicalLines(text)) {
      const bad = (): void => void errors.push(`${path}:${line}: ignoring bad line starting with '${command}'`);
      switch (command) {
        case 'search':
          search.push(...args.map((word): SearchWord => (word === 'built-in' ? { kind: 'builtin' } : word === 'external' ? { kind: 'external' } : { kind: 'path', path: word })));
          break;
        case 'override': {
          const [module, version, dir] = args;
          if (module === undefined || version === undefined || dir === undefined) bad();
          else if (isFor(version, release)) overrides.unshift({ module, dir });
          break;
        }
        case 'external': {
          const [version, dir] = args;
          if (version === undefined || dir === undefined) bad();
          else if (isFor(version, release)) external.unshift(dir);
          break;
        }
        case 'exclude':
          for (const name of args) exclude.add(name);
          break;
        case 'include': case 'make_map_files':
          break;
        default:
          bad();
      }
    }
  }
  return { search: search.length === 0 ? [{ kind: 'path', path: 'updates' }] : search, overrides, external, exclude, errors };
}

/** Lines with their words; a backslash joins lines, only a `#` in the first column starts a comment. */
function logicalLines(text: string): { line: number; words: [string, ...string[]] }[] {
  const out: { line: number; words: [string, ...string[]] }[] = [];
  let line = 0;
  let pending = '';
  for (const physical of text.split('\n')) {
    line++;
    if (physical.endsWith('\\')) {
      pending += physical.slice(0, -1);
      continue;
    }
    const whole = pending + physical;
    pending = '';
    if (whole.startsWith('#')) continue;
    const [first, ...rest] = whole.split(/[ \t]+/).filter((word) => word !== '');
    if (first !== undefined) out.push({ line, words: [first, ...rest] });
  }
  return out;
}

/** A file of a module, as the priorities see it. */
export interface Candidate {
  /** Below the tree's directory, or absolute for one outside. */
  readonly path: string;
  readonly name: string;
}

/** Whether a file takes the place of one of the same module that was found before it. */
export function replaces(config: DepmodConfig, found: Candidate, old: Candidate): boolean {
  for (const { module, dir } of config.overrides) {
    const here = (c: Candidate): boolean => {
      const slash = c.path.lastIndexOf('/');
      return underscores(module) === c.name && c.path.slice(0, Math.max(slash, 0)) === dir;
    };
    if (here(found)) return true;
    if (here(old)) return false;
  }
  return priority(config, found) > priority(config, old);
}

/** The higher the better; a path no word is for has the place of `built-in`, or none. Of two outside directories the earlier line's is better. */
function priority(config: DepmodConfig, { path }: Candidate): number {
  const count = config.search.length;
  const outside = config.external.findLastIndex((dir) => path.startsWith(`${dir}/`));
  const at = config.search.findIndex((word) => (word.kind === 'path' ? path.startsWith(`${word.path}/`) : word.kind === 'external' && outside >= 0));
  if (at >= 0) return count - at + (config.search[at]?.kind === 'external' ? outside / (config.external.length + 1) : 0);
  const builtin = config.search.findIndex((word) => word.kind === 'builtin');
  return builtin < 0 ? 0 : count - builtin;
}
