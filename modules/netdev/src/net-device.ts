/** A network device. Mirrors `struct net_device` and `ether_setup` (Linux 6.1). */
import type { Device } from '@vdpalab/driver-core';
import { ETH_ALEN, ETH_DATA_LEN, ETH_MIN_MTU, IF_OPER_UNKNOWN, IFF_BROADCAST, IFF_MULTICAST } from '@vdpalab/uapi';
import type { NetDevice, NetDeviceOps, NetStats } from './header.ts';
import type { Qdisc } from './qdisc.ts';

// include/uapi/linux/netdevice.h
export const NET_ADDR_PERM = 0;
export const NET_ADDR_RANDOM = 1;
export const NET_ADDR_SET = 3;

/** `struct net_device` */
export class NetDev implements NetDevice {
  /** Set with the device. */
  dev!: Device;
  name: string;
  ifindex = 0;
  mtu = ETH_DATA_LEN;
  min_mtu = ETH_MIN_MTU;
  max_mtu = ETH_DATA_LEN;
  dev_addr: Uint8Array = new Uint8Array(ETH_ALEN);
  addr_assign_type = NET_ADDR_PERM;
  flags = IFF_BROADCAST | IFF_MULTICAST;
  readonly stats: NetStats = {
    rx_packets: 0, rx_bytes: 0, rx_errors: 0, rx_dropped: 0, tx_packets: 0, tx_bytes: 0, tx_errors: 0, tx_dropped: 0,
    rx_length_errors: 0,
  };
  readonly priv: unknown;
  readonly netdev_ops: NetDeviceOps;
  carrier = true;
  queue_stopped = false;
  /** IF_OPER_* */
  operstate = IF_OPER_UNKNOWN;
  carrier_changes = 0;
  /** A change of the carrier waits to be told. */
  linkwatch = false;
  /** `uninitialized` before register_netdev and after unregister_netdev. */
  reg_state: 'uninitialized' | 'registered' | 'unregistering' = 'uninitialized';
  /** What waits for the transmit queue; set with the device. */
  qdisc!: Qdisc;

  constructor(name: string, ops: NetDeviceOps, priv: unknown) {
    this.name = name;
    this.netdev_ops = ops;
    this.priv = priv;
  }
}

/** `52:54:00:12:34:56` */
export function formatMac(addr: Uint8Array): string {
  return [...addr].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
