/** `linux/netlink.h` (Linux 6.1): netlink sockets, messages and attributes. */
import { defineStruct, s32, u16, u32 } from './struct.ts';
import type { ValueOf } from './struct.ts';

// Protocols.
export const NETLINK_ROUTE = 0;
export const NETLINK_UNUSED = 1;
export const NETLINK_USERSOCK = 2;
export const NETLINK_FIREWALL = 3;
export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_NFLOG = 5;
export const NETLINK_XFRM = 6;
export const NETLINK_SELINUX = 7;
export const NETLINK_ISCSI = 8;
export const NETLINK_AUDIT = 9;
export const NETLINK_FIB_LOOKUP = 10;
export const NETLINK_CONNECTOR = 11;
export const NETLINK_NETFILTER = 12;
export const NETLINK_IP6_FW = 13;
export const NETLINK_DNRTMSG = 14;
export const NETLINK_KOBJECT_UEVENT = 15;
export const NETLINK_GENERIC = 16;
export const NETLINK_SCSITRANSPORT = 18;
export const NETLINK_ECRYPTFS = 19;
export const NETLINK_RDMA = 20;
export const NETLINK_CRYPTO = 21;
export const NETLINK_SMC = 22;

// nlmsghdr.nlmsg_flags of every message.
export const NLM_F_REQUEST = 0x01;
export const NLM_F_MULTI = 0x02;
export const NLM_F_ACK = 0x04;
export const NLM_F_ECHO = 0x08;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP_FILTERED = 0x20;

// nlmsg_flags of GET requests.
export const NLM_F_ROOT = 0x100;
export const NLM_F_MATCH = 0x200;
export const NLM_F_ATOMIC = 0x400;
export const NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH;

// nlmsg_flags of NEW requests.
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

// nlmsg_flags of DELETE requests.
export const NLM_F_NONREC = 0x100;
export const NLM_F_BULK = 0x200;

// nlmsg_flags of acknowledgements.
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;

// Messages: alignment and header, in bytes.
export const NLMSG_ALIGNTO = 4;
export const NLMSG_HDRLEN = 16;

// nlmsghdr.nlmsg_type below NLMSG_MIN_TYPE.
export const NLMSG_NOOP = 0x1;
export const NLMSG_ERROR = 0x2;
export const NLMSG_DONE = 0x3;
export const NLMSG_OVERRUN = 0x4;
export const NLMSG_MIN_TYPE = 0x10;

// Attributes after a struct nlmsgerr when NETLINK_EXT_ACK is set.
export const NLMSGERR_ATTR_UNUSED = 0;
export const NLMSGERR_ATTR_MSG = 1;
export const NLMSGERR_ATTR_OFFS = 2;
export const NLMSGERR_ATTR_COOKIE = 3;
export const NLMSGERR_ATTR_POLICY = 4;
export const NLMSGERR_ATTR_MISS_TYPE = 5;
export const NLMSGERR_ATTR_MISS_NEST = 6;
export const NLMSGERR_ATTR_MAX = 6;

// Socket options of level SOL_NETLINK.
export const NETLINK_ADD_MEMBERSHIP = 1;
export const NETLINK_DROP_MEMBERSHIP = 2;
export const NETLINK_PKTINFO = 3;
export const NETLINK_BROADCAST_ERROR = 4;
export const NETLINK_NO_ENOBUFS = 5;
export const NETLINK_RX_RING = 6;
export const NETLINK_TX_RING = 7;
export const NETLINK_LISTEN_ALL_NSID = 8;
export const NETLINK_LIST_MEMBERSHIPS = 9;
export const NETLINK_CAP_ACK = 10;
export const NETLINK_EXT_ACK = 11;
export const NETLINK_GET_STRICT_CHK = 12;

// Socket states.
export const NETLINK_UNCONNECTED = 0;
export const NETLINK_CONNECTED = 1;

// nlattr.nla_type.
export const NLA_F_NESTED = 1 << 15;
export const NLA_F_NET_BYTEORDER = 1 << 14;
export const NLA_TYPE_MASK = ~(NLA_F_NESTED | NLA_F_NET_BYTEORDER);
export const NLA_ALIGNTO = 4;
export const NLA_HDRLEN = 4;

// include/linux/socket.h.
export const SOL_NETLINK = 270;

/** `struct sockaddr_nl`: a netlink address: port id and multicast groups. */
export const sockaddr_nl = defineStruct('sockaddr_nl', {
  nl_family: u16,
  nl_pad: u16,
  nl_pid: u32,
  nl_groups: u32,
});
/** A `struct sockaddr_nl` as a plain object. */
export type SockaddrNl = ValueOf<typeof sockaddr_nl>;

/** `struct nlmsghdr`: head of a message; `nlmsg_len` in bytes, header included. */
export const nlmsghdr = defineStruct('nlmsghdr', {
  nlmsg_len: u32,
  nlmsg_type: u16,
  nlmsg_flags: u16,
  nlmsg_seq: u32,
  nlmsg_pid: u32,
});
/** A `struct nlmsghdr` as a plain object. */
export type Nlmsghdr = ValueOf<typeof nlmsghdr>;

/** `struct nlmsgerr`: payload of NLMSG_ERROR: a negative errno or 0, and the head of the message answered. */
export const nlmsgerr = defineStruct('nlmsgerr', {
  error: s32,
  msg: nlmsghdr,
});
/** A `struct nlmsgerr` as a plain object. */
export type Nlmsgerr = ValueOf<typeof nlmsgerr>;

/** `struct nlattr`: head of an attribute; `nla_len` in bytes, header included, padding not. */
export const nlattr = defineStruct('nlattr', {
  nla_len: u16,
  nla_type: u16,
});
/** A `struct nlattr` as a plain object. */
export type Nlattr = ValueOf<typeof nlattr>;

/** `struct nla_bitfield32`: bits and which of them are meant. */
export const nla_bitfield32 = defineStruct('nla_bitfield32', {
  value: u32,
  selector: u32,
});
/** A `struct nla_bitfield32` as a plain object. */
export type NlaBitfield32 = ValueOf<typeof nla_bitfield32>;

/** `length` rounded up to where the next message starts, in bytes. */
export function NLMSG_ALIGN(length: number): number {
  return (length + NLMSG_ALIGNTO - 1) & ~(NLMSG_ALIGNTO - 1);
}

/** Bytes of a message with a payload of `length`, without padding. */
export function NLMSG_LENGTH(length: number): number {
  return length + NLMSG_HDRLEN;
}

/** Bytes of a message with a payload of `length`, with padding. */
export function NLMSG_SPACE(length: number): number {
  return NLMSG_ALIGN(NLMSG_LENGTH(length));
}

/** `length` rounded up to where the next attribute starts, in bytes. */
export function NLA_ALIGN(length: number): number {
  return (length + NLA_ALIGNTO - 1) & ~(NLA_ALIGNTO - 1);
}
