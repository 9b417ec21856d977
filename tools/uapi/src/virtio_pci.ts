/** `linux/virtio_pci.h` (Linux 6.1): virtio over PCI, legacy and modern. */
import { bytes, defineStruct, u16, u32, u8 } from './struct.ts';
import type { ValueOf } from './struct.ts';

// Legacy I/O BAR: byte offsets.
export const VIRTIO_PCI_HOST_FEATURES = 0;
export const VIRTIO_PCI_GUEST_FEATURES = 4;
export const VIRTIO_PCI_QUEUE_PFN = 8;
export const VIRTIO_PCI_QUEUE_NUM = 12;
export const VIRTIO_PCI_QUEUE_SEL = 14;
export const VIRTIO_PCI_QUEUE_NOTIFY = 16;
export const VIRTIO_PCI_STATUS = 18;
export const VIRTIO_PCI_ISR = 19;
export const VIRTIO_MSI_CONFIG_VECTOR = 20;
export const VIRTIO_MSI_QUEUE_VECTOR = 22;

// Legacy: revision id, queue address unit (4096 bytes) and ring alignment in bytes.
export const VIRTIO_PCI_ABI_VERSION = 0;
export const VIRTIO_PCI_QUEUE_ADDR_SHIFT = 12;
export const VIRTIO_PCI_VRING_ALIGN = 4096;

// ISR byte: this bit means a configuration change, bit 0 a queue.
export const VIRTIO_PCI_ISR_CONFIG = 0x2;

// The vector number that stands for none.
export const VIRTIO_MSI_NO_VECTOR = 0xffff;

// virtio_pci_cap.cfg_type.
export const VIRTIO_PCI_CAP_COMMON_CFG = 1;
export const VIRTIO_PCI_CAP_NOTIFY_CFG = 2;
export const VIRTIO_PCI_CAP_ISR_CFG = 3;
export const VIRTIO_PCI_CAP_DEVICE_CFG = 4;
export const VIRTIO_PCI_CAP_PCI_CFG = 5;
export const VIRTIO_PCI_CAP_SHARED_MEMORY_CFG = 8;

// Byte offsets in struct virtio_pci_cap.
export const VIRTIO_PCI_CAP_VNDR = 0;
export const VIRTIO_PCI_CAP_NEXT = 1;
export const VIRTIO_PCI_CAP_LEN = 2;
export const VIRTIO_PCI_CAP_CFG_TYPE = 3;
export const VIRTIO_PCI_CAP_BAR = 4;
export const VIRTIO_PCI_CAP_OFFSET = 8;
export const VIRTIO_PCI_CAP_LENGTH = 12;

// Byte offset in struct virtio_pci_notify_cap.
export const VIRTIO_PCI_NOTIFY_CAP_MULT = 16;

// Byte offsets in struct virtio_pci_common_cfg.
export const VIRTIO_PCI_COMMON_DFSELECT = 0;
export const VIRTIO_PCI_COMMON_DF = 4;
export const VIRTIO_PCI_COMMON_GFSELECT = 8;
export const VIRTIO_PCI_COMMON_GF = 12;
export const VIRTIO_PCI_COMMON_MSIX = 16;
export const VIRTIO_PCI_COMMON_NUMQ = 18;
export const VIRTIO_PCI_COMMON_STATUS = 20;
export const VIRTIO_PCI_COMMON_CFGGENERATION = 21;
export const VIRTIO_PCI_COMMON_Q_SELECT = 22;
export const VIRTIO_PCI_COMMON_Q_SIZE = 24;
export const VIRTIO_PCI_COMMON_Q_MSIX = 26;
export const VIRTIO_PCI_COMMON_Q_ENABLE = 28;
export const VIRTIO_PCI_COMMON_Q_NOFF = 30;
export const VIRTIO_PCI_COMMON_Q_DESCLO = 32;
export const VIRTIO_PCI_COMMON_Q_DESCHI = 36;
export const VIRTIO_PCI_COMMON_Q_AVAILLO = 40;
export const VIRTIO_PCI_COMMON_Q_AVAILHI = 44;
export const VIRTIO_PCI_COMMON_Q_USEDLO = 48;
export const VIRTIO_PCI_COMMON_Q_USEDHI = 52;
export const VIRTIO_PCI_COMMON_Q_NDATA = 56;
export const VIRTIO_PCI_COMMON_Q_RESET = 58;

// Byte offsets in struct virtio_pci_modern_common_cfg of later Linux.
export const VIRTIO_PCI_COMMON_ADM_Q_IDX = 60;
export const VIRTIO_PCI_COMMON_ADM_Q_NUM = 62;

/** Where the device configuration starts in the legacy I/O BAR, in bytes. */
export function VIRTIO_PCI_CONFIG_OFF(msix_enabled: boolean): number {
  return msix_enabled ? 24 : 20;
}

/** `struct virtio_pci_cap`: vendor capability that says where a structure lies. */
export const virtio_pci_cap = defineStruct('virtio_pci_cap', {
  cap_vndr: u8,
  cap_next: u8,
  cap_len: u8,
  cfg_type: u8,
  bar: u8,
  id: u8,
  padding: bytes(2),
  offset: u32,
  length: u32,
});
/** A `struct virtio_pci_cap` as a plain object. */
export type VirtioPciCap = ValueOf<typeof virtio_pci_cap>;

/** `struct virtio_pci_cap64`: vendor capability with a 64-bit offset and length, for shared memory. */
export const virtio_pci_cap64 = defineStruct('virtio_pci_cap64', {
  cap: virtio_pci_cap,
  offset_hi: u32,
  length_hi: u32,
});
/** A `struct virtio_pci_cap64` as a plain object. */
export type VirtioPciCap64 = ValueOf<typeof virtio_pci_cap64>;

/** `struct virtio_pci_notify_cap`: vendor capability of the notification area. */
export const virtio_pci_notify_cap = defineStruct('virtio_pci_notify_cap', {
  cap: virtio_pci_cap,
  notify_off_multiplier: u32,
});
/** A `struct virtio_pci_notify_cap` as a plain object. */
export type VirtioPciNotifyCap = ValueOf<typeof virtio_pci_notify_cap>;

/** `struct virtio_pci_cfg_cap`: vendor capability to reach BARs through configuration space. */
export const virtio_pci_cfg_cap = defineStruct('virtio_pci_cfg_cap', {
  cap: virtio_pci_cap,
  pci_cfg_data: bytes(4),
});
/** A `struct virtio_pci_cfg_cap` as a plain object. */
export type VirtioPciCfgCap = ValueOf<typeof virtio_pci_cfg_cap>;

/** `struct virtio_pci_common_cfg`: registers of the device and of the selected queue. */
export const virtio_pci_common_cfg = defineStruct('virtio_pci_common_cfg', {
  device_feature_select: u32,
  device_feature: u32,
  guest_feature_select: u32,
  guest_feature: u32,
  msix_config: u16,
  num_queues: u16,
  device_status: u8,
  config_generation: u8,
  queue_select: u16,
  queue_size: u16,
  queue_msix_vector: u16,
  queue_enable: u16,
  queue_notify_off: u16,
  queue_desc_lo: u32,
  queue_desc_hi: u32,
  queue_avail_lo: u32,
  queue_avail_hi: u32,
  queue_used_lo: u32,
  queue_used_hi: u32,
});
/** A `struct virtio_pci_common_cfg` as a plain object. */
export type VirtioPciCommonCfg = ValueOf<typeof virtio_pci_common_cfg>;
