/** The files depmod writes. */
import { IndexBuilder } from './bin-index.ts';
import { analyze, symbolOrder } from './depmod.ts';
import type { DepGraph, DepNode } from './depmod.ts';
import { moduleName, normalizeAlias } from './names.ts';
import type { ModuleTree } from './tree.ts';

/** Names of the text files, in the order `depmod -n` prints them. */
export const DEPMOD_TEXTS = [
  'modules.dep', 'modules.alias', 'modules.softdep', 'modules.symbols', 'modules.devname',
] as const;

/** Texts by file name; `modules.builtin`, `modules.builtin.modinfo` and `modules.order` come from the kernel's build. */
export type DepmodTexts = Readonly<Record<(typeof DEPMOD_TEXTS)[number], string>>;

/** What a kernel's build says of what is in the image; `null` where it says nothing. */
export interface BuiltinFiles {
  readonly builtin: string | null;
  /** NUL-separated `name.key=value`. */
  readonly builtinModinfo: string | null;
}

/** A complaint that goes with a file. */
export interface DepmodMessage {
  /** `index`: about a `.bin` file, which `-n` does not make. `duplicate`: only told with `-w`. */
  readonly about: 'index' | 'duplicate' | 'devname';
  /** Level and text, without `depmod: `. */
  readonly text: string;
}

/** Result of {@link depmod}. */
export interface DepmodResult {
  readonly graph: DepGraph;
  /** `null` when there are cycles: then depmod writes nothing. */
  readonly texts: DepmodTexts | null;
  /** All files in the order they are written; none when there are cycles. */
  readonly files: readonly (readonly [name: string, contents: string | Uint8Array])[];
  readonly messages: readonly DepmodMessage[];
}

/** Everything depmod derives from a tree. @param kernel absent: what the tree's own built-in modules make */
export function depmod(tree: ModuleTree, kernel: BuiltinFiles = { builtin: builtinText(tree), builtinModinfo: builtinModinfoText(tree) }): DepmodResult {
  const graph = analyze(tree);
  if (graph.cycles.length > 0) return { graph, texts: null, files: [], messages: [] };
  const messages: DepmodMessage[] = [];
  const modules = graph.nodes.map((n) => n.module);
  const symbols = symbolOrder(graph);
  const devnames: string[] = [];
  const aliasIndex = aliasesOf(graph.nodes, messages);
  const builtinIndex = kernel.builtin === null ? null : builtinNames(kernel.builtin, messages);
  const builtinAliases = kernel.builtinModinfo === null ? null : aliasesOfBuiltin(kernel.builtinModinfo, messages);
  for (const m of modules) {
    const { line, error } = devname(m.name, m.aliases);
    if (line !== null) devnames.push(line);
    if (error !== null) messages.push({ about: 'devname', text: error });
  }
  const texts: DepmodTexts = {
    'modules.dep': graph.nodes.map((n) => `${depLine(n)}\n`).join(''),
    'modules.alias': text('# Aliases extracted from modules themselves.', modules.flatMap((m) => m.aliases.map((a) => `alias ${a} ${m.name}`))),
    'modules.softdep': text('# Soft dependencies extracted from modules themselves.', modules.flatMap((m) => m.softdeps.map((s) => `softdep ${m.name} ${s}`))),
    'modules.symbols': text('# Aliases for symbols, used by symbol_request().', symbols.map(([symbol, owner]) => `alias symbol:${symbol} ${owner.module.name}`)),
    'modules.devname': devnames.length === 0 ? '' : text('# Device nodes to trigger on-demand module loading.', devnames),
  };
  const depIndex = new IndexBuilder();
  for (const node of graph.nodes) depIndex.add({ key: node.module.name, value: depLine(node), priority: node.index });
  const symbolIndex = new IndexBuilder();
  for (const [symbol, owner] of symbols) symbolIndex.add({ key: `symbol:${symbol}`, value: owner.module.name, priority: owner.index });
  const none = new Uint8Array(); // what depmod opens and then has nothing to read for
  return {
    graph, texts, messages,
    files: [
      ['modules.dep', texts['modules.dep']], ['modules.dep.bin', depIndex.bytes()],
      ['modules.alias', texts['modules.alias']], ['modules.alias.bin', aliasIndex],
      ['modules.softdep', texts['modules.softdep']],
      ['modules.symbols', texts['modules.symbols']], ['modules.symbols.bin', symbolIndex.bytes()],
      ['modules.builtin.bin', builtinIndex ?? none], ['modules.builtin.alias.bin', builtinAliases ?? none],
      ['modules.devname', texts['modules.devname']],
    ],
  };
}

function depLine(node: DepNode): string {
  return `${node.module.path}:${node.closure.map((d) => ` ${d.module.path}`).join('')}`;
}

function aliasesOf(nodes: readonly DepNode[], messages: DepmodMessage[]): Uint8Array {
  const index = new IndexBuilder();
  for (const { module: m, index: priority } of nodes) {
    for (const alias of m.aliases) {
      const key = normalizeAlias(alias);
      if (key === null) messages.push(unmatched(alias));
      else if (index.add({ key, value: m.name, priority })) messages.push({ about: 'duplicate', text: `WARNING: duplicate module alias:\n${key} ${m.name}` });
    }
  }
  return index.bytes();
}

const unmatched = (alias: string): DepmodMessage => ({ about: 'index', text: `WARNING: Unmatched bracket in ${alias}` });

/** Names of built-in modules; a line starts with a letter. */
function builtinNames(lines: string, messages: DepmodMessage[]): Uint8Array {
  const index = new IndexBuilder();
  for (const line of lines.split('\n')) {
    if (line === '') continue;
    if (/^[A-Za-z]/.test(line)) index.add({ key: moduleName(line), value: '', priority: 0 });
    else messages.push({ about: 'index', text: `ERROR: Invalid modules.builtin line: ${line}\n` });
  }
  return index.bytes();
}

/** Aliases of built-in modules. */
function aliasesOfBuiltin(records: string, messages: DepmodMessage[]): Uint8Array {
  const index = new IndexBuilder();
  for (const record of records.split('\0')) {
    const m = /^([^.=]+)\.alias=(.*)$/s.exec(record);
    if (m === null) continue;
    const [, module, alias] = m as unknown as [string, string, string]; // both groups match
    const key = normalizeAlias(alias);
    if (key === null) messages.push(unmatched(alias));
    else index.add({ key, value: module, priority: 0 });
  }
  return index.bytes();
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
