/** `linux/vfio.h` (Linux 6.1): VFIO_DEVICE_FEATURE, migration and dirty page logging. */
import { _IO } from './ioctl.ts';
import { defineStruct, s32, u32, u64 } from './struct.ts';
import { VFIO_BASE, VFIO_TYPE } from './vfio.ts';
import type { ValueOf } from './struct.ts';

// vfio_device_feature.flags: a feature number in the low bits, and what to do.
export const VFIO_DEVICE_FEATURE_MASK = 0xffff;
export const VFIO_DEVICE_FEATURE_GET = 1 << 16;
export const VFIO_DEVICE_FEATURE_SET = 1 << 17;
export const VFIO_DEVICE_FEATURE_PROBE = 1 << 18;
export const VFIO_DEVICE_FEATURE = _IO(VFIO_TYPE, VFIO_BASE + 17);

// Features: a VF token, a 16-byte UUID.
export const VFIO_DEVICE_FEATURE_PCI_VF_TOKEN = 0;

// Features: migration and its states.
export const VFIO_MIGRATION_STOP_COPY = 1 << 0;
export const VFIO_MIGRATION_P2P = 1 << 1;
export const VFIO_DEVICE_FEATURE_MIGRATION = 1;
export const VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE = 2;
export const VFIO_DEVICE_STATE_ERROR = 0;
export const VFIO_DEVICE_STATE_STOP = 1;
export const VFIO_DEVICE_STATE_RUNNING = 2;
export const VFIO_DEVICE_STATE_STOP_COPY = 3;
export const VFIO_DEVICE_STATE_RESUMING = 4;
export const VFIO_DEVICE_STATE_RUNNING_P2P = 5;

// Features: low power.
export const VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY = 3;
export const VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP = 4;
export const VFIO_DEVICE_FEATURE_LOW_POWER_EXIT = 5;

// Features: logging of DMA writes.
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_START = 6;
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP = 7;
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT = 8;

// Later Linux, in 6.12: migration with a pre-copy phase.
export const VFIO_MIGRATION_PRE_COPY = 1 << 2;
export const VFIO_DEVICE_STATE_PRE_COPY = 6;
export const VFIO_DEVICE_STATE_PRE_COPY_P2P = 7;
export const VFIO_DEVICE_STATE_NR = 8;
export const VFIO_MIG_GET_PRECOPY_INFO = _IO(VFIO_TYPE, VFIO_BASE + 21);

// Later Linux, in 6.12: features for the size of the state and for bus mastering.
export const VFIO_DEVICE_FEATURE_MIG_DATA_SIZE = 9;
export const VFIO_DEVICE_FEATURE_BUS_MASTER = 10;
export const VFIO_DEVICE_FEATURE_CLEAR_MASTER = 0;
export const VFIO_DEVICE_FEATURE_SET_MASTER = 1;

/** `struct vfio_device_feature`: head of the argument of VFIO_DEVICE_FEATURE; the feature's data follow. */
export const vfio_device_feature = defineStruct('vfio_device_feature', {
  argsz: u32,
  flags: u32,
});
/** A `struct vfio_device_feature` as a plain object. */
export type VfioDeviceFeature = ValueOf<typeof vfio_device_feature>;

/** `struct vfio_device_feature_migration`: data of VFIO_DEVICE_FEATURE_MIGRATION. */
export const vfio_device_feature_migration = defineStruct('vfio_device_feature_migration', {
  flags: u64,
});
/** A `struct vfio_device_feature_migration` as a plain object. */
export type VfioDeviceFeatureMigration = ValueOf<typeof vfio_device_feature_migration>;

/** `struct vfio_device_feature_mig_state`: data of VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE. */
export const vfio_device_feature_mig_state = defineStruct('vfio_device_feature_mig_state', {
  device_state: u32,
  data_fd: s32,
});
/** A `struct vfio_device_feature_mig_state` as a plain object. */
export type VfioDeviceFeatureMigState = ValueOf<typeof vfio_device_feature_mig_state>;

