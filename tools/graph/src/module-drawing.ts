/** Module graphs as pictures. */
import { abridge } from '@vdpalab/kmod';
import type { Drawing } from './drawing.ts';
import type { ModuleGraph } from './module-graph.ts';

/** A module graph as a picture, without layers; edge labels name two symbols and count the rest. */
export function drawModules(graph: ModuleGraph, title = 'modules'): Drawing {
  return {
    title,
    layers: [],
    nodes: graph.nodes.map((n) => ({ id: n.name, kind: n.builtin ? 'builtin' : 'module', label: n.name })),
    edges: graph.edges.map((e) => ({ from: e.from, to: e.to, kind: e.kind, label: e.kind === 'soft' ? 'softdep' : abridge(e.symbols) })),
  };
}
