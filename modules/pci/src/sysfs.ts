/** Attributes of a function. Mirrors `drivers/pci/pci-sysfs.c` (Linux 6.1). */
import type { Attribute, AttributeGroup, Device } from '@vdpalab/driver-core';
import { PCI_HEADER_TYPE_BRIDGE, PCI_PREF_RANGE_TYPE_64, PCI_SRIOV_NUM_BARS, pciModalias } from '@vdpalab/uapi';
import { configAttribute } from './config-file.ts';
import type { PciFunction } from './function.ts';
import { IORESOURCE_MEM, IORESOURCE_MEM_64, IORESOURCE_PREFETCH, noResource, resourceLine } from './ioresource.ts';
import type { Resource } from './ioresource.ts';
import { linkAttributes } from './link.ts';
import { resetMethodAttribute, supportedMethods } from './reset-methods.ts';
import { resourceAttributes } from './resource-file.ts';
import { sriovAttributes } from './sriov-sysfs.ts';
import { ariEnabled } from './scan.ts';
import { storeBrokenParity, storeD3coldAllowed, storeEnable, storeMsiBus, storeNumaNode, storeRemove, storeRescan, storeReset } from './store.ts';
import type { PciWorld } from './world.ts';

/** What a device can address that says nothing. */
const DEFAULT_DMA_MASK = 0xffff_ffff;

/** All attributes of functions. */
export function deviceGroups(world: PciWorld): AttributeGroup<Device>[] {
  const of = (dev: Device): PciFunction => world.functions.of(dev);
  const text = (name: string, show: (fn: PciFunction) => string): Attribute<Device> =>
    ({ name, mode: 0o444, show: async (dev) => `${show(of(dev))}\n` });
  const bridge = (attr: Attribute<Device>): Attribute<Device> =>
    ({ ...attr, is_visible: (dev) => of(dev).headerType === PCI_HEADER_TYPE_BRIDGE });
  const isPhysical = (dev: Device): boolean => !of(dev).is_virtfn;
  return [
    {
      attrs: [
        text('vendor', ({ vendor }) => `0x${hex(vendor, 4)}`),
        text('device', ({ device }) => `0x${hex(device, 4)}`),
        text('subsystem_vendor', ({ subsystem_vendor }) => `0x${hex(subsystem_vendor, 4)}`),
        text('subsystem_device', ({ subsystem_device }) => `0x${hex(subsystem_device, 4)}`),
        text('revision', ({ revision }) => `0x${hex(revision, 2)}`),
        text('class', (fn) => `0x${hex(fn.class, 6)}`),
        text('power_state', ({ enableCnt }) => (enableCnt > 0 ? 'D0' : 'unknown')),
        text('local_cpus', () => '1'),
        text('local_cpulist', () => '0'),
        text('dma_mask_bits', dmaMaskBits),
        text('consistent_dma_mask_bits', dmaMaskBits),
        text('ari_enabled', ({ pciBus: { self } }) => (self !== null && ariEnabled(self) ? '1' : '0')),
        {
          name: 'broken_parity_status', mode: 0o644,
          show: async (dev) => (of(dev).brokenParity ? '1\n' : '0\n'),
          store: async (dev, value) => storeBrokenParity(of(dev), value),
        },
        {
          name: 'd3cold_allowed', mode: 0o644,
          show: async (dev) => (of(dev).d3coldAllowed ? '1\n' : '0\n'),
          store: async (dev, value) => storeD3coldAllowed(of(dev), value),
        },
        text('irq', ({ msix, irq }) => String(msix?.vectors[0]?.irq ?? irq)),
        text('modalias', pciModalias),
        { name: 'resource', mode: 0o444, show: async (dev) => resourceFile(of(dev)) },
        bridge(text('secondary_bus_number', ({ subordinate }) => String(subordinate?.number ?? 0))),
        bridge(text('subordinate_bus_number', ({ subordinate }) => String(subordinate?.busnEnd ?? 0))),
        {
          name: 'enable', mode: 0o644,
          show: async (dev) => `${of(dev).enableCnt}\n`,
          store: (dev, value) => storeEnable(world, of(dev), value),
        },
        { name: 'numa_node', mode: 0o644, show: async (dev) => `${of(dev).numaNode}\n`, store: async (dev, value) => storeNumaNode(world, of(dev), value) },
        {
          name: 'msi_bus', mode: 0o644,
          show: async (dev) => (of(dev).noMsi ? '0\n' : '1\n'),
          store: async (dev, value) => storeMsiBus(world, of(dev), value),
        },
        { name: 'remove', mode: 0o220, is_visible: isPhysical, store: (dev, value) => storeRemove(world, of(dev), value) },
        { name: 'rescan', mode: 0o200, is_visible: isPhysical, store: (dev, value) => storeRescan(world, of(dev).pciBus, value) },
        {
          name: 'reset', mode: 0o200,
          is_visible: (dev) => supportedMethods(world.functions, of(dev)).length > 0,
          store: (dev, value) => storeReset(world, of(dev), value),
        },
        resetMethodAttribute(world),
        ...linkAttributes(world),
      ],
      bin_attrs: [configAttribute(world), ...resourceAttributes(world)],
    },
    { attrs: sriovAttributes(world) },
  ];
}

/** Bits of the addresses its driver says it can use; streaming and coherent masks are one here. */
function dmaMaskBits({ dev: { dma } }: PciFunction): string {
  const mask = dma?.mask ?? DEFAULT_DMA_MASK;
  return String(mask === Number.MAX_SAFE_INTEGER ? 64 : Math.floor(Math.log2(mask)) + 1);
}

/** Lines a function's uevents have. @see drivers/pci/pci-driver.c `pci_uevent` */
export function ueventLines(fn: PciFunction): string[] {
  return [
    `PCI_CLASS=${hex(fn.class, 4).toUpperCase()}`,
    `PCI_ID=${hex(fn.vendor, 4).toUpperCase()}:${hex(fn.device, 4).toUpperCase()}`,
    `PCI_SUBSYS_ID=${hex(fn.subsystem_vendor, 4).toUpperCase()}:${hex(fn.subsystem_device, 4).toUpperCase()}`,
    `PCI_SLOT_NAME=${fn.name}`,
    `MODALIAS=${pciModalias(fn)}`,
  ];
}

/** BARs, ROM and VF BARs; of a bridge its windows too. @see `resource_show` */
function resourceFile(fn: PciFunction): string {
  const iov = fn.sriov?.resource ?? Array.from({ length: PCI_SRIOV_NUM_BARS }, noResource);
  const lines: readonly Omit<Resource, 'align'>[] = [...fn.resource, ...iov, ...bridgeWindows(fn)];
  return lines.map(resourceLine).join('');
}

/** I/O, memory, prefetchable memory, and one that only CardBus has. */
function bridgeWindows({ headerType, windows }: PciFunction): Omit<Resource, 'align'>[] {
  if (headerType !== PCI_HEADER_TYPE_BRIDGE) return [];
  const { mem, pref } = windows ?? { mem: { base: 0, size: 0 }, pref: { base: 0, size: 0 } };
  return [
    noResource(),
    { start: mem.base, size: mem.size, flags: IORESOURCE_MEM },
    { start: pref.base, size: pref.size, flags: IORESOURCE_MEM | IORESOURCE_PREFETCH | IORESOURCE_MEM_64 | PCI_PREF_RANGE_TYPE_64 },
    noResource(),
  ];
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
