/** The device layers, ranked as in the overview picture of the vDPA framework: process on top, hardware at the bottom. */
import type { Drawing, DrawnEdge, DrawnNode, Layer } from './drawing.ts';
import { checkDrawing } from './drawing.ts';

/** Layers of the picture, from top to bottom. */
export const DEVICE_LAYERS = [
  { name: 'process', zone: 'userspace' },
  { name: 'subsystem', zone: 'kernel' }, // VFIO, vhost, virtio
  { name: 'bus-driver', zone: 'kernel' }, // vhost-mdev, vhost-vdpa, virtio-vdpa
  { name: 'bus', zone: 'kernel' }, // devices on the vdpa bus
  { name: 'parent', zone: 'kernel' }, // drivers of what is below
  { name: 'hardware', zone: 'hardware' }, // PF, VF, ADI, subfunction
] as const satisfies readonly Layer[];

/** Name of a layer of the device picture. */
export type DeviceLayer = (typeof DEVICE_LAYERS)[number]['name'];

/** A thing in the device picture. */
export interface DeviceNode extends DrawnNode {
  readonly layer: DeviceLayer;
}

/** A device picture; edges point downwards. @throws RangeError for a node twice, an edge to nowhere, an unknown layer */
export function drawDevices(nodes: readonly DeviceNode[], edges: readonly DrawnEdge[], title = 'devices'): Drawing {
  const drawing: Drawing = { title, nodes, edges, layers: DEVICE_LAYERS };
  checkDrawing(drawing);
  return drawing;
}
