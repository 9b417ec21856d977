/** `linux/vdpa.h` (Linux 6.1): the "vdpa" generic netlink family. */

// Name and version of the family.
export const VDPA_GENL_NAME = 'vdpa';
export const VDPA_GENL_VERSION = 0x1;

// Commands.
export const VDPA_CMD_UNSPEC = 0;
export const VDPA_CMD_MGMTDEV_NEW = 1;
export const VDPA_CMD_MGMTDEV_GET = 2;
export const VDPA_CMD_DEV_NEW = 3;
export const VDPA_CMD_DEV_DEL = 4;
export const VDPA_CMD_DEV_GET = 5;
export const VDPA_CMD_DEV_CONFIG_GET = 6;
export const VDPA_CMD_DEV_VSTATS_GET = 7;

// Attributes.
export const VDPA_ATTR_UNSPEC = 0;
export const VDPA_ATTR_PAD = 0;
export const VDPA_ATTR_MGMTDEV_BUS_NAME = 1;
export const VDPA_ATTR_MGMTDEV_DEV_NAME = 2;
export const VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES = 3;
export const VDPA_ATTR_DEV_NAME = 4;
export const VDPA_ATTR_DEV_ID = 5;
export const VDPA_ATTR_DEV_VENDOR_ID = 6;
export const VDPA_ATTR_DEV_MAX_VQS = 7;
export const VDPA_ATTR_DEV_MAX_VQ_SIZE = 8;
export const VDPA_ATTR_DEV_MIN_VQ_SIZE = 9;
export const VDPA_ATTR_DEV_NET_CFG_MACADDR = 10;
export const VDPA_ATTR_DEV_NET_STATUS = 11;
export const VDPA_ATTR_DEV_NET_CFG_MAX_VQP = 12;
export const VDPA_ATTR_DEV_NET_CFG_MTU = 13;
export const VDPA_ATTR_DEV_NEGOTIATED_FEATURES = 14;
export const VDPA_ATTR_DEV_MGMTDEV_MAX_VQS = 15;
export const VDPA_ATTR_DEV_SUPPORTED_FEATURES = 16;
export const VDPA_ATTR_DEV_QUEUE_INDEX = 17;
export const VDPA_ATTR_DEV_VENDOR_ATTR_NAME = 18;
export const VDPA_ATTR_DEV_VENDOR_ATTR_VALUE = 19;
export const VDPA_ATTR_DEV_FEATURES = 20;
export const VDPA_ATTR_VDPA_DEV_SUPPORTED_FEATURES = 21;
export const VDPA_ATTR_MAX = 22;

// Later Linux, in 6.12: a command, and the block attributes, whose numbers begin at the one that 6.1
// gave to VDPA_ATTR_VDPA_DEV_SUPPORTED_FEATURES.
export const VDPA_CMD_DEV_ATTR_SET = 8;
export const VDPA_ATTR_DEV_BLK_CFG_CAPACITY = 21;
export const VDPA_ATTR_DEV_BLK_CFG_SIZE_MAX = 22;
export const VDPA_ATTR_DEV_BLK_CFG_BLK_SIZE = 23;
export const VDPA_ATTR_DEV_BLK_CFG_SEG_MAX = 24;
export const VDPA_ATTR_DEV_BLK_CFG_NUM_QUEUES = 25;
export const VDPA_ATTR_DEV_BLK_CFG_PHY_BLK_EXP = 26;
export const VDPA_ATTR_DEV_BLK_CFG_ALIGN_OFFSET = 27;
export const VDPA_ATTR_DEV_BLK_CFG_MIN_IO_SIZE = 28;
export const VDPA_ATTR_DEV_BLK_CFG_OPT_IO_SIZE = 29;
export const VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEC = 30;
export const VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEG = 31;
export const VDPA_ATTR_DEV_BLK_CFG_DISCARD_SEC_ALIGN = 32;
export const VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEC = 33;
export const VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEG = 34;
export const VDPA_ATTR_DEV_BLK_READ_ONLY = 35;
export const VDPA_ATTR_DEV_BLK_FLUSH = 36;

// Flags of the op compat_reset: not user space's, but between the bus and its parents in kernels after 6.1.
export const VDPA_RESET_F_CLEAN_MAP = 1;
