/**
 * `linux/vfio.h` (Linux 6.1): containers, groups and devices.
 *
 * Type 1 IOMMUs are in vfio_type1.ts, VFIO_DEVICE_FEATURE and migration in vfio_migration.ts.
 */
import { _IO } from './ioctl.ts';
import { defineStruct, s32, u16, u32, u64, u8 } from './struct.ts';
import type { ValueOf } from './struct.ts';

// Answer to VFIO_GET_API_VERSION.
export const VFIO_API_VERSION = 0;

// Argument of VFIO_CHECK_EXTENSION: IOMMU models and capabilities.
export const VFIO_TYPE1_IOMMU = 1;
export const VFIO_SPAPR_TCE_IOMMU = 2;
export const VFIO_TYPE1v2_IOMMU = 3;
export const VFIO_DMA_CC_IOMMU = 4;
export const VFIO_TYPE1_NESTING_IOMMU = 6;
export const VFIO_SPAPR_TCE_v2_IOMMU = 7;
export const VFIO_NOIOMMU_IOMMU = 8;
export const VFIO_UNMAP_ALL = 9;
export const VFIO_UPDATE_VADDR = 10;

// Every VFIO ioctl; the argument structs carry their own size in `argsz`.
export const VFIO_TYPE = 0x3b;
export const VFIO_BASE = 100;

// Containers.
export const VFIO_GET_API_VERSION = _IO(VFIO_TYPE, VFIO_BASE + 0);
export const VFIO_CHECK_EXTENSION = _IO(VFIO_TYPE, VFIO_BASE + 1);
export const VFIO_SET_IOMMU = _IO(VFIO_TYPE, VFIO_BASE + 2);

// Groups.
export const VFIO_GROUP_FLAGS_VIABLE = 1 << 0;
export const VFIO_GROUP_FLAGS_CONTAINER_SET = 1 << 1;
export const VFIO_GROUP_GET_STATUS = _IO(VFIO_TYPE, VFIO_BASE + 3);
export const VFIO_GROUP_SET_CONTAINER = _IO(VFIO_TYPE, VFIO_BASE + 4);
export const VFIO_GROUP_UNSET_CONTAINER = _IO(VFIO_TYPE, VFIO_BASE + 5);
export const VFIO_GROUP_GET_DEVICE_FD = _IO(VFIO_TYPE, VFIO_BASE + 6);

// Devices.
export const VFIO_DEVICE_FLAGS_RESET = 1 << 0;
export const VFIO_DEVICE_FLAGS_PCI = 1 << 1;
export const VFIO_DEVICE_FLAGS_PLATFORM = 1 << 2;
export const VFIO_DEVICE_FLAGS_AMBA = 1 << 3;
export const VFIO_DEVICE_FLAGS_AP = 1 << 5;
export const VFIO_DEVICE_FLAGS_FSL_MC = 1 << 6;
export const VFIO_DEVICE_FLAGS_CAPS = 1 << 7;
export const VFIO_DEVICE_GET_INFO = _IO(VFIO_TYPE, VFIO_BASE + 7);

// What mdev types say in device_api.
export const VFIO_DEVICE_API_PCI_STRING = 'vfio-pci';
export const VFIO_DEVICE_API_PLATFORM_STRING = 'vfio-platform';
export const VFIO_DEVICE_API_AMBA_STRING = 'vfio-amba';
export const VFIO_DEVICE_API_CCW_STRING = 'vfio-ccw';
export const VFIO_DEVICE_API_AP_STRING = 'vfio-ap';

// Capabilities of VFIO_DEVICE_GET_INFO.
export const VFIO_DEVICE_INFO_CAP_ZPCI_BASE = 1;
export const VFIO_DEVICE_INFO_CAP_ZPCI_GROUP = 2;
export const VFIO_DEVICE_INFO_CAP_ZPCI_UTIL = 3;
export const VFIO_DEVICE_INFO_CAP_ZPCI_PFIP = 4;

// Regions.
export const VFIO_REGION_INFO_FLAG_READ = 1 << 0;
export const VFIO_REGION_INFO_FLAG_WRITE = 1 << 1;
export const VFIO_REGION_INFO_FLAG_MMAP = 1 << 2;
export const VFIO_REGION_INFO_FLAG_CAPS = 1 << 3;
export const VFIO_DEVICE_GET_REGION_INFO = _IO(VFIO_TYPE, VFIO_BASE + 8);
export const VFIO_REGION_INFO_CAP_SPARSE_MMAP = 1;
export const VFIO_REGION_INFO_CAP_TYPE = 2;
export const VFIO_REGION_TYPE_PCI_VENDOR_TYPE = 0x80000000;
export const VFIO_REGION_TYPE_PCI_VENDOR_MASK = 0xffff;
export const VFIO_REGION_INFO_CAP_MSIX_MAPPABLE = 3;

