/** Virtual functions come and go. Mirrors `drivers/pci/iov.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import {
  PCI_SRIOV_CAP_VFM, PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_MSE, PCI_SRIOV_CTRL_VFE, PCI_SRIOV_INITIAL_VF, PCI_SRIOV_NUM_VF,
} from '@vdpalab/uapi';
import { configSpace } from './config.ts';
import { addFunction, removeFunction, startFunction } from './device.ts';
import { configSize, pcieCapability, readFacts } from './facts.ts';
import { PciFunction } from './function.ts';
import type { PciFacts } from './function.ts';
import { isAssigned, noResource } from './ioresource.ts';
import type { Resource } from './ioresource.ts';
import { announce, busRange, makeDevice } from './scan.ts';
import { routingIds } from './sriov-capability.ts';
import type { SriovState } from './sriov-capability.ts';
import type { PciWorld } from './world.ts';

/** A PF with what makes it one. */
export type PhysicalFunction = PciFunction & { readonly sriov: SriovState };

/**
 * Enable VFs 0 to `count` - 1 and add their devices; when one cannot be added, none stays.
 *
 * @throws EINVAL when some are enabled, or for more than there are
 * @throws EIO when the capability contradicts itself
 * @throws ENOMEM when the VF BARs have no addresses, or the last VF's bus number is beyond the bridge's
 * @throws ENODEV ENOSYS when the function it depends on is absent, or no PF
 * @see `sriov_enable`
 */
export async function enableSriov(world: PciWorld, pf: PhysicalFunction, count: number): Promise<void> {
  if (count === 0) return;
  const { k } = world;
  const { sriov } = pf;
  const initial = check(world, pf, count);
  setNumVfs(pf, count);
  await setControl(world, pf, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE, 0, 100);
  try {
    await addVfs(world, pf, Math.min(count, initial));
  } catch (error) {
    await setControl(world, pf, 0, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE, 1000);
    unlinkDependency(world, pf);
    setNumVfs(pf, 0);
    throw error;
  }
  k.kobject_uevent(pf.dev, 'change');
  sriov.numVfs = count;
}

/** Remove the VFs' devices, first one first, and switch VFs off; nothing when they are. @see `sriov_disable` */
export async function disableSriov(world: PciWorld, pf: PhysicalFunction): Promise<void> {
  const { sriov } = pf;
  if (sriov.numVfs === 0) return;
  for (const [id, vf] of [...sriov.vfs]) await removeVf(world, pf, id, vf);
  await setControl(world, pf, 0, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE, 1000);
  unlinkDependency(world, pf);
  sriov.numVfs = 0;
  setNumVfs(pf, 0);
}

/** Routing id of a VF. @see `pci_iov_virtfn_bus`, `pci_iov_virtfn_devfn` */
export function vfRid(pf: PhysicalFunction, id: number): number {
  return pf.rid + pf.sriov.offset + pf.sriov.stride * id;
}

/** @returns how many VFs the device shows when all are asked for */
function check(world: PciWorld, pf: PhysicalFunction, count: number): number {
  const { sriov, config } = pf;
  const refuse = (errno: 'EINVAL' | 'EIO' | 'ENOMEM' | 'ENODEV' | 'ENOSYS', rule: string, text: string): never => {
    throw new KernelError(errno, `pci.sriov.${rule}`, `${pf.name}: ${text}`);
  };
  if (sriov.numVfs > 0) refuse('EINVAL', 'enabled', `${sriov.numVfs} VFs are enabled`);
  const initial = config.read(sriov.pos + PCI_SRIOV_INITIAL_VF, 2);
  const migrates = (sriov.cap & PCI_SRIOV_CAP_VFM) !== 0;
  if (initial > sriov.totalVfs || (!migrates && initial !== sriov.totalVfs)) {
    refuse('EIO', 'initial', `InitialVFs ${initial}, TotalVFs ${sriov.totalVfs}`);
  }
  if (count < 0 || count > sriov.totalVfs) refuse('EINVAL', 'count', `${count} VFs of ${sriov.totalVfs}`);
  if (sriov.resource.some((res) => res.size > 0 && !isAssigned(res))) {
    world.k.dev_err(pf.dev, 'not enough MMIO resources for SR-IOV');
    refuse('ENOMEM', 'bars', 'a VF BAR has no address');
  }
  const lastBus = vfRid(pf, count - 1) >>> 8;
  const { number, busnEnd } = pf.pciBus;
  if (lastBus > busnEnd) {
    const bus = lastBus.toString(16).padStart(2, '0');
    world.k.dev_err(pf.dev, `can't enable ${count} VFs (bus ${bus} out of range of ${busRange(number, busnEnd)})`);
    refuse('ENOMEM', 'bus', `VF ${count - 1} would be on bus ${bus}, the last one is ${busnEnd.toString(16)}`);
  }
  linkDependency(world, pf, refuse);
  return initial;
}

