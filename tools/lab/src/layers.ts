/**
 * The device layers of a live lab, from processes down to hardware, as the overview of the vDPA framework draws them.
 *
 * Plain nodes and edges; `tools/graph` draws them.
 */
import type { KernelSymbols } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { Process } from '@vdpalab/fs';
import type { MdevDevice } from '@vdpalab/mdev-core';

/** Layers, top to bottom. */
export type LayerName = 'process' | 'subsystem' | 'bus-driver' | 'bus' | 'parent' | 'hardware';

/** A thing on a layer. */
export interface LayerNode {
  readonly id: string;
  readonly kind: string;
  readonly label: string;
  readonly layer: LayerName;
}

/** Who stands on whom. */
export interface LayerEdge {
  readonly from: string;
  readonly to: string;
  readonly label?: string;
}

/** A picture's worth of a lab. */
export interface DeviceLayers {
  readonly nodes: readonly LayerNode[];
  readonly edges: readonly LayerEdge[];
}

/** What is asked of the kernel; each may be absent while its module is. */
type Ask = <S extends keyof KernelSymbols & string>(name: S) => KernelSymbols[S] | undefined;

/** Collects nodes once each. */
class Picture {
  readonly #nodes = new Map<string, LayerNode>();
  readonly #edges: LayerEdge[] = [];

