/** Pictures of a live lab: which module needs which, and the device layers. */
import { drawDevices, drawModules, moduleGraph, renderDot, renderJson, renderText, type Drawing } from '@vdpalab/graph';
import { treeOf } from '@vdpalab/kmod';
import type { Lab } from '@vdpalab/lab';

/** How a picture is written. */
export const graphFormats = ['text', 'json', 'dot', 'svg'] as const;
export type GraphFormat = (typeof graphFormats)[number];

/**
 * The modules that are loaded, or of the whole tree when none is.
 *
 * @param brief edges say how many symbols they stand for, instead of naming some: readable as a picture
 */
export function modulePicture(lab: Lab, brief = false): Drawing {
  const loaded = new Set(lab.loader.modules().map((m) => m.name));
  const infos = lab.builtModules.map((m) => m.info).filter((info) => info.builtin || loaded.size === 0 || loaded.has(info.name));
  const graph = moduleGraph(treeOf(infos, lab.config.release));
  const drawing = drawModules(graph, loaded.size === 0 ? 'modules of the tree' : 'loaded modules');
  return brief ? { ...drawing, edges: graph.edges.map((e) => ({ from: e.from, to: e.to, kind: e.kind, label: String(e.symbols.length) })) } : drawing;
}

/** The layers from processes to hardware. */
export async function devicePicture(lab: Lab): Promise<Drawing> {
  const { nodes, edges } = await lab.layers();
  return drawDevices(nodes, edges, 'device layers');
}

/** A picture as a text, ending in a newline. */
export async function render(drawing: Drawing, format: GraphFormat): Promise<string> {
  const text = format === 'text' ? renderText(drawing)
    : format === 'json' ? renderJson(drawing)
      : format === 'dot' ? renderDot(drawing)
        : await (await import('@vdpalab/graph/svg')).renderSvg(drawing);
  return text.endsWith('\n') ? text : `${text}\n`;
}
