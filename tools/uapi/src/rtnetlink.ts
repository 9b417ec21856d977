/** `linux/rtnetlink.h` (Linux 6.1): messages about links, and the neighbours of that protocol that are used here. */
import { defineStruct, s32, u16, u32, u8 } from './struct.ts';
import type { ValueOf } from './struct.ts';

// Message types.
export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;
export const RTM_NEWSTATS = 92;
export const RTM_GETSTATS = 94;
export const RTM_SETSTATS = 95;
export const RTM_NEWLINKPROP = 108;
export const RTM_DELLINKPROP = 109;
export const RTM_GETLINKPROP = 110;

// Multicast groups.
export const RTNLGRP_NONE = 0;
export const RTNLGRP_LINK = 1;
export const RTNLGRP_NOTIFY = 2;
export const RTNLGRP_NEIGH = 3;
export const RTNLGRP_IPV4_IFADDR = 5;
export const RTNLGRP_IPV6_IFADDR = 9;
export const RTNLGRP_STATS = 36;

// IFLA_EXT_MASK.
export const RTEXT_FILTER_VF = 1 << 0;
export const RTEXT_FILTER_BRVLAN = 1 << 1;
export const RTEXT_FILTER_SKIP_STATS = 1 << 3;

// Attributes: the same layout as struct nlattr.
export const RTA_ALIGNTO = 4;

/** `struct rtattr`: head of an attribute; `rta_len` in bytes, header included. */
export const rtattr = defineStruct('rtattr', {
  rta_len: u16,
  rta_type: u16,
});
/** A `struct rtattr` as a plain object. */
export type Rtattr = ValueOf<typeof rtattr>;

/** `struct rtgenmsg`: payload of a plain dump request. */
export const rtgenmsg = defineStruct('rtgenmsg', {
  rtgen_family: u8,
});
/** A `struct rtgenmsg` as a plain object. */
export type Rtgenmsg = ValueOf<typeof rtgenmsg>;

/** `struct ifinfomsg`: payload of link messages; IFLA_* attributes follow. */
export const ifinfomsg = defineStruct('ifinfomsg', {
  ifi_family: u8,
  __ifi_pad: u8,
  ifi_type: u16,
  ifi_index: s32,
  ifi_flags: u32,
  ifi_change: u32,
});
/** A `struct ifinfomsg` as a plain object. */
export type Ifinfomsg = ValueOf<typeof ifinfomsg>;
