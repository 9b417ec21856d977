/** Disks. Mirrors `block/genhd.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { DiskInit, Gendisk } from './header.ts';
import { Queue } from './queue.ts';
import type { QueueSymbols } from './queue.ts';

/** Bytes of a sector, whatever the disk's own are. */
export const SECTOR_SIZE = 512;

/** Requests of one kind that are done: the columns of `stat`. */
export interface IoStat {
  ios: number;
  sectors: number;
}

/** `struct gendisk` */
export class Disk implements Gendisk {
  disk_name = '';
  major = 0;
  first_minor = 0;
  readonly minors: number;
  readonly fops: Gendisk['fops'];
  readonly queue: Queue;
  part0: Device | null = null;
  openers = 0;
  ro = false;
  /** Sectors. */
  capacity = 0;
  /** Rises with each disk there ever was. */
  diskseq = 0;
  /** Between device_add_disk and del_gendisk. */
  live = false;
  readonly stats = { READ: { ios: 0, sectors: 0 }, WRITE: { ios: 0, sectors: 0 }, DISCARD: { ios: 0, sectors: 0 }, FLUSH: { ios: 0, sectors: 0 } } satisfies Record<string, IoStat>;

  constructor(k: QueueSymbols, init: DiskInit) {
    this.minors = init.minors;
    this.fops = init.fops;
    this.queue = new Queue(k, init);
  }

  get private_data(): unknown {
    return this.queue.queuedata;
  }

  /** Bytes. */
  get size(): number {
    return this.capacity * SECTOR_SIZE;
  }

  /** One request is done. */
  account(kind: keyof Disk['stats'], sectors: number): Atomic {
    this.stats[kind].ios++;
    this.stats[kind].sectors += sectors;
  }
}

/** The disk behind what a driver holds. */
export function ownDisk(disk: Gendisk): Disk {
  if (disk instanceof Disk) return disk;
  throw new TypeError('not a disk of this block layer');
}
