/** `linux/vduse.h` (Linux 6.1): vDPA devices in user space. */
import { _IO, _IOR, _IOW, _IOWR } from './ioctl.ts';
import { array, bytes, defineStruct, s32, u16, u32, u64, u8, unionMember } from './struct.ts';
import type { ValueOf } from './struct.ts';

// The ioctl type of /dev/vduse/*.
export const VDUSE_BASE = 0x81;

// Argument of VDUSE_SET_API_VERSION.
export const VDUSE_API_VERSION = 0;

// Bytes of a device name, the final NUL included.
export const VDUSE_NAME_MAX = 256;

// vduse_iotlb_entry.perm, as masks.
export const VDUSE_ACCESS_RO = 0x1;
export const VDUSE_ACCESS_WO = 0x2;
export const VDUSE_ACCESS_RW = 0x3;

// vduse_vq_eventfd.fd that unbinds.
export const VDUSE_EVENTFD_DEASSIGN = -1;

// vduse_iova_info.capability.
export const VDUSE_IOVA_CAP_UMEM = 1 << 0;

// vduse_dev_request.type.
export const VDUSE_GET_VQ_STATE = 0;
export const VDUSE_SET_STATUS = 1;
export const VDUSE_UPDATE_IOTLB = 2;

// vduse_dev_response.result.
export const VDUSE_REQ_RESULT_OK = 0x00;
export const VDUSE_REQ_RESULT_FAILED = 0x01;

/** `struct vduse_dev_config`: head of the argument of VDUSE_CREATE_DEV; `config_size` bytes follow. */
export const vduse_dev_config = defineStruct('vduse_dev_config', {
  name: bytes(VDUSE_NAME_MAX),
  vendor_id: u32,
  device_id: u32,
  features: u64,
  vq_num: u32,
  vq_align: u32,
  reserved: array(u32, 13),
  config_size: u32,
});
/** A `struct vduse_dev_config` as a plain object. */
export type VduseDevConfig = ValueOf<typeof vduse_dev_config>;

/** `struct vduse_iotlb_entry`: a region of the IOTLB and where it is in the returned descriptor; `last` included. */
export const vduse_iotlb_entry = defineStruct('vduse_iotlb_entry', {
  offset: u64,
  start: u64,
  last: u64,
  perm: u8,
});
/** A `struct vduse_iotlb_entry` as a plain object. */
export type VduseIotlbEntry = ValueOf<typeof vduse_iotlb_entry>;

/** `struct vduse_config_data`: head of a configuration update; `length` bytes follow. */
export const vduse_config_data = defineStruct('vduse_config_data', {
  offset: u32,
  length: u32,
});
/** A `struct vduse_config_data` as a plain object. */
export type VduseConfigData = ValueOf<typeof vduse_config_data>;

/** `struct vduse_vq_config`: largest size of a virtqueue. */
export const vduse_vq_config = defineStruct('vduse_vq_config', {
  index: u32,
  max_size: u16,
  reserved: array(u16, 13),
});
/** A `struct vduse_vq_config` as a plain object. */
export type VduseVqConfig = ValueOf<typeof vduse_vq_config>;

/** `struct vduse_vq_state_split`: state of a split virtqueue. */
export const vduse_vq_state_split = defineStruct('vduse_vq_state_split', {
  avail_index: u16,
});
/** A `struct vduse_vq_state_split` as a plain object. */
export type VduseVqStateSplit = ValueOf<typeof vduse_vq_state_split>;

/** `struct vduse_vq_state_packed`: state of a packed virtqueue. */
export const vduse_vq_state_packed = defineStruct('vduse_vq_state_packed', {
  last_avail_counter: u16,
  last_avail_idx: u16,
  last_used_counter: u16,
  last_used_idx: u16,
});
/** A `struct vduse_vq_state_packed` as a plain object. */
export type VduseVqStatePacked = ValueOf<typeof vduse_vq_state_packed>;

/**
 * `struct vduse_vq_info`: what the driver has set up for a virtqueue.
 *
 * The state is a union: on a split ring `packed.last_avail_counter` is `split.avail_index`.
 */
export const vduse_vq_info = defineStruct('vduse_vq_info', {
  index: u32,
  num: u32,
  desc_addr: u64,
  driver_addr: u64,
  device_addr: u64,
  packed: vduse_vq_state_packed,
  ready: u8,
});
/** A `struct vduse_vq_info` as a plain object. */
export type VduseVqInfo = ValueOf<typeof vduse_vq_info>;

/** `struct vduse_vq_eventfd`: kick eventfd of a virtqueue. */
export const vduse_vq_eventfd = defineStruct('vduse_vq_eventfd', {
  index: u32,
  fd: s32,
});
/** A `struct vduse_vq_eventfd` as a plain object. */
export type VduseVqEventfd = ValueOf<typeof vduse_vq_eventfd>;

