/** A virtual function in the hands of a process, over VFIO. */
import type { UserProcess } from '@vdpalab/lab';
import { O_WRONLY, VFIO_TYPE1v2_IOMMU } from '@vdpalab/uapi';
import { VfioContainerFile, VfioGroupFile, VfioVirtio, VirtioUserNet, type UserNetOptions, type VfioDeviceFile } from '@vdpalab/user';
import type { End } from './pair.ts';
import { World, type WorldOptions } from './world.ts';

/** What VFIO on virtual functions takes, dependencies left to modprobe. */
export const VFIO_MODULES = ['vfio_pci', 'pci_pf_stub'] as const;

/** A world with vfio-pci loaded. */
export function vfioWorld(options: WorldOptions = {}): Promise<World> {
  return World.create({ modules: VFIO_MODULES, ...options });
}

/** What users do: take it from the driver that has it, name the driver, then bind. */
export async function bindVfio(p: UserProcess, bdf: string): Promise<void> {
  const entries = await p.readdir(`/sys/bus/pci/devices/${bdf}`);
  if (entries.some(({ name }) => name === 'driver')) await p.writeFile(`/sys/bus/pci/devices/${bdf}/driver/unbind`, `${bdf}\n`, O_WRONLY);
  await p.writeFile(`/sys/bus/pci/devices/${bdf}/driver_override`, 'vfio-pci\n', O_WRONLY);
  await p.writeFile('/sys/bus/pci/drivers/vfio-pci/bind', `${bdf}\n`, O_WRONLY);
}

/** Let a function go again. */
export async function unbindVfio(p: UserProcess, bdf: string): Promise<void> {
  await p.writeFile('/sys/bus/pci/drivers/vfio-pci/unbind', `${bdf}\n`, O_WRONLY);
  await p.writeFile(`/sys/bus/pci/devices/${bdf}/driver_override`, '\n', O_WRONLY);
}

/** Number of a function's IOMMU group. */
export async function groupOf(p: UserProcess, bdf: string): Promise<number> {
  return Number((await p.readlink(`/sys/bus/pci/devices/${bdf}/iommu_group`)).split('/').at(-1));
}

/** A device that is open, and what it is open through. */
export interface OpenVfio {
  readonly container: VfioContainerFile;
  readonly group: VfioGroupFile;
  readonly device: VfioDeviceFile;
  readonly close: () => Promise<void>;
}

/** Container, group, IOMMU, device: in the order of every program. */
export async function openVfio(p: UserProcess, bdf: string, iommu = VFIO_TYPE1v2_IOMMU): Promise<OpenVfio> {
  const container = await VfioContainerFile.open(p);
  const group = await VfioGroupFile.open(p, await groupOf(p, bdf));
  await group.setContainer(container.fd);
  await container.setIommu(iommu);
  const device = await group.device(bdf);
  return {
    container, group, device,
    async close() {
      await device.close();
      await group.close();
      await container.close();
    },
  };
}

/** Start a network driver in a process of its own on a virtual function that vfio-pci has. */
export async function startVfioEnd(world: World, vf: number, options: UserNetOptions = {}): Promise<End<VfioVirtio>> {
  const process = await world.lab.process(`vfio-${vf}`);
  const net = await world.lab.as(process, async (p) =>
    VirtioUserNet.on(p, await VfioVirtio.open(p, await groupOf(p, world.vf(vf)), world.vf(vf)), options));
  return { process, net };
}
