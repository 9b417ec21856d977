/** vDPA devices in the hands of processes, through vhost_mdev and VFIO. */
import type { Device } from '@vdpalab/driver-core';
import type { VirtioMdevDeviceOps } from '@vdpalab/mdev-core';
import { VIRTIO_MDEV_F_VERSION_1 } from '@vdpalab/uapi';
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

/** The operations of a vDPA device as a parent of 2019 had them, for a mediated device of the class for vhost. */
export function virtioMdevOps({ lab }: Pick<World, 'lab'>, name: string, more: Partial<VirtioMdevDeviceOps> = {}): VirtioMdevDeviceOps {
  const vdpa = lab.symbol('dev_to_vdpa')(lab.symbol('all_devices')().find((dev) => dev.bus?.name === 'vdpa' && dev.name === name) as Device);
  const { config } = vdpa;
  return {
    set_vq_address: (_, idx, desc, driver, device) => config.set_vq_address(vdpa, idx, desc, driver, device),
    set_vq_num: (_, idx, num) => config.set_vq_num(vdpa, idx, num),
    kick_vq: (_, idx) => config.kick_vq(vdpa, idx),
    set_vq_cb: (_, idx, cb) => config.set_vq_cb(vdpa, idx, cb),
    set_vq_ready: (_, idx, ready) => config.set_vq_ready(vdpa, idx, ready),
    get_vq_ready: (_, idx) => config.get_vq_ready(vdpa, idx),
    set_vq_state: (_, idx, state) => config.set_vq_state(vdpa, idx, { kind: 'split', avail_index: state }),
    async get_vq_state(_, idx) {
      const state = await config.get_vq_state(vdpa, idx);
      return state.kind === 'split' ? state.avail_index : 0;
    },
    get_vq_align: () => config.get_vq_align(vdpa),
    get_features: () => config.get_device_features(vdpa),
    set_features: (_, features) => config.set_driver_features(vdpa, features),
    set_config_cb: (_, cb) => config.set_config_cb(vdpa, cb),
    get_vq_num_max: () => config.get_vq_num_max(vdpa),
    get_device_id: () => config.get_device_id(vdpa),
    get_vendor_id: () => config.get_vendor_id(vdpa),
    get_status: () => config.get_status(vdpa),
    set_status: (_, status) => (status === 0 ? config.reset(vdpa) : config.set_status(vdpa, status)),
    get_config: (_, offset, len) => config.get_config(vdpa, offset, len),
    set_config: (_, offset, bytes) => config.set_config(vdpa, offset, bytes),
    get_generation: () => config.get_generation?.(vdpa) ?? 0,
    get_mdev_features: () => VIRTIO_MDEV_F_VERSION_1,
    ...more,
  };
}
