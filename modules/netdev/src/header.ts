/**
 * Network devices, socket buffers, packet sockets.
 *
 * Mirrors `include/linux/{netdevice,skbuff,etherdevice}.h` (Linux 6.1). Only Ethernet; no protocol stack: frames enter
 * and leave through packet sockets.
 */
import type { Atomic } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { PageRun } from '@vdpalab/mm';

/** Bytes in physical memory. */
export interface SkbFrag {
  readonly pa: number;
  readonly len: number;
}

/**
 * `struct sk_buff`: one frame, in pages. Whoever holds it last calls `kfree_skb`.
 */
export interface SkBuff {
  dev: NetDevice | null;
  /** Frame bytes, Ethernet header first, in order. */
  readonly frags: readonly SkbFrag[];
  readonly len: number;
  /** Bytes free in the pages in front of the first frag: room for a header. */
  readonly headroom: number;
  /** Transmit queue it goes to, chosen before the driver gets it: frames of one flow take the same. */
  readonly queue_mapping: number;
}

/** `struct net_device_ops` */
export interface NetDeviceOps {
  readonly ndo_open: (dev: NetDevice) => Promise<void>;
  readonly ndo_stop: (dev: NetDevice) => Promise<void>;
  /** Atomic. Owns `skb` when it answers NETDEV_TX_OK. */
  readonly ndo_start_xmit: (skb: SkBuff, dev: NetDevice) => 'NETDEV_TX_OK' | 'NETDEV_TX_BUSY';
  /** @throws EADDRNOTAVAIL EBUSY EOPNOTSUPP */
  readonly ndo_set_mac_address?: (dev: NetDevice, addr: Uint8Array) => Promise<void>;
  /** `get_link_ksettings` of ethtool's: Mbit/s, -1 where nobody knows. */
  readonly get_link_ksettings?: (dev: NetDevice) => { readonly speed: number; readonly duplex: 'half' | 'full' | 'unknown' };
  readonly ndo_change_mtu?: (dev: NetDevice, mtu: number) => Promise<void>;
  /** IFF_PROMISC or IFF_ALLMULTI changed, or it came up. */
  readonly ndo_set_rx_mode?: (dev: NetDevice) => Promise<void>;
  /** Let frames of a VLAN in; absent: all come in. */
  readonly ndo_vlan_rx_add_vid?: (dev: NetDevice, vid: number) => Promise<void>;
  readonly ndo_vlan_rx_kill_vid?: (dev: NetDevice, vid: number) => Promise<void>;
  /** `get_channels` of ethtool's: queue pairs there are, and in use. */
  readonly get_channels?: (dev: NetDevice) => { readonly max_combined: number; readonly combined_count: number };
  /** @param combined_count 1 to the most there are. @throws EINVAL */
  readonly set_channels?: (dev: NetDevice, combined_count: number) => Promise<void>;
  /** Configure a VF from its PF: `ip link set PF vf N mac ADDR`. @throws EINVAL */
  readonly ndo_set_vf_mac?: (dev: NetDevice, vf: number, addr: Uint8Array) => Promise<void>;
  /** @param vlan 0 for none. @throws EINVAL */
  readonly ndo_set_vf_vlan?: (dev: NetDevice, vf: number, vlan: number, qos: number) => Promise<void>;
  /** Mbit/s, 0 for no limit. */
  readonly ndo_set_vf_rate?: (dev: NetDevice, vf: number, min_tx_rate: number, max_tx_rate: number) => Promise<void>;
  readonly ndo_set_vf_spoofchk?: (dev: NetDevice, vf: number, on: boolean) => Promise<void>;
  /** @param state IFLA_VF_LINK_STATE_* */
  readonly ndo_set_vf_link_state?: (dev: NetDevice, vf: number, state: number) => Promise<void>;
  readonly ndo_set_vf_rss_query_en?: (dev: NetDevice, vf: number, on: boolean) => Promise<void>;
  readonly ndo_set_vf_trust?: (dev: NetDevice, vf: number, on: boolean) => Promise<void>;
  /** What `ip link show PF` tells of a VF. Unlike Linux's it may not sleep. */
  readonly ndo_get_vf_config?: (dev: NetDevice, vf: number) => VfInfo;
}

/** `struct ifla_vf_info`; what a driver does not know is absent. */
export interface VfInfo {
  readonly mac: Uint8Array;
  readonly vlan?: number;
  readonly qos?: number;
  /** Mbit/s */
  readonly min_tx_rate?: number;
  readonly max_tx_rate?: number;
  readonly spoofchk?: boolean;
  /** IFLA_VF_LINK_STATE_* */
  readonly linkstate?: number;
  readonly rss_query_en?: boolean;
  readonly trusted?: boolean;
}

/** Counters, as `/sys/class/net/N/statistics`. */
export interface NetStats {
  rx_packets: number;
  rx_bytes: number;
  rx_errors: number;
  rx_dropped: number;
  tx_packets: number;
  tx_bytes: number;
  tx_errors: number;
  tx_dropped: number;
  rx_length_errors: number;
}

