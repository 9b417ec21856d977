/**
 * What depmod computes: the order of modules, who depends on whom, and cycles.
 *
 * Orders follow kmod 30 `tools/depmod.c`, because modprobe loads in the order of these lists.
 */
import { hashOrder } from './hash.ts';
import { strcmp } from './names.ts';
import type { ModuleTree, TreeModule } from './tree.ts';

/** Symbols that no module exports and every compiler needs. */
const FAKE_SYMBOLS: readonly string[] = ['__this_module', '_GLOBAL_OFFSET_TABLE_', 'TOC.'];

/** One module with what it needs, resolved. */
export interface DepNode {
  readonly module: TreeModule;
  /** Place in depmod's order; the priority of its aliases. */
  readonly index: number;
  /** Modules it needs directly, each once, in the order of its needs. */
  readonly direct: readonly DepNode[];
  /** All it needs, nearest first, as in modules.dep: loaded from the last to the first. */
  readonly closure: readonly DepNode[];
}

/** Result of {@link analyze}. */
export interface DepGraph {
  /** In depmod's order. */
  readonly nodes: readonly DepNode[];
  /** The module that owns each exported symbol; of two exporters the later one. */
  readonly owners: ReadonlyMap<string, DepNode>;
  /** Names of the modules of each cycle found, without the repeated first one. Not empty: `closure`s are meaningless. */
  readonly cycles: readonly (readonly string[])[];
  /** What is wrong with needs, module by module, in their order. */
  readonly issues: readonly NeedIssue[];
}

/** A need that nobody meets (weak ones left out), or whose CRC is not the exporter's. */
export interface NeedIssue {
  readonly kind: 'unknown' | 'version';
  readonly module: TreeModule;
  readonly symbol: string;
}

class Node implements DepNode {
  readonly module: TreeModule;
  index = 0;
  direct: Node[] = [];
  closure: Node[] = [];
  /** Modules that depend on this one directly and are not numbered yet. */
  users = 0;
  /** Topological number; -1 until it has one. */
  number = -1;

  constructor(module: TreeModule) {
    this.module = module;
  }
}

/** Modules in depmod's order: those of modules.order first, as listed, then the rest by hash. One module per name. */
export function moduleOrder(tree: ModuleTree): TreeModule[] {
  const byName = new Map<string, TreeModule>();
  for (const module of tree.modules) if (!byName.has(module.name)) byName.set(module.name, module);
  const base = hashOrder([...byName.values()], (m) => m.name, 512);
  const lines = new Map((tree.order ?? []).map((line, at) => [line, at] as const)); // of two equal lines the later one counts
  const key = (m: TreeModule): number => lines.get(m.path.replace(/\.ko\..*$/, '.ko')) ?? Number.POSITIVE_INFINITY;
  return base.map((module, at) => ({ module, at, key: key(module) }))
    .sort((a, b) => (a.key === b.key ? a.at - b.at : a.key - b.key))
    .map((entry) => entry.module);
}

/** Resolve a tree: owners, direct dependencies, closures or cycles. */
export function analyze(tree: ModuleTree): DepGraph {
  const nodes = moduleOrder(tree).map((module) => new Node(module));
  for (const [index, node] of nodes.entries()) node.index = index;
  const owners = new Map<string, Node>();
  const crcs = new Map<string, number>();
  const kernel = new Set([...FAKE_SYMBOLS, ...tree.builtin.flatMap((b) => b.exports.map((e) => e.name))]);
  for (const b of tree.builtin) for (const e of b.exports) crcs.set(e.name, e.crc);
  for (const node of nodes) {
    for (const e of node.module.exports) {
      owners.set(e.name, node);
      crcs.set(e.name, e.crc);
    }
  }
  const issues: NeedIssue[] = [];
  for (const node of nodes) {
    const direct = new Set<Node>();
    for (const need of node.module.needs) {
      const owner = owners.get(need.name) ?? owners.get(need.name.replace(/^\./, ''));
      if (owner !== undefined) direct.add(owner);
      else if (!need.weak && !kernel.has(need.name)) issues.push({ kind: 'unknown', module: node.module, symbol: need.name });
      const crc = crcs.get(need.name);
      if (need.crc !== null && crc !== undefined && crc !== 0 && crc !== need.crc) issues.push({ kind: 'version', module: node.module, symbol: need.name });
    }
    node.direct = [...direct];
    for (const dep of direct) dep.users++;
  }
  const numbered = number(nodes);
  const cycles = numbered === nodes.length ? [] : findCycles(nodes);
  if (cycles.length === 0) for (const node of nodes) node.closure = closure(node);
  return { nodes, owners, cycles, issues };
}

/** Number modules so that users come before what they use. @returns how many got a number */
function number(nodes: readonly Node[]): number {
  const stack = nodes.filter((n) => n.users === 0);
  let next = 0;
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    node.number = next++;
    for (const dep of node.direct) if (--dep.users === 0) stack.push(dep);
  }
  return next;
}

function closure(node: Node): Node[] {
  const seen = new Set<Node>();
  const todo = [...node.direct];
  for (let dep = todo.pop(); dep !== undefined; dep = todo.pop()) {
    if (seen.has(dep)) continue;
    seen.add(dep);
    todo.push(...dep.direct);
  }
  return [...seen].sort((a, b) => a.number - b.number);
}

/** Cycles through modules that could not be numbered; a root that was part of a printed cycle is not searched again. */
function findCycles(nodes: readonly Node[]): string[][] {
  const cycles: string[][] = [];
  const done = new Set<Node>();
  for (const root of nodes.filter((n) => n.number < 0)) {
    if (done.has(root)) continue;
    const stack: { readonly node: Node; readonly path: readonly Node[] }[] = [{ node: root, path: [root] }];
    const expanded = new Set<Node>();
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if (expanded.has(at.node)) continue;
      expanded.add(at.node);
      for (const dep of at.node.direct) {
        if (dep === root) {
          cycles.push(at.path.map((n) => n.module.name));
          for (const member of at.path) done.add(member);
        } else if (dep.number < 0 && !at.path.includes(dep)) stack.push({ node: dep, path: [...at.path, dep] });
      }
    }
  }
  return cycles;
}

/** Lines depmod writes to stderr about cycles, without `depmod: `. */
export function cycleErrors(cycles: readonly (readonly string[])[]): string[] {
  if (cycles.length === 0) return [];
  return [
    ...cycles.map((names) => `ERROR: Cycle detected: ${[...names, names[0]].join(' -> ')}`),
    `ERROR: Found ${new Set(cycles.flat()).size} modules in dependency cycles!`,
  ];
}

/** Symbols a module links against another for: the witnesses of an edge, in the order of its needs. */
export function witnesses(graph: DepGraph, user: TreeModule, provider: TreeModule): string[] {
  return user.needs.filter((n) => graph.owners.get(n.name)?.module === provider).map((n) => n.name);
}

/** All exported symbols with their owners in the order of modules.symbols. */
export function symbolOrder(graph: DepGraph): (readonly [symbol: string, owner: DepNode])[] {
  const all = [...graph.owners].map(([symbol, node]) => [symbol, node] as const);
  return hashOrder(all.sort((a, b) => strcmp(a[0], b[0])), ([symbol]) => symbol, 2048);
}
