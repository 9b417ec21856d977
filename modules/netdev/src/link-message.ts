/** Link messages. Mirrors `net/core/rtnetlink.c` (Linux 6.1), `rtnl_fill_ifinfo`. */
import * as uapi from '@vdpalab/uapi';
import { isRunning, userFlags } from './link.ts';
import type { NetDev } from './net-device.ts';
import { TX_QUEUE_LEN } from './qdisc.ts';
import { linkStats } from './stats.ts';

/** Fields of `struct rtnl_link_stats`, which has 32 bits where the other has 64. */
const STATS32_FIELDS = 24;

/** What a link message is written with: a netlink message builder. */
export interface Attributes {
  readonly put: (type: number, bytes: Uint8Array) => undefined;
  readonly putU8: (type: number, value: number) => undefined;
  readonly putU32: (type: number, value: number) => undefined;
  readonly putString: (type: number, value: string) => undefined;
  readonly bytes: () => Uint8Array;
}

/**
 * `struct ifinfomsg` and the attributes of a device.
 *
 * Not written: what is about queues beyond the first, segmentation, XDP, address families and VFs' own settings.
 *
 * @param change IFF_* that changed
 * @param extMask RTEXT_FILTER_* of the request
 */
export function linkPayload(dev: NetDev, change: number, extMask: number, attrs: Attributes): Uint8Array {
  attrs.putString(uapi.IFLA_IFNAME, dev.name);
  attrs.putU32(uapi.IFLA_TXQLEN, TX_QUEUE_LEN);
  attrs.putU8(uapi.IFLA_OPERSTATE, isRunning(dev) ? dev.operstate : uapi.IF_OPER_DOWN);
  attrs.putU8(uapi.IFLA_LINKMODE, uapi.IF_LINK_MODE_DEFAULT);
  attrs.putU32(uapi.IFLA_MTU, dev.mtu);
  attrs.putU32(uapi.IFLA_MIN_MTU, dev.min_mtu);
  attrs.putU32(uapi.IFLA_MAX_MTU, dev.max_mtu);
  attrs.putU32(uapi.IFLA_GROUP, 0);
  attrs.putU32(uapi.IFLA_PROMISCUITY, 0);
  attrs.putU32(uapi.IFLA_NUM_TX_QUEUES, 1);
  attrs.putU32(uapi.IFLA_NUM_RX_QUEUES, 1);
  attrs.putU8(uapi.IFLA_CARRIER, dev.carrier ? 1 : 0);
  attrs.putString(uapi.IFLA_QDISC, isRunning(dev) ? 'pfifo_fast' : 'noop');
  attrs.putU32(uapi.IFLA_CARRIER_CHANGES, dev.carrier_changes);
  attrs.put(uapi.IFLA_ADDRESS, dev.dev_addr);
  attrs.put(uapi.IFLA_BROADCAST, new Uint8Array(uapi.ETH_ALEN).fill(0xff));
  if ((extMask & uapi.RTEXT_FILTER_SKIP_STATS) === 0) putStats(dev, attrs);
  const { parent } = dev.dev;
  if (parent !== null) {
    attrs.putString(uapi.IFLA_PARENT_DEV_NAME, parent.name);
    if (parent.bus !== null) attrs.putString(uapi.IFLA_PARENT_DEV_BUS_NAME, parent.bus.name);
  }
  const head = uapi.ifinfomsg.encode({
    ifi_family: uapi.AF_UNSPEC, ifi_type: uapi.ARPHRD_ETHER, ifi_index: dev.ifindex, ifi_flags: userFlags(dev), ifi_change: change,
  });
  return concat(head, attrs.bytes());
}

/** A whole netlink message, as it is multicast. */
export function linkNotification(type: number, payload: Uint8Array): Uint8Array {
  return concat(uapi.nlmsghdr.encode({ nlmsg_len: uapi.NLMSG_HDRLEN + payload.length, nlmsg_type: type }), payload);
}

function putStats(dev: NetDev, attrs: Attributes): undefined {
  const stats = linkStats(dev);
  attrs.put(uapi.IFLA_STATS64, uapi.rtnl_link_stats64.encode(stats));
  const narrow = new DataView(new ArrayBuffer(4 * STATS32_FIELDS));
  Object.values(stats).slice(0, STATS32_FIELDS).forEach((value, i) => narrow.setUint32(4 * i, Number(value & 0xffff_ffffn), true));
  attrs.put(uapi.IFLA_STATS, new Uint8Array(narrow.buffer));
}

function concat(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const all = new Uint8Array(head.length + tail.length);
  all.set(head);
  all.set(tail, head.length);
  return all;
}
