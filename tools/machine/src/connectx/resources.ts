/** What one function has made by commands. */
import type { VirtioQueue } from './virtio-queue.ts';
import type { EventQueue } from './event-queue.ts';
import { LOG_MAX_FT_NUM } from './flow-tables.ts';
import type { FlowCounter, FlowTable } from './flow-tables.ts';
import { FIRST_UAR, LAST_UAR } from './layout.ts';
import { ObjectTable } from './objects.ts';

/** log2 of how many of each kind a function has at most. */
export const LOG_MAX = { eq: 5, cq: 8, pd: 8, transportDomain: 8, tir: 8, tis: 8, rqt: 8, rqtSize: 6, counter: 10, uctx: 8 } as const;

const upTo = (log: number): number => (1 << log) - 1;

/** A receive resource: a table of queues, or nothing. */
export interface Tir {
  readonly rqt: Rqt | null;
}

/** A table of receive queues, by the numbers of their objects. */
export interface Rqt {
  readonly max: number;
  queues: readonly number[];
  /** Receive resources that use it. */
  users: number;
}

/** What a queue has counted, in descriptor chains. */
export interface VirtioQueueCounters {
  received: bigint;
  completed: bigint;
  errors: number;
  badDescriptors: number;
  invalidBuffers: number;
}

/** Everything by number. */
export class Resources {
  readonly eqs = new ObjectTable<EventQueue>(1, upTo(LOG_MAX.eq));
  /** Event queue of each completion queue. */
  readonly cqs = new ObjectTable<EventQueue>(1, upTo(LOG_MAX.cq));
  readonly pds = new ObjectTable<number>(1, upTo(LOG_MAX.pd));
  readonly uars = new ObjectTable<number>(FIRST_UAR, LAST_UAR);
  readonly transportDomains = new ObjectTable<number>(1, upTo(LOG_MAX.transportDomain));
  readonly tirs = new ObjectTable<Tir>(1, upTo(LOG_MAX.tir));
  readonly tiss = new ObjectTable<number>(1, upTo(LOG_MAX.tis));
  readonly rqts = new ObjectTable<Rqt>(1, upTo(LOG_MAX.rqt));
  readonly uctxs = new ObjectTable<number>(1, upTo(LOG_MAX.uctx));
  readonly flowTables = new ObjectTable<FlowTable>(1, upTo(LOG_MAX_FT_NUM));
  readonly flowCounters = new ObjectTable<FlowCounter>(1, upTo(LOG_MAX.counter));
  /** Where frames begin; `null` drops all. */
  flowRoot: FlowTable | null = null;
  readonly queues: ObjectTable<VirtioQueue>;
  readonly queueCounters: ObjectTable<VirtioQueueCounters>;

  /** @param queues virtio queues at most */
  constructor(queues: number) {
    this.queues = new ObjectTable<VirtioQueue>(1, queues);
    this.queueCounters = new ObjectTable<VirtioQueueCounters>(1, queues);
  }

  /** Objects there are, of all kinds. */
  get size(): number {
    return this.tables().reduce((sum, table) => sum + table.size, 0);
  }

  /** Destroy all. */
  clear(): undefined {
    for (const queue of this.queues.values()) queue.destroy();
    this.flowRoot = null;
    for (const table of this.tables()) table.clear();
  }

  private tables(): readonly ObjectTable<unknown>[] {
    return [
      this.eqs, this.cqs, this.pds, this.uars, this.transportDomains, this.tirs, this.tiss, this.rqts, this.uctxs, this.flowTables,
      this.flowCounters, this.queues, this.queueCounters,
    ];
  }
}
