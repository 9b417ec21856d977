/** Mounted labs with vhost-vdpa devices between which frames pass. */
import { worldConfig } from '../support/index.ts';
import { mountedLab, type MountedLab } from './mounted-lab.ts';

const PF = '/sys/bus/pci/devices/0000:07:00.0';

/** A lab with devices to drive. */
export interface Devices extends MountedLab {
  /** Device files of the sender and the receiver. */
  readonly files: readonly [string, string];
  /** Delete the devices, and close. */
  readonly end: () => Promise<string[]>;
}

/** Two IFCVF virtual functions on one switch. */
export async function ifcvf(): Promise<Devices> {
  const mounted = await mountedLab({ config: worldConfig() }, ['pci_pf_stub', 'ifcvf', 'vhost_vdpa']);
  const { sh, dir, close } = mounted;
  await sh(`echo pci-pf-stub > ${PF}/driver_override; echo 0000:07:00.0 > /sys/bus/pci/drivers/pci-pf-stub/bind; echo 2 > ${PF}/sriov_numvfs`);
  for (const n of [0, 1]) await sh(`vdpa dev add name vdpa${n} mgmtdev pci/0000:07:00.${n + 2}`);
  return {
    ...mounted, files: [`${dir}/dev/vhost-vdpa-0`, `${dir}/dev/vhost-vdpa-1`],
    end: async () => {
      await sh(`vdpa dev del vdpa0; vdpa dev del vdpa1; echo 0 > ${PF}/sriov_numvfs`);
      return close();
    },
  };
}

/** The simulator, which sends what it gets back to whom it is for: itself. */
export async function simulator(): Promise<Devices> {
  const mounted = await mountedLab({ config: { memory: '64M', iommu: false } }, ['vdpa_sim_net', 'vhost_vdpa']);
  const { sh, dir, close } = mounted;
  await sh('vdpa dev add name vdpa0 mgmtdev vdpasim_net mac 52:54:00:12:34:56');
  const file = `${dir}/dev/vhost-vdpa-0`;
  return {
    ...mounted, files: [file, file],
    end: async () => {
      await sh('vdpa dev del vdpa0');
      return close();
    },
  };
}
