/** Link messages. Mirrors `net/core/rtnetlink.c` (Linux 6.1), `rtnl_fill_ifinfo`. */
import * as uapi from '@vdpalab/uapi';
import { isRunning, userFlags } from './link.ts';
import type { NetDev } from './net-device.ts';
import { linkStats } from './stats.ts';
import { putVfs } from './vf-message.ts';

/** Fields of `struct rtnl_link_stats`, which has 32 bits where the other has 64. */
const STATS32_FIELDS = 24;
const GSO_MAX_SEGS = 65535;
const GSO_MAX_SIZE = 65536;
/** Of `struct rtnl_link_ifmap`: addresses and interrupts of old cards. */
const IFMAP_SIZE = 32;
/** Of IFLA_XDP: no program is attached. */
const [IFLA_XDP_ATTACHED, XDP_ATTACHED_NONE] = [2, 0];
/** Of AF_INET6 in IFLA_AF_SPEC. */
const [IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_EUI64] = [8, 0];

/** What a link message is written with: a netlink message builder. */
export interface Attributes {
  readonly put: (type: number, bytes: Uint8Array) => undefined;
  readonly putU8: (type: number, value: number) => undefined;
  readonly putU32: (type: number, value: number) => undefined;
  readonly putString: (type: number, value: string) => undefined;
  readonly nestStart: (type: number) => number;
  readonly nestEnd: (start: number) => undefined;
  readonly bytes: () => Uint8Array;
}

/**
 * `struct ifinfomsg` and the attributes of a device, in Linux's order.
 *
 * Of address families only how IPv6 makes addresses is told, which `ip -d` shows; not its settings and counters, as there is none.
 *
 * @param change IFF_* that changed
 * @param extMask RTEXT_FILTER_* of the request
 */
export function linkPayload(dev: NetDev, change: number, extMask: number, attrs: Attributes): Uint8Array {
  attrs.putString(uapi.IFLA_IFNAME, dev.name);
  attrs.putU32(uapi.IFLA_TXQLEN, dev.tx_queue_len);
  attrs.putU8(uapi.IFLA_OPERSTATE, isRunning(dev) ? dev.operstate : uapi.IF_OPER_DOWN);
  attrs.putU8(uapi.IFLA_LINKMODE, dev.link_mode);
  attrs.putU32(uapi.IFLA_MTU, dev.mtu);
  attrs.putU32(uapi.IFLA_MIN_MTU, dev.min_mtu);
  attrs.putU32(uapi.IFLA_MAX_MTU, dev.max_mtu);
  attrs.putU32(uapi.IFLA_GROUP, dev.group);
  attrs.putU32(uapi.IFLA_PROMISCUITY, (dev.flags & uapi.IFF_PROMISC) === 0 ? 0 : 1);
  attrs.putU32(uapi.IFLA_ALLMULTI, (dev.flags & uapi.IFF_ALLMULTI) === 0 ? 0 : 1);
  attrs.putU32(uapi.IFLA_NUM_TX_QUEUES, dev.num_queues);
  attrs.putU32(uapi.IFLA_GSO_MAX_SEGS, GSO_MAX_SEGS);
  attrs.putU32(uapi.IFLA_GSO_MAX_SIZE, GSO_MAX_SIZE);
  attrs.putU32(uapi.IFLA_GRO_MAX_SIZE, GSO_MAX_SIZE);
  attrs.putU32(uapi.IFLA_TSO_MAX_SIZE, dev.tso_max_size);
  attrs.putU32(uapi.IFLA_TSO_MAX_SEGS, GSO_MAX_SEGS);
  attrs.putU32(uapi.IFLA_NUM_RX_QUEUES, dev.num_queues);
  attrs.putU8(uapi.IFLA_CARRIER, dev.carrier ? 1 : 0);
  attrs.putString(uapi.IFLA_QDISC, isRunning(dev) ? dev.qdisc_name : 'noop');
  if (dev.ifalias !== '') attrs.putString(uapi.IFLA_IFALIAS, dev.ifalias);
  attrs.putU32(uapi.IFLA_CARRIER_CHANGES, dev.carrier_changes);
  attrs.putU32(uapi.IFLA_CARRIER_UP_COUNT, dev.carrier_up_count);
  attrs.putU32(uapi.IFLA_CARRIER_DOWN_COUNT, dev.carrier_down_count);
  attrs.putU8(uapi.IFLA_PROTO_DOWN, 0);
  attrs.put(uapi.IFLA_MAP, new Uint8Array(IFMAP_SIZE));
  attrs.put(uapi.IFLA_ADDRESS, dev.dev_addr);
  attrs.put(uapi.IFLA_BROADCAST, dev.broadcast);
  if ((extMask & uapi.RTEXT_FILTER_SKIP_STATS) === 0) putStats(dev, attrs);
  if ((extMask & uapi.RTEXT_FILTER_VF) !== 0) putVfs(dev, attrs);
  nest(attrs, uapi.IFLA_XDP, () => attrs.putU8(IFLA_XDP_ATTACHED, XDP_ATTACHED_NONE));
  // The loopback device was never given one.
  if (dev.perm_addr.some((byte) => byte !== 0)) attrs.put(uapi.IFLA_PERM_ADDRESS, dev.perm_addr);
  nest(attrs, uapi.IFLA_AF_SPEC, () => nest(attrs, uapi.AF_INET6, () => attrs.putU8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_EUI64)));
  const { parent } = dev.dev;
  if (parent !== null) {
    attrs.putString(uapi.IFLA_PARENT_DEV_NAME, parent.name);
    if (parent.bus !== null) attrs.putString(uapi.IFLA_PARENT_DEV_BUS_NAME, parent.bus.name);
  }
  const head = uapi.ifinfomsg.encode({
    ifi_family: uapi.AF_UNSPEC, ifi_type: dev.type, ifi_index: dev.ifindex, ifi_flags: userFlags(dev), ifi_change: change,
  });
  return concat(head, attrs.bytes());
}

/** A whole netlink message, as it is multicast. */
export function linkNotification(type: number, payload: Uint8Array): Uint8Array {
  return concat(uapi.nlmsghdr.encode({ nlmsg_len: uapi.NLMSG_HDRLEN + payload.length, nlmsg_type: type }), payload);
}

function nest(attrs: Attributes, type: number, body: () => undefined): undefined {
  const start = attrs.nestStart(type);
  body();
  return attrs.nestEnd(start);
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
