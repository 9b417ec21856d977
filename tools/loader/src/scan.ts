/**
 * The fence around modules: what a module's file may import when it runs.
 *
 * What `modpost` is to a .ko: a need that is no kernel symbol is found before the file is run. Symbols are the only way
 * from module to module; everything else would be a hidden dependency that no depmod can see.
 */
import { KernelError } from '@vdpalab/abi';
import { parse } from 'es-module-lexer/js';
import type { Import } from 'es-module-lexer/js';

/** Packages without state that a module may import at run time. */
export const MODULE_MAY_IMPORT: readonly string[] = ['@vdpalab/abi', '@vdpalab/uapi', '@vdpalab/vring'];

/** An import that a module's file must not have. */
export interface FenceBreach {
  /** The name given to {@link findBreaches}. */
  readonly file: string;
  /** 1-based */
  readonly line: number;
  /** 1-based, in UTF-16 units */
  readonly column: number;
  /** What is imported, or the expression that computes it. */
  readonly specifier: string;
  readonly why: string;
}

/**
 * All forbidden imports of one file, JavaScript or TypeScript; `import type` is no import at run time.
 *
 * @param file path of the file, `/` between parts: from its package's src or dist folder on (`net/frame.js`), or with
 *   that folder in it (`vdpa-core/dist/net/frame.js`); relative imports may not climb above that folder
 * @throws ENOEXEC when the file is not a module that can be parsed
 */
export function findBreaches(source: string, file: string): readonly FenceBreach[] {
  let imports: readonly Import[];
  try {
    [imports] = parse(source, file);
  } catch (error) {
    throw new KernelError('ENOEXEC', 'module.scan.syntax', `${file}: not a module: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const breaches: FenceBreach[] = [];
  for (const found of imports) {
    const why = refuse(found, file);
    if (why === null) continue;
    const lines = source.slice(0, found.importStart).split('\n');
    breaches.push({
      file, why, line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1,
      specifier: found.specifier ?? source.slice(found.start, found.end),
    });
  }
  return breaches;
}

/**
 * Refuse a file with a forbidden import.
 *
 * @returns the module's own files it imports, as written: where a scan of the whole module goes on
 * @throws ENOEXEC naming file, line, specifier and what to do, for the first of them
 */
export function scanModule(source: string, file: string): readonly string[] {
  const [first, ...more] = findBreaches(source, file);
  if (first === undefined) {
    return parse(source, file)[0].flatMap((i) => (i.type === 'static' && !i.typeOnly && i.specifier.startsWith('.') ? [i.specifier] : []));
  }
  const others = more.length === 0 ? '' : ` (and ${more.length} more)`;
  throw new KernelError('ENOEXEC', 'module.scan.import', `${first.file}:${first.line}:${first.column}: '${first.specifier}': ${first.why}${others}`);
}

function refuse(found: Import, file: string): string | null {
  if (found.type === 'import-meta') return 'a module does not know where it lies; import.meta is not for modules';
  if (found.type === 'dynamic') {
    if (found.probablyTypeOnly) return null;
    return found.specifier === undefined || found.glob
      ? 'a computed import cannot be checked; symbols are the way from module to module'
      : 'a dynamic import is not for modules; list what you need in imports';
  }
  if (found.typeOnly) return null;
  if (found.phase !== null) return `import ${found.phase} is not for modules`;
  const { specifier } = found;
  if (MODULE_MAY_IMPORT.includes(specifier)) return null;
  if (specifier.startsWith('./') || specifier.startsWith('../')) {
    return escapes(specifier, file) ? 'leaves the module; another module is reached by its symbols' : null;
  }
  if (specifier.startsWith('@vdpalab/')) return 'another module is reached by its symbols; import its types with import type';
  return `a module imports only ${MODULE_MAY_IMPORT.join(', ')} and its own files`;
}

/** Whether a relative specifier climbs above the folder that file names start from. */
function escapes(specifier: string, file: string): boolean {
  const parts = file.split('/');
  const root = parts.findLastIndex((part, at) => at < parts.length - 1 && (part === 'dist' || part === 'src'));
  let depth = parts.length - 1 - (root + 1);
  for (const part of specifier.split('/')) {
    if (part === '..') depth--;
    else if (part !== '.') depth++;
    if (depth < 0) return true;
  }
  return false;
}
