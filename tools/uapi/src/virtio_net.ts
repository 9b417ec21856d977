/** `linux/virtio_net.h` (Linux 6.1): network device. */
import { ETH_ALEN } from './if_ether.ts';
import { array, bytes, defineStruct, u16, u32, u8 } from './struct.ts';
import type { ValueOf } from './struct.ts';

// Feature bit numbers.
export const VIRTIO_NET_F_CSUM = 0;
export const VIRTIO_NET_F_GUEST_CSUM = 1;
export const VIRTIO_NET_F_CTRL_GUEST_OFFLOADS = 2;
export const VIRTIO_NET_F_MTU = 3;
export const VIRTIO_NET_F_MAC = 5;
export const VIRTIO_NET_F_GUEST_TSO4 = 7;
export const VIRTIO_NET_F_GUEST_TSO6 = 8;
export const VIRTIO_NET_F_GUEST_ECN = 9;
export const VIRTIO_NET_F_GUEST_UFO = 10;
export const VIRTIO_NET_F_HOST_TSO4 = 11;
export const VIRTIO_NET_F_HOST_TSO6 = 12;
export const VIRTIO_NET_F_HOST_ECN = 13;
export const VIRTIO_NET_F_HOST_UFO = 14;
export const VIRTIO_NET_F_MRG_RXBUF = 15;
export const VIRTIO_NET_F_STATUS = 16;
export const VIRTIO_NET_F_CTRL_VQ = 17;
export const VIRTIO_NET_F_CTRL_RX = 18;
export const VIRTIO_NET_F_CTRL_VLAN = 19;
export const VIRTIO_NET_F_CTRL_RX_EXTRA = 20;
export const VIRTIO_NET_F_GUEST_ANNOUNCE = 21;
export const VIRTIO_NET_F_MQ = 22;
export const VIRTIO_NET_F_CTRL_MAC_ADDR = 23;
export const VIRTIO_NET_F_NOTF_COAL = 53;
export const VIRTIO_NET_F_HASH_REPORT = 57;
export const VIRTIO_NET_F_RSS = 60;
export const VIRTIO_NET_F_RSC_EXT = 61;
export const VIRTIO_NET_F_STANDBY = 62;
export const VIRTIO_NET_F_SPEED_DUPLEX = 63;

// Feature bit number of legacy devices.
export const VIRTIO_NET_F_GSO = 6;

// virtio_net_config.status, as masks.
export const VIRTIO_NET_S_LINK_UP = 1;
export const VIRTIO_NET_S_ANNOUNCE = 2;

// Hash types, as masks.
export const VIRTIO_NET_RSS_HASH_TYPE_IPv4 = 1 << 0;
export const VIRTIO_NET_RSS_HASH_TYPE_TCPv4 = 1 << 1;
export const VIRTIO_NET_RSS_HASH_TYPE_UDPv4 = 1 << 2;
export const VIRTIO_NET_RSS_HASH_TYPE_IPv6 = 1 << 3;
export const VIRTIO_NET_RSS_HASH_TYPE_TCPv6 = 1 << 4;
export const VIRTIO_NET_RSS_HASH_TYPE_UDPv6 = 1 << 5;
export const VIRTIO_NET_RSS_HASH_TYPE_IP_EX = 1 << 6;
export const VIRTIO_NET_RSS_HASH_TYPE_TCP_EX = 1 << 7;
export const VIRTIO_NET_RSS_HASH_TYPE_UDP_EX = 1 << 8;

// virtio_net_hdr.flags, as masks, and gso_type.
export const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;
export const VIRTIO_NET_HDR_F_DATA_VALID = 2;
export const VIRTIO_NET_HDR_F_RSC_INFO = 4;
export const VIRTIO_NET_HDR_GSO_NONE = 0;
export const VIRTIO_NET_HDR_GSO_TCPV4 = 1;
export const VIRTIO_NET_HDR_GSO_UDP = 3;
export const VIRTIO_NET_HDR_GSO_TCPV6 = 4;
export const VIRTIO_NET_HDR_GSO_ECN = 0x80;

