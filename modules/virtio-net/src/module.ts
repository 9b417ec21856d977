/** The virtio network driver. Mirrors `drivers/net/virtio_net.c` (Linux 6.1): without offloads. */
import { defineModule, KernelError } from '@vdpalab/abi';
import {
  ETH_MIN_MTU, VIRTIO_ID_NET, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS,
  virtio_net_config,
} from '@vdpalab/uapi';
import type { VirtioDriver } from '@vdpalab/virtio';
import { VirtnetInfo } from './device.ts';

/** What a device does by commands alone. @see `virtnet_validate_features` */
const BY_COMMAND = [
  [VIRTIO_NET_F_CTRL_RX, 'VIRTIO_NET_F_CTRL_RX'], [VIRTIO_NET_F_CTRL_VLAN, 'VIRTIO_NET_F_CTRL_VLAN'],
  [VIRTIO_NET_F_GUEST_ANNOUNCE, 'VIRTIO_NET_F_GUEST_ANNOUNCE'], [VIRTIO_NET_F_MQ, 'VIRTIO_NET_F_MQ'],
  [VIRTIO_NET_F_CTRL_MAC_ADDR, 'VIRTIO_NET_F_CTRL_MAC_ADDR'],
] as const;

export default defineModule({
  name: 'virtio_net',
  license: 'GPL',
  description: 'Virtio network driver',
  alias: ['virtio:d00000001v*'],
  imports: [
    'register_virtio_driver', 'unregister_virtio_driver', 'virtio_has_feature', 'virtio_find_vqs', 'virtio_del_vqs',
    'virtio_reset_device', 'virtio_device_ready', 'virtqueue_add_sgs', 'virtqueue_get_buf', 'virtqueue_kick', 'virtqueue_disable_cb',
    'virtqueue_enable_cb_prepare', 'virtqueue_enable_cb_delayed', 'virtqueue_poll', 'virtqueue_detach_unused_buf', 'virtqueue_is_broken', 'alloc_etherdev_mqs',
    'free_netdev', 'register_netdevice', 'unregister_netdev', 'netif_set_real_num_queues', 'rtnl_lock', 'rtnl_unlock', 'netdev_notify_peers', 'eth_hw_addr_set', 'eth_hw_addr_random', 'netif_carrier_on',
    'netif_carrier_off', 'netif_stop_queue', 'netif_wake_queue', 'netif_receive_skb', 'build_skb', 'kfree_skb', 'netif_napi_add',
    'netif_napi_del', 'napi_enable', 'napi_disable', 'napi_schedule', 'napi_complete_done', 'INIT_WORK', 'queue_work',
    'cancel_work_sync', 'system_wq', 'mod_timer', 'alloc_pages', 'free_pages', 'phys_view', 'dev_err', 'dev_warn', 'cpu_relax',
  ],

  async module_init(k, { THIS_MODULE }) {
    const driver: VirtioDriver = {
      name: 'virtio_net',
      owner: THIS_MODULE,
      id_table: [{ device: VIRTIO_ID_NET, vendor: null }],
      feature_table: [
        VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS, VIRTIO_NET_F_MTU, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_CTRL_VQ, ...BY_COMMAND.map(([bit]) => bit),
        VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, // taken as Linux takes it; of offloads that could be switched there are none
      ],

      /** A device whose MTU no frame fits into is taken without one. */
      async validate(vdev) {
        const orphan = BY_COMMAND.find(([bit]) => k.virtio_has_feature(vdev, bit));
        if (orphan !== undefined && !k.virtio_has_feature(vdev, VIRTIO_NET_F_CTRL_VQ)) {
          k.dev_err(vdev.dev, `device advertises feature ${orphan[1]} but not VIRTIO_NET_F_CTRL_VQ`);
          throw new KernelError('EINVAL', 'virtio_net.validate.control', `${vdev.dev.name}: ${orphan[1]} without a control queue`);
        }
        if (!k.virtio_has_feature(vdev, VIRTIO_NET_F_MTU)) return;
        const [low, high] = await vdev.config.get(vdev, virtio_net_config.offsets.mtu, 2);
        if (((low as number) | ((high as number) << 8)) < ETH_MIN_MTU) vdev.features &= ~(1n << BigInt(VIRTIO_NET_F_MTU));
      },
      async probe(vdev) {
        const info = new VirtnetInfo(k, vdev);
        await info.probe();
        vdev.priv = info;
      },
      async remove(vdev) {
        await (vdev.priv as VirtnetInfo).remove(); // set by probe
        vdev.priv = null;
      },
      config_changed: (vdev) => (vdev.priv as VirtnetInfo | null)?.configChanged(),
    };
    await k.register_virtio_driver(driver);
    return { ksymtab: {}, module_exit: () => k.unregister_virtio_driver(driver) };
  },
});
