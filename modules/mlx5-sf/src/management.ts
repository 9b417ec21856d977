/** The management device of a function, which makes one vDPA device. Mirrors `mlx5_vdpa_dev_add` in `net/mlx5_vnet.c` (Linux 6.1). */
import { KernelError, UndoStack, withUndo } from '@vdpalab/abi';
import type { Mlx5CoreDev } from '@vdpalab/mlx5-core';
import {
  bit, hasBit, MLX5_CAP_GENERAL, MLX5_VIRTIO_EMULATION_CAP_VIRTIO_QUEUE_TYPE_SPLIT, mlx5_cmd_hca_cap, VDPA_ATTR_DEV_FEATURES,
  VDPA_ATTR_DEV_NET_CFG_MACADDR, VDPA_ATTR_DEV_NET_CFG_MAX_VQP, VDPA_ATTR_DEV_NET_CFG_MTU, VIRTIO_F_RING_PACKED, VIRTIO_ID_NET, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS, virtio_net_config,
} from '@vdpalab/uapi';
import type { VdpaDevice, VdpaDevSetConfig, VdpaMgmtDev } from '@vdpalab/vdpa-core';
import { MINIMUM_FEATURES, ON_REQUEST, supportedFeatures, vdpaCap } from './features.ts';
import type { VnetKernel } from './kernel.ts';
import { Mac } from './mac.ts';
import { vnetOps } from './ops.ts';
import { Regions } from './regions.ts';
import { takeResources } from './resources.ts';
import { NUM_AS, NUMVQ_GROUPS, readLink, Vnet } from './vnet.ts';

/** Ethernet header, VLAN tag and checksum: `MLX5V_ETH_HARD_MTU`. */
const HARD_MTU = 22;
const { offsets } = virtio_net_config;
const hex = (n: bigint): string => `0x${n.toString(16)}`;
const given = ({ mask }: VdpaDevSetConfig, attr: number): boolean => hasBit(mask, attr);

/** A device that was made. */
interface Made {
  readonly vdev: VdpaDevice;
  readonly ndev: Vnet;
  readonly undo: UndoStack;
}

/** Features a device is made with. @throws EINVAL for some that the function has not; EOPNOTSUPP for fewer than it needs */
function provisioned(k: VnetKernel, mdev: Mlx5CoreDev, name: string, config: VdpaDevSetConfig): bigint {
  const supported = supportedFeatures(mdev);
  const asked = given(config, VDPA_ATTR_DEV_FEATURES);
  const refuse = (errno: 'EINVAL' | 'EOPNOTSUPP', rule: string, text: string): KernelError => {
    k.dev_warn(mdev.device, text);
    return new KernelError(errno, rule, `${name}: ${text}`);
  };
  if (asked && (config.device_features & ~supported) !== 0n) {
    throw refuse('EINVAL', 'mlx5_vdpa.add.features', `The provisioned features ${hex(config.device_features)} are not supported by this device with features ${hex(supported)}`);
  }
  const features = asked ? config.device_features : supported & ~ON_REQUEST;
  if ((features & MINIMUM_FEATURES) !== MINIMUM_FEATURES) {
    throw refuse('EOPNOTSUPP', 'mlx5_vdpa.add.minimum', `Must provision minimum features ${hex(MINIMUM_FEATURES)} for this device`);
  }
  if (hasBit(features, VIRTIO_F_RING_PACKED) && hasBit(features, VIRTIO_NET_F_CTRL_VQ)) {
    throw refuse('EINVAL', 'mlx5_vdpa.add.packed', `The provisioned features ${hex(features)} have RING_PACKED and CTRL_VQ: software serves split control queues only`);
  }
  if ((vdpaCap(mdev, 'virtio_queue_type') & MLX5_VIRTIO_EMULATION_CAP_VIRTIO_QUEUE_TYPE_SPLIT) === 0) {
    throw refuse('EOPNOTSUPP', 'mlx5_vdpa.add.split', 'missing support for split virtqueues');
  }
  return features;
}

/** Data queues of the device. @throws EAGAIN when the function has no pair; EINVAL when more are asked for than it has */
function dataQueues(k: VnetKernel, mdev: Mlx5CoreDev, name: string, config: VdpaDevSetConfig): number {
  const most = Math.min(vdpaCap(mdev, 'max_num_virtio_queues'), 2 ** mlx5_cmd_hca_cap.get(mdev.hca_cap(MLX5_CAP_GENERAL), 'log_max_rqt_size'));
  if (most < 2) {
    const text = `${most} virtqueues are supported. At least 2 are required`;
    k.dev_warn(mdev.device, text);
    throw new KernelError('EAGAIN', 'mlx5_vdpa.add.queues', `${name}: ${text}`);
  }
  if (!given(config, VDPA_ATTR_DEV_NET_CFG_MAX_VQP)) return 2;
  const { max_vq_pairs: pairs } = config.net;
  if (pairs > most / 2) throw new KernelError('EINVAL', 'mlx5_vdpa.add.max-vqp', `${name}: ${pairs} pairs of queues of ${most / 2}`);
  return 2 * pairs;
}

