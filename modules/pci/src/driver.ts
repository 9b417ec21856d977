/** Drivers of PCI functions. Mirrors `drivers/pci/pci-driver.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { Attribute, Device, DeviceDriver } from '@vdpalab/driver-core';
import type { PciFunction } from './function.ts';
import type { PciDeviceId, PciDriver, PciSymbols } from './header.ts';
import { matchDevice } from './match.ts';
import type { PciMatcher } from './match.ts';
import { parseNewId, removesId } from './new-id.ts';
import type { PciWorld } from './world.ts';

/** Make the symbols about drivers. */
export function createDrivers(world: PciWorld): Pick<PciSymbols, '__pci_register_driver' | 'pci_unregister_driver' | 'pci_add_dynid'> {
  const { drivers, bus } = world;
  return {
    __pci_register_driver: (drv) => drivers.register(drv, {
      name: drv.name, bus, owner: drv.owner,
      ...(drv.dev_groups === undefined ? {} : { dev_groups: drv.dev_groups }),
    }),
    async pci_unregister_driver(drv) {
      await drivers.unregister(drv);
      world.dynids.delete(drv);
    },
    async pci_add_dynid(drv, id) {
      const core = drivers.find(drv);
      if (core === undefined) throw new Error(`pci driver ${drv.name}: given an id, but not registered`);
      dynidsOf(world, drv).push(id);
      await attachDriver(world, core);
    },
  };
}

/** Whether the driver takes the device; `pci_bus_match`. */
export function busMatch(world: PciWorld, dev: Device, core: DeviceDriver): boolean {
  const fn = world.functions.of(dev);
  return fn.matchDriver && matchFunction(world, fn, core) !== null;
}

/** @throws ENODEV when the driver does not take the device after all; the driver's errno @see `pci_device_probe` */
export async function busProbe(world: PciWorld, dev: Device): Promise<void> {
  const fn = world.functions.of(dev);
  const drv = boundDriver(world, dev);
  const pf = fn.physfn?.sriov;
  if (pf !== null && pf !== undefined && !pf.driversAutoprobe && dev.driver_override === null) {
    throw new KernelError('ENODEV', 'pci.probe.autoprobe', `${fn.name}: sriov_drivers_autoprobe of its PF is off`);
  }
  const id = matchFunction(world, fn, dev.driver!);
  if (id === null) throw new KernelError('ENODEV', 'pci.probe.match', `${fn.name}: ${drv.name} has no id for it`);
  fn.driver = drv;
  try {
    await drv.probe(fn, id);
  } catch (error) {
    fn.driver = null;
    throw error;
  }
}

/** @see `pci_device_remove`, `pci_iov_remove` */
export async function busRemove(world: PciWorld, dev: Device): Promise<void> {
  const fn = world.functions.of(dev);
  try {
    await fn.driver?.remove?.(fn);
  } finally {
    fn.driver = null;
    if (fn.sriov !== null && fn.sriov.numVfs > 0) world.k.dev_warn(dev, 'driver left SR-IOV enabled after remove');
  }
}

/** Claim the default domain, unless the driver lets user space decide. @throws EBUSY @see `pci_dma_configure` */
export async function dmaConfigure(world: PciWorld, dev: Device): Promise<void> {
  if (boundDriver(world, dev).driver_managed_dma !== true) world.k.iommu_device_use_default_domain(dev);
}

/** @see `pci_dma_cleanup` */
export async function dmaCleanup(world: PciWorld, dev: Device): Promise<void> {
  if (boundDriver(world, dev).driver_managed_dma !== true) world.k.iommu_device_unuse_default_domain(dev);
}

/** The files `new_id` and `remove_id` of a driver. */
export function idAttributes(world: PciWorld): Attribute<DeviceDriver>[] {
  return [
    { name: 'new_id', mode: 0o200, store: (core, text) => storeNewId(world, core, text) },
    { name: 'remove_id', mode: 0o200, store: async (core, text) => storeRemoveId(world, core, text) },
  ];
}

/**
 * Teach a driver an id, and offer it what is free.
 *
 * @throws EINVAL for fewer than two fields, and for driver data no entry of its table has
 * @throws EEXIST when the driver takes such a function already
 * @see `new_id_store`
 */
async function storeNewId(world: PciWorld, core: DeviceDriver, text: string): Promise<void> {
  const drv = world.drivers.of(core);
  const { id, fields, driver_data } = parseNewId(text);
  const refuse = (errno: 'EINVAL' | 'EEXIST', rule: string, why: string): never => {
    throw new KernelError(errno, `pci.new-id.${rule}`, `${core.name}: ${JSON.stringify(text)}: ${why}`);
  };
  if (fields < 2) refuse('EINVAL', 'fields', `${fields} fields, at least vendor and device are needed`);
  const like = {
    vendor: id.vendor ?? -1, device: id.device ?? -1, subsystem_vendor: id.subvendor, subsystem_device: id.subdevice,
    class: id.class,
  };
  if (fields < 7 && matchDevice(matcher(world, drv), like, null) !== null) refuse('EEXIST', 'known', 'the driver takes these already');
  if (drv.id_table.length > 0 && driver_data !== 0) refuse('EINVAL', 'data', 'no id of the driver has such data');
  dynidsOf(world, drv).push(id);
  await attachDriver(world, core);
}

/** @throws EINVAL for fewer than two fields; ENODEV when no dynamic id is meant @see `remove_id_store` */
function storeRemoveId(world: PciWorld, core: DeviceDriver, text: string): undefined {
  const dynids = dynidsOf(world, world.drivers.of(core));
  const { id, fields } = parseNewId(text);
  if (fields < 2) {
    throw new KernelError('EINVAL', 'pci.remove-id.fields', `${core.name}: ${fields} fields, at least vendor and device are needed`);
  }
  const at = dynids.findIndex((dynid) => removesId(id, dynid));
  if (at < 0) throw new KernelError('ENODEV', 'pci.remove-id.unknown', `${core.name}: no dynamic id ${text.trim()}`);
  dynids.splice(at, 1);
}

/** Offer a driver, and no other, the functions nobody has. @see drivers/base/dd.c `driver_attach` */
async function attachDriver({ k, ...world }: PciWorld, core: DeviceDriver): Promise<void> {
  for (const dev of k.bus_devices(world.bus)) {
    if (dev.driver !== null || !busMatch({ k, ...world }, dev, core)) continue;
    try {
      await k.device_driver_attach(core, dev);
    } catch (error) {
      if (!isKernelError(error)) throw error; // a refused function does not fail the others
    }
  }
}

function matchFunction(world: PciWorld, fn: PciFunction, core: DeviceDriver): PciDeviceId | null {
  return matchDevice(matcher(world, world.drivers.of(core)), fn, fn.dev.driver_override);
}

function matcher(world: PciWorld, drv: PciDriver): PciMatcher {
  return { name: drv.name, id_table: drv.id_table, dynids: dynidsOf(world, drv) };
}

function dynidsOf({ dynids }: PciWorld, drv: PciDriver): PciDeviceId[] {
  const ids = dynids.get(drv) ?? [];
  dynids.set(drv, ids);
  return ids;
}

function boundDriver(world: PciWorld, dev: Device): PciDriver {
  if (dev.driver === null) throw new Error(`${dev.name}: has no driver`);
  return world.drivers.of(dev.driver);
}

export type { PciDriver };
