/** The SR-IOV attributes of a PF. Mirrors `drivers/pci/iov.c` (Linux 6.1), `sriov_*_show`, `sriov_*_store`. */
import { KernelError } from '@vdpalab/abi';
import type { Attribute, Device } from '@vdpalab/driver-core';
import type { PciFunction } from './function.ts';
import { kstrtobool, kstrtoul } from './kstrto.ts';
import type { PhysicalFunction } from './sriov.ts';
import type { PciWorld } from './world.ts';

/** Shown on PFs only. */
export function sriovAttributes(world: PciWorld): Attribute<Device>[] {
  const of = (dev: Device): PhysicalFunction => world.functions.of(dev) as PhysicalFunction; // is_visible saw to it
  const number = (name: string, show: (pf: PhysicalFunction) => string): Attribute<Device> =>
    ({ name, mode: 0o444, show: async (dev) => `${show(of(dev))}\n` });
  const all: Attribute<Device>[] = [
    number('sriov_totalvfs', ({ sriov }) => String(sriov.totalVfs)),
    number('sriov_offset', ({ sriov }) => String(sriov.offset)),
    number('sriov_stride', ({ sriov }) => String(sriov.stride)),
    number('sriov_vf_device', ({ sriov }) => sriov.vfDevice.toString(16)),
    number('sriov_vf_total_msix', () => '0'), // what a driver lets be shared out; none here does
    {
      name: 'sriov_numvfs', mode: 0o644,
      show: (dev) => showNumVfs(world, of(dev)),
      store: (dev, text) => storeNumVfs(world, of(dev), text),
    },
    {
      name: 'sriov_drivers_autoprobe', mode: 0o644,
      show: async (dev) => (of(dev).sriov.driversAutoprobe ? '1\n' : '0\n'),
      async store(dev, text) {
        const on = kstrtobool(text);
        if (on === null) {
          throw new KernelError('EINVAL', 'pci.sriov.autoprobe', `${dev.name}: ${JSON.stringify(text)} is not a boolean`);
        }
        of(dev).sriov.driversAutoprobe = on;
      },
    },
  ];
  return [
    ...all.map((attr) => ({ ...attr, is_visible: (dev: Device) => world.functions.of(dev).sriov !== null })),
    {
      name: 'sriov_vf_msix_count', mode: 0o200, is_visible: (dev) => world.functions.of(dev).is_virtfn,
      store: async (dev, text) => storeMsixCount(world.functions.of(dev), text),
    },
  ];
}

/** No driver here shares vectors out. @throws EINVAL for what is no number; EOPNOTSUPP @see `sriov_vf_msix_count_store` */
function storeMsixCount(vf: PciFunction, text: string): undefined {
  const count = kstrtoul(text, 0x7fff_ffff);
  if (count === null) throw new KernelError('EINVAL', 'pci.vf-msix.number', `${vf.name}: ${JSON.stringify(text)} is not a number of vectors`);
  throw new KernelError('EOPNOTSUPP', 'pci.vf-msix.driver', `${vf.name}: no driver of ${vf.physfn?.name} shares vectors out`);
}

/** Waits for a change that is under way. @see `sriov_numvfs_show` */
async function showNumVfs({ k }: PciWorld, pf: PhysicalFunction): Promise<string> {
  await k.device_lock(pf.dev, 'sriov_numvfs_show');
  const { numVfs } = pf.sriov;
  k.device_unlock(pf.dev);
  return `${numVfs}\n`;
}

/**
 * Ask the PF's driver for this many VFs.
 *
 * @throws EINVAL when the text is not a number of 16 bits
 * @throws ERANGE for more than the function has
 * @throws ENOENT without a driver, or when it takes no part
 * @throws EBUSY while another number of VFs is enabled
 * @see `sriov_numvfs_store`
 */
async function storeNumVfs({ k }: PciWorld, pf: PhysicalFunction, text: string): Promise<void> {
  const { sriov, name, dev } = pf;
  const count = kstrtoul(text, 0xffff);
  if (count === null) throw new KernelError('EINVAL', 'pci.numvfs.number', `${name}: ${JSON.stringify(text)} is not a number of 16 bits`);
  if (count > sriov.totalVfs) {
    throw new KernelError('ERANGE', 'pci.numvfs.total', `${name}: ${count} VFs, the function has ${sriov.totalVfs}`);
  }
  await k.device_lock(dev, 'sriov_numvfs_store');
  try {
    if (count === sriov.numVfs) return;
    if (pf.driver === null) {
      k.dev_info(dev, 'no driver bound to device; cannot configure SR-IOV');
      throw new KernelError('ENOENT', 'pci.numvfs.driver', `${name}: no driver is bound`);
    }
    const configure = pf.driver.sriov_configure;
    if (configure === undefined) {
      k.dev_info(dev, 'driver does not support SR-IOV configuration via sysfs');
      throw new KernelError('ENOENT', 'pci.numvfs.callback', `${name}: ${pf.driver.name} has no sriov_configure`);
    }
    if (count > 0 && sriov.numVfs > 0) {
      k.dev_warn(dev, `${sriov.numVfs} VFs already enabled. Disable before enabling ${count} VFs`);
      throw new KernelError('EBUSY', 'pci.numvfs.enabled', `${name}: ${sriov.numVfs} VFs are enabled, ${count} were asked for`);
    }
    const enabled = await configure(pf, count);
    if (count > 0 && enabled !== count) k.dev_warn(dev, `${count} VFs requested; only ${enabled} enabled`);
  } finally {
    k.device_unlock(dev);
  }
}