/** `struct vfio_device_low_power_entry_with_wakeup`: data of VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP. */
export const vfio_device_low_power_entry_with_wakeup = defineStruct('vfio_device_low_power_entry_with_wakeup', {
  wakeup_eventfd: s32,
  reserved: u32,
});
/** A `struct vfio_device_low_power_entry_with_wakeup` as a plain object. */
export type VfioDeviceLowPowerEntryWithWakeup = ValueOf<typeof vfio_device_low_power_entry_with_wakeup>;

/**
 * `struct vfio_device_feature_dma_logging_control`: data of VFIO_DEVICE_FEATURE_DMA_LOGGING_START.
 *
 * `ranges` is an address.
 */
export const vfio_device_feature_dma_logging_control = defineStruct('vfio_device_feature_dma_logging_control', {
  page_size: u64,
  num_ranges: u32,
  __reserved: u32,
  ranges: u64,
});
/** A `struct vfio_device_feature_dma_logging_control` as a plain object. */
export type VfioDeviceFeatureDmaLoggingControl = ValueOf<typeof vfio_device_feature_dma_logging_control>;

/** `struct vfio_device_feature_dma_logging_range`: a range of IOVAs to log. */
export const vfio_device_feature_dma_logging_range = defineStruct('vfio_device_feature_dma_logging_range', {
  iova: u64,
  length: u64,
});
/** A `struct vfio_device_feature_dma_logging_range` as a plain object. */
export type VfioDeviceFeatureDmaLoggingRange = ValueOf<typeof vfio_device_feature_dma_logging_range>;

/**
 * `struct vfio_device_feature_dma_logging_report`: data of VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT.
 *
 * `bitmap` is an address.
 */
export const vfio_device_feature_dma_logging_report = defineStruct('vfio_device_feature_dma_logging_report', {
  iova: u64,
  length: u64,
  page_size: u64,
  bitmap: u64,
});
/** A `struct vfio_device_feature_dma_logging_report` as a plain object. */
export type VfioDeviceFeatureDmaLoggingReport = ValueOf<typeof vfio_device_feature_dma_logging_report>;

// Later Linux, in 6.12.

/** `struct vfio_precopy_info`: argument of VFIO_MIG_GET_PRECOPY_INFO. */
export const vfio_precopy_info = defineStruct('vfio_precopy_info', {
  argsz: u32,
  flags: u32,
  initial_bytes: u64,
  dirty_bytes: u64,
});
/** A `struct vfio_precopy_info` as a plain object. */
export type VfioPrecopyInfo = ValueOf<typeof vfio_precopy_info>;

/** `struct vfio_device_feature_mig_data_size`: data of VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, in bytes. */
export const vfio_device_feature_mig_data_size = defineStruct('vfio_device_feature_mig_data_size', {
  stop_copy_length: u64,
});
/** A `struct vfio_device_feature_mig_data_size` as a plain object. */
export type VfioDeviceFeatureMigDataSize = ValueOf<typeof vfio_device_feature_mig_data_size>;

/** `struct vfio_device_feature_bus_master`: data of VFIO_DEVICE_FEATURE_BUS_MASTER. */
export const vfio_device_feature_bus_master = defineStruct('vfio_device_feature_bus_master', {
  op: u32,
});
/** A `struct vfio_device_feature_bus_master` as a plain object. */
export type VfioDeviceFeatureBusMaster = ValueOf<typeof vfio_device_feature_bus_master>;

// The migration protocol before 5.18, kept for old programs.
export const VFIO_REGION_TYPE_MIGRATION_DEPRECATED = 3;
export const VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED = 1;
export const VFIO_DEVICE_STATE_V1_STOP = 0;
export const VFIO_DEVICE_STATE_V1_RUNNING = 1 << 0;
export const VFIO_DEVICE_STATE_V1_SAVING = 1 << 1;
export const VFIO_DEVICE_STATE_V1_RESUMING = 1 << 2;
export const VFIO_DEVICE_STATE_MASK = 0x7;

/** `struct vfio_device_migration_info`: head of the migration region; sizes and offset in bytes. */
export const vfio_device_migration_info = defineStruct('vfio_device_migration_info', {
  device_state: u32,
  reserved: u32,
  pending_bytes: u64,
  data_offset: u64,
  data_size: u64,
});
/** A `struct vfio_device_migration_info` as a plain object. */
export type VfioDeviceMigrationInfo = ValueOf<typeof vfio_device_migration_info>;