  node(layer: LayerName, kind: string, name: string, label = name): string {
    const id = `${kind}:${name}`;
    if (!this.#nodes.has(id)) this.#nodes.set(id, { id, kind, label, layer });
    return id;
  }

  edge(from: string, to: string, label?: string): void {
    if (this.#edges.some((e) => e.from === from && e.to === to)) return;
    this.#edges.push(label === undefined ? { from, to } : { from, to, label });
  }

  done(): DeviceLayers {
    return { nodes: [...this.#nodes.values()], edges: this.#edges };
  }
}

const ofBus = (devices: readonly Device[], bus: string): Device[] => devices.filter((d) => d.bus?.name === bus);

/** Buses whose devices are slices of the hardware they stand on, and what such a slice is called. */
const SLICES: Readonly<Record<string, readonly [kind: string, title: string]>> = { mdev: ['adi', 'ADI'], auxiliary: ['sf', 'SF'] };

/** What a device is: a slice of a function, or a function with its PCI address, virtual or not. */
function hardware(picture: Picture, ask: Ask, dev: Device): string {
  const [kind, title] = SLICES[dev.bus?.name ?? ''] ?? [];
  if (kind !== undefined && dev.parent !== null) {
    const slice = picture.node('hardware', kind, dev.name, `${title} ${dev.name}`);
    picture.edge(slice, hardware(picture, ask, dev.parent), 'of');
    return slice;
  }
  const pdev = ask('pci_devices')?.().find((p) => p.dev === dev);
  if (pdev === undefined) return picture.node('hardware', 'device', dev.name);
  if (pdev.physfn === null) return picture.node('hardware', 'pf', dev.name, `PF ${dev.name}`);
  const vf = picture.node('hardware', 'vf', dev.name, `VF ${dev.name}`);
  picture.edge(vf, picture.node('hardware', 'pf', pdev.physfn.dev.name, `PF ${pdev.physfn.dev.name}`), 'of');
  return vf;
}

/** The virtio device that a bus driver made of a vDPA device, with the interface on top. */
function virtioFace(picture: Picture, ask: Ask, devices: readonly Device[], dmaDev: Device, driver: string): void {
  for (const virtio of ofBus(devices, 'virtio').filter((d) => d.parent === dmaDev)) {
    const drv = virtio.driver?.name;
    const net = ask('netdevs')?.().find((n) => n.dev.parent === virtio);
    const label = [virtio.name, drv, net?.name].filter((part) => part !== undefined).join(' · ');
    picture.edge(picture.node('subsystem', 'virtio', virtio.name, label), driver);
  }
}

/** The processes that have a file open, above what it stands for. */
function usedBy(picture: Picture, processes: readonly Process[], path: string, below: string): void {
  for (const proc of processes) {
    if (![...proc.files.values()].some((file) => file.path === path)) continue;
    picture.edge(picture.node('process', 'process', String(proc.pid), `${proc.comm}[${proc.pid}]`), below);
  }
}

/** The character device of a vDPA device, with the processes that have it open. */
function vhostFace(picture: Picture, processes: readonly Process[], vdpa: Device, devices: readonly Device[], driver: string): void {
  for (const chr of devices.filter((d) => d.parent === vdpa && d.devt !== null)) {
    const vhost = picture.node('subsystem', 'vhost', chr.name, `/dev/${chr.name}`);
    picture.edge(vhost, driver);
    usedBy(picture, processes, `/dev/${chr.name}`, vhost);
  }
}

/** The VFIO device of a device, by its group's node, with the processes that have that open. */
function vfioFace(picture: Picture, processes: readonly Process[], dev: Device, devices: readonly Device[], driver: string): void {
  if (!devices.some((d) => d.parent === dev && d.class?.name === 'vfio-dev')) return;
  const path = `/dev/vfio/${dev.iommu_group?.id}`;
  const vfio = picture.node('subsystem', 'vfio', path);
  picture.edge(vfio, driver);
  usedBy(picture, processes, path, vfio);
}

/** A mediated device on its vendor's driver. @returns what VFIO stands on: the bus driver, or the device where its vendor drives it */
function mediated(picture: Picture, ask: Ask, { dev, uuid, parent }: MdevDevice): string {
  const vendor = parent.mdev_driver?.driver.name ?? parent.ops?.owner.name ?? 'software';
  const bus = picture.node('bus', 'mdev', uuid);
  const below = picture.node('parent', 'parent', `${vendor}@${parent.dev.name}`, vendor);
  picture.edge(bus, below);
  picture.edge(below, hardware(picture, ask, parent.dev));
  if (dev.driver === null || dev.driver.name === vendor) return bus;
  const driver = picture.node('bus-driver', 'bus-driver', `${dev.driver.name}@${uuid}`, dev.driver.name);
  picture.edge(driver, bus);
  return driver;
}

/** A function that VFIO's own driver has. @returns the driver */
function assigned(picture: Picture, ask: Ask, dev: Device): string {
  const driver = picture.node('parent', 'parent', `${dev.driver?.name}@${dev.name}`, dev.driver?.name);
  picture.edge(driver, hardware(picture, ask, dev));
  return driver;
}

/** Read the layers off a kernel. Called inside a task. */
export function deviceLayers(ask: Ask): DeviceLayers {
  const picture = new Picture();
  const devices = ask('all_devices')?.() ?? [];
  const processes = ask('processes')?.() ?? [];
  for (const mgmt of ask('vdpa_mgmtdevs')?.() ?? []) {
    const parent = mgmt.device;
    const driver = picture.node('parent', 'parent', `${parent.driver?.name ?? 'software'}@${parent.name}`, parent.driver?.name ?? 'software');
    picture.edge(driver, hardware(picture, ask, parent));
  }
  for (const dev of ofBus(devices, 'vdpa')) {
    const vdev = ask('dev_to_vdpa')?.(dev);
    if (vdev === undefined) continue;
    const bus = picture.node('bus', 'vdpa', dev.name);
    const parent = vdev.mdev?.device ?? vdev.dma_dev;
    const below = picture.node('parent', 'parent', `${parent.driver?.name ?? 'software'}@${parent.name}`, parent.driver?.name ?? 'software');
    picture.edge(bus, below);
    picture.edge(below, hardware(picture, ask, parent));
    if (dev.driver === null) continue;
    const driver = picture.node('bus-driver', 'bus-driver', `${dev.driver.name}@${dev.name}`, dev.driver.name);
    picture.edge(driver, bus);
    virtioFace(picture, ask, devices, vdev.dma_dev, driver);
    vhostFace(picture, processes, dev, devices, driver);
    vfioFace(picture, processes, dev, devices, driver);
  }
  for (const { parent: dev } of devices.filter((d) => d.class?.name === 'vfio-dev')) {
    if (dev === null || dev.bus?.name === 'vdpa') continue; // drawn above
    const mdev = ask('mdev_from_dev')?.(dev) ?? null;
    vfioFace(picture, processes, dev, devices, mdev === null ? assigned(picture, ask, dev) : mediated(picture, ask, mdev));
  }
  return picture.done();
}
