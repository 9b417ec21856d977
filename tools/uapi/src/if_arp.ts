/** `linux/if_arp.h` (Linux 6.1): link types, as in ifinfomsg.ifi_type. */

export const ARPHRD_ETHER = 1;
export const ARPHRD_INFINIBAND = 32;
export const ARPHRD_LOOPBACK = 772;
export const ARPHRD_VOID = 0xffff;
export const ARPHRD_NONE = 0xfffe;
