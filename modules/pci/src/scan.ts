/** Finding functions. Mirrors `drivers/pci/probe.c` (Linux 6.1): `pci_scan_child_bus`, `pci_scan_slot`, `pci_setup_device`. */
import type { PciHost } from '@vdpalab/abi';
import {
  PCI_ARI_CAP, PCI_BASE_ADDRESS_0, PCI_DEVFN, PCI_EXP_DEVCAP2, PCI_EXP_DEVCAP2_ARI, PCI_EXP_DEVCTL2,
  PCI_EXP_DEVCTL2_ARI, PCI_EXP_TYPE_DOWNSTREAM, PCI_EXP_TYPE_ROOT_PORT, PCI_EXT_CAP_ID_ARI, PCI_HEADER_TYPE_BRIDGE,
  PCI_ROM_ADDRESS, PCI_SECONDARY_BUS, PCI_STD_NUM_BARS, PCI_SUBORDINATE_BUS,
} from '@vdpalab/uapi';
import { enableAcs } from './acs.ts';
import { readBars, readRom } from './bar.ts';
import { findExtCapability } from './capability.ts';
import { configSpace } from './config.ts';
import { answers, configSize, pcieCapability, pcieType, readFacts } from './facts.ts';
import { PciFunction, pciName } from './function.ts';
import type { PciBus } from './function.ts';
import { formatResource, noResource, resourceName } from './ioresource.ts';
import { readSriov } from './sriov-capability.ts';
import type { PciWorld } from './world.ts';

const BRIDGE_BARS = 2;

/**
 * Find what is new on a bus and behind its bridges; nothing is in sysfs yet.
 *
 * @returns the new functions, those of a bus before those behind its bridges
 */
export async function scanBus(world: PciWorld, host: PciHost, bus: PciBus): Promise<PciFunction[]> {
  const found: PciFunction[] = [];
  // Below a port there is only one device, whose functions may take the whole bus.
  const slots = bus.self !== null && isPort(bus.self) ? 1 : 32;
  for (let slot = 0; slot < slots; slot++) found.push(...await scanSlot(world, host, bus, slot));
  for (const fn of bus.devices) {
    if (fn.headerType === PCI_HEADER_TYPE_BRIDGE) found.push(...await scanBridge(world, host, fn));
  }
  return found;
}

async function scanSlot(world: PciWorld, host: PciHost, bus: PciBus, slot: number): Promise<PciFunction[]> {
  const found: PciFunction[] = [];
  let devfn: number | null = PCI_DEVFN(slot, 0);
  while (devfn !== null) {
    const known = world.functions.at(bus.number, devfn);
    const fn: PciFunction | null = known ?? await scanFunction(world, host, bus, devfn);
    if (fn !== null && known === null) found.push(fn);
    if (fn === null && (devfn & 7) === 0) break;
    devfn = nextFunction(bus, devfn, fn ?? bus.devices.find((one) => one.devfn === PCI_DEVFN(slot, 0)) ?? null);
  }
  return found;
}

/** @see `next_fn`, `next_ari_fn` */
function nextFunction(bus: PciBus, devfn: number, fn: PciFunction | null): number | null {
  if (fn === null) return null;
  if (bus.self !== null && ariEnabled(bus.self)) {
    const pos = findExtCapability(fn.config, PCI_EXT_CAP_ID_ARI);
    const next = pos === 0 ? 0 : fn.config.read(pos + PCI_ARI_CAP, 2) >>> 8;
    if (next > devfn) return next;
    // A chain that ends is believed, unless function 0 says itself that it is not alone; Linux looks no further.
  }
  return fn.multifunction && (devfn & 7) < 7 ? devfn + 1 : null;
}

/** Find one function and make its device. @see `pci_scan_single_device` */
async function scanFunction(world: PciWorld, host: PciHost, bus: PciBus, devfn: number): Promise<PciFunction | null> {
  const config = configSpace(host, bus.number, devfn);
  if (!answers(config)) return null;
  const facts = readFacts(config);
  if (facts === null) {
    const name = pciName(host.domain, bus.number, devfn);
    world.k._printk(3, `pci ${name}: unknown header type, ignoring device`);
    return null;
  }
  const pcieCap = pcieCapability(config);
  const bridge = facts.headerType === PCI_HEADER_TYPE_BRIDGE;
  const bars = readBars(config, PCI_BASE_ADDRESS_0, bridge ? BRIDGE_BARS : PCI_STD_NUM_BARS);
  while (bars.length < PCI_STD_NUM_BARS) bars.push(noResource());
  const rom = bridge ? noResource() : readRom(config, PCI_ROM_ADDRESS);
  const at = { domain: host.domain, bus: bus.number, devfn, pciBus: bus, config, pcieCap, cfgSize: configSize(config, pcieCap) };
  const multifunction = facts.multifunction || (devfn & 7) > 0;
  const fn = new PciFunction(at, { ...facts, multifunction }, null, [...bars, rom]);
  makeDevice(world, fn, bus.self?.dev ?? world.root!.dev);
  announce(world, fn);
  configureAri(fn);
  if (world.k.iommu_present()) enableAcs(fn);
  const ari = bus.self !== null && ariEnabled(bus.self);
  fn.sriov = await readSriov({ config, pcieCap, devfn, ari, msleep: world.k.msleep });
  announceVfBars(world, fn);
  bus.devices.push(fn);
  world.functions.add(fn);
  return fn;
}

