/** What the renderers draw: nodes and edges, ranked by layers or free. */

/** A node of a picture. */
export interface DrawnNode {
  readonly id: string;
  /** What sort of thing it is; pictures give each kind its shape. */
  readonly kind: string;
  readonly label: string;
  /** Name of one of the drawing's layers; absent where there are none. */
  readonly layer?: string | undefined;
}

/** An edge of a picture. */
export interface DrawnEdge {
  readonly from: string;
  readonly to: string;
  /** `soft` and `weak` are drawn dashed and dotted. */
  readonly kind?: string | undefined;
  readonly label?: string | undefined;
}

/** A layer, drawn as a rank. */
export interface Layer {
  readonly name: string;
  /** Zone it belongs to: where the zone changes, a line is drawn. */
  readonly zone: string;
}

/** A whole picture. */
export interface Drawing {
  readonly title: string;
  readonly nodes: readonly DrawnNode[];
  readonly edges: readonly DrawnEdge[];
  /** From top to bottom; empty for a graph without layers. */
  readonly layers: readonly Layer[];
}

/** @throws RangeError for a node twice, an edge to nowhere, or a layer that is none */
export function checkDrawing(drawing: Drawing): void {
  const ids = new Set<string>();
  const layers = new Set(drawing.layers.map((l) => l.name));
  for (const node of drawing.nodes) {
    if (ids.has(node.id)) throw new RangeError(`${drawing.title}: two nodes are called ${node.id}`);
    ids.add(node.id);
    if (layers.size > 0 && !layers.has(node.layer ?? '')) {
      throw new RangeError(`${drawing.title}: node ${node.id} is on layer ${node.layer ?? '(none)'}; the layers are ${[...layers].join(', ')}`);
    }
  }
  for (const { from, to } of drawing.edges) {
    for (const end of [from, to]) if (!ids.has(end)) throw new RangeError(`${drawing.title}: the edge ${from} -> ${to} ends at ${end}, which is no node`);
  }
}