// Interrupts.
export const VFIO_IRQ_INFO_EVENTFD = 1 << 0;
export const VFIO_IRQ_INFO_MASKABLE = 1 << 1;
export const VFIO_IRQ_INFO_AUTOMASKED = 1 << 2;
export const VFIO_IRQ_INFO_NORESIZE = 1 << 3;
export const VFIO_DEVICE_GET_IRQ_INFO = _IO(VFIO_TYPE, VFIO_BASE + 9);
export const VFIO_IRQ_SET_DATA_NONE = 1 << 0;
export const VFIO_IRQ_SET_DATA_BOOL = 1 << 1;
export const VFIO_IRQ_SET_DATA_EVENTFD = 1 << 2;
export const VFIO_IRQ_SET_ACTION_MASK = 1 << 3;
export const VFIO_IRQ_SET_ACTION_UNMASK = 1 << 4;
export const VFIO_IRQ_SET_ACTION_TRIGGER = 1 << 5;
export const VFIO_DEVICE_SET_IRQS = _IO(VFIO_TYPE, VFIO_BASE + 10);
export const VFIO_IRQ_SET_DATA_TYPE_MASK = 0x07;
export const VFIO_IRQ_SET_ACTION_TYPE_MASK = 0x38;
export const VFIO_DEVICE_RESET = _IO(VFIO_TYPE, VFIO_BASE + 11);

// vfio-pci: regions and interrupts.
export const VFIO_PCI_BAR0_REGION_INDEX = 0;
export const VFIO_PCI_BAR1_REGION_INDEX = 1;
export const VFIO_PCI_BAR2_REGION_INDEX = 2;
export const VFIO_PCI_BAR3_REGION_INDEX = 3;
export const VFIO_PCI_BAR4_REGION_INDEX = 4;
export const VFIO_PCI_BAR5_REGION_INDEX = 5;
export const VFIO_PCI_ROM_REGION_INDEX = 6;
export const VFIO_PCI_CONFIG_REGION_INDEX = 7;
export const VFIO_PCI_VGA_REGION_INDEX = 8;
export const VFIO_PCI_NUM_REGIONS = 9;
export const VFIO_PCI_INTX_IRQ_INDEX = 0;
export const VFIO_PCI_MSI_IRQ_INDEX = 1;
export const VFIO_PCI_MSIX_IRQ_INDEX = 2;
export const VFIO_PCI_ERR_IRQ_INDEX = 3;
export const VFIO_PCI_REQ_IRQ_INDEX = 4;
export const VFIO_PCI_NUM_IRQS = 5;

// vfio-pci: reset of a slot or bus.
export const VFIO_DEVICE_GET_PCI_HOT_RESET_INFO = _IO(VFIO_TYPE, VFIO_BASE + 12);
export const VFIO_DEVICE_PCI_HOT_RESET = _IO(VFIO_TYPE, VFIO_BASE + 13);

// An eventfd that writes to a region.
export const VFIO_DEVICE_IOEVENTFD_8 = 1 << 0;
export const VFIO_DEVICE_IOEVENTFD_16 = 1 << 1;
export const VFIO_DEVICE_IOEVENTFD_32 = 1 << 2;
export const VFIO_DEVICE_IOEVENTFD_64 = 1 << 3;
export const VFIO_DEVICE_IOEVENTFD_SIZE_MASK = 0xf;
export const VFIO_DEVICE_IOEVENTFD = _IO(VFIO_TYPE, VFIO_BASE + 16);

/**
 * `struct vfio_info_cap_header`: head of a capability behind an info struct.
 *
 * `next` is an offset from the start of the info struct, 0 for none.
 */
export const vfio_info_cap_header = defineStruct('vfio_info_cap_header', {
  id: u16,
  version: u16,
  next: u32,
});
/** A `struct vfio_info_cap_header` as a plain object. */
export type VfioInfoCapHeader = ValueOf<typeof vfio_info_cap_header>;

/** `struct vfio_group_status`: argument of VFIO_GROUP_GET_STATUS. */
export const vfio_group_status = defineStruct('vfio_group_status', {
  argsz: u32,
  flags: u32,
});
/** A `struct vfio_group_status` as a plain object. */
export type VfioGroupStatus = ValueOf<typeof vfio_group_status>;

/** `struct vfio_device_info`: argument of VFIO_DEVICE_GET_INFO. */
export const vfio_device_info = defineStruct('vfio_device_info', {
  argsz: u32,
  flags: u32,
  num_regions: u32,
  num_irqs: u32,
  cap_offset: u32,
});
/** A `struct vfio_device_info` as a plain object. */
export type VfioDeviceInfo = ValueOf<typeof vfio_device_info>;

