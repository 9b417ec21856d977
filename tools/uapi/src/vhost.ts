/** `linux/vhost.h` (Linux 6.1): ioctl numbers of vhost devices. */
import { _IO, _IOR, _IOW, _IOWR } from './ioctl.ts';
import {
  vhost_features_array,
  vhost_memory,
  vhost_scsi_target,
  vhost_vdpa_config,
  vhost_vdpa_iova_range,
  vhost_vring_addr,
  vhost_vring_file,
  vhost_vring_state,
  vhost_vring_worker,
  vhost_worker_state,
} from './vhost_types.ts';

// vhost_vring_file.fd that unbinds.
export const VHOST_FILE_UNBIND = -1;

// The ioctl type of every vhost device.
export const VHOST_VIRTIO = 0xaf;

// Every vhost device.
export const VHOST_GET_FEATURES = _IOR(VHOST_VIRTIO, 0x00, 8);
export const VHOST_SET_FEATURES = _IOW(VHOST_VIRTIO, 0x00, 8);
export const VHOST_SET_OWNER = _IO(VHOST_VIRTIO, 0x01);
export const VHOST_RESET_OWNER = _IO(VHOST_VIRTIO, 0x02);
export const VHOST_SET_MEM_TABLE = _IOW(VHOST_VIRTIO, 0x03, vhost_memory.size);
export const VHOST_SET_LOG_BASE = _IOW(VHOST_VIRTIO, 0x04, 8);
export const VHOST_SET_LOG_FD = _IOW(VHOST_VIRTIO, 0x07, 4);

// Rings.
export const VHOST_SET_VRING_NUM = _IOW(VHOST_VIRTIO, 0x10, vhost_vring_state.size);
export const VHOST_SET_VRING_ADDR = _IOW(VHOST_VIRTIO, 0x11, vhost_vring_addr.size);
export const VHOST_SET_VRING_BASE = _IOW(VHOST_VIRTIO, 0x12, vhost_vring_state.size);
export const VHOST_GET_VRING_BASE = _IOWR(VHOST_VIRTIO, 0x12, vhost_vring_state.size);
export const VHOST_VRING_LITTLE_ENDIAN = 0;
export const VHOST_VRING_BIG_ENDIAN = 1;
export const VHOST_SET_VRING_ENDIAN = _IOW(VHOST_VIRTIO, 0x13, vhost_vring_state.size);
export const VHOST_GET_VRING_ENDIAN = _IOW(VHOST_VIRTIO, 0x14, vhost_vring_state.size);

// File descriptors of a ring, and polling.
export const VHOST_SET_VRING_KICK = _IOW(VHOST_VIRTIO, 0x20, vhost_vring_file.size);
export const VHOST_SET_VRING_CALL = _IOW(VHOST_VIRTIO, 0x21, vhost_vring_file.size);
export const VHOST_SET_VRING_ERR = _IOW(VHOST_VIRTIO, 0x22, vhost_vring_file.size);
export const VHOST_SET_VRING_BUSYLOOP_TIMEOUT = _IOW(VHOST_VIRTIO, 0x23, vhost_vring_state.size);
export const VHOST_GET_VRING_BUSYLOOP_TIMEOUT = _IOW(VHOST_VIRTIO, 0x24, vhost_vring_state.size);

// Backend features.
export const VHOST_SET_BACKEND_FEATURES = _IOW(VHOST_VIRTIO, 0x25, 8);
export const VHOST_GET_BACKEND_FEATURES = _IOR(VHOST_VIRTIO, 0x26, 8);

// vhost-net.
export const VHOST_NET_SET_BACKEND = _IOW(VHOST_VIRTIO, 0x30, vhost_vring_file.size);

// vhost-scsi.
export const VHOST_SCSI_SET_ENDPOINT = _IOW(VHOST_VIRTIO, 0x40, vhost_scsi_target.size);
export const VHOST_SCSI_CLEAR_ENDPOINT = _IOW(VHOST_VIRTIO, 0x41, vhost_scsi_target.size);
export const VHOST_SCSI_GET_ABI_VERSION = _IOW(VHOST_VIRTIO, 0x42, 4);
export const VHOST_SCSI_SET_EVENTS_MISSED = _IOW(VHOST_VIRTIO, 0x43, 4);
export const VHOST_SCSI_GET_EVENTS_MISSED = _IOW(VHOST_VIRTIO, 0x44, 4);

