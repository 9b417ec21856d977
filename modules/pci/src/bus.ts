/** The bus and its host bridge. Mirrors `drivers/pci/{pci-driver,probe}.c` (Linux 6.1). */
import { DriverTable } from '@vdpalab/abi';
import type { PciHost, UndoStack } from '@vdpalab/abi';
import type { AttributeGroup, BusType, Device, DeviceDriver } from '@vdpalab/driver-core';
import { groupPeer } from './acs.ts';
import { busMatch, busProbe, busRemove, dmaCleanup, dmaConfigure, idAttributes } from './driver.ts';
import type { PciBus } from './function.ts';
import { scanAtBoot } from './hotplug.ts';
import { formatResource, IORESOURCE_MEM, IORESOURCE_PREFETCH } from './ioresource.ts';
import { busRange } from './scan.ts';
import { storeRescan } from './store.ts';
import { deviceGroups, ueventLines } from './sysfs.ts';
import { AddressWindow } from './window.ts';
import { FunctionTable } from './world.ts';
import type { Kernel, PciRoot, PciWorld } from './world.ts';

const KERN_INFO = 6;

/**
 * Register the bus and enumerate what is behind the host bridge.
 *
 * @param undo gets what the hardware keeps of a kernel that does not get far: its translation tables
 */
export async function createBus(k: Kernel, undo: UndoStack): Promise<PciWorld> {
  const functions = new FunctionTable();
  const devGroups: AttributeGroup<Device>[] = [];
  const drvGroups: AttributeGroup<DeviceDriver>[] = [];
  const bus: BusType = {
    name: 'pci',
    match: (dev, drv) => busMatch(world, dev, drv),
    probe: (dev) => busProbe(world, dev),
    remove: (dev) => busRemove(world, dev),
    uevent: (dev) => ueventLines(functions.of(dev)),
    dma_configure: (dev) => dmaConfigure(world, dev),
    dma_cleanup: (dev) => dmaCleanup(world, dev),
    num_vf: (dev) => functions.of(dev).sriov?.numVfs ?? 0,
    driver_override: true,
    bus_groups: [{ attrs: [{ name: 'rescan', mode: 0o200, store: (_bus, text) => storeRescan(world, null, text) }] }],
    dev_groups: devGroups,
    drv_groups: drvGroups,
  };
  const world: PciWorld = {
    k, bus, functions, drivers: new DriverTable(k), dynids: new Map(), rescanRemove: k.mutex_init('pci_rescan_remove_lock'), root: null,
  };
  devGroups.push(...deviceGroups(world));
  drvGroups.push({ attrs: idAttributes(world) });
  await k.bus_register(bus);
  undo.push('translation of functions', () => {
    for (const { dev } of functions.list()) if (dev.dma !== null) k.iommu_release_device(dev);
  });
  // In sysfs before drivers see it, out of it after they left.
  k.bus_register_notifier(bus, async (action, dev) => {
    const fn = functions.of(dev);
    if (action === 'ADD_DEVICE') k.iommu_probe_device(dev, fn.rid, groupPeer(fn));
    else if (action === 'REMOVED_DEVICE') k.iommu_release_device(dev);
  });
  if (k.machine.pci !== null) await enumerate(world, k.machine.pci);
  return world;
}

/** @see `pci_scan_root_bus_bridge`, `pci_host_probe` */
async function enumerate(world: PciWorld, host: PciHost): Promise<void> {
  const { k } = world;
  const name = `${host.domain.toString(16).padStart(4, '0')}:${host.firstBus.toString(16).padStart(2, '0')}`;
  const dev = k.device_initialize({ name: `pci${name}` });
  await k.device_add(dev);
  const bus: PciBus = { number: host.firstBus, busnEnd: host.lastBus, self: null, parent: null, devices: [] };
  const root: PciRoot = {
    host, bus, dev,
    mem32: new AddressWindow(host.mem32.base, host.mem32.size),
    mem64: new AddressWindow(host.mem64.base, host.mem64.size),
    io: new AddressWindow(host.io?.base ?? 0, host.io?.size ?? 0),
  };
  world.root = root;
  k._printk(KERN_INFO, `PCI host bridge to bus ${name}`);
  for (const [window, flags] of [[root.mem32, IORESOURCE_MEM], [root.mem64, IORESOURCE_MEM | IORESOURCE_PREFETCH]] as const) {
    if (window.size === 0) continue;
    k._printk(KERN_INFO, `pci_bus ${name}: root bus resource ${formatResource({ start: window.base, size: window.size, flags })}`);
  }
  k._printk(KERN_INFO, `pci_bus ${name}: root bus resource ${busRange(bus.number, bus.busnEnd)}`);
  await scanAtBoot(world, root);
}