/** `struct net_device` */
export interface NetDevice {
  readonly dev: Device;
  name: string;
  readonly ifindex: number;
  mtu: number;
  min_mtu: number;
  max_mtu: number;
  dev_addr: Uint8Array;
  addr_assign_type: number;
  /** IFF_* */
  flags: number;
  readonly stats: NetStats;
  readonly carrier: boolean;
  readonly queue_stopped: boolean;
  /** Transmit and receive queues there are, and of them in use. */
  readonly num_queues: number;
  readonly real_num_queues: number;
  readonly priv: unknown;
  readonly netdev_ops: NetDeviceOps;
}

/** NAPI context: a poll function run in atomic context, at most `weight` frames a turn. */
export interface NapiStruct {
  readonly name: string;
  readonly weight: number;
  readonly poll: (budget: number) => number;
}

export interface NetdevSymbols {
  /** @param pattern `eth%d`; @param priv the driver's own */
  alloc_etherdev: (pattern: string, ops: NetDeviceOps, parent: Device | null, priv: unknown) => NetDevice;
  /** As {@link alloc_etherdev}, with several transmit and as many receive queues; all are in use until `netif_set_real_num_queues`. */
  alloc_etherdev_mqs: (pattern: string, ops: NetDeviceOps, parent: Device | null, priv: unknown, queues: number) => NetDevice;
  free_netdev: (dev: NetDevice) => Atomic;
  register_netdev: (dev: NetDevice) => Promise<void>;
  /** The rtnl lock is held. */
  register_netdevice: (dev: NetDevice) => Promise<void>;
  /** Closes it first. */
  unregister_netdev: (dev: NetDevice) => Promise<void>;
  /** `netif_set_real_num_tx_queues` and its twin for receiving: how many are in use. @throws EINVAL */
  netif_set_real_num_queues: (dev: NetDevice, queues: number) => Atomic;
  /** The lock over all interfaces: of who changes one. */
  rtnl_lock: () => Promise<void>;
  rtnl_unlock: () => Atomic;
  /** Let frames of a VLAN in, once for each caller; the rtnl lock is held. */
  vlan_vid_add: (dev: NetDevice, vid: number) => Promise<void>;
  vlan_vid_del: (dev: NetDevice, vid: number) => Promise<void>;
  /** Tell those around that the interface is where it is now. */
  netdev_notify_peers: (dev: NetDevice) => Atomic;
  /** Interfaces of drivers: all but the loopback device. */
  netdevs: () => readonly NetDevice[];
  dev_get_by_name: (name: string) => NetDevice | null;
  dev_get_by_index: (ifindex: number) => NetDevice | null;
  /** Up. */
  dev_open: (dev: NetDevice) => Promise<void>;
  dev_close: (dev: NetDevice) => Promise<void>;
  /** @throws EINVAL with extack "mtu less than device minimum" | "mtu greater than device maximum" */
  dev_set_mtu: (dev: NetDevice, mtu: number) => Promise<void>;
  dev_set_mac_address: (dev: NetDevice, addr: Uint8Array) => Promise<void>;
  eth_hw_addr_set: (dev: NetDevice, addr: Uint8Array) => Atomic;
  /** A random, locally administered address from the machine's seed. */
  eth_hw_addr_random: (dev: NetDevice) => Atomic;
  netif_carrier_on: (dev: NetDevice) => Atomic;
  netif_carrier_off: (dev: NetDevice) => Atomic;
  netif_stop_queue: (dev: NetDevice) => Atomic;
  netif_start_queue: (dev: NetDevice) => Atomic;
  netif_wake_queue: (dev: NetDevice) => Atomic;

  /** Room for a frame in pages. @param headroom bytes kept free in front. @throws ENOMEM */
  alloc_skb: (len: number, headroom: number) => SkBuff;
  /** A frame over pages the caller gives away; freed with it. */
  build_skb: (runs: readonly PageRun[], frags: readonly SkbFrag[]) => SkBuff;
  kfree_skb: (skb: SkBuff) => Atomic;
  /** Copy the frame's bytes out. */
  skb_copy_bits: (skb: SkBuff) => Uint8Array;
  /** Bytes into the frame at its start. */
  skb_store_bits: (skb: SkBuff, bytes: Uint8Array) => Atomic;
  /** A received frame enters the stack; atomic; owns it. */
  netif_receive_skb: (skb: SkBuff) => Atomic;
  /** Send; atomic. Frames that do not fit the queue wait in the qdisc (length 1000, then dropped). @throws EMSGSIZE over mtu + header, ENETDOWN, ENOBUFS */
  dev_queue_xmit: (skb: SkBuff) => Atomic;

  netif_napi_add: (dev: NetDevice, name: string, weight: number, poll: (budget: number) => number) => NapiStruct;
  netif_napi_del: (napi: NapiStruct) => Atomic;
  napi_enable: (napi: NapiStruct) => Atomic;
  /** Waits until it polls no more. */
  napi_disable: (napi: NapiStruct) => Promise<void>;
  /** @returns false when it is scheduled already */
  napi_schedule: (napi: NapiStruct) => boolean;
  /** @returns false when a schedule came meanwhile */
  napi_complete_done: (napi: NapiStruct, work: number) => boolean;

  netdev_info: (dev: NetDevice, text: string) => Atomic;
  /** Owner module of packet sockets and frames alive, for leak reports. */
  netdev_leftovers: () => readonly string[];
}


declare module '@vdpalab/abi' {
  interface KernelSymbols extends NetdevSymbols {}
}