// vhost-vsock.
export const VHOST_VSOCK_SET_GUEST_CID = _IOW(VHOST_VIRTIO, 0x60, 8);
export const VHOST_VSOCK_SET_RUNNING = _IOW(VHOST_VIRTIO, 0x61, 4);

// vhost-vdpa.
export const VHOST_VDPA_GET_DEVICE_ID = _IOR(VHOST_VIRTIO, 0x70, 4);
export const VHOST_VDPA_GET_STATUS = _IOR(VHOST_VIRTIO, 0x71, 1);
export const VHOST_VDPA_SET_STATUS = _IOW(VHOST_VIRTIO, 0x72, 1);
export const VHOST_VDPA_GET_CONFIG = _IOR(VHOST_VIRTIO, 0x73, vhost_vdpa_config.size);
export const VHOST_VDPA_SET_CONFIG = _IOW(VHOST_VIRTIO, 0x74, vhost_vdpa_config.size);
export const VHOST_VDPA_SET_VRING_ENABLE = _IOW(VHOST_VIRTIO, 0x75, vhost_vring_state.size);
export const VHOST_VDPA_GET_VRING_NUM = _IOR(VHOST_VIRTIO, 0x76, 2);
export const VHOST_VDPA_SET_CONFIG_CALL = _IOW(VHOST_VIRTIO, 0x77, 4);
export const VHOST_VDPA_GET_IOVA_RANGE = _IOR(VHOST_VIRTIO, 0x78, vhost_vdpa_iova_range.size);
export const VHOST_VDPA_GET_CONFIG_SIZE = _IOR(VHOST_VIRTIO, 0x79, 4);
export const VHOST_VDPA_GET_VQS_COUNT = _IOR(VHOST_VIRTIO, 0x80, 4);
export const VHOST_VDPA_GET_GROUP_NUM = _IOR(VHOST_VIRTIO, 0x81, 4);
export const VHOST_VDPA_GET_AS_NUM = _IOR(VHOST_VIRTIO, 0x7A, 4);
export const VHOST_VDPA_GET_VRING_GROUP = _IOWR(VHOST_VIRTIO, 0x7B, vhost_vring_state.size);
export const VHOST_VDPA_SET_GROUP_ASID = _IOW(VHOST_VIRTIO, 0x7C, vhost_vring_state.size);
export const VHOST_VDPA_SUSPEND = _IO(VHOST_VIRTIO, 0x7D);

// Ioctls of later Linux: up to VRING_SIZE in 6.12, feature arrays and the owner's kind of thread newer.
export const VHOST_NEW_WORKER = _IOR(VHOST_VIRTIO, 0x08, vhost_worker_state.size);
export const VHOST_FREE_WORKER = _IOW(VHOST_VIRTIO, 0x09, vhost_worker_state.size);
export const VHOST_ATTACH_VRING_WORKER = _IOW(VHOST_VIRTIO, 0x15, vhost_vring_worker.size);
export const VHOST_GET_VRING_WORKER = _IOWR(VHOST_VIRTIO, 0x16, vhost_vring_worker.size);
export const VHOST_VDPA_RESUME = _IO(VHOST_VIRTIO, 0x7e);
export const VHOST_VDPA_GET_VRING_DESC_GROUP = _IOWR(VHOST_VIRTIO, 0x7f, vhost_vring_state.size);
export const VHOST_VDPA_GET_VRING_SIZE = _IOWR(VHOST_VIRTIO, 0x82, vhost_vring_state.size);
export const VHOST_GET_FEATURES_ARRAY = _IOR(VHOST_VIRTIO, 0x83, vhost_features_array.size);
export const VHOST_SET_FEATURES_ARRAY = _IOW(VHOST_VIRTIO, 0x83, vhost_features_array.size);
export const VHOST_SET_FORK_FROM_OWNER = _IOW(VHOST_VIRTIO, 0x84, 1);
export const VHOST_GET_FORK_FROM_OWNER = _IOR(VHOST_VIRTIO, 0x85, 1);

// Arguments of VHOST_SET_FORK_FROM_OWNER: workers as kernel threads, or as tasks of the owner.
export const VHOST_FORK_OWNER_KTHREAD = 0;
export const VHOST_FORK_OWNER_TASK = 1;
