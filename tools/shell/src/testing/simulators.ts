/** Management devices for the vdpa tool: the simulators of Linux 6.1, and one that has what those have not. */
import { KernelError } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { BootedKernel } from '@vdpalab/testing';
import {
  VDPA_ATTR_DEV_NET_CFG_MACADDR, VDPA_ATTR_DEV_NET_CFG_MAX_VQP, VDPA_ATTR_DEV_NET_CFG_MTU, VDPA_ATTR_DEV_VENDOR_ATTR_NAME,
  VDPA_ATTR_DEV_VENDOR_ATTR_VALUE, VDPA_ATTR_PAD, virtio_net_config, VIRTIO_NET_S_ANNOUNCE,
} from '@vdpalab/uapi';
import type { VdpaConfigOps, VdpaMgmtDev } from '@vdpalab/vdpa-core';

/** What a kernel with both simulators is made of, above `fs`. */
export const SIMULATORS = [
  'driver-core', 'iommu', 'netlink', 'vhost-iotlb', 'vringh', 'vdpa-core', 'vdpa-sim', 'vdpa-sim-net', 'vdpa-sim-blk',
] as const;

const CONFIG_MASK = (1n << BigInt(VDPA_ATTR_DEV_NET_CFG_MACADDR)) | (1n << BigInt(VDPA_ATTR_DEV_NET_CFG_MTU));

function ops(id: number, config: Uint8Array): VdpaConfigOps {
  let status = 0;
  let accepted = 0n;
  return {
    set_vq_address: () => undefined, set_vq_num: () => undefined, kick_vq: () => undefined, set_vq_cb: () => undefined,
    set_vq_ready: async () => {}, get_vq_ready: () => false, set_vq_state: async () => {},
    get_vq_state: async () => ({ kind: 'split', avail_index: 0 }),
    get_vq_align: () => 4096, get_device_features: () => 0n,
    set_driver_features: async (_, features) => void (accepted = features), get_driver_features: () => accepted,
    set_config_cb: () => undefined, get_vq_num_max: () => 256, get_device_id: () => id, get_vendor_id: () => 0,
    get_status: () => status, set_status: async (_, value) => void (status = value), reset: async () => void (status = 0),
    get_config_size: () => config.length, get_config: (_, offset, len) => config.slice(offset, offset + len), set_config: async () => {},
    set_map: async () => {},
  };
}

/** A device with what the simulators have not. */
export interface Exotic {
  /** Class of the devices. */
  readonly id: number;
  /** Classes the management device says it makes; that one when absent. */
  readonly idTable?: readonly number[];
  readonly features: bigint;
  /** Of the devices: a driver has negotiated, say. */
  readonly status?: number;
}

/** Register a management device that takes queue pairs and whose devices count what passes their 17 queues. Inside a task. */
export async function registerExotic(kernel: BootedKernel, name: string, { id, idTable = [id], features, status = 0xf }: Exotic): Promise<void> {
  const { k } = kernel;
  const device: Device = k.device_initialize({ name });
  await k.device_add(device);
  const mask = CONFIG_MASK | (1n << BigInt(VDPA_ATTR_DEV_NET_CFG_MAX_VQP));
  const mdev: VdpaMgmtDev = {
    device, id_table: idTable, config_attr_mask: mask, supported_features: features, max_supported_vqs: 17, priv: null,
    ops: {
      dev_add: async (_, devName, config) => {
        const net = virtio_net_config.encode({
          mac: config.net.mac, status: VIRTIO_NET_S_ANNOUNCE, mtu: config.net.mtu, max_virtqueue_pairs: config.net.max_vq_pairs,
        });
        const vdev = await k.__vdpa_alloc_device({
          parent: device, dma_dev: device, ngroups: 1, nas: 1, name: devName, priv: null,
          config: {
            ...ops(id, net), get_device_features: () => features, get_driver_features: () => features, get_status: () => status,
            get_vq_num_max: () => 32768, get_vendor_id: () => 0x1af4,
            get_vendor_vq_stats: async (_dev, idx, msg) => {
              if (idx > 16) throw new KernelError('EINVAL', 'test.stats.index', `queue ${idx}`, { extack: 'vdpa: no such queue' });
              msg.putString(VDPA_ATTR_DEV_VENDOR_ATTR_NAME, 'received_desc');
              msg.putU64(VDPA_ATTR_DEV_VENDOR_ATTR_VALUE, 0xffff_ffff_ffff_fff0n + BigInt(idx & 15), VDPA_ATTR_PAD);
              msg.putString(VDPA_ATTR_DEV_VENDOR_ATTR_NAME, 'completed_desc');
              msg.putU64(VDPA_ATTR_DEV_VENDOR_ATTR_VALUE, 7n, VDPA_ATTR_PAD);
            },
          },
        });
        vdev.mdev = mdev;
        try {
          await k._vdpa_register_device(vdev, 17);
        } catch (error) {
          k.vdpa_put_device(vdev);
          throw error;
        }
      },
      dev_del: (_, vdev) => k._vdpa_unregister_device(vdev),
    },
  };
  await k.vdpa_mgmtdev_register(mdev);
}
