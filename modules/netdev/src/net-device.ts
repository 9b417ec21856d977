/** A network device. Mirrors `struct net_device` and `ether_setup` (Linux 6.1). */
import type { Device } from '@vdpalab/driver-core';
import { ARPHRD_ETHER, ETH_ALEN, ETH_DATA_LEN, ETH_MIN_MTU, IF_LINK_MODE_DEFAULT, IF_OPER_UNKNOWN, IFF_BROADCAST, IFF_MULTICAST } from '@vdpalab/uapi';
import type { NetDevice, NetDeviceOps, NetStats } from './header.ts';
import type { Qdisc } from './qdisc.ts';

// include/uapi/linux/netdevice.h
export const NET_ADDR_PERM = 0;
export const NET_ADDR_RANDOM = 1;
export const NET_ADDR_SET = 3;
export const NET_NAME_ENUM = 1;
export const NET_NAME_PREDICTABLE = 2;
export const NET_NAME_RENAMED = 4;

/** `DEFAULT_TX_QUEUE_LEN` */
const TX_QUEUE_LEN = 1000;
/** `GSO_LEGACY_MAX_SIZE` */
const TSO_MAX_SIZE = 65536;

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
  broadcast: Uint8Array = new Uint8Array(ETH_ALEN).fill(0xff);
  /** The address it was registered with. */
  perm_addr: Uint8Array = new Uint8Array(ETH_ALEN);
  /** ARPHRD_* */
  type: number = ARPHRD_ETHER;
  /** Frames that may wait for the driver. */
  tx_queue_len = TX_QUEUE_LEN;
  group = 0;
  /** NET_NAME_* */
  name_assign_type: number = NET_NAME_ENUM;
  /** A name of the administrator's; empty for none. */
  ifalias = '';
  /** IF_LINK_MODE_* */
  link_mode: number = IF_LINK_MODE_DEFAULT;
  tso_max_size = TSO_MAX_SIZE;
  /** Name of the queueing discipline while it is up: Debian's default; frames leave in their order, as `fq_codel` lets one flow. */
  qdisc_name = 'fq_codel';
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
  readonly num_queues: number;
  real_num_queues: number;
  /** VLANs whose frames are let in, and for how many. */
  readonly vids = new Map<number, number>();
  /** IF_OPER_* */
  operstate: number = IF_OPER_UNKNOWN;
  carrier_up_count = 0;
  carrier_down_count = 0;
  /** A change of the carrier waits to be told. */
  linkwatch = false;
  /** `uninitialized` before register_netdev and after unregister_netdev. */
  reg_state: 'uninitialized' | 'registered' | 'unregistering' = 'uninitialized';
  /** What waits for the transmit queue; set with the device. */
  qdisc!: Qdisc;

  constructor(name: string, ops: NetDeviceOps, priv: unknown, queues: number) {
    this.name = name;
    this.num_queues = queues;
    this.real_num_queues = queues;
    if (queues > 1) this.qdisc_name = 'mq';
    this.netdev_ops = ops;
    this.priv = priv;
  }

  get carrier_changes(): number {
    return this.carrier_up_count + this.carrier_down_count;
  }
}

/** `52:54:00:12:34:56` */
export function formatMac(addr: Uint8Array): string {
  return [...addr].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** How log lines name a device: `virtio_net virtio0 eth0`. @see `__netdev_printk` */
export function logName(dev: NetDev): string {
  const { parent } = dev.dev;
  const where = parent === null ? '' : `${parent.driver?.name ?? parent.bus?.name ?? ''} ${parent.name} `;
  return `${where}${dev.reg_state === 'registered' ? dev.name : `${dev.name} (${dev.reg_state})`}`;
}
