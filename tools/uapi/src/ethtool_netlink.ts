/** `linux/ethtool_netlink.h` (Linux 6.1): queues of interfaces. */

export const ETHTOOL_GENL_NAME = 'ethtool';
export const ETHTOOL_GENL_VERSION = 1;
export const ETHTOOL_MCGRP_MONITOR_NAME = 'monitor';

// Requests and answers count on their own.
export const ETHTOOL_MSG_CHANNELS_GET = 17;
export const ETHTOOL_MSG_CHANNELS_SET = 18;
export const ETHTOOL_MSG_CHANNELS_GET_REPLY = 18;
export const ETHTOOL_MSG_CHANNELS_NTF = 19;

// Whom a request is about.
export const ETHTOOL_A_HEADER_DEV_INDEX = 1;
export const ETHTOOL_A_HEADER_DEV_NAME = 2;
export const ETHTOOL_A_HEADER_FLAGS = 3;
export const ETHTOOL_A_HEADER_MAX = 3;

// Channels: queues with an interrupt of their own.
export const ETHTOOL_A_CHANNELS_HEADER = 1;
export const ETHTOOL_A_CHANNELS_RX_MAX = 2;
export const ETHTOOL_A_CHANNELS_TX_MAX = 3;
export const ETHTOOL_A_CHANNELS_OTHER_MAX = 4;
export const ETHTOOL_A_CHANNELS_COMBINED_MAX = 5;
export const ETHTOOL_A_CHANNELS_RX_COUNT = 6;
export const ETHTOOL_A_CHANNELS_TX_COUNT = 7;
export const ETHTOOL_A_CHANNELS_OTHER_COUNT = 8;
export const ETHTOOL_A_CHANNELS_COMBINED_COUNT = 9;
export const ETHTOOL_A_CHANNELS_MAX = 9;
