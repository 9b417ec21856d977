/** Pictures in Graphviz' language. */
import type { Drawing } from './drawing.ts';

const SHAPE: Readonly<Record<string, string>> = {
  builtin: 'shape=box, style="rounded,dashed"', process: 'shape=box, peripheries=2', bus: 'shape=cds', hardware: 'shape=box3d', device: 'shape=box',
};
const LINE: Readonly<Record<string, string>> = { soft: 'style=dashed', weak: 'style=dotted' };

/** A quoted name. */
function quote(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}

/** A picture as DOT; layers become ranks, held in order by a chain of their names. */
export function renderDot(drawing: Drawing): string {
  const lines = [`digraph ${quote(drawing.title)} {`, '  rankdir=TB;', '  node [shape=box, style=rounded, fontname="sans-serif", fontsize=11];', '  edge [fontname="sans-serif", fontsize=9];'];
  const layerId = (name: string): string => quote(`layer: ${name}`);
  for (const layer of drawing.layers) lines.push(`  ${layerId(layer.name)} [label=${quote(layer.name)}, shape=plaintext];`);
  for (const [at, layer] of drawing.layers.slice(1).entries()) {
    const above = drawing.layers[at];
    if (above !== undefined) lines.push(`  ${layerId(above.name)} -> ${layerId(layer.name)} [style=${above.zone === layer.zone ? 'invis' : 'dotted, arrowhead=none'}];`);
  }
  for (const n of drawing.nodes) {
    const shape = SHAPE[n.kind];
    lines.push(`  ${quote(n.id)} [label=${quote(n.label)}${shape === undefined ? '' : `, ${shape}`}];`);
  }
  for (const layer of drawing.layers) {
    const members = drawing.nodes.filter((n) => n.layer === layer.name).map((n) => quote(n.id));
    lines.push(`  { rank=same; ${[layerId(layer.name), ...members].join('; ')}; }`);
  }
  for (const e of drawing.edges) {
    const attributes = [...(e.label === undefined || e.label === '' ? [] : [`label=${quote(e.label)}`]), ...(e.kind !== undefined && LINE[e.kind] !== undefined ? [LINE[e.kind]] : [])];
    lines.push(`  ${quote(e.from)} -> ${quote(e.to)}${attributes.length === 0 ? '' : ` [${attributes.join(', ')}]`};`);
  }
  return `${lines.join('\n')}\n}\n`;
}
