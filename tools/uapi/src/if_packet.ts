/** `linux/if_packet.h` (Linux 6.1): packet sockets. */
import { be16, bytes, defineStruct, s32, u16, u32, u8 } from './struct.ts';
import type { ValueOf } from './struct.ts';

// sockaddr_ll.sll_pkttype.
export const PACKET_HOST = 0;
export const PACKET_BROADCAST = 1;
export const PACKET_MULTICAST = 2;
export const PACKET_OTHERHOST = 3;
export const PACKET_OUTGOING = 4;
export const PACKET_LOOPBACK = 5;

// Socket options of level SOL_PACKET.
export const PACKET_ADD_MEMBERSHIP = 1;
export const PACKET_DROP_MEMBERSHIP = 2;
export const PACKET_STATISTICS = 6;
export const PACKET_AUXDATA = 8;
export const PACKET_VNET_HDR = 15;
export const PACKET_IGNORE_OUTGOING = 23;

// tpacket_auxdata.tp_status.
export const TP_STATUS_KERNEL = 0;
export const TP_STATUS_USER = 1 << 0;
export const TP_STATUS_COPY = 1 << 1;
export const TP_STATUS_LOSING = 1 << 2;
export const TP_STATUS_CSUMNOTREADY = 1 << 3;
export const TP_STATUS_VLAN_VALID = 1 << 4;
export const TP_STATUS_CSUM_VALID = 1 << 7;

// packet_mreq.mr_type.
export const PACKET_MR_MULTICAST = 0;
export const PACKET_MR_PROMISC = 1;
export const PACKET_MR_ALLMULTI = 2;
export const PACKET_MR_UNICAST = 3;

// include/linux/socket.h.
export const SOL_PACKET = 263;

/** `struct sockaddr_ll`: a link layer address; `sll_protocol` is kept in network byte order. */
export const sockaddr_ll = defineStruct('sockaddr_ll', {
  sll_family: u16,
  sll_protocol: be16,
  sll_ifindex: s32,
  sll_hatype: u16,
  sll_pkttype: u8,
  sll_halen: u8,
  sll_addr: bytes(8),
});
/** A `struct sockaddr_ll` as a plain object. */
export type SockaddrLl = ValueOf<typeof sockaddr_ll>;

/** `struct packet_mreq`: argument of PACKET_ADD_MEMBERSHIP. */
export const packet_mreq = defineStruct('packet_mreq', {
  mr_ifindex: s32,
  mr_type: u16,
  mr_alen: u16,
  mr_address: bytes(8),
});
/** A `struct packet_mreq` as a plain object. */
export type PacketMreq = ValueOf<typeof packet_mreq>;

/** `struct tpacket_stats`: answer to PACKET_STATISTICS. */
export const tpacket_stats = defineStruct('tpacket_stats', {
  tp_packets: u32,
  tp_drops: u32,
});
/** A `struct tpacket_stats` as a plain object. */
export type TpacketStats = ValueOf<typeof tpacket_stats>;

/** `struct tpacket_auxdata`: control message of PACKET_AUXDATA. */
export const tpacket_auxdata = defineStruct('tpacket_auxdata', {
  tp_status: u32,
  tp_len: u32,
  tp_snaplen: u32,
  tp_mac: u16,
  tp_net: u16,
  tp_vlan_tci: u16,
  tp_vlan_tpid: u16,
});
/** A `struct tpacket_auxdata` as a plain object. */
export type TpacketAuxdata = ValueOf<typeof tpacket_auxdata>;
