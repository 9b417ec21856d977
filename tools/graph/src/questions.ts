/** What people ask of a module tree. */
import { fnmatch } from '@vdpalab/kmod';
import { nodeOf } from './module-graph.ts';
import type { ModuleEdge, ModuleGraph, SymbolNode } from './module-graph.ts';

/** Answer of {@link why}. */
export interface Why {
  /** A shortest chain of needs from the first module to the second; `null` when there is none. */
  readonly path: readonly ModuleEdge[] | null;
  /** Edges every chain runs through: without any one of them the second module would not be needed. */
  readonly bridges: readonly ModuleEdge[];
}

/**
 * Why `from` brings in `to`.
 *
 * @param softdeps whether softdeps count as needs
 * @throws RangeError for a name that is not in the tree
 */
export function why(graph: ModuleGraph, from: string, to: string, softdeps = false): Why {
  const a = nodeOf(graph, from).name;
  const b = nodeOf(graph, to).name;
  const edges = graph.edges.filter((e) => softdeps || e.kind !== 'soft');
  const path = shortest(edges, a, b);
  if (path === null) return { path, bridges: [] };
  return { path, bridges: path.filter((edge) => shortest(edges.filter((e) => e !== edge), a, b) === null) };
}

function shortest(edges: readonly ModuleEdge[], from: string, to: string): ModuleEdge[] | null {
  if (from === to) return [];
  const came = new Map<string, ModuleEdge>();
  const queue = [from];
  for (const at of queue) {
    for (const edge of edges) {
      if (edge.from !== at || came.has(edge.to) || edge.to === from) continue;
      came.set(edge.to, edge);
      if (edge.to === to) {
        const path: ModuleEdge[] = [];
        for (let step = came.get(to); step !== undefined; step = came.get(step.from)) path.unshift(step);
        return path;
      }
      queue.push(edge.to);
    }
  }
  return null;
}

/** A module that is hit when another goes away. */
export interface Impacted {
  readonly module: string;
  /** `breaks`: cannot load; `degrades`: loses weak symbols or a softdep only. */
  readonly how: 'breaks' | 'degrades';
  /** The need that is no longer met. */
  readonly because: ModuleEdge;
  /** Steps from the module that goes away. */
  readonly distance: number;
  /** Aliases for which it is loaded: hardware that loses a driver. */
  readonly aliases: readonly string[];
}

/**
 * What happens to the rest of the tree without a module; nearest first.
 *
 * A module that breaks takes its users with it; one that only degrades does not.
 */
export function impact(graph: ModuleGraph, name: string): readonly Impacted[] {
  const root = nodeOf(graph, name).name;
  const found = new Map<string, Impacted>();
  const queue = [{ module: root, distance: 0 }];
  for (const { module, distance } of queue) {
    for (const edge of graph.edges.filter((e) => e.to === module)) {
      const how = edge.kind === 'hard' ? 'breaks' : 'degrades';
      const known = found.get(edge.from);
      if (edge.from === root || known?.how === 'breaks' || known?.how === how) continue;
      const aliases = graph.nodes.find((n) => n.name === edge.from)?.aliases ?? [];
      found.set(edge.from, { module: edge.from, how, because: edge, distance: distance + 1, aliases });
      if (how === 'breaks') queue.push({ module: edge.from, distance: distance + 1 });
    }
  }
  return [...found.values()].sort((a, b) => a.distance - b.distance);
}

/** A knot of modules that need each other. */
export interface Cycle {
  /** All modules of the knot: a strongly connected component. */
  readonly modules: readonly string[];
  /** A shortest way around, starting at the first module. */
  readonly example: readonly ModuleEdge[];
}

/** All knots of the tree. @param softdeps whether softdeps count; modprobe cuts such loops silently */
export function cycles(graph: ModuleGraph, softdeps = false): readonly Cycle[] {
  const edges = graph.edges.filter((e) => softdeps || e.kind !== 'soft');
  return components(graph.nodes.map((n) => n.name), edges).flatMap((modules) => {
    const [first] = modules as [string]; // a component has members
    const inside = edges.filter((e) => modules.includes(e.from) && modules.includes(e.to));
    const rounds = inside.filter((e) => e.from === first).flatMap((e) => {
      const back = shortest(inside, e.to, first);
      return back === null ? [] : [[e, ...back]];
    });
    const [example] = rounds.sort((x, y) => x.length - y.length);
    return example === undefined ? [] : [{ modules, example }];
  });
}

