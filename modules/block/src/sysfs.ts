/** What /sys/block/DISK shows. Mirrors `block/{genhd,blk-sysfs}.c` and `mm/backing-dev.c` (Linux 6.1). */
import type { AttributeGroup, Device } from '@vdpalab/driver-core';
import { type Disk, SECTOR_SIZE } from './disk.ts';

type Show = () => string | number;

const group = (name: string | null, files: Readonly<Record<string, Show>>): AttributeGroup<Device> => ({
  ...(name === null ? {} : { name }),
  attrs: Object.entries(files).map(([file, show]) => ({ name: file, mode: 0o444, show: async () => `${show()}\n` })),
});

/** A file that is there with nothing in it. */
const empty = (name: string): { name: string; mode: number; show: () => Promise<string> } => ({ name, mode: 0o444, show: async () => '' });

/** Reads, writes, discards, flushes: seventeen columns, times always 0 for nothing takes any. */
function stat({ stats, queue }: Disk): string {
  const { READ, WRITE, DISCARD, FLUSH } = stats;
  const columns = [
    READ.ios, 0, READ.sectors, 0, WRITE.ios, 0, WRITE.sectors, 0, queue.underWay, 0, 0, DISCARD.ios, 0, DISCARD.sectors, 0, FLUSH.ios, 0,
  ];
  return columns.map((n) => String(n).padStart(8)).join(' ');
}

/** The disk's own files, and its queue's. */
export function diskGroups(disk: Disk): readonly AttributeGroup<Device>[] {
  const { limits } = disk.queue;
  const kib = (sectors: number): number => (sectors * SECTOR_SIZE) / 1024;
  return [
    group(null, {
      alignment_offset: () => limits.alignment_offset,
      capability: () => 0,
      discard_alignment: () => 0,
      diskseq: () => disk.diskseq,
      events_poll_msecs: () => -1,
      ext_range: () => 256,
      hidden: () => 0,
      inflight: () => `${String(0).padStart(8)} ${String(disk.queue.underWay).padStart(8)}`,
      range: () => disk.minors,
      removable: () => 0,
      ro: () => (disk.ro ? 1 : 0),
      size: () => disk.capacity,
      stat: () => stat(disk),
    }),
    { attrs: [empty('events'), empty('events_async')] }, // media are never changed
    group('holders', {}),
    group('slaves', {}),
    group('integrity', {
      device_is_integrity_capable: () => 0, format: () => 'none', protection_interval_bytes: () => 0, read_verify: () => 0, tag_size: () => 0,
      write_generate: () => 0,
    }),
    group('trace', { act_mask: () => 'disabled', enable: () => 0, end_lba: () => 'disabled', pid: () => 'disabled', start_lba: () => 'disabled' }),
    group('queue', {
      add_random: () => 0,
      chunk_sectors: () => 0,
      dax: () => 0,
      discard_granularity: () => limits.discard_granularity,
      discard_max_bytes: () => limits.max_discard_sectors * SECTOR_SIZE,
      discard_max_hw_bytes: () => limits.max_discard_sectors * SECTOR_SIZE,
      discard_zeroes_data: () => 0,
      dma_alignment: () => 511,
      fua: () => 0,
      hw_sector_size: () => limits.logical_block_size,
      io_poll: () => 0,
      io_poll_delay: () => -1,
      iostats: () => 1,
      logical_block_size: () => limits.logical_block_size,
      max_discard_segments: () => 1,
      max_hw_sectors_kb: () => 2147483647,
      max_integrity_segments: () => 0,
      max_sectors_kb: () => kib(limits.max_sectors),
      max_segment_size: () => limits.max_segment_size,
      max_segments: () => limits.max_segments,
      minimum_io_size: () => limits.io_min,
      nomerges: () => 0,
      nr_requests: () => disk.queue.depth,
      nr_zones: () => 0,
      optimal_io_size: () => limits.io_opt,
      physical_block_size: () => limits.physical_block_size,
      read_ahead_kb: () => 128,
      rotational: () => (disk.queue.rotational ? 1 : 0),
      rq_affinity: () => 1,
      scheduler: () => '[none]',
      stable_writes: () => 0,
      virt_boundary_mask: () => 0,
      wbt_lat_usec: () => (disk.queue.rotational ? 75_000 : 2000),
      write_cache: () => (disk.queue.write_cache ? 'write back' : 'write through'),
      write_same_max_bytes: () => 0,
      write_zeroes_max_bytes: () => limits.max_write_zeroes_sectors * SECTOR_SIZE,
      zone_append_max_bytes: () => 0,
      zone_write_granularity: () => 0,
      zoned: () => 'none',
    }),
  ];
}

/** The device of class bdi that stands for a disk's writing back. */
export const bdiGroups: readonly AttributeGroup<Device>[] = [group(null, {
  max_ratio: () => 100, min_ratio: () => 0, read_ahead_kb: () => 128, stable_pages_required: () => 0,
})];
