/** Addresses for BARs and bridge windows. Mirrors `drivers/pci/setup-{bus,res}.c` (Linux 6.1). */
import {
  PCI_BASE_ADDRESS_0, PCI_MEMORY_BASE, PCI_MEMORY_LIMIT, PCI_PREF_BASE_UPPER32, PCI_PREF_LIMIT_UPPER32,
  PCI_PREF_MEMORY_BASE, PCI_PREF_MEMORY_LIMIT, PCI_PREF_RANGE_TYPE_64, PCI_PREF_RANGE_TYPE_MASK, PCI_ROM_ADDRESS,
  PCI_SRIOV_BAR,
} from '@vdpalab/uapi';
import { writeBar } from './bar.ts';
import type { BridgeWindows, PciBus, PciFunction } from './function.ts';
import { formatResource, IORESOURCE_IO, IORESOURCE_MEM, IORESOURCE_MEM_64, IORESOURCE_PREFETCH, IORESOURCE_WINDOW, isAssigned, resourceName } from './ioresource.ts';
import type { Resource } from './ioresource.ts';
import { AddressWindow, roundUp } from './window.ts';
import type { PciRoot, PciWorld } from './world.ts';

const TWO_32 = 0x1_0000_0000;
/** Granularity of bridge windows, in bytes. */
const MIB = 0x10_0000;
/** Where the BARs of a function, its ROM and its VFs are counted from; `PCI_IOV_RESOURCES`. */
const ROM = 6;
const IOV = 7;
const BRIDGE_MEM = 14;
const BRIDGE_PREF = 15;

/** A BAR on its way to an address. */
interface Claim {
  readonly fn: PciFunction;
  /** Index as in messages and in the sysfs file `resource`. */
  readonly index: number;
  readonly res: Resource;
}

/** Keep what firmware assigned, and give the rest addresses. */
export function assignResources(world: PciWorld, root: PciRoot): undefined {
  claimBus(world, root, root.bus);
  sizeBridges(world, root, root.bus);
  assignBus(world, root, root.bus);
}

/** Give the addresses of a function back. */
export function releaseResources(root: PciRoot, fn: PciFunction): undefined {
  for (const { res } of claims(fn)) {
    if (!isAssigned(res)) continue;
    windowOf(root, fn.pciBus, res).release(res.start);
    res.start = 0;
  }
  if (fn.windows === null) return;
  const above = windowsOf(root, fn.pciBus);
  if (fn.windows.mem.size > 0) above.mem.release(fn.windows.mem.base);
  if (fn.windows.pref.size > 0) above.pref.release(fn.windows.pref.base);
}

/** The two windows BARs on a bus come from. */
function windowsOf(root: PciRoot, bus: PciBus): BridgeWindows {
  const windows = bus.self?.windows;
  if (windows !== null && windows !== undefined) return windows;
  return { mem: root.mem32, pref: root.mem64.size > 0 ? root.mem64 : root.mem32 };
}

/** Only what may be prefetched and has 64 bits goes high: a bridge's other window ends at 4 GiB. */
function windowOf(root: PciRoot, bus: PciBus, { flags }: Resource): AddressWindow {
  if ((flags & IORESOURCE_IO) !== 0) return root.io;
  const windows = windowsOf(root, bus);
  const high = (flags & IORESOURCE_PREFETCH) !== 0 && (flags & IORESOURCE_MEM_64) !== 0;
  return high ? windows.pref : windows.mem;
}

/** The BARs of a function, its VFs' included. */
function claims(fn: PciFunction): Claim[] {
  const all: Claim[] = fn.resource.map((res, index) => ({ fn, index, res }));
  fn.sriov?.resource.forEach((res, bar) => all.push({ fn, index: IOV + bar, res }));
  return fn.is_virtfn ? [] : all.filter(({ res }) => res.size > 0 && (res.flags & (IORESOURCE_MEM | IORESOURCE_IO)) !== 0);
}

