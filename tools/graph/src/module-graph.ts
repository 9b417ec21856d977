/** The graph of a module tree: who needs whom, and for which symbols. */
import { analyze, lookup, ModuleIndex, depmod, EMPTY_CONFIG, parseConfig, underscores, witnesses } from '@vdpalab/kmod';
import type { ModuleTree, TreeModule } from '@vdpalab/kmod';

/** A module as a node. */
export interface ModuleNode {
  readonly name: string;
  /** Below `/lib/modules/RELEASE`. */
  readonly path: string;
  readonly builtin: boolean;
  /** Bytes of core code. */
  readonly size: number;
  /** Hardware and names it is loaded for. */
  readonly aliases: readonly string[];
}

/** A need of one module for another. */
export interface ModuleEdge {
  /** The user. */
  readonly from: string;
  /** The provider. */
  readonly to: string;
  /** `hard`: does not load without; `weak`: only weak symbols; `soft`: a softdep. */
  readonly kind: 'hard' | 'weak' | 'soft';
  /** The symbols that make the edge, in the order of the user's needs; empty for a softdep. */
  readonly symbols: readonly string[];
}

/** An exported symbol with everybody who uses it. */
export interface SymbolNode {
  readonly name: string;
  readonly owner: string;
  readonly gpl: boolean;
  /** Empty for none. */
  readonly namespace: string;
  readonly crc: number;
  /** In the order of the tree. */
  readonly users: readonly string[];
}

/** A module tree as nodes and edges. */
export interface ModuleGraph {
  /** In depmod's order, built-in ones last. */
  readonly nodes: readonly ModuleNode[];
  readonly edges: readonly ModuleEdge[];
  readonly symbols: ReadonlyMap<string, SymbolNode>;
}

/** What a graph shows. */
export interface ModuleGraphOptions {
  /** Built-in modules and the edges to them; default: not. */
  readonly builtin?: boolean;
}

/** Build the graph of a tree. */
export function moduleGraph(tree: ModuleTree, options: ModuleGraphOptions = {}): ModuleGraph {
  const whole: ModuleTree = options.builtin === true
    ? { ...tree, modules: [...tree.modules, ...tree.builtin.map(builtinAsModule)], builtin: [] } : tree;
  const builtins = new Set(tree.builtin.map((b) => b.name));
  const graph = analyze(whole);
  const edges: ModuleEdge[] = [];
  const users = new Map<string, string[]>();
  for (const node of graph.nodes) {
    const weak = new Set(node.module.needs.filter((n) => n.weak).map((n) => n.name));
    for (const dep of node.direct) {
      const symbols = witnesses(graph, node.module, dep.module);
      edges.push({ from: node.module.name, to: dep.module.name, kind: symbols.every((s) => weak.has(s)) ? 'weak' : 'hard', symbols });
      for (const s of symbols) users.set(s, [...(users.get(s) ?? []), node.module.name]);
    }
  }
  edges.push(...softEdges(whole));
  const symbols = new Map<string, SymbolNode>();
  for (const [name, owner] of graph.owners) {
    const e = owner.module.exports.findLast((x) => x.name === name);
    symbols.set(name, {
      name, owner: owner.module.name, gpl: e?.gpl ?? false, namespace: e?.namespace ?? '', crc: e?.crc ?? 0, users: users.get(name) ?? [],
    });
  }
  const nodes = graph.nodes.map(({ module: m }) => ({ name: m.name, path: m.path, builtin: builtins.has(m.name), size: m.size, aliases: m.aliases }));
  return { nodes: [...nodes.filter((n) => !n.builtin), ...nodes.filter((n) => n.builtin)], edges, symbols };
}

function builtinAsModule(b: ModuleTree['builtin'][number]): TreeModule {
  return { ...b, needs: [], aliases: [], softdeps: [], weakdeps: [], params: [], size: 0 };
}

/** Softdeps, as modprobe would look up their names; names that lead nowhere make no edge. */
function softEdges(tree: ModuleTree): ModuleEdge[] {
  const { texts } = depmod(tree);
  if (texts === null) return [];
  const index = ModuleIndex.ofTexts('', { dep: texts['modules.dep'], alias: texts['modules.alias'], symbols: null, builtin: null, builtinModinfo: null });
  const { softdeps } = parseConfig([{ path: 'modules.softdep', text: texts['modules.softdep'] }]);
  return softdeps.flatMap((s) => [...new Set([...s.pre, ...s.post].flatMap((name) => lookup(name, index, EMPTY_CONFIG).map((f) => f.module)))]
    .map((to) => ({ from: s.module, to, kind: 'soft' as const, symbols: [] })));
}

/** The node of that name, `-` and `_` equal. @throws RangeError when there is none, naming close ones */
export function nodeOf(graph: ModuleGraph, name: string): ModuleNode {
  const wanted = underscores(name);
  const node = graph.nodes.find((n) => n.name === wanted);
  if (node !== undefined) return node;
  const close = graph.nodes.filter((n) => n.name.includes(wanted) || wanted.includes(n.name)).map((n) => n.name);
  throw new RangeError(`no module ${name} in this tree${close.length === 0 ? '' : `; there is ${close.join(', ')}`}`);
}
