/** The text files depmod writes. */
import { analyze, symbolOrder } from './depmod.ts';
import type { DepGraph } from './depmod.ts';
import type { ModuleTree } from './tree.ts';

/** Names of the files, in the order `depmod -n` prints them. */
export const DEPMOD_FILES = [
  'modules.dep', 'modules.alias', 'modules.softdep', 'modules.symbols', 'modules.devname',
] as const;

/** Texts by file name; `modules.builtin`, `modules.builtin.modinfo` and `modules.order` come from the kernel's build. */
export type DepmodTexts = Readonly<Record<(typeof DEPMOD_FILES)[number], string>>;

/** Result of {@link depmod}. */
export interface DepmodResult {
  readonly graph: DepGraph;
  /** `null` when there are cycles: then depmod writes nothing. */
  readonly texts: DepmodTexts | null;
  /** Messages about devnames without numbers, without `depmod: `. */
  readonly errors: readonly string[];
}

/** Everything depmod derives from a tree. */
export function depmod(tree: ModuleTree): DepmodResult {
  const graph = analyze(tree);
  if (graph.cycles.length > 0) return { graph, texts: null, errors: [] };
  const modules = graph.nodes.map((n) => n.module);
  const errors: string[] = [];
  const devnames: string[] = [];
  for (const m of modules) {
    const { line, error } = devname(m.name, m.aliases);
    if (line !== null) devnames.push(line);
    if (error !== null) errors.push(error);
  }
  return {
    graph,
    errors,
    texts: {
      'modules.dep': graph.nodes.map((n) => `${n.module.path}:${n.closure.map((d) => ` ${d.module.path}`).join('')}\n`).join(''),
      'modules.alias': text('# Aliases extracted from modules themselves.', modules.flatMap((m) => m.aliases.map((a) => `alias ${a} ${m.name}`))),
      'modules.softdep': text('# Soft dependencies extracted from modules themselves.', modules.flatMap((m) => m.softdeps.map((s) => `softdep ${m.name} ${s}`))),
      'modules.symbols': text('# Aliases for symbols, used by symbol_request().', symbolOrder(graph).map(([symbol, name]) => `alias symbol:${symbol} ${name}`)),
      'modules.devname': devnames.length === 0 ? '' : text('# Device nodes to trigger on-demand module loading.', devnames),
    },
  };
}

/** `modules.builtin`, which a kernel's build writes. */
export function builtinText(tree: ModuleTree): string {
  return tree.builtin.map((b) => `${b.path}\n`).join('');
}

/** `modules.builtin.modinfo`: NUL-separated `name.key=value`. */
export function builtinModinfoText(tree: ModuleTree): string {
  return tree.builtin.flatMap((b) => [...b.modinfo, ['file', b.path.replace(/\.ko$/, '')] as const].map(([key, value]) => `${b.name}.${key}=${value}\0`)).join('');
}

/** `modules.weakdep`, which kmod 33 and later write. */
export function weakdepText(tree: ModuleTree): string {
  const lines = analyze(tree).nodes.flatMap(({ module: m }) => m.weakdeps.map((w) => `weakdep ${m.name} ${w}`));
  return text('# Weak dependencies extracted from modules themselves.', lines);
}

function text(header: string, lines: readonly string[]): string {
  return [header, ...lines].map((line) => `${line}\n`).join('');
}

/** The device node a module's aliases ask for: the first devname, with the numbers of a major alias. */
function devname(module: string, aliases: readonly string[]): { readonly line: string | null; readonly error: string | null } {
  let name: string | null = null;
  let numbers: string | null = null;
  for (const alias of aliases) {
    if (alias.startsWith('devname:')) name = alias.slice('devname:'.length);
    const m = /^(char|block)-major-(\d+)-(\d+)$/.exec(alias);
    if (m !== null) numbers = `${m[1] === 'char' ? 'c' : 'b'}${Number(m[2])}:${Number(m[3])}`;
    if (name !== null && numbers !== null) return { line: `${module} ${name} ${numbers}`, error: null };
  }
  if (name === null) return { line: null, error: null };
  return { line: null, error: `ERROR: Module '${module}' has devname (${name}) but lacks major and minor information. Ignoring.` };
}