/** The configuration a driver reads, and the features that are left. @throws EINVAL for no address where one is promised; what the firmware answers */
async function configuration(
  k: VnetKernel, mdev: Mlx5CoreDev, name: string, config: VdpaDevSetConfig, asked: bigint, maxVqs: number,
): Promise<{ readonly bytes: Uint8Array; readonly features: bigint }> {
  const bytes = new Uint8Array(virtio_net_config.size);
  const view = new DataView(bytes.buffer);
  const explicit = given(config, VDPA_ATTR_DEV_FEATURES);
  if (given(config, VDPA_ATTR_DEV_NET_CFG_MTU)) await k.mlx5_modify_nic_vport_mtu(mdev, config.net.mtu + HARD_MTU);
  if (hasBit(asked, VIRTIO_NET_F_MTU)) view.setUint16(offsets.mtu, await k.mlx5_query_nic_vport_mtu(mdev) - HARD_MTU, true);
  if (hasBit(asked, VIRTIO_NET_F_STATUS)) await readLink(k, mdev, bytes);
  if (given(config, VDPA_ATTR_DEV_NET_CFG_MACADDR)) bytes.set(config.net.mac, offsets.mac);
  else if (!explicit || hasBit(asked, VIRTIO_NET_F_MAC)) bytes.set(await k.mlx5_query_nic_vport_mac_address(mdev, 0), offsets.mac);
  let features = asked;
  if (new Mac(k, mdev, bytes).zero && hasBit(asked, VIRTIO_NET_F_MAC)) {
    if (explicit) {
      k.dev_warn(mdev.device, 'No mac address provisioned?');
      throw new KernelError('EINVAL', 'mlx5_vdpa.add.mac', `${name}: VIRTIO_NET_F_MAC without an address`);
    }
    features &= ~bit(VIRTIO_NET_F_MAC);
  }
  if (hasBit(features, VIRTIO_NET_F_MQ)) view.setUint16(offsets.max_virtqueue_pairs, maxVqs / 2, true);
  return { bytes, features };
}

/** The management device of a function. */
export function managementOf(k: VnetKernel, mdev: Mlx5CoreDev, later: boolean): VdpaMgmtDev {
  let made: Made | null = null;

  async function make(mgmt: VdpaMgmtDev, name: string, config: VdpaDevSetConfig, undo: UndoStack): Promise<Made> {
    const asked = provisioned(k, mdev, name, config);
    const maxVqs = dataQueues(k, mdev, name, config);
    const { bytes, features } = await configuration(k, mdev, name, config, asked, maxVqs);
    const mac = new Mac(k, mdev, bytes);
    await mac.enter();
    undo.push('address in the L2 table', () => mac.leave());
    const res = await takeResources(k, mdev, undo);
    const regions = new Regions({ k, mdev, pdn: res.pdn, nullMkey: res.nullMkey });
    undo.push('memory keys', () => regions.destroy());
    const ndev = new Vnet({ k, mdev, res, regions, maxVqs, features, config: bytes, mac });
    undo.push('table of the control queue', () => void k.vhost_iotlb_free(ndev.cvq.iotlb));
    undo.push('work', () => ndev.stopWork());
    await ndev.mapAll();
    const vdev = await k.__vdpa_alloc_device({
      parent: mdev.device, dma_dev: mdev.pdev.dev, config: vnetOps(ndev, later), ngroups: NUMVQ_GROUPS, nas: NUM_AS, name, models: ['virtio', 'vhost'], priv: ndev,
    });
    vdev.mdev = mgmt;
    k.set_dma_ops(vdev.dev, { map_page: (_, pa) => pa, unmap_page: () => undefined }); // software reads the control queue
    try {
      await k._vdpa_register_device(vdev, maxVqs + 1);
    } catch (error) {
      k.set_dma_ops(vdev.dev, null);
      k.vdpa_put_device(vdev);
      throw error;
    }
    return { vdev, ndev, undo };
  }

  return {
    device: mdev.device,
    id_table: [VIRTIO_ID_NET],
    config_attr_mask: bit(VDPA_ATTR_DEV_NET_CFG_MACADDR) | bit(VDPA_ATTR_DEV_NET_CFG_MAX_VQP) | bit(VDPA_ATTR_DEV_NET_CFG_MTU) | bit(VDPA_ATTR_DEV_FEATURES),
    supported_features: supportedFeatures(mdev),
    max_supported_vqs: vdpaCap(mdev, 'max_num_virtio_queues') + 1,
    priv: mdev,
    ops: {
      async dev_add(mgmt, name, config) {
        if (made !== null) throw new KernelError('ENOSPC', 'mlx5_vdpa.add.one', `${name}: ${mdev.device.name} has ${made.vdev.dev.name} already`);
        const undo = new UndoStack();
        made = await withUndo(undo, () => make(mgmt, name, config, undo));
      },
      async dev_del(_, vdev) {
        const { ndev, undo } = made!; // there is no other
        await ndev.stopWork();
        await k._vdpa_unregister_device(vdev);
        await ndev.locked(() => ndev.teardownDriver()); // of a driver that did not reset it (later Linux: 6.1 leaves objects)
        k.set_dma_ops(vdev.dev, null);
        await undo.run();
        made = null;
      },
    },
  };
}
