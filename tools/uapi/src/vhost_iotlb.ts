/** `include/linux/vhost_iotlb.h` (Linux 6.1), kernel-internal. */

// vhost_iotlb_map.perm, as masks: the same as VHOST_ACCESS_* outside.
export const VHOST_MAP_RO = 0x1;
export const VHOST_MAP_WO = 0x2;
export const VHOST_MAP_RW = 0x3;

/** `vhost_iotlb.flags`: a full table drops its oldest entry. */
export const VHOST_IOTLB_FLAG_RETIRE = 0x1;
