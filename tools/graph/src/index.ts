/** Questions about a module tree and the device layers, as text, JSON, DOT and SVG. SVG: `@vdpalab/graph/svg`. */
export { DEVICE_LAYERS, drawDevices } from './device-drawing.ts';
export type { DeviceLayer, DeviceNode } from './device-drawing.ts';
export { checkDrawing } from './drawing.ts';
export type { Drawing, DrawnEdge, DrawnNode, Layer } from './drawing.ts';
export * from './explain.ts';
export { drawModules } from './module-drawing.ts';
export { moduleGraph, nodeOf } from './module-graph.ts';
export type { ModuleEdge, ModuleGraph, ModuleGraphOptions, ModuleNode, SymbolNode } from './module-graph.ts';
export * from './questions.ts';
export { renderDot } from './render-dot.ts';
export { renderJson, renderLayers, renderText, renderTree } from './render-text.ts';
