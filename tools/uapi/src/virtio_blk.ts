/** `linux/virtio_blk.h` (Linux 6.1): block device. */
import { bytes, defineStruct, u16, u32, u64, u8 } from './struct.ts';
import type { ValueOf } from './struct.ts';

// Feature bit numbers.
export const VIRTIO_BLK_F_SIZE_MAX = 1;
export const VIRTIO_BLK_F_SEG_MAX = 2;
export const VIRTIO_BLK_F_GEOMETRY = 4;
export const VIRTIO_BLK_F_RO = 5;
export const VIRTIO_BLK_F_BLK_SIZE = 6;
export const VIRTIO_BLK_F_TOPOLOGY = 10;
export const VIRTIO_BLK_F_MQ = 12;
export const VIRTIO_BLK_F_DISCARD = 13;
export const VIRTIO_BLK_F_WRITE_ZEROES = 14;
export const VIRTIO_BLK_F_SECURE_ERASE = 16;

// Feature bit numbers of legacy devices; Linux also uses FLUSH, SCSI and CONFIG_WCE today.
export const VIRTIO_BLK_F_BARRIER = 0;
export const VIRTIO_BLK_F_SCSI = 7;
export const VIRTIO_BLK_F_FLUSH = 9;
export const VIRTIO_BLK_F_CONFIG_WCE = 11;
export const VIRTIO_BLK_F_WCE = VIRTIO_BLK_F_FLUSH;

// Bytes of the answer to VIRTIO_BLK_T_GET_ID.
export const VIRTIO_BLK_ID_BYTES = 20;

// virtio_blk_outhdr.type.
export const VIRTIO_BLK_T_IN = 0;
export const VIRTIO_BLK_T_OUT = 1;
export const VIRTIO_BLK_T_SCSI_CMD = 2;
export const VIRTIO_BLK_T_FLUSH = 4;
export const VIRTIO_BLK_T_GET_ID = 8;
export const VIRTIO_BLK_T_DISCARD = 11;
export const VIRTIO_BLK_T_WRITE_ZEROES = 13;
export const VIRTIO_BLK_T_SECURE_ERASE = 14;
export const VIRTIO_BLK_T_BARRIER = 0x80000000;

// virtio_blk_discard_write_zeroes.flags.
export const VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP = 0x00000001;

// The status byte at the end of a request.
export const VIRTIO_BLK_S_OK = 0;
export const VIRTIO_BLK_S_IOERR = 1;
export const VIRTIO_BLK_S_UNSUPP = 2;

/** `struct virtio_blk_geometry`: declared inside struct virtio_blk_config. */
export const virtio_blk_geometry = defineStruct('virtio_blk_geometry', {
  cylinders: u16,
  heads: u8,
  sectors: u8,
});
/** A `struct virtio_blk_geometry` as a plain object. */
export type VirtioBlkGeometry = ValueOf<typeof virtio_blk_geometry>;

/** `struct virtio_blk_config`: configuration space of a block device; capacity in 512-byte sectors. */
export const virtio_blk_config = defineStruct('virtio_blk_config', {
  capacity: u64,
  size_max: u32,
  seg_max: u32,
  geometry: virtio_blk_geometry,
  blk_size: u32,
  physical_block_exp: u8,
  alignment_offset: u8,
  min_io_size: u16,
  opt_io_size: u32,
  wce: u8,
  unused: u8,
  num_queues: u16,
  max_discard_sectors: u32,
  max_discard_seg: u32,
  discard_sector_alignment: u32,
  max_write_zeroes_sectors: u32,
  max_write_zeroes_seg: u32,
  write_zeroes_may_unmap: u8,
  unused1: bytes(3),
  max_secure_erase_sectors: u32,
  max_secure_erase_seg: u32,
  secure_erase_sector_alignment: u32,
}, { packed: true });
/** A `struct virtio_blk_config` as a plain object. */
export type VirtioBlkConfig = ValueOf<typeof virtio_blk_config>;

/** `struct virtio_blk_outhdr`: head of a request; sector in units of 512 bytes. */
export const virtio_blk_outhdr = defineStruct('virtio_blk_outhdr', {
  type: u32,
  ioprio: u32,
  sector: u64,
});
/** A `struct virtio_blk_outhdr` as a plain object. */
export type VirtioBlkOuthdr = ValueOf<typeof virtio_blk_outhdr>;

/** `struct virtio_blk_discard_write_zeroes`: one range of a discard or write-zeroes request. */
export const virtio_blk_discard_write_zeroes = defineStruct('virtio_blk_discard_write_zeroes', {
  sector: u64,
  num_sectors: u32,
  flags: u32,
});
/** A `struct virtio_blk_discard_write_zeroes` as a plain object. */
export type VirtioBlkDiscardWriteZeroes = ValueOf<typeof virtio_blk_discard_write_zeroes>;
