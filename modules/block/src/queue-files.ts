/** The files of /sys/block/DISK/queue. Mirrors `block/blk-sysfs.c` and `block/elevator.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Attribute, Device } from '@vdpalab/driver-core';
import { SECTOR_SIZE, type Disk } from './disk.ts';

/** `BLKDEV_MIN_RQ` */
const MIN_REQUESTS = 4;
const PAGE_KIB = 4;
const MAX_HW_SECTORS_KIB = 2147483647;
const UINT_MAX = 0xffff_ffff;

/** What files show and keep; most of it steers Linux's own machinery, of which there is none here. */
export class QueueSettings {
  add_random = 0;
  iostats = 1;
  nomerges = 0;
  /** As written; the queue's depth is the driver's. */
  nr_requests: number;
  read_ahead_kb = 128;
  rq_affinity = 1;
  /** Of one queue `mq-deadline`, of several none, until somebody chooses. */
  scheduler: 'mq-deadline' | 'none';
  stable_writes = 0;
  /** Microseconds; null: by `rotational`. */
  wbt_lat_usec: number | null = null;
  readonly #depth: number;

  /** @param depth requests that the driver takes at once, of one hardware queue */
  constructor(depth: number, hwQueues: number) {
    this.#depth = depth;
    this.scheduler = hwQueues === 1 ? 'mq-deadline' : 'none';
    this.nr_requests = this.#usualRequests();
  }

  /** @see `elevator_switch`: another scheduler starts with the number of requests that is usual for it */
  choose(scheduler: QueueSettings['scheduler']): undefined {
    if (this.scheduler === scheduler) return;
    this.scheduler = scheduler;
    this.nr_requests = this.#usualRequests();
  }

  /** Requests that there may be: a scheduler may hold back more than the driver takes. */
  get most(): number {
    return this.scheduler === 'none' ? this.#depth : UINT_MAX;
  }

  #usualRequests(): number {
    return this.scheduler === 'none' ? this.#depth : 2 * Math.min(this.#depth, 128);
  }
}

type File = Attribute<Device>;
type Show = () => string | number;

const invalid = (name: string, text: string): KernelError => new KernelError('EINVAL', 'block.queue.value', `queue/${name}: "${text.trimEnd()}"`);

const file = (name: string, show: Show): File => ({ name, mode: 0o444, show: async () => `${show()}\n` });

const setting = (name: string, show: Show, store: (text: string) => unknown): File => ({
  name, mode: 0o644, show: async () => `${show()}\n`, store: async (_, text) => void store(text),
});

/** `queue_var_store`. @throws EINVAL when the text is no number below 2^32 */
function number(name: string, text: string): number {
  const value = /^\+?\d+\n?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= UINT_MAX)) throw invalid(name, text);
  return value;
}

function schedulers(current: QueueSettings['scheduler']): string {
  return current === 'none' ? '[none] mq-deadline ' : '[mq-deadline] none';
}

/** `wbt_lat_usec`: -1 is the default. @throws EINVAL below that */
function latency(text: string): number | null {
  const value = /^[-+]?\d+\n?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= -1)) throw invalid('wbt_lat_usec', text);
  return value === -1 ? null : value;
}