/** `struct vduse_iova_umem`: user memory to use for a bounce region. */
export const vduse_iova_umem = defineStruct('vduse_iova_umem', {
  uaddr: u64,
  iova: u64,
  size: u64,
  reserved: array(u64, 3),
});
/** A `struct vduse_iova_umem` as a plain object. */
export type VduseIovaUmem = ValueOf<typeof vduse_iova_umem>;

/** `struct vduse_iova_info`: a region of the IOVA space and what it can do; `last` included. */
export const vduse_iova_info = defineStruct('vduse_iova_info', {
  start: u64,
  last: u64,
  capability: u64,
  reserved: array(u64, 3),
});
/** A `struct vduse_iova_info` as a plain object. */
export type VduseIovaInfo = ValueOf<typeof vduse_iova_info>;

/** `struct vduse_vq_state`: index and state of a virtqueue; the union as in struct vduse_vq_info. */
export const vduse_vq_state = defineStruct('vduse_vq_state', {
  index: u32,
  packed: vduse_vq_state_packed,
});
/** A `struct vduse_vq_state` as a plain object. */
export type VduseVqState = ValueOf<typeof vduse_vq_state>;

/** `struct vduse_dev_status`: the device status byte. */
export const vduse_dev_status = defineStruct('vduse_dev_status', {
  status: u8,
});
/** A `struct vduse_dev_status` as a plain object. */
export type VduseDevStatus = ValueOf<typeof vduse_dev_status>;

/** `struct vduse_iova_range`: a range of IOVAs; `last` included. */
export const vduse_iova_range = defineStruct('vduse_iova_range', {
  start: u64,
  last: u64,
});
/** A `struct vduse_iova_range` as a plain object. */
export type VduseIovaRange = ValueOf<typeof vduse_iova_range>;

/**
 * `struct vduse_dev_request`: what the kernel asks by read().
 *
 * `padding` is a union: struct vduse_vq_state, vduse_dev_status or vduse_iova_range, by `type`.
 */
export const vduse_dev_request = defineStruct('vduse_dev_request', {
  type: u32,
  request_id: u32,
  reserved: array(u32, 4),
  padding: unionMember(bytes(128), 128, 8),
});
/** A `struct vduse_dev_request` as a plain object. */
export type VduseDevRequest = ValueOf<typeof vduse_dev_request>;

/**
 * `struct vduse_dev_response`: what user space answers by write().
 *
 * `padding` is a union: struct vduse_vq_state when VDUSE_GET_VQ_STATE is answered.
 */
export const vduse_dev_response = defineStruct('vduse_dev_response', {
  request_id: u32,
  result: u32,
  reserved: array(u32, 4),
  padding: unionMember(bytes(128), 128, 4),
});
/** A `struct vduse_dev_response` as a plain object. */
export type VduseDevResponse = ValueOf<typeof vduse_dev_response>;

// Ioctls of /dev/vduse/control.
export const VDUSE_GET_API_VERSION = _IOR(VDUSE_BASE, 0x00, 8);
export const VDUSE_SET_API_VERSION = _IOW(VDUSE_BASE, 0x01, 8);
export const VDUSE_CREATE_DEV = _IOW(VDUSE_BASE, 0x02, vduse_dev_config.size);
export const VDUSE_DESTROY_DEV = _IOW(VDUSE_BASE, 0x03, VDUSE_NAME_MAX);

// Ioctls of /dev/vduse/$NAME.
export const VDUSE_IOTLB_GET_FD = _IOWR(VDUSE_BASE, 0x10, vduse_iotlb_entry.size);
export const VDUSE_DEV_GET_FEATURES = _IOR(VDUSE_BASE, 0x11, 8);
export const VDUSE_DEV_SET_CONFIG = _IOW(VDUSE_BASE, 0x12, vduse_config_data.size);
export const VDUSE_DEV_INJECT_CONFIG_IRQ = _IO(VDUSE_BASE, 0x13);
export const VDUSE_VQ_SETUP = _IOW(VDUSE_BASE, 0x14, vduse_vq_config.size);
export const VDUSE_VQ_GET_INFO = _IOWR(VDUSE_BASE, 0x15, vduse_vq_info.size);
export const VDUSE_VQ_SETUP_KICKFD = _IOW(VDUSE_BASE, 0x16, vduse_vq_eventfd.size);
export const VDUSE_VQ_INJECT_IRQ = _IOW(VDUSE_BASE, 0x17, 4);
export const VDUSE_IOTLB_REG_UMEM = _IOW(VDUSE_BASE, 0x18, vduse_iova_umem.size);
export const VDUSE_IOTLB_DEREG_UMEM = _IOW(VDUSE_BASE, 0x19, vduse_iova_umem.size);
export const VDUSE_IOTLB_GET_INFO = _IOWR(VDUSE_BASE, 0x1a, vduse_iova_info.size);
