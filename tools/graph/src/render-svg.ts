/** Pictures as SVG; in a file of its own, so that text output does not load Graphviz. */
import { instance } from '@viz-js/viz';
import type { Drawing } from './drawing.ts';
import { renderDot } from './render-dot.ts';

/** A picture as an SVG document. */
export async function renderSvg(drawing: Drawing): Promise<string> {
  const viz = await instance();
  return viz.renderString(renderDot(drawing), { format: 'svg' });
}