// virtio_net_hdr_v1_hash.hash_report.
export const VIRTIO_NET_HASH_REPORT_NONE = 0;
export const VIRTIO_NET_HASH_REPORT_IPv4 = 1;
export const VIRTIO_NET_HASH_REPORT_TCPv4 = 2;
export const VIRTIO_NET_HASH_REPORT_UDPv4 = 3;
export const VIRTIO_NET_HASH_REPORT_IPv6 = 4;
export const VIRTIO_NET_HASH_REPORT_TCPv6 = 5;
export const VIRTIO_NET_HASH_REPORT_UDPv6 = 6;
export const VIRTIO_NET_HASH_REPORT_IPv6_EX = 7;
export const VIRTIO_NET_HASH_REPORT_TCPv6_EX = 8;
export const VIRTIO_NET_HASH_REPORT_UDPv6_EX = 9;

// Answers on the control queue.
export const VIRTIO_NET_OK = 0;
export const VIRTIO_NET_ERR = 1;

// Control queue: class, then its commands.
export const VIRTIO_NET_CTRL_RX = 0;
export const VIRTIO_NET_CTRL_RX_PROMISC = 0;
export const VIRTIO_NET_CTRL_RX_ALLMULTI = 1;
export const VIRTIO_NET_CTRL_RX_ALLUNI = 2;
export const VIRTIO_NET_CTRL_RX_NOMULTI = 3;
export const VIRTIO_NET_CTRL_RX_NOUNI = 4;
export const VIRTIO_NET_CTRL_RX_NOBCAST = 5;

// Class MAC.
export const VIRTIO_NET_CTRL_MAC = 1;
export const VIRTIO_NET_CTRL_MAC_TABLE_SET = 0;
export const VIRTIO_NET_CTRL_MAC_ADDR_SET = 1;

// Class VLAN.
export const VIRTIO_NET_CTRL_VLAN = 2;
export const VIRTIO_NET_CTRL_VLAN_ADD = 0;
export const VIRTIO_NET_CTRL_VLAN_DEL = 1;

// Class ANNOUNCE.
export const VIRTIO_NET_CTRL_ANNOUNCE = 3;
export const VIRTIO_NET_CTRL_ANNOUNCE_ACK = 0;

// Class MQ; the number of queue pairs lies between MIN and MAX.
export const VIRTIO_NET_CTRL_MQ = 4;
export const VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET = 0;
export const VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN = 1;
export const VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX = 0x8000;
export const VIRTIO_NET_CTRL_MQ_RSS_CONFIG = 1;
export const VIRTIO_NET_CTRL_MQ_HASH_CONFIG = 2;

// Class GUEST_OFFLOADS.
export const VIRTIO_NET_CTRL_GUEST_OFFLOADS = 5;
export const VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET = 0;

// Class NOTF_COAL.
export const VIRTIO_NET_CTRL_NOTF_COAL = 6;
export const VIRTIO_NET_CTRL_NOTF_COAL_TX_SET = 0;
export const VIRTIO_NET_CTRL_NOTF_COAL_RX_SET = 1;

// Later Linux, in 6.12: feature bit numbers, UDP segmentation, commands of class NOTF_COAL, class STATS.
export const VIRTIO_NET_F_DEVICE_STATS = 50;
export const VIRTIO_NET_F_VQ_NOTF_COAL = 52;
export const VIRTIO_NET_F_GUEST_USO4 = 54;
export const VIRTIO_NET_F_GUEST_USO6 = 55;
export const VIRTIO_NET_F_HOST_USO = 56;
export const VIRTIO_NET_F_GUEST_HDRLEN = 59;
export const VIRTIO_NET_HDR_GSO_UDP_L4 = 5;
export const VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET = 2;
export const VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET = 3;
export const VIRTIO_NET_CTRL_STATS = 8;
export const VIRTIO_NET_CTRL_STATS_QUERY = 0;
export const VIRTIO_NET_CTRL_STATS_GET = 1;

/** `struct virtio_net_config`: configuration space of a network device. */
export const virtio_net_config = defineStruct('virtio_net_config', {
  mac: bytes(ETH_ALEN),
  status: u16,
  max_virtqueue_pairs: u16,
  mtu: u16,
  speed: u32,
  duplex: u8,
  rss_max_key_size: u8,
  rss_max_indirection_table_length: u16,
  supported_hash_types: u32,
}, { packed: true });
/** A `struct virtio_net_config` as a plain object. */
export type VirtioNetConfig = ValueOf<typeof virtio_net_config>;

/** `struct virtio_net_hdr`: what precedes a packet on a legacy device without mergeable buffers. */
export const virtio_net_hdr = defineStruct('virtio_net_hdr', {
  flags: u8,
  gso_type: u8,
  hdr_len: u16,
  gso_size: u16,
  csum_start: u16,
  csum_offset: u16,
});
/** A `struct virtio_net_hdr` as a plain object. */
export type VirtioNetHdr = ValueOf<typeof virtio_net_hdr>;