/** Strongly connected components, Tarjan's way without recursion; members in the order of `names`. */
function components(names: readonly string[], edges: readonly ModuleEdge[]): string[][] {
  const next = new Map<string, string[]>(names.map((n) => [n, []]));
  for (const e of edges) next.get(e.from)?.push(e.to);
  const number = new Map<string, number>();
  const low = new Map<string, number>();
  const open: string[] = [];
  const out: string[][] = [];
  for (const root of names) {
    if (number.has(root)) continue;
    const work: { readonly at: string; child: number }[] = [{ at: root, child: 0 }];
    for (let frame = work.at(-1); frame !== undefined; frame = work.at(-1)) {
      const { at } = frame;
      if (frame.child === 0 && !number.has(at)) {
        number.set(at, number.size);
        low.set(at, number.get(at) as number); // just set
        open.push(at);
      }
      const child = next.get(at)?.[frame.child++];
      if (child !== undefined) {
        if (!number.has(child)) work.push({ at: child, child: 0 });
        else if (open.includes(child)) low.set(at, Math.min(low.get(at) as number, number.get(child) as number)); // both are numbered
        continue;
      }
      work.pop();
      const parent = work.at(-1)?.at;
      const mine = low.get(at) as number; // numbered above
      if (parent !== undefined) low.set(parent, Math.min(low.get(parent) as number, mine)); // a parent is numbered
      if (mine === number.get(at)) {
        const members = new Set(open.splice(open.indexOf(at)));
        out.push(names.filter((n) => members.has(n)));
      }
    }
  }
  return out;
}

/** Who exports the symbols that match a shell pattern, and who uses them; by name. */
export function symbols(graph: ModuleGraph, pattern: string): readonly SymbolNode[] {
  return [...graph.symbols.values()].filter((s) => fnmatch(pattern, s.name)).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Exported symbols that no module of the tree needs, by owner and name. */
export function unusedExports(graph: ModuleGraph): readonly SymbolNode[] {
  const place = new Map(graph.nodes.map((n, at) => [n.name, at]));
  return [...graph.symbols.values()].filter((s) => s.users.length === 0)
    .sort((a, b) => (place.get(a.owner) ?? 0) - (place.get(b.owner) ?? 0) || (a.name < b.name ? -1 : 1));
}

/** What differs between two trees. */
export interface GraphDiff {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Edges of modules that are in both. */
  readonly newEdges: readonly ModuleEdge[];
  readonly lostEdges: readonly ModuleEdge[];
  /** Symbols that are in both with another CRC. */
  readonly changedSymbols: readonly { readonly name: string; readonly from: number; readonly to: number }[];
  /** Aliases that no module answers to any more. */
  readonly lostAliases: readonly string[];
}

/** Compare two trees. */
export function diff(a: ModuleGraph, b: ModuleGraph): GraphDiff {
  const names = (g: ModuleGraph): Set<string> => new Set(g.nodes.map((n) => n.name));
  const [an, bn] = [names(a), names(b)];
  const key = (e: ModuleEdge): string => `${e.from} ${e.to} ${e.kind}`;
  const both = (e: ModuleEdge): boolean => an.has(e.from) && bn.has(e.from) && an.has(e.to) && bn.has(e.to);
  const edges = (g: ModuleGraph): Set<string> => new Set(g.edges.map(key));
  const [ae, be] = [edges(a), edges(b)];
  const aliases = new Set(b.nodes.flatMap((n) => n.aliases));
  return {
    added: [...bn].filter((n) => !an.has(n)),
    removed: [...an].filter((n) => !bn.has(n)),
    newEdges: b.edges.filter((e) => both(e) && !ae.has(key(e))),
    lostEdges: a.edges.filter((e) => both(e) && !be.has(key(e))),
    changedSymbols: [...a.symbols.values()].flatMap((s) => {
      const to = b.symbols.get(s.name)?.crc;
      return to === undefined || to === s.crc ? [] : [{ name: s.name, from: s.crc, to }];
    }),
    lostAliases: a.nodes.flatMap((n) => n.aliases).filter((alias) => !aliases.has(alias)),
  };
}

/** Edges that are not implied by others: what a readable picture shows. Edges inside a knot all stay. */
export function withoutImplied(graph: ModuleGraph): ModuleGraph {
  const hard = graph.edges.filter((e) => e.kind !== 'soft');
  const knots = cycles(graph).map((c) => new Set(c.modules));
  const inKnot = (e: ModuleEdge): boolean => knots.some((k) => k.has(e.from) || k.has(e.to));
  const implied = (edge: ModuleEdge): boolean => edge.kind !== 'soft' && !inKnot(edge)
    && shortest(hard.filter((e) => e !== edge), edge.from, edge.to) !== null;
  return { ...graph, edges: graph.edges.filter((e) => !implied(e)) };
}