/** What firmware left: bridges first, then what is behind them. @see arch/x86/pci/i386.c `pcibios_allocate_bus_resources` */
function claimBus(world: PciWorld, root: PciRoot, bus: PciBus): undefined {
  for (const fn of bus.devices) {
    if (fn.subordinate !== null && fn.windows === null) fn.windows = claimWindows(world, root, fn);
    for (const { res, index } of claims(fn)) {
      if (res.start === 0 || world.functions.at(fn.bus, fn.devfn)?.dev.sd !== null) continue;
      if (windowOf(root, bus, res).claim(res.start, res.size)) continue;
      world.k.dev_info(fn.dev, `${resourceName(index)} ${formatResource(res)}: can't claim; no compatible bridge window`);
      res.start = 0;
    }
    if (fn.subordinate !== null) claimBus(world, root, fn.subordinate);
  }
}

function claimWindows({ k }: PciWorld, root: PciRoot, fn: PciFunction): BridgeWindows {
  const above = windowsOf(root, fn.pciBus);
  const windows = readWindows(fn);
  const check = (window: AddressWindow, from: AddressWindow, index: number): AddressWindow => {
    if (window.size === 0) return window;
    // A root port that is open over everything leaves nothing to its neighbours: it gets a window of its own.
    if (fn.pciBus.parent === null && covers(window, from)) return new AddressWindow(0, 0);
    if (from.claim(window.base, window.size)) {
      k.dev_info(fn.dev, `  bridge window ${windowText(window, index)}`);
      return window;
    }
    k.dev_info(fn.dev, `${resourceName(index)} ${windowText(window, index)}: can't claim; no compatible bridge window`);
    return new AddressWindow(0, 0);
  };
  return { mem: check(windows.mem, above.mem, BRIDGE_MEM), pref: check(windows.pref, above.pref, BRIDGE_PREF) };
}

function covers(window: AddressWindow, from: AddressWindow): boolean {
  return window.base <= from.base && window.base + window.size >= from.base + from.size;
}

/** Give bridges without a window one that holds what is behind them, deepest first. @see `pbus_size_mem` */
function sizeBridges(world: PciWorld, root: PciRoot, bus: PciBus): undefined {
  for (const fn of bus.devices) {
    if (fn.subordinate === null || fn.windows === null) continue;
    // Windows of inner bridges are made from this one's, so this one is sized for all that is below.
    const needs = { mem: 0, pref: 0 };
    sumBelow(fn.subordinate, needs);
    const above = windowsOf(root, bus);
    makeWindow(world, fn, fn.windows.mem, above.mem, roundUp(needs.mem, MIB), BRIDGE_MEM);
    makeWindow(world, fn, fn.windows.pref, above.pref, roundUp(needs.pref, MIB), BRIDGE_PREF);
    writeWindows(fn);
    sizeBridges(world, root, fn.subordinate);
  }
}

/** Room for all BARs below, each with its alignment, windows rounded up. */
function sumBelow(bus: PciBus, needs: { mem: number; pref: number }): undefined {
  for (const fn of bus.devices) {
    for (const { res } of claims(fn)) {
      if ((res.flags & IORESOURCE_IO) !== 0) continue;
      const high = (res.flags & IORESOURCE_PREFETCH) !== 0 && (res.flags & IORESOURCE_MEM_64) !== 0;
      needs[high ? 'pref' : 'mem'] += roundUp(res.size, res.align) + res.align;
    }
    if (fn.subordinate === null) continue;
    sumBelow(fn.subordinate, needs);
    needs.mem = roundUp(needs.mem, MIB);
    needs.pref = roundUp(needs.pref, MIB);
  }
}

function makeWindow(
  { k }: PciWorld, fn: PciFunction, window: AddressWindow, above: AddressWindow, size: number, index: number,
): undefined {
  if (window.size > 0 || size === 0) return;
  const base = above.alloc(size, MIB);
  if (base === 0) {
    k.dev_info(fn.dev, `${resourceName(index)} ${windowText({ base: 0, size }, index)}: can't assign; no space`);
    return;
  }
  window.base = base;
  window.size = size;
  k.dev_info(fn.dev, `${resourceName(index)} ${windowText(window, index)}: assigned`);
}

