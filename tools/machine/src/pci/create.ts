/** Builds everything PCI from the lab file: bridges, networks, functions. */
import { ConnectxFunction } from '../connectx/function.ts';
import type { ConnectxFunctionConfig } from '../connectx/config.ts';
import type { GenericFunctionConfig } from '../generic/config.ts';
import { GenericFunction } from '../generic/function.ts';
import type { HwMachine } from '../machine.ts';
import { N3000Pf } from '../n3000/pf.ts';
import type { N3000FunctionConfig } from '../n3000/config.ts';
import { framePoolBeside } from '../net/frame-pool.ts';
import type { FramePool } from '../net/frame-pool.ts';
import { Responder } from '../net/responder/index.ts';
import type { ResponderConfig } from '../net/responder/index.ts';
import { EthernetSwitch } from '../net/switch.ts';
import { Wire } from '../net/wire.ts';
import { SiovFunction } from '../siov/function.ts';
import type { SiovFunctionConfig } from '../siov/config.ts';
import { VirtioBlkFunction } from '../virtio/plain-blk.ts';
import type { VirtioBlkConfig, VirtioNetConfig } from '../virtio/plain-config.ts';
import { VirtioNetFunction } from '../virtio/plain-net.ts';
import { HostBridge, RootPort } from './bridge.ts';
import { parseBdf } from './function.ts';
import type { PciFunction } from './function.ts';
import { PciBusHost } from './host.ts';
import type { FunctionConfig, ModelContext, PciModel } from './model.ts';

/** The functions a lab file may name: one interface for each model. */
export type ModelConfig = N3000FunctionConfig | SiovFunctionConfig | ConnectxFunctionConfig | VirtioNetConfig | VirtioBlkConfig | GenericFunctionConfig;

/** A root port of the lab file. */
export interface RootPortConfig {
  /** `00:01.0` */
  readonly at: string;
  readonly bus: number;
  readonly buses: number;
  readonly acs: boolean;
}

/** `pci:` of the lab file. */
export interface PciConfig {
  readonly root_ports: readonly RootPortConfig[];
  readonly functions: readonly ModelConfig[];
}

/** An entry of `networks:`. */
export interface NetworkConfig {
  readonly name: string;
  readonly kind: 'switch' | 'wire';
  /** Hosts on it that answer. */
  readonly responders?: readonly ResponderConfig[];
}

/** A new model is one more line here, and one more interface in {@link ModelConfig}. */
const MODELS: { readonly [M in ModelConfig['model']]: PciModel<Extract<ModelConfig, { model: M }>> } = {
  n3000: (context, config) => new N3000Pf(context, config),
  siov: (context, config) => new SiovFunction(context, config),
  connectx: (context, config) => new ConnectxFunction(context, config),
  'virtio-net': (context, config) => new VirtioNetFunction(context, config),
  'virtio-blk': (context, config) => new VirtioBlkFunction(context, config),
  generic: (context, config) => new GenericFunction(context, config),
};

/** What was built. */
export interface PciSystem {
  readonly host: PciBusHost;
  /** The functions of the lab file, by bdf; virtual functions are asked for with {@link PciSystem.find}. */
  readonly functions: ReadonlyMap<string, PciFunction>;
  /** The function at a bdf now, bridges and virtual functions included. */
  readonly find: (bdf: string) => PciFunction | null;
  readonly networks: ReadonlyMap<string, EthernetSwitch | Wire>;
  /** Hosts on the networks that answer, by name. */
  readonly responders: ReadonlyMap<string, Responder>;
  /** Frames in flight. */
  readonly frames: FramePool;
}

/**
 * Build the PCI part of a machine, plug it into the machine, and leave it as firmware does: bus numbers assigned, BARs
 * not, nothing decoding.
 *
 * @param pci `pci` of a checked lab file
 * @param networks `networks` of a checked lab file
 * @throws RangeError when two functions, virtual ones included, share an address
 */
export function createPciHost(hw: HwMachine, pci: PciConfig, networks: readonly NetworkConfig[] = []): PciSystem {
  checkAddresses(pci);
  const frames = framePoolBeside(hw.ram.regions[0]);
  const byName = new Map(networks.map(({ name, kind }) => [name, kind === 'wire'
    ? new Wire(name, hw.sched, frames)
    : new EthernetSwitch(name, hw.sched, frames)] as const));
  const responders = new Map<string, Responder>();
  for (const { name, responders: configs = [] } of networks) {
    for (const config of configs) {
      const port = byName.get(name)?.attach(config.name) ?? null;
      if (port === null) throw new RangeError(`responder ${config.name}: no end of ${name} is free`);
      responders.set(config.name, new Responder(config, port, hw.sched));
    }
  }
  const host = new PciBusHost(hw);
  const taken = new Set([...pci.root_ports, ...pci.functions].map((f) => f.at));
  if (!taken.has('00:00.0')) host.plug(new HostBridge({ hw, space: host, bus: 0, devfn: 0 }));
  for (const port of pci.root_ports) host.plug(new RootPort({ hw, space: host, ...parseBdf(port.at) }, port, (from, to) => host.resetBuses(from, to)));
  const functions = new Map<string, PciFunction>();
  for (const config of pci.functions) {
    const site = { hw, space: host, ...parseBdf(config.at) };
    const context = {
      site, host, networks: byName, multifunction: sharesDevice(config, pci.functions), nextFunction: nextFunction(config, pci.functions),
    };
    const fn = build(context, config);
    host.plug(fn);
    functions.set(config.at, fn);
  }
  hw.setPci(host);
  return {
    host, functions, networks: byName, responders, frames,
    find(bdf) {
      const { bus, devfn } = parseBdf(bdf);
      return host.at((bus << 8) | devfn);
    },
  };
}

function build(context: ModelContext, config: ModelConfig): PciFunction {
  const make: PciModel<never> = MODELS[config.model];
  return make(context, config as never); // the model of this config, found by its name
}

function sharesDevice(config: FunctionConfig, all: readonly FunctionConfig[]): boolean {
  const device = config.at.slice(0, -1);
  return all.some((other) => other !== config && other.at.startsWith(device));
}

function nextFunction(config: FunctionConfig, all: readonly FunctionConfig[]): number {
  const own = parseBdf(config.at);
  const above = all.map((other) => parseBdf(other.at)).filter(({ bus, devfn }) => bus === own.bus && devfn > own.devfn);
  return above.length === 0 ? 0 : Math.min(...above.map(({ devfn }) => devfn));
}

/** Routing ids of bridges, functions and the virtual functions there may be: all different. */
function checkAddresses(pci: PciConfig): undefined {
  const owners = new Map<number, string>();
  const claim = (rid: number, owner: string): undefined => {
    const other = owners.get(rid);
    if (other !== undefined) throw new RangeError(`PCI: ${owner} and ${other} share routing id 0x${rid.toString(16)}`);
    if (rid > 0xffff) throw new RangeError(`PCI: ${owner} is beyond the last bus`);
    owners.set(rid, owner);
  };
  const ridOf = (bdf: string): number => {
    const { bus, devfn } = parseBdf(bdf);
    return (bus << 8) | devfn;
  };
  for (const port of pci.root_ports) claim(ridOf(port.at), port.at);
  for (const fn of pci.functions) claim(ridOf(fn.at), fn.at);
  for (const config of pci.functions) {
    if (!('sriov' in config)) continue;
    const { at, sriov } = config;
    for (let i = 0; i < sriov.total; i++) claim(ridOf(at) + sriov.offset + i * sriov.stride, `VF ${i} of ${at}`);
  }
}
