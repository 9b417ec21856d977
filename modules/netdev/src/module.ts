/** Network devices, packet sockets and rtnetlink. Mirrors `net/core`, `net/packet`, `net/ethernet` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import { imports } from './kernel.ts';
import { createNet } from './net.ts';

export default defineModule({
  name: 'netdev',
  license: 'GPL',
  description: 'Network devices, packet sockets and rtnetlink',
  builtin: true,
  imports,
  exports: [
    'alloc_etherdev', 'alloc_etherdev_mqs', 'free_netdev', 'register_netdev', 'register_netdevice', 'netif_set_real_num_queues', 'rtnl_lock', 'rtnl_unlock',
    'vlan_vid_add', 'vlan_vid_del', 'netdev_notify_peers', 'unregister_netdev', 'dev_get_by_name', 'dev_get_by_index',
    'dev_open', 'dev_close', 'dev_set_mtu', 'dev_set_mac_address', 'eth_hw_addr_set', 'eth_hw_addr_random',
    'netif_carrier_on', 'netif_carrier_off', 'netif_stop_queue', 'netif_start_queue', 'netif_wake_queue',
    'alloc_skb', 'build_skb', 'kfree_skb', 'skb_copy_bits', 'skb_store_bits', 'netif_receive_skb', 'dev_queue_xmit',
    'netif_napi_add', 'netif_napi_del', 'napi_enable', 'napi_disable', 'napi_schedule', 'napi_complete_done', 'netdev_info',
  ],
  exportsGpl: ['netdevs', 'netdev_leftovers'],

  async module_init(k) {
    return { ksymtab: await createNet(k), module_exit: null };
  },
});