/** Make the function's device, not in sysfs yet. */
export function makeDevice(world: PciWorld, fn: PciFunction, parent: PciFunction['dev']): undefined {
  fn.dev = world.k.device_initialize({ name: fn.name, parent, bus: world.bus });
}

/** Look behind a bridge, at the bus numbers firmware gave it. @see `pci_scan_bridge` */
async function scanBridge(world: PciWorld, host: PciHost, fn: PciFunction): Promise<PciFunction[]> {
  if (fn.subordinate === null) {
    const secondary = fn.config.read(PCI_SECONDARY_BUS, 1);
    const last = fn.config.read(PCI_SUBORDINATE_BUS, 1);
    if (secondary <= fn.bus || last < secondary || last > fn.pciBus.busnEnd) {
      world.k.dev_info(fn.dev, `bridge configuration invalid (${busRange(secondary, last)})`);
      return [];
    }
    fn.subordinate = { number: secondary, busnEnd: last, self: fn, parent: fn.pciBus, devices: [] };
    world.k.dev_info(fn.dev, `PCI bridge to ${busRange(secondary, last)}`);
  }
  return await scanBus(world, host, fn.subordinate);
}

/** `[bus 07-0a]` */
export function busRange(first: number, last: number): string {
  const hex = (bus: number): string => bus.toString(16).padStart(2, '0');
  return first === last ? `[bus ${hex(first)}]` : `[bus ${hex(first)}-${hex(last)}]`;
}

function isPort(fn: PciFunction): boolean {
  const type = pcieType(fn.config, fn.pcieCap);
  return type === PCI_EXP_TYPE_ROOT_PORT || type === PCI_EXP_TYPE_DOWNSTREAM;
}

/** Whether the bridge forwards by routing id. */
export function ariEnabled(bridge: PciFunction): boolean {
  return bridge.pcieCap !== 0 && (bridge.config.read(bridge.pcieCap + PCI_EXP_DEVCTL2, 2) & PCI_EXP_DEVCTL2_ARI) !== 0;
}

/** Forwarding by routing id, where function 0 and the bridge above can. @see drivers/pci/pci.c `pci_configure_ari` */
function configureAri(fn: PciFunction): undefined {
  const bridge = fn.pciBus.self;
  if (fn.pcieCap === 0 || fn.devfn !== 0 || bridge === null || bridge.pcieCap === 0) return;
  if ((bridge.config.read(bridge.pcieCap + PCI_EXP_DEVCAP2, 4) & PCI_EXP_DEVCAP2_ARI) === 0) return;
  const reg = bridge.pcieCap + PCI_EXP_DEVCTL2;
  const able = findExtCapability(fn.config, PCI_EXT_CAP_ID_ARI) !== 0;
  const control = bridge.config.read(reg, 2) & ~PCI_EXP_DEVCTL2_ARI;
  bridge.config.write(reg, 2, able ? control | PCI_EXP_DEVCTL2_ARI : control);
}

/** What dmesg shows of a function that was found. */
export function announce({ k }: PciWorld, fn: PciFunction): undefined {
  k.dev_info(fn.dev, `[${hex4(fn.vendor)}:${hex4(fn.device)}] type ${hex2(fn.headerType)} class 0x${hex6(fn.class)}`);
  if (fn.is_virtfn) return; // its BARs are its physical function's
  fn.resource.forEach((res, bar) => {
    if (res.size > 0) k.dev_info(fn.dev, `${resourceName(bar)} ${formatResource(res, false)}`);
  });
}

function announceVfBars({ k }: PciWorld, fn: PciFunction): undefined {
  const { sriov } = fn;
  sriov?.resource.forEach((res, bar) => {
    if (res.size === 0) return;
    k.dev_info(fn.dev, `VF BAR ${bar} ${formatResource({ ...res, size: res.align }, false)}`);
    k.dev_info(fn.dev, `VF BAR ${bar} ${formatResource(res, false)}: contains BAR ${bar} for ${sriov.totalVfs} VFs`);
  });
}

function hex2(value: number): string {
  return value.toString(16).padStart(2, '0');
}

function hex4(value: number): string {
  return value.toString(16).padStart(4, '0');
}

function hex6(value: number): string {
  return value.toString(16).padStart(6, '0');
}