/** All of them, in the order of their names. */
export function queueFiles({ queue }: Disk): readonly File[] {
  const { limits, settings } = queue;
  const bit = (name: 'add_random' | 'iostats' | 'stable_writes'): File =>
    setting(name, () => settings[name], (text) => { settings[name] = number(name, text) === 0 ? 0 : 1; });
  return [
    bit('add_random'),
    file('chunk_sectors', () => 0),
    file('dax', () => 0),
    file('discard_granularity', () => limits.discard_granularity),
    setting('discard_max_bytes', () => queue.discard_max_sectors * SECTOR_SIZE, (text) => {
      const bytes = /^\+?\d+\n?$/.test(text) ? Number(text) : Number.NaN;
      if (!(bytes / SECTOR_SIZE <= UINT_MAX) || bytes % Math.max(1, limits.discard_granularity) !== 0) throw invalid('discard_max_bytes', text);
      queue.discard_max_sectors = Math.min(bytes / SECTOR_SIZE, limits.max_discard_sectors);
    }),
    file('discard_max_hw_bytes', () => limits.max_discard_sectors * SECTOR_SIZE),
    file('discard_zeroes_data', () => 0),
    file('dma_alignment', () => 511),
    file('fua', () => 0),
    file('hw_sector_size', () => limits.logical_block_size),
    setting('io_poll', () => 0, (text) => { throw invalid('io_poll', text); }), // no queue is polled
    setting('io_poll_delay', () => -1, () => undefined), // Linux 6.1 takes anything and does nothing
    bit('iostats'),
    file('logical_block_size', () => limits.logical_block_size),
    file('max_discard_segments', () => 1),
    file('max_hw_sectors_kb', () => MAX_HW_SECTORS_KIB),
    file('max_integrity_segments', () => 0),
    setting('max_sectors_kb', () => (limits.max_sectors * SECTOR_SIZE) / 1024, (text) => {
      const kib = number('max_sectors_kb', text);
      if (kib < PAGE_KIB || kib > MAX_HW_SECTORS_KIB) throw invalid('max_sectors_kb', text);
      limits.max_sectors = (kib * 1024) / SECTOR_SIZE;
    }),
    file('max_segment_size', () => limits.max_segment_size),
    file('max_segments', () => limits.max_segments),
    file('minimum_io_size', () => limits.io_min),
    setting('nomerges', () => settings.nomerges, (text) => {
      const value = number('nomerges', text);
      settings.nomerges = value === 2 ? 2 : Math.min(value, 1);
    }),
    setting('nr_requests', () => settings.nr_requests, (text) => {
      const requests = Math.max(MIN_REQUESTS, number('nr_requests', text));
      if (requests > settings.most) throw invalid('nr_requests', text);
      settings.nr_requests = requests;
    }),
    file('nr_zones', () => 0),
    file('optimal_io_size', () => limits.io_opt),
    file('physical_block_size', () => limits.physical_block_size),
    setting('read_ahead_kb', () => settings.read_ahead_kb, (text) => {
      settings.read_ahead_kb = Math.floor(number('read_ahead_kb', text) / PAGE_KIB) * PAGE_KIB;
    }),
    setting('rotational', () => (queue.rotational ? 1 : 0), (text) => { queue.rotational = number('rotational', text) !== 0; }),
    setting('rq_affinity', () => settings.rq_affinity, (text) => {
      const value = number('rq_affinity', text);
      if (value <= 2) settings.rq_affinity = value;
    }),
    setting('scheduler', () => schedulers(settings.scheduler), (text) => {
      const name = text.trim();
      if (name !== 'none' && name !== 'mq-deadline') throw invalid('scheduler', text);
      settings.choose(name);
    }),
    bit('stable_writes'),
    file('virt_boundary_mask', () => 0),
    setting('wbt_lat_usec', () => settings.wbt_lat_usec ?? (queue.rotational ? 75_000 : 2000), (text) => { settings.wbt_lat_usec = latency(text); }),
    setting('write_cache', () => (queue.write_cache ? 'write back' : 'write through'), (text) => {
      const isBack = text.startsWith('write back');
      if (!isBack && !text.startsWith('write through') && !text.startsWith('none')) throw invalid('write_cache', text);
      queue.write_cache = isBack;
    }),
    file('write_same_max_bytes', () => 0),
    file('write_zeroes_max_bytes', () => limits.max_write_zeroes_sectors * SECTOR_SIZE),
    file('zone_append_max_bytes', () => 0),
    file('zone_write_granularity', () => 0),
    file('zoned', () => 'none'),
  ];
}
