/** The management device of the network simulators. Mirrors `vdpasim_net_dev_add` of `drivers/vdpa/vdpa_sim/vdpa_sim_net.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Device, DriverCoreSymbols } from '@vdpalab/driver-core';
import {
  VDPA_ATTR_DEV_FEATURES, VDPA_ATTR_DEV_NET_CFG_MACADDR, VDPA_ATTR_DEV_NET_CFG_MTU, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1,
  VIRTIO_ID_NET, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MTU, VIRTIO_NET_S_LINK_UP,
  virtio_net_config,
} from '@vdpalab/uapi';
import type { VdpaDevSetConfig, VdpaMgmtDev, VdpaSymbols } from '@vdpalab/vdpa-core';
import type { VdpaSimSymbols, Vdpasim } from '@vdpalab/vdpa-sim';
import { serveQueues, type WorkSymbols } from './work.ts';

/** What making devices takes. */
export type ManagementSymbols =
  & WorkSymbols & Pick<DriverCoreSymbols, 'put_device'> & Pick<VdpaSimSymbols, 'vdpasim_create'>
  & Pick<VdpaSymbols, '_vdpa_register_device' | '_vdpa_unregister_device'>;

const bits = (...numbers: readonly number[]): bigint => numbers.reduce((set, bit) => set | (1n << BigInt(bit)), 0n);

const VDPASIM_NET_FEATURES = bits(
  VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MTU, VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
);
/** Receive, transmit, control. */
const VDPASIM_NET_VQ_NUM = 3;
const VDPASIM_NET_GROUP_NUM = 2;
const VDPASIM_NET_AS_NUM = 2;
/** Bytes of the longest frame with its header. */
const BUFFER_SIZE = 4096;
const DEFAULT_MTU = 1500;

/** What was asked for in `vdpa dev add`; no MAC is all zero. */
function setupConfig(sim: Vdpasim, { net, mask }: VdpaDevSetConfig): void {
  const given = (attr: number): boolean => (mask & bits(attr)) !== 0n;
  sim.config.set(virtio_net_config.encode({
    mac: given(VDPA_ATTR_DEV_NET_CFG_MACADDR) ? net.mac : new Uint8Array(6),
    mtu: given(VDPA_ATTR_DEV_NET_CFG_MTU) ? net.mtu : DEFAULT_MTU,
  }));
}

/** Features the device has: those asked for, or all. @throws EINVAL for more than there are. @see vdpasim_create in vdpa_sim.c, Linux 6.1 */
function provisioned(name: string, { device_features, mask }: VdpaDevSetConfig): bigint {
  if ((mask & bits(VDPA_ATTR_DEV_FEATURES)) === 0n) return VDPASIM_NET_FEATURES;
  const more = device_features & ~VDPASIM_NET_FEATURES;
  if (more !== 0n) throw new KernelError('EINVAL', 'vdpa-sim.create.features', `${name}: features 0x${more.toString(16)} are not those of a simulator`);
  return device_features;
}

/** The link is up, whatever was written there. */
function getConfig(_: Vdpasim, config: Uint8Array): undefined {
  config.set([VIRTIO_NET_S_LINK_UP, 0], virtio_net_config.offsets.status);
}

/** The management device on `device`. */
export function managementOf(k: ManagementSymbols, device: Device): VdpaMgmtDev {
  return {
    device,
    id_table: [VIRTIO_ID_NET],
    config_attr_mask: bits(VDPA_ATTR_DEV_NET_CFG_MACADDR, VDPA_ATTR_DEV_NET_CFG_MTU, VDPA_ATTR_DEV_FEATURES),
    supported_features: VDPASIM_NET_FEATURES,
    max_supported_vqs: VDPASIM_NET_VQ_NUM,
    priv: null,
    ops: {
      async dev_add(mdev, name, config) {
        const sim = await k.vdpasim_create({
          mgmt_dev: mdev, name, id: VIRTIO_ID_NET, supported_features: provisioned(name, config), nvqs: VDPASIM_NET_VQ_NUM,
          ngroups: VDPASIM_NET_GROUP_NUM, nas: VDPASIM_NET_AS_NUM, config_size: virtio_net_config.size, buffer_size: BUFFER_SIZE,
          work_fn: (of) => serveQueues(k, of), get_config: getConfig,
        });
        setupConfig(sim, config);
        try {
          await k._vdpa_register_device(sim.vdpa, VDPASIM_NET_VQ_NUM);
        } catch (error) {
          k.put_device(sim.vdpa.dev);
          throw error;
        }
      },
      dev_del: (_, vdev) => k._vdpa_unregister_device(vdev),
    },
  };
}
