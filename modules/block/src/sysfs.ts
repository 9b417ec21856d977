/** What /sys/block/DISK shows. Mirrors `block/{genhd,blk-sysfs}.c` and `mm/backing-dev.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Attribute, AttributeGroup, Device } from '@vdpalab/driver-core';
import type { Disk } from './disk.ts';
import { queueFiles } from './queue-files.ts';

type Show = () => string | number;

const group = (name: string | null, files: Readonly<Record<string, Show>>): AttributeGroup<Device> => ({
  ...(name === null ? {} : { name }),
  attrs: Object.entries(files).map(([file, show]) => ({ name: file, mode: 0o444, show: async () => `${show()}\n` })),
});

/** A file that is there with nothing in it. */
const empty = (name: string): { name: string; mode: number; show: () => Promise<string> } => ({ name, mode: 0o444, show: async () => '' });

/** `disk_events_poll_msecs_store`: a disk without events has nothing to poll for. */
const pollInterval: Attribute<Device> = {
  name: 'events_poll_msecs', mode: 0o644, show: async () => '-1\n',
  store: async (_, text) => {
    const value = /^\s*([-+]?\d+)/.exec(text)?.[1];
    if (value === undefined || Number(value) < -1) throw new KernelError('EINVAL', 'block.queue.value', `events_poll_msecs: "${text.trimEnd()}"`);
    throw new KernelError('ENODEV', 'block.events.none', 'events_poll_msecs: the disk has no events');
  },
};

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
  return [
    group(null, {
      alignment_offset: () => limits.alignment_offset,
      capability: () => 0,
      discard_alignment: () => 0,
      diskseq: () => disk.diskseq,
      ext_range: () => 256,
      hidden: () => 0,
      inflight: () => `${String(0).padStart(8)} ${String(disk.queue.underWay).padStart(8)}`,
      range: () => disk.minors,
      removable: () => 0,
      ro: () => (disk.ro ? 1 : 0),
      size: () => disk.capacity,
      stat: () => stat(disk),
    }),
    { attrs: [empty('events'), empty('events_async'), pollInterval] }, // media are never changed
    group('holders', {}),
    group('slaves', {}),
    group('integrity', {
      device_is_integrity_capable: () => 0, format: () => 'none', protection_interval_bytes: () => 0, read_verify: () => 0, tag_size: () => 0,
      write_generate: () => 0,
    }),
    group('trace', { act_mask: () => 'disabled', enable: () => 0, end_lba: () => 'disabled', pid: () => 'disabled', start_lba: () => 'disabled' }),
    { name: 'queue', attrs: queueFiles(disk) },
  ];
}

/** The device of class bdi that stands for a disk's writing back. */
export const bdiGroups: readonly AttributeGroup<Device>[] = [group(null, {
  max_ratio: () => 100, min_ratio: () => 0, read_ahead_kb: () => 128, stable_pages_required: () => 0,
})];