/** VFs that depend on another PF show it. */
function linkDependency(
  { k, functions }: PciWorld, pf: PhysicalFunction, refuse: (errno: 'ENODEV' | 'ENOSYS', rule: string, text: string) => never,
): undefined {
  if (pf.sriov.link === pf.devfn) return;
  const on = functions.at(pf.bus, pf.sriov.link);
  if (on === null) return refuse('ENODEV', 'link', `depends on function ${pf.sriov.link}, which is absent`);
  if (on.sriov === null) return refuse('ENOSYS', 'link', `depends on ${on.name}, which is no PF`);
  if (pf.dev.sd !== null && on.dev.sd !== null) k.kernfs_create_link(pf.dev.sd, 'dep_link', on.dev.sd);
}

function unlinkDependency({ k }: PciWorld, pf: PhysicalFunction): undefined {
  if (pf.sriov.link !== pf.devfn && pf.dev.sd !== null) k.kernfs_remove_by_name(pf.dev.sd, 'dep_link');
}

async function addVfs(world: PciWorld, pf: PhysicalFunction, count: number): Promise<void> {
  const facts = count > 0 ? vfFacts(world, pf) : null;
  try {
    for (let id = 0; id < count; id++) await addVf(world, pf, id, facts!);
  } catch (error) {
    for (const [id, vf] of [...pf.sriov.vfs].toReversed()) await removeVf(world, pf, id, vf);
    throw error;
  }
}

/** @see `pci_iov_add_virtfn` */
async function addVf(world: PciWorld, pf: PhysicalFunction, id: number, facts: PciFacts): Promise<void> {
  const { k } = world;
  const vf = makeVf(world, pf, id, facts);
  await addFunction(world, vf);
  try {
    if (pf.dev.sd !== null && vf.dev.sd !== null) {
      k.kernfs_create_link(pf.dev.sd, `virtfn${id}`, vf.dev.sd);
      k.kernfs_create_link(vf.dev.sd, 'physfn', pf.dev.sd);
    }
  } catch (error) {
    unlinkVf(world, pf, id, vf);
    await removeFunction(world, vf);
    throw error;
  }
  pf.sriov.vfs.set(id, vf);
  k.kobject_uevent(vf.dev, 'change');
  await startFunction(world, vf);
}

/** @see `pci_iov_remove_virtfn` */
async function removeVf(world: PciWorld, pf: PhysicalFunction, id: number, vf: PciFunction): Promise<void> {
  unlinkVf(world, pf, id, vf);
  pf.sriov.vfs.delete(id);
  await removeFunction(world, vf);
}

/** A VF goes by itself: its PF forgets it. */
export function forgetVf(world: PciWorld, vf: PciFunction): undefined {
  const pf = vf.physfn as PhysicalFunction; // a VF's PF has the capability
  for (const [id, one] of pf.sriov.vfs) {
    if (one !== vf) continue;
    unlinkVf(world, pf, id, vf);
    pf.sriov.vfs.delete(id);
    return;
  }
}

function unlinkVf({ k }: PciWorld, pf: PhysicalFunction, id: number, vf: PciFunction): undefined {
  if (pf.dev.sd !== null) k.kernfs_remove_by_name(pf.dev.sd, `virtfn${id}`);
  if (vf.dev.sd !== null) k.kernfs_remove_by_name(vf.dev.sd, 'physfn');
}

/** What VF 0 says stands for all of them. @see `pci_read_vf_config_common` */
function vfFacts(world: PciWorld, pf: PhysicalFunction): PciFacts {
  const rid = vfRid(pf, 0);
  const facts = readFacts(configSpace(world.root!.host, rid >>> 8, rid & 0xff));
  if (facts === null) {
    throw new KernelError('EIO', 'pci.sriov.header', `${pf.name}: VF 0 has an unknown header type`);
  }
  return { ...facts, vendor: pf.vendor, device: pf.sriov.vfDevice, multifunction: false };
}

/** Routing ids leave the PF's bus number behind; the place in sysfs stays beside the PF. */
function makeVf(world: PciWorld, pf: PhysicalFunction, id: number, facts: PciFacts): PciFunction {
  const rid = vfRid(pf, id);
  const { host } = world.root!;
  const bus = rid >>> 8;
  const devfn = rid & 0xff;
  const config = configSpace(host, bus, devfn);
  const pcieCap = pcieCapability(config);
  const bars = pf.sriov.resource.map(({ start, align: size, flags }): Resource =>
    (start > 0 ? { start: start + size * id, size, flags, align: size } : noResource()));
  const at = { domain: pf.domain, bus, devfn, pciBus: pf.pciBus, config, pcieCap, cfgSize: configSize(config, pcieCap) };
  const vf = new PciFunction(at, facts, pf, [...bars, noResource()]);
  makeDevice(world, vf, pf.dev.parent!);
  announce(world, vf);
  return vf;
}

function setNumVfs(pf: PhysicalFunction, count: number): undefined {
  const { config, sriov } = pf;
  config.write(sriov.pos + PCI_SRIOV_NUM_VF, 2, count);
  Object.assign(sriov, routingIds(config, sriov.pos));
}

/** @param ms what the function is given to follow */
async function setControl(world: PciWorld, pf: PhysicalFunction, set: number, clear: number, ms: number): Promise<void> {
  const { config, sriov } = pf;
  sriov.ctrl = (sriov.ctrl & ~clear) | set;
  config.write(sriov.pos + PCI_SRIOV_CTRL, 2, sriov.ctrl);
  await world.k.msleep(ms);
}
