/** Requests on their way to a driver and back. Mirrors `block/blk-mq.c` and `block/blk-core.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, ErrnoName } from '@vdpalab/abi';
import type { Completion, SchedSymbols, WaitQueue } from '@vdpalab/sched';
import { QueueSettings } from './queue-files.ts';
import type { BioVec, BlkMqOps, BlkStatus, DiskInit, QueueLimits, ReqOp, Request, RequestQueue } from './header.ts';

/** What waiting for requests takes. */
export type QueueSymbols = Pick<SchedSymbols,
  'init_completion' | 'complete' | 'wait_for_completion' | 'init_waitqueue_head' | 'wait_event' | 'wake_up'>;

/** `BLK_DEF_MAX_SECTORS`: 1280 KiB. */
const MAX_SECTORS = 2560;

const LIMITS: QueueLimits = {
  logical_block_size: 512, physical_block_size: 512, alignment_offset: 0, io_min: 512, io_opt: 0, max_segments: 128, max_segment_size: 65536,
  max_sectors: MAX_SECTORS, max_discard_sectors: 0, discard_granularity: 0, max_write_zeroes_sectors: 0,
};

/** `blk_status_to_errno` */
const ERRNO: Readonly<Record<Exclude<BlkStatus, 'BLK_STS_OK'>, ErrnoName>> = {
  BLK_STS_NOTSUPP: 'EOPNOTSUPP', BLK_STS_IOERR: 'EIO', BLK_STS_RESOURCE: 'ENOMEM', BLK_STS_DEV_RESOURCE: 'EBUSY',
};

/** What one request is about. */
export interface Bio {
  readonly op: ReqOp;
  readonly sector: number;
  readonly nr_sectors: number;
  readonly bvecs: readonly BioVec[];
}

/** `struct request` with what only the queue touches. */
class QueuedRequest implements Request {
  readonly q: Queue;
  readonly op: ReqOp;
  readonly sector: number;
  readonly nr_sectors: number;
  readonly bvecs: readonly BioVec[];
  tag = -1;
  status: BlkStatus = 'BLK_STS_OK';
  readonly done: Completion;

  constructor(q: Queue, bio: Bio, done: Completion) {
    this.q = q;
    this.op = bio.op;
    this.sector = bio.sector;
    this.nr_sectors = bio.nr_sectors;
    this.bvecs = bio.bvecs;
    this.done = done;
  }
}

/** `struct request_queue`: requests wait here while the driver has its hands full. */
export class Queue implements RequestQueue {
  readonly limits: QueueLimits;
  readonly depth: number;
  readonly queuedata: unknown;
  write_cache = false;
  rotational = true;
  /** Sectors of one discard, no more than the device's limit. */
  discard_max_sectors: number;
  /** What /sys/block/DISK/queue keeps. */
  readonly settings: QueueSettings;
  /** Nothing is taken any more: the disk is going. */
  dead = false;
  readonly #k: QueueSymbols;
  readonly #ops: BlkMqOps;
  readonly #waiting: QueuedRequest[] = [];
  readonly #tags: number[];
  readonly #idle: WaitQueue;
  #stopped = false;

  constructor(k: QueueSymbols, init: DiskInit) {
    this.#k = k;
    this.#ops = init.mq_ops;
    this.depth = init.queue_depth;
    this.queuedata = init.queuedata;
    this.limits = { ...LIMITS, ...init.limits };
    this.discard_max_sectors = this.limits.max_discard_sectors;
    this.settings = new QueueSettings(init.queue_depth, 1); // drivers here have one queue
    this.#tags = Array.from({ length: init.queue_depth }, (_, i) => init.queue_depth - 1 - i);
    this.#idle = k.init_waitqueue_head('blk_mq_freeze_queue_wait');
  }

  /** Requests that are not done. */
  get underWay(): number {
    return this.#waiting.length + this.depth - this.#tags.length;
  }

  /** Do one request. @returns what it came to */
  async execute(bio: Bio): Promise<BlkStatus> {
    if (this.dead) return 'BLK_STS_IOERR';
    const rq = new QueuedRequest(this, bio, this.#k.init_completion('blk_execute_rq'));
    this.#waiting.push(rq);
    this.#dispatch();
    await this.#k.wait_for_completion(rq.done);
    return rq.status;
  }

  /** As {@link execute}. @throws EIO EOPNOTSUPP ENOMEM */
  async submit(bio: Bio, name: string): Promise<void> {
    const status = await this.execute(bio);
    if (status === 'BLK_STS_OK') return;
    throw new KernelError(ERRNO[status], 'block.request.failed', `${name}: ${bio.op} of ${bio.nr_sectors} sectors at ${bio.sector}: ${status}`);
  }

  end(rq: QueuedRequest, status: BlkStatus): Atomic {
    if (rq.tag < 0) throw new Error(`a request for sector ${rq.sector} ends twice`);
    this.#tags.push(rq.tag);
    rq.tag = -1;
    rq.status = status;
    this.#k.complete(rq.done);
    if (this.underWay === 0) this.#k.wake_up(this.#idle);
    this.#dispatch();
  }

  stop(): Atomic {
    this.#stopped = true;
  }

  start(): Atomic {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#dispatch();
  }

  /** Wait until nothing is under way. */
  async drain(): Promise<void> {
    await this.#k.wait_event(this.#idle, () => this.underWay === 0, 'blk_mq_freeze_queue_wait');
  }

  /** Give the driver what it takes. */
  #dispatch(): void {
    let given = 0;
    while (!this.#stopped && this.#waiting.length > 0 && this.#tags.length > 0) {
      const rq = this.#waiting.shift() as QueuedRequest; // there is one
      rq.tag = this.#tags.pop() as number; // there is one
      const status = this.#ops.queue_rq(rq);
      if (status === 'BLK_STS_DEV_RESOURCE' || status === 'BLK_STS_RESOURCE') {
        this.#tags.push(rq.tag);
        rq.tag = -1;
        this.#waiting.unshift(rq);
        break;
      }
      if (status === 'BLK_STS_OK') given++;
      else this.end(rq, status);
    }
    if (given > 0) this.#ops.commit_rqs?.(this);
  }
}

/** The request behind what a driver holds. */
export function ownRequest(rq: Request): QueuedRequest {
  if (rq instanceof QueuedRequest) return rq;
  throw new TypeError('not a request of this block layer');
}

/** The queue behind what a driver holds. */
export function ownQueue(q: RequestQueue): Queue {
  if (q instanceof Queue) return q;
  throw new TypeError('not a queue of this block layer');
}