/** The largest alignment first, so that no room is lost between. @see `__assign_resources_sorted` */
function assignBus(world: PciWorld, root: PciRoot, bus: PciBus): undefined {
  const wanted = bus.devices.flatMap(claims).filter(({ res }) => res.start === 0);
  for (const { fn, index, res } of wanted.toSorted((a, b) => b.res.align - a.res.align)) {
    const start = windowOf(root, bus, res).alloc(res.size, res.align);
    if (start === 0) {
      world.k.dev_info(fn.dev, `${resourceName(index)} ${formatResource(res)}: can't assign; no space`);
      world.k.dev_info(fn.dev, `${resourceName(index)} ${formatResource(res)}: failed to assign`);
      continue;
    }
    res.start = start;
    world.k.dev_info(fn.dev, `${resourceName(index)} ${formatResource(res)}: assigned`);
    writeBar(fn.config, registerOf(fn, index), res);
  }
  for (const fn of bus.devices) {
    if (fn.subordinate !== null) assignBus(world, root, fn.subordinate);
  }
}

function registerOf(fn: PciFunction, index: number): number {
  if (index === ROM) return PCI_ROM_ADDRESS;
  return index < ROM ? PCI_BASE_ADDRESS_0 + 4 * index : fn.sriov!.pos + PCI_SRIOV_BAR + 4 * (index - IOV);
}

/** @see drivers/pci/probe.c `pci_read_bridge_mmio`, `pci_read_bridge_mmio_pref` */
function readWindows({ config }: PciFunction): BridgeWindows {
  const window = (base: number, limit: number): AddressWindow =>
    (base > 0 && base <= limit ? new AddressWindow(base, limit + MIB - base) : new AddressWindow(0, 0));
  const part = (where: number): number => (config.read(where, 2) & 0xfff0) * 0x1_0000;
  const wide = (config.read(PCI_PREF_MEMORY_BASE, 2) & PCI_PREF_RANGE_TYPE_MASK) === PCI_PREF_RANGE_TYPE_64;
  const high = (where: number): number => (wide ? config.read(where, 4) * TWO_32 : 0);
  return {
    mem: window(part(PCI_MEMORY_BASE), part(PCI_MEMORY_LIMIT)),
    pref: window(part(PCI_PREF_MEMORY_BASE) + high(PCI_PREF_BASE_UPPER32), part(PCI_PREF_MEMORY_LIMIT) + high(PCI_PREF_LIMIT_UPPER32)),
  };
}

/** A closed window has its base above its limit. @see `pci_setup_bridge_mmio`, `pci_setup_bridge_mmio_pref` */
function writeWindows({ config, windows }: PciFunction): undefined {
  const { mem, pref } = windows!;
  const part = (address: number): number => Math.floor((address % TWO_32) / 0x1_0000) & 0xfff0;
  const last = (window: AddressWindow): number => window.base + window.size - 1;
  config.write(PCI_MEMORY_BASE, 2, mem.size > 0 ? part(mem.base) : 0xfff0);
  config.write(PCI_MEMORY_LIMIT, 2, mem.size > 0 ? part(last(mem)) : 0);
  config.write(PCI_PREF_MEMORY_BASE, 2, pref.size > 0 ? part(pref.base) : 0xfff0);
  config.write(PCI_PREF_MEMORY_LIMIT, 2, pref.size > 0 ? part(last(pref)) : 0);
  config.write(PCI_PREF_BASE_UPPER32, 4, pref.size > 0 ? Math.floor(pref.base / TWO_32) : 0);
  config.write(PCI_PREF_LIMIT_UPPER32, 4, pref.size > 0 ? Math.floor(last(pref) / TWO_32) : 0);
}

function windowText({ base, size }: { base: number; size: number }, index: number): string {
  const flags = IORESOURCE_MEM | (index === BRIDGE_PREF ? IORESOURCE_PREFETCH | IORESOURCE_MEM_64 : 0);
  return formatResource({ start: base, size, flags: base > 0 ? flags : flags | IORESOURCE_WINDOW });
}
