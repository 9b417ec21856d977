/** `linux/if_ether.h` (Linux 6.1): Ethernet frames. */
import { be16, bytes, defineStruct } from './struct.ts';
import type { ValueOf } from './struct.ts';

// Sizes, in bytes.
export const ETH_ALEN = 6;
export const ETH_TLEN = 2;
export const ETH_HLEN = 14;
export const ETH_ZLEN = 60;
export const ETH_DATA_LEN = 1500;
export const ETH_FRAME_LEN = 1514;
export const ETH_FCS_LEN = 4;
export const ETH_MIN_MTU = 68;
export const ETH_MAX_MTU = 0xffff;

// Protocols: ethhdr.h_proto, in host byte order.
export const ETH_P_LOOP = 0x0060;
export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_TEB = 0x6558;
export const ETH_P_RARP = 0x8035;
export const ETH_P_8021Q = 0x8100;
export const ETH_P_ERSPAN = 0x88be;
export const ETH_P_IPV6 = 0x86dd;
export const ETH_P_PAUSE = 0x8808;
export const ETH_P_SLOW = 0x8809;
export const ETH_P_MPLS_UC = 0x8847;
export const ETH_P_PPP_DISC = 0x8863;
export const ETH_P_PPP_SES = 0x8864;
export const ETH_P_8021AD = 0x88a8;
export const ETH_P_LLDP = 0x88cc;
export const ETH_P_MACSEC = 0x88e5;
export const ETH_P_1588 = 0x88f7;
export const ETH_P_FCOE = 0x8906;
export const ETH_P_LOOPBACK = 0x9000;
export const ETH_P_EDSA = 0xdada;
export const ETH_P_802_3_MIN = 0x0600;
export const ETH_P_802_3 = 0x0001;
export const ETH_P_ALL = 0x0003;
export const ETH_P_802_2 = 0x0004;

/** `struct ethhdr`: Ethernet header; `h_proto` is kept in network byte order. */
export const ethhdr = defineStruct('ethhdr', {
  h_dest: bytes(ETH_ALEN),
  h_source: bytes(ETH_ALEN),
  h_proto: be16,
}, { packed: true });
/** A `struct ethhdr` as a plain object. */
export type Ethhdr = ValueOf<typeof ethhdr>;