/**
 * `struct vfio_region_info`: argument of VFIO_DEVICE_GET_REGION_INFO.
 *
 * `offset` is where the region begins in the device file.
 */
export const vfio_region_info = defineStruct('vfio_region_info', {
  argsz: u32,
  flags: u32,
  index: u32,
  cap_offset: u32,
  size: u64,
  offset: u64,
});
/** A `struct vfio_region_info` as a plain object. */
export type VfioRegionInfo = ValueOf<typeof vfio_region_info>;

/** `struct vfio_region_sparse_mmap_area`: a part of a region that can be mapped. */
export const vfio_region_sparse_mmap_area = defineStruct('vfio_region_sparse_mmap_area', {
  offset: u64,
  size: u64,
});
/** A `struct vfio_region_sparse_mmap_area` as a plain object. */
export type VfioRegionSparseMmapArea = ValueOf<typeof vfio_region_sparse_mmap_area>;

/** `struct vfio_region_info_cap_sparse_mmap`: head of the capability; `nr_areas` areas follow. */
export const vfio_region_info_cap_sparse_mmap = defineStruct('vfio_region_info_cap_sparse_mmap', {
  header: vfio_info_cap_header,
  nr_areas: u32,
  reserved: u32,
}, { align: 8 });
/** A `struct vfio_region_info_cap_sparse_mmap` as a plain object. */
export type VfioRegionInfoCapSparseMmap = ValueOf<typeof vfio_region_info_cap_sparse_mmap>;

/** `struct vfio_region_info_cap_type`: what a region beyond the fixed ones is. */
export const vfio_region_info_cap_type = defineStruct('vfio_region_info_cap_type', {
  header: vfio_info_cap_header,
  type: u32,
  subtype: u32,
});
/** A `struct vfio_region_info_cap_type` as a plain object. */
export type VfioRegionInfoCapType = ValueOf<typeof vfio_region_info_cap_type>;

/** `struct vfio_irq_info`: argument of VFIO_DEVICE_GET_IRQ_INFO. */
export const vfio_irq_info = defineStruct('vfio_irq_info', {
  argsz: u32,
  flags: u32,
  index: u32,
  count: u32,
});
/** A `struct vfio_irq_info` as a plain object. */
export type VfioIrqInfo = ValueOf<typeof vfio_irq_info>;

/** `struct vfio_irq_set`: head of the argument of VFIO_DEVICE_SET_IRQS; data by VFIO_IRQ_SET_DATA_* follow. */
export const vfio_irq_set = defineStruct('vfio_irq_set', {
  argsz: u32,
  flags: u32,
  index: u32,
  start: u32,
  count: u32,
});
/** A `struct vfio_irq_set` as a plain object. */
export type VfioIrqSet = ValueOf<typeof vfio_irq_set>;

/** `struct vfio_pci_dependent_device`: a function that a hot reset would also reset. */
export const vfio_pci_dependent_device = defineStruct('vfio_pci_dependent_device', {
  group_id: u32,
  segment: u16,
  bus: u8,
  devfn: u8,
});
/** A `struct vfio_pci_dependent_device` as a plain object. */
export type VfioPciDependentDevice = ValueOf<typeof vfio_pci_dependent_device>;

/** `struct vfio_pci_hot_reset_info`: head of the answer; `count` functions follow. */
export const vfio_pci_hot_reset_info = defineStruct('vfio_pci_hot_reset_info', {
  argsz: u32,
  flags: u32,
  count: u32,
});
/** A `struct vfio_pci_hot_reset_info` as a plain object. */
export type VfioPciHotResetInfo = ValueOf<typeof vfio_pci_hot_reset_info>;

/** `struct vfio_pci_hot_reset`: head of the argument; `count` group descriptors (s32) follow. */
export const vfio_pci_hot_reset = defineStruct('vfio_pci_hot_reset', {
  argsz: u32,
  flags: u32,
  count: u32,
});
/** A `struct vfio_pci_hot_reset` as a plain object. */
export type VfioPciHotReset = ValueOf<typeof vfio_pci_hot_reset>;

/** `struct vfio_device_ioeventfd`: argument of VFIO_DEVICE_IOEVENTFD. */
export const vfio_device_ioeventfd = defineStruct('vfio_device_ioeventfd', {
  argsz: u32,
  flags: u32,
  offset: u64,
  data: u64,
  fd: s32,
});
/** A `struct vfio_device_ioeventfd` as a plain object. */
export type VfioDeviceIoeventfd = ValueOf<typeof vfio_device_ioeventfd>;
