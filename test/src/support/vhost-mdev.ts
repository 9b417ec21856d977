/** vDPA devices in the hands of processes, through vhost_mdev and VFIO. */
import { VhostMdevDevice, VirtioUserNet, type UserNetOptions } from '@vdpalab/user';
import type { End } from './pair.ts';
import type { World } from './world.ts';

/** What takes IFCVF functions there, dependencies left to modprobe. */
export const VHOST_MDEV_MODULES = ['vhost_mdev', 'vfio_iommu_type1', 'ifcvf', 'pci_pf_stub'] as const;

/** Start a network driver in a process of its own on a device that vhost_mdev has. */
export async function startVhostMdevEnd({ lab }: Pick<World, 'lab'>, name: string, options: UserNetOptions = {}): Promise<End<VhostMdevDevice>> {
  const process = await lab.process(`mdev-${name}`);
  const net = await lab.as(process, async (p) => VirtioUserNet.on(p, await VhostMdevDevice.open(p, name), options));
  return { process, net };
}
