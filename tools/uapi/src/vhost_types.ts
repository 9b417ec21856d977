/** `linux/vhost_types.h` (Linux 6.1): arguments of vhost ioctls and messages. */
import { bytes, defineStruct, s32, u16, u32, u64, u8, unionMember } from './struct.ts';
import type { ValueOf } from './struct.ts';

// vhost_vring_addr.flags, as bit number.
export const VHOST_VRING_F_LOG = 0;

// vhost_iotlb_msg.perm, as masks.
export const VHOST_ACCESS_RO = 0x1;
export const VHOST_ACCESS_WO = 0x2;
export const VHOST_ACCESS_RW = 0x3;

// vhost_iotlb_msg.type.
export const VHOST_IOTLB_MISS = 1;
export const VHOST_IOTLB_UPDATE = 2;
export const VHOST_IOTLB_INVALIDATE = 3;
export const VHOST_IOTLB_ACCESS_FAIL = 4;
export const VHOST_IOTLB_BATCH_BEGIN = 5;
export const VHOST_IOTLB_BATCH_END = 6;

// vhost_msg.type, vhost_msg_v2.type.
export const VHOST_IOTLB_MSG = 0x1;
export const VHOST_IOTLB_MSG_V2 = 0x2;

// One bit of the dirty log stands for so many bytes.
export const VHOST_PAGE_SIZE = 0x1000;

// vhost-scsi.
export const VHOST_SCSI_ABI_VERSION = 1;

// vhost feature bit numbers.
export const VHOST_F_LOG_ALL = 26;
export const VHOST_NET_F_VIRTIO_NET_HDR = 27;

// Backend feature bit numbers.
export const VHOST_BACKEND_F_IOTLB_MSG_V2 = 0x1;
export const VHOST_BACKEND_F_IOTLB_BATCH = 0x2;
export const VHOST_BACKEND_F_IOTLB_ASID = 0x3;
export const VHOST_BACKEND_F_SUSPEND = 0x4;

// Backend feature bit numbers of later Linux, all in 6.12.
export const VHOST_BACKEND_F_RESUME = 0x5;
export const VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK = 0x6;
export const VHOST_BACKEND_F_DESC_ASID = 0x7;
export const VHOST_BACKEND_F_IOTLB_PERSIST = 0x8;

/** `struct vhost_vring_state`: a queue index and a number. */
export const vhost_vring_state = defineStruct('vhost_vring_state', {
  index: u32,
  num: u32,
});
/** A `struct vhost_vring_state` as a plain object. */
export type VhostVringState = ValueOf<typeof vhost_vring_state>;

/** `struct vhost_vring_file`: a queue index and a file descriptor, -1 to unbind. */
export const vhost_vring_file = defineStruct('vhost_vring_file', {
  index: u32,
  fd: s32,
});
/** A `struct vhost_vring_file` as a plain object. */
export type VhostVringFile = ValueOf<typeof vhost_vring_file>;

/** `struct vhost_vring_addr`: where the parts of a ring are; `log_guest_addr` counts with VHOST_VRING_F_LOG. */
export const vhost_vring_addr = defineStruct('vhost_vring_addr', {
  index: u32,
  flags: u32,
  desc_user_addr: u64,
  used_user_addr: u64,
  avail_user_addr: u64,
  log_guest_addr: u64,
});
/** A `struct vhost_vring_addr` as a plain object. */
export type VhostVringAddr = ValueOf<typeof vhost_vring_addr>;

/** `struct vhost_iotlb_msg`: one IOTLB request or answer; `size` in bytes. */
export const vhost_iotlb_msg = defineStruct('vhost_iotlb_msg', {
  iova: u64,
  size: u64,
  uaddr: u64,
  perm: u8,
  type: u8,
});
/** A `struct vhost_iotlb_msg` as a plain object. */
export type VhostIotlbMsg = ValueOf<typeof vhost_iotlb_msg>;

/** `struct vhost_msg`: a message of version 1: `type` is VHOST_IOTLB_MSG. */
export const vhost_msg = defineStruct('vhost_msg', {
  type: s32,
  iotlb: unionMember(vhost_iotlb_msg, 64),
});
/** A `struct vhost_msg` as a plain object. */
export type VhostMsg = ValueOf<typeof vhost_msg>;

/** `struct vhost_msg_v2`: a message of version 2: `type` is VHOST_IOTLB_MSG_V2. */
export const vhost_msg_v2 = defineStruct('vhost_msg_v2', {
  type: u32,
  asid: u32,
  iotlb: unionMember(vhost_iotlb_msg, 64),
});
/** A `struct vhost_msg_v2` as a plain object. */
export type VhostMsgV2 = ValueOf<typeof vhost_msg_v2>;

/** `struct vhost_memory_region`: one entry of the memory table; `memory_size` in bytes. */
export const vhost_memory_region = defineStruct('vhost_memory_region', {
  guest_phys_addr: u64,
  memory_size: u64,
  userspace_addr: u64,
  flags_padding: u64,
});
/** A `struct vhost_memory_region` as a plain object. */
export type VhostMemoryRegion = ValueOf<typeof vhost_memory_region>;

/** `struct vhost_memory`: head of the memory table; `nregions` entries follow. */
export const vhost_memory = defineStruct('vhost_memory', {
  nregions: u32,
  padding: u32,
}, { align: 8 });
/** A `struct vhost_memory` as a plain object. */
export type VhostMemory = ValueOf<typeof vhost_memory>;

/** `struct vhost_scsi_target`: endpoint of vhost-scsi. */
export const vhost_scsi_target = defineStruct('vhost_scsi_target', {
  abi_version: s32,
  vhost_wwpn: bytes(224),
  vhost_tpgt: u16,
  reserved: u16,
});
/** A `struct vhost_scsi_target` as a plain object. */
export type VhostScsiTarget = ValueOf<typeof vhost_scsi_target>;

/** `struct vhost_vdpa_config`: head of a configuration space access; `len` bytes follow. */
export const vhost_vdpa_config = defineStruct('vhost_vdpa_config', {
  off: u32,
  len: u32,
});
/** A `struct vhost_vdpa_config` as a plain object. */
export type VhostVdpaConfig = ValueOf<typeof vhost_vdpa_config>;

/** `struct vhost_vdpa_iova_range`: usable IOVAs, both ends included. */
export const vhost_vdpa_iova_range = defineStruct('vhost_vdpa_iova_range', {
  first: u64,
  last: u64,
});
/** A `struct vhost_vdpa_iova_range` as a plain object. */
export type VhostVdpaIovaRange = ValueOf<typeof vhost_vdpa_iova_range>;

// Later Linux: arguments of the worker ioctls (in 6.12) and of the feature array ioctls (newer).

/** `struct vhost_worker_state`: a worker's id. */
export const vhost_worker_state = defineStruct('vhost_worker_state', {
  worker_id: u32,
});
/** A `struct vhost_worker_state` as a plain object. */
export type VhostWorkerState = ValueOf<typeof vhost_worker_state>;

/** `struct vhost_vring_worker`: a queue index and the id of its worker. */
export const vhost_vring_worker = defineStruct('vhost_vring_worker', {
  index: u32,
  worker_id: u32,
});
/** A `struct vhost_vring_worker` as a plain object. */
export type VhostVringWorker = ValueOf<typeof vhost_vring_worker>;

/** `struct vhost_features_array`: head; `count` u64 feature words follow. */
export const vhost_features_array = defineStruct('vhost_features_array', {
  count: u64,
});
/** A `struct vhost_features_array` as a plain object. */
export type VhostFeaturesArray = ValueOf<typeof vhost_features_array>;
