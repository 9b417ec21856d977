/** Pictures as text and as JSON. */
import type { Drawing, DrawnEdge } from './drawing.ts';

/**
 * A picture as indented trees, from the given roots or from the nodes nothing points to.
 *
 * A node that was shown before stands there with `(see above)`; one that contains itself with `(cycle)`.
 */
export function renderTree(drawing: Drawing, roots?: readonly string[]): string {
  const targets = new Set(drawing.edges.map((e) => e.to));
  const label = new Map(drawing.nodes.map((n) => [n.id, n.label]));
  const shown = new Set<string>();
  const lines: string[] = [];
  const visit = (id: string, prefix: string, branch: string, edge: DrawnEdge | null, path: readonly string[]): void => {
    const note = edge?.label === undefined || edge.label === '' ? '' : `  [${edge.label}]`;
    const edges = drawing.edges.filter((e) => e.from === id);
    const mark = path.includes(id) ? ' (cycle)' : shown.has(id) && edges.length > 0 ? ' (see above)' : '';
    lines.push(`${prefix}${branch}${label.get(id) ?? id}${mark}${note}`);
    if (mark !== '') return;
    shown.add(id);
    const below = branch === '' ? '' : `${prefix}${branch.startsWith('`') ? '   ' : '|  '}`;
    for (const [at, e] of edges.entries()) visit(e.to, below, at === edges.length - 1 ? '`- ' : '|- ', e, [...path, id]);
  };
  const starts = roots ?? drawing.nodes.filter((n) => !targets.has(n.id)).map((n) => n.id);
  for (const id of starts) visit(id, '', '', null, []);
  // What only knots lead to is reached from no root.
  if (roots === undefined) for (const { id } of drawing.nodes) if (!shown.has(id)) visit(id, '', '', null, []);
  return lines.map((line) => `${line}\n`).join('');
}

/** A picture with layers, one below the other, a line where the zone changes. */
export function renderLayers(drawing: Drawing): string {
  const label = new Map(drawing.nodes.map((n) => [n.id, n.label]));
  const width = Math.max(0, ...drawing.layers.map((l) => l.name.length));
  const lines: string[] = [];
  let zone: string | null = null;
  for (const layer of drawing.layers) {
    if (zone !== null && zone !== layer.zone) lines.push(`${zone} ${'='.repeat(Math.max(0, 70 - zone.length))}`, layer.zone);
    zone = layer.zone;
    const nodes = drawing.nodes.filter((n) => n.layer === layer.name);
    if (nodes.length === 0) lines.push(`  ${layer.name.padEnd(width)}  -`);
    for (const [at, node] of nodes.entries()) {
      const down = drawing.edges.filter((e) => e.from === node.id).map((e) => `${label.get(e.to) ?? e.to}${e.label === undefined ? '' : ` (${e.label})`}`);
      lines.push(`  ${(at === 0 ? layer.name : '').padEnd(width)}  ${node.label}${down.length === 0 ? '' : ` -> ${down.join(', ')}`}`);
    }
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** A picture as text: layers when it has them, trees otherwise. */
export function renderText(drawing: Drawing): string {
  return drawing.layers.length > 0 ? renderLayers(drawing) : renderTree(drawing);
}

/** A picture as JSON, fields in a fixed order. */
export function renderJson(drawing: Drawing): string {
  return `${JSON.stringify({
    title: drawing.title,
    layers: drawing.layers.map((l) => ({ name: l.name, zone: l.zone })),
    nodes: drawing.nodes.map((n) => ({ id: n.id, kind: n.kind, label: n.label, layer: n.layer })),
    edges: drawing.edges.map((e) => ({ from: e.from, to: e.to, kind: e.kind, label: e.label })),
  }, null, 2)}\n`;
}