/** `struct virtio_net_hdr_mrg_rxbuf`: what precedes a packet on a legacy device with mergeable buffers. */
export const virtio_net_hdr_mrg_rxbuf = defineStruct('virtio_net_hdr_mrg_rxbuf', {
  hdr: virtio_net_hdr,
  num_buffers: u16,
});
/** A `struct virtio_net_hdr_mrg_rxbuf` as a plain object. */
export type VirtioNetHdrMrgRxbuf = ValueOf<typeof virtio_net_hdr_mrg_rxbuf>;

/** `struct virtio_net_hdr_v1`: what precedes a packet on a device of virtio 1. */
export const virtio_net_hdr_v1 = defineStruct('virtio_net_hdr_v1', {
  flags: u8,
  gso_type: u8,
  hdr_len: u16,
  gso_size: u16,
  csum_start: u16,
  csum_offset: u16,
  num_buffers: u16,
});
/** A `struct virtio_net_hdr_v1` as a plain object. */
export type VirtioNetHdrV1 = ValueOf<typeof virtio_net_hdr_v1>;

/** `struct virtio_net_hdr_v1_hash`: what precedes a packet when hashes are reported. */
export const virtio_net_hdr_v1_hash = defineStruct('virtio_net_hdr_v1_hash', {
  hdr: virtio_net_hdr_v1,
  hash_value: u32,
  hash_report: u16,
  padding: u16,
});
/** A `struct virtio_net_hdr_v1_hash` as a plain object. */
export type VirtioNetHdrV1Hash = ValueOf<typeof virtio_net_hdr_v1_hash>;

/** `struct virtio_net_ctrl_hdr`: head of a control command. */
export const virtio_net_ctrl_hdr = defineStruct('virtio_net_ctrl_hdr', {
  class: u8,
  cmd: u8,
}, { packed: true });
/** A `struct virtio_net_ctrl_hdr` as a plain object. */
export type VirtioNetCtrlHdr = ValueOf<typeof virtio_net_ctrl_hdr>;

/** `struct virtio_net_ctrl_mac`: head of a MAC table; `entries` addresses of six bytes follow. */
export const virtio_net_ctrl_mac = defineStruct('virtio_net_ctrl_mac', {
  entries: u32,
}, { packed: true });
/** A `struct virtio_net_ctrl_mac` as a plain object. */
export type VirtioNetCtrlMac = ValueOf<typeof virtio_net_ctrl_mac>;

/** `struct virtio_net_ctrl_mq`: argument of VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET. */
export const virtio_net_ctrl_mq = defineStruct('virtio_net_ctrl_mq', {
  virtqueue_pairs: u16,
});
/** A `struct virtio_net_ctrl_mq` as a plain object. */
export type VirtioNetCtrlMq = ValueOf<typeof virtio_net_ctrl_mq>;

/** `struct virtio_net_hash_config`: head of the argument of VIRTIO_NET_CTRL_MQ_HASH_CONFIG; the key follows. */
export const virtio_net_hash_config = defineStruct('virtio_net_hash_config', {
  hash_types: u32,
  reserved: array(u16, 4),
  hash_key_length: u8,
});
/** A `struct virtio_net_hash_config` as a plain object. */
export type VirtioNetHashConfig = ValueOf<typeof virtio_net_hash_config>;

/** `struct virtio_net_ctrl_coal_tx`: argument of VIRTIO_NET_CTRL_NOTF_COAL_TX_SET. */
export const virtio_net_ctrl_coal_tx = defineStruct('virtio_net_ctrl_coal_tx', {
  tx_max_packets: u32,
  tx_usecs: u32,
});
/** A `struct virtio_net_ctrl_coal_tx` as a plain object. */
export type VirtioNetCtrlCoalTx = ValueOf<typeof virtio_net_ctrl_coal_tx>;

/** `struct virtio_net_ctrl_coal_rx`: argument of VIRTIO_NET_CTRL_NOTF_COAL_RX_SET. */
export const virtio_net_ctrl_coal_rx = defineStruct('virtio_net_ctrl_coal_rx', {
  rx_max_packets: u32,
  rx_usecs: u32,
});
/** A `struct virtio_net_ctrl_coal_rx` as a plain object. */
export type VirtioNetCtrlCoalRx = ValueOf<typeof virtio_net_ctrl_coal_rx>;
