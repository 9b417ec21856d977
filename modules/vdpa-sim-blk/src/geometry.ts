/** What the disk is like. Mirrors `drivers/vdpa/vdpa_sim/vdpa_sim_blk.c` (Linux 6.1). */

export const SECTOR_SIZE = 512;
/** Sectors. */
export const VDPASIM_BLK_CAPACITY = 0x40000;
/** Bytes of one piece. */
export const VDPASIM_BLK_SIZE_MAX = 0x1000;
/** Pieces of one request. */
export const VDPASIM_BLK_SEG_MAX = 32;
/** Sectors of one discard or write-zeroes. */
export const VDPASIM_BLK_DWZ_MAX_SECTORS = 0xffff_ffff;
/** Sectors of one read or write. */
export const TRANSFER_MAX_SECTORS = (VDPASIM_BLK_SIZE_MAX * VDPASIM_BLK_SEG_MAX) / SECTOR_SIZE;

/** Whether a range of at most `max` sectors lies on the disk. */
export function onDisk(sector: bigint, sectors: number, max: number): boolean {
  return sector <= BigInt(VDPASIM_BLK_CAPACITY) && sectors <= max && sectors <= VDPASIM_BLK_CAPACITY - Number(sector);
}
