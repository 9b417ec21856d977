/**
 * Block devices: disks with their queue of requests, their node in /dev and their directory in /sys/block.
 *
 * Mirrors `include/linux/{blkdev,blk-mq,blk_types}.h` (Linux 6.1). What is written reaches the device before write
 * returns: there is no page cache.
 */
import type { Atomic, KModule } from '@vdpalab/abi';
import type { AttributeGroup, Device } from '@vdpalab/driver-core';

/** `REQ_OP_*` */
export type ReqOp = 'READ' | 'WRITE' | 'FLUSH' | 'DISCARD' | 'WRITE_ZEROES' | 'DRV_IN';

/** `blk_status_t` */
export type BlkStatus = 'BLK_STS_OK' | 'BLK_STS_NOTSUPP' | 'BLK_STS_IOERR' | 'BLK_STS_RESOURCE' | 'BLK_STS_DEV_RESOURCE';

/** One physically contiguous piece of a request's data. */
export interface BioVec {
  /** Physical address. */
  readonly pa: number;
  /** Bytes. */
  readonly len: number;
}

/** `struct request` */
export interface Request {
  readonly q: RequestQueue;
  readonly op: ReqOp;
  /** First sector of 512 bytes. */
  readonly sector: number;
  readonly nr_sectors: number;
  readonly bvecs: readonly BioVec[];
  /** Number below the queue's depth, its own while it is with the driver. */
  readonly tag: number;
}

/** `struct queue_limits`; bytes unless it says sectors. */
export interface QueueLimits {
  logical_block_size: number;
  physical_block_size: number;
  alignment_offset: number;
  io_min: number;
  io_opt: number;
  max_segments: number;
  max_segment_size: number;
  /** Sectors of one request. */
  max_sectors: number;
  /** Sectors; 0 where the device knows no such command. */
  max_discard_sectors: number;
  discard_granularity: number;
  max_write_zeroes_sectors: number;
}

/** `struct blk_mq_ops` */
export interface BlkMqOps {
  /** Give a request to the device; atomic. BLK_STS_DEV_RESOURCE: later, when blk_mq_start_stopped_hw_queues is called. */
  readonly queue_rq: (rq: Request) => BlkStatus;
  /** All that was given is to be looked at; atomic. */
  readonly commit_rqs?: (q: RequestQueue) => Atomic;
}

/** `struct request_queue` */
export interface RequestQueue {
  readonly limits: QueueLimits;
  /** Requests the driver takes at once. */
  readonly depth: number;
  /** The device keeps writes in a cache of its own until a FLUSH. */
  write_cache: boolean;
  rotational: boolean;
  /** The driver's own. */
  readonly queuedata: unknown;
}

/** `struct block_device_operations` */
export interface BlockDeviceOperations {
  readonly owner: KModule | null;
}

/** `struct gendisk` */
export interface Gendisk {
  disk_name: string;
  major: number;
  first_minor: number;
  readonly minors: number;
  readonly fops: BlockDeviceOperations;
  readonly queue: RequestQueue;
  readonly private_data: unknown;
  /** In sysfs from device_add_disk on. */
  readonly part0: Device | null;
  /** Files that have it open. */
  readonly openers: number;
}

/** What a driver gives to make a disk: `blk_mq_alloc_disk`. */
export interface DiskInit {
  readonly mq_ops: BlkMqOps;
  readonly queue_depth: number;
  readonly fops: BlockDeviceOperations;
  readonly minors: number;
  readonly limits?: Partial<QueueLimits>;
  readonly queuedata: unknown;
}

export interface BlockSymbols {
  /** A disk without a name, not added yet. */
  blk_mq_alloc_disk: (init: DiskInit) => Gendisk;
  /** Drop a disk that is not added, or not any more. */
  put_disk: (disk: Gendisk) => Atomic;
  /** Into sysfs and /dev, then announce it. @throws EEXIST, nothing is left then */
  device_add_disk: (parent: Device, disk: Gendisk, groups: readonly AttributeGroup<Device>[]) => Promise<void>;
  /** Fail what comes, wait for what is with the driver, take it out of sysfs and /dev. Open files stay, without sectors. */
  del_gendisk: (disk: Gendisk) => Promise<void>;
  /** Sectors of 512 bytes. */
  get_capacity: (disk: Gendisk) => number;
  set_capacity: (disk: Gendisk, sectors: number) => Atomic;
  /** And say so when it is live. @returns whether that was done */
  set_capacity_and_notify: (disk: Gendisk, sectors: number) => boolean;
  set_disk_ro: (disk: Gendisk, ro: boolean) => Atomic;
  /** The request is done; atomic. */
  blk_mq_end_request: (rq: Request, status: BlkStatus) => Atomic;
  /** No more requests until they are started again. */
  blk_mq_stop_hw_queues: (q: RequestQueue) => Atomic;
  blk_mq_start_stopped_hw_queues: (q: RequestQueue) => Atomic;
  /** A request of the driver's own; sleeps until it is done. */
  blk_execute_rq: (disk: Gendisk, bvecs: readonly BioVec[]) => Promise<BlkStatus>;
  /** Write what the device still keeps to stable storage. @throws EIO */
  blkdev_issue_flush: (disk: Gendisk) => Promise<void>;
  /** Disks that are not dropped, and requests under way. */
  block_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends BlockSymbols {}
}
