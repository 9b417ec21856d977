/** `struct net_device` with what only the core touches. Mirrors `net/core/dev.c` (Linux 6.1). */
import type { AtomicWork } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import { ETH_DATA_LEN, ETH_HLEN, ETH_MIN_MTU, IFF_BROADCAST, IFF_MULTICAST, IFF_RUNNING, IFF_UP } from '@vdpalab/uapi';
import type { NetDevice, NetDeviceOps, NetStats, SkBuff } from './header.ts';

/** How an address came about: `addr_assign_type`. */
export const NET_ADDR_PERM = 0;
export const NET_ADDR_RANDOM = 1;
export const NET_ADDR_SET = 3;

const zeroStats = (): NetStats => ({
  rx_packets: 0, rx_bytes: 0, rx_errors: 0, rx_dropped: 0, tx_packets: 0, tx_bytes: 0, tx_errors: 0, tx_dropped: 0, rx_length_errors: 0,
});

/** One Ethernet interface. */
export class EtherDevice implements NetDevice {
  /** Set by registration. */
  dev!: Device;
  name: string;
  ifindex = 0;
  mtu = ETH_DATA_LEN;
  min_mtu = ETH_MIN_MTU;
  max_mtu = ETH_DATA_LEN;
  dev_addr: Uint8Array = new Uint8Array(6);
  addr_assign_type = NET_ADDR_PERM;
  flags = IFF_BROADCAST | IFF_MULTICAST;
  readonly stats: NetStats = zeroStats();
  carrier = true;
  queue_stopped = false;
  readonly priv: unknown;
  readonly netdev_ops: NetDeviceOps;
  readonly parent: Device | null;
  registered = false;
  /** Frames the driver has no room for, oldest first. */
  readonly qdisc: SkBuff[] = [];
  /** Hands waiting frames to the driver. */
  readonly txWork: AtomicWork;

  constructor(pattern: string, ops: NetDeviceOps, parent: Device | null, priv: unknown, runQueue: (dev: EtherDevice) => undefined) {
    this.name = pattern;
    this.netdev_ops = ops;
    this.parent = parent;
    this.priv = priv;
    this.txWork = { name: `tx ${pattern}`, run: () => runQueue(this), pending: false, cause: 0 };
  }

  get up(): boolean {
    return (this.flags & IFF_UP) !== 0;
  }

  /** Flags as user space sees them: RUNNING says that the carrier is there too. */
  get shownFlags(): number {
    return this.up && this.carrier ? this.flags | IFF_RUNNING : this.flags;
  }

  /** `operstate` */
  get operstate(): 'up' | 'down' {
    return this.up && this.carrier ? 'up' : 'down';
  }

  /** Longest frame, bytes, without a VLAN tag. */
  get frameMax(): number {
    return this.mtu + ETH_HLEN;
  }
}

