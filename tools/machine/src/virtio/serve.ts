/** Device work of queues that the driver kicks. */
import { ChainBatch } from '@vdpalab/vring';
import type { DirtyLog } from '@vdpalab/vring';
import type { VirtioCounters } from './counters.ts';
import type { Interrupts } from './interrupts.ts';
import type { DeviceRing, RingPort, VirtQueue } from './queue.ts';
import { TX_BUDGET } from './transmit.ts';
import type { Transmitter } from './transmit.ts';

/** Longest chain of a command or request, in segments. */
const CHAIN_SEGMENTS = 1024;
/** How long a queue whose driver runs in another process is looked at after the last chain, before a kick is asked for. */
const BUSY_NS = 200_000;

/** The function, as far as its work needs to know it. */
export interface ServedFunction {
  readonly dma: () => Pick<RingPort, 'count'>;
  /** Whether the driver is ready and nothing broke. */
  readonly running: () => boolean;
  readonly log: () => DirtyLog | null;
  /** Look for more instead of being kicked. @returns false when that is not to be */
  readonly watch: (queue: VirtQueue, ns: number) => boolean;
  /** The queue has more to do. */
  readonly again: (queue: VirtQueue) => undefined;
  /** The device cannot go on. */
  readonly giveUp: (rule: string, text: string) => undefined;
}

/** Carries out what a chain asks for. */
export interface ChainHandler {
  /**
   * @param batch holds the chain
   * @param c the chain's number in it
   * @returns bytes read; bytes written go into `batch.written[c]`
   */
  readonly run: (batch: ChainBatch, c: number) => number;
}

/** Serves the queues of one function. */
export class QueueServer {
  private readonly fn: ServedFunction;
  private readonly interrupts: Interrupts;
  private readonly counters: VirtioCounters;
  /** Holds a command; made for the first one. */
  private batch: ChainBatch | null = null;

  constructor(fn: ServedFunction, interrupts: Interrupts, counters: VirtioCounters) {
    this.fn = fn;
    this.interrupts = interrupts;
    this.counters = counters;
  }

  /** Send what a transmit queue holds, as far as one turn goes. */
  transmit(queue: VirtQueue, ring: DeviceRing, transmitter: Transmitter): undefined {
    let done = 0;
    transmitter.begin();
    while (done < TX_BUDGET) {
      const sent = ring.transmit(transmitter, TX_BUDGET - done);
      if (sent > 0) done += sent;
      else if (sent === 0 || !this.refused(queue, ring)) break;
      else done++;
    }
    const read = transmitter.takeRead();
    if (read > 0) this.fn.dma().count(read, 0);
    this.finish(queue, ring, done);
  }

  /** Carry out what a queue of commands or requests holds, as far as one turn goes. @returns chains carried out */
  chains(queue: VirtQueue, ring: DeviceRing, handler: ChainHandler): number {
    const batch = (this.batch ??= new ChainBatch(1, CHAIN_SEGMENTS));
    let done = 0;
    let carried = 0;
    while (done < TX_BUDGET) {
      const got = ring.pop(batch);
      if (got === 0 || (got < 0 && !this.refused(queue, ring))) break;
      if (got > 0) {
        this.carryOut(ring, batch, handler);
        carried++;
      }
      done++;
    }
    this.finish(queue, ring, done);
    return carried;
  }

  /**
   * A chain was refused. One that DMA could not reach is given back empty, and what it held is lost; any other breaks the
   * protocol.
   *
   * @returns whether the queue goes on
   */
  refused(queue: VirtQueue, ring: DeviceRing): boolean {
    if (ring.rule === 'vring.unmapped' || ring.rule === 'vring.permission') {
      this.counters.bufferFaults++;
      ring.push(ring.lastHead, 0);
      return true;
    }
    this.fn.giveUp(ring.rule, `queue ${queue.index}: ${ring.reason}`);
    return false;
  }

  private carryOut(ring: DeviceRing, batch: ChainBatch, handler: ChainHandler): undefined {
    const read = handler.run(batch, 0);
    const written = batch.written[0]!;
    if (written > 0) this.mark(batch, written);
    this.fn.dma().count(read, written);
    ring.pushMany(batch);
  }

  /** Tell who logs writes where the first bytes of the chain's writable part are. */
  private mark(batch: ChainBatch, written: number): undefined {
    const log = this.fn.log();
    if (log === null) return;
    let left = written;
    for (let s = batch.split[0]!; s < batch.start[1]! && left > 0; s++) {
      const length = Math.min(left, batch.length[s]!);
      log.mark(batch.addrLo[s]!, batch.addrHi[s]!, length);
      left -= length;
    }
  }

  /** End a turn: come back when chains are left, else look for more or ask for a kick; interrupt as the driver wishes. */
  private finish(queue: VirtQueue, ring: DeviceRing, done: number): undefined {
    if (this.fn.running()) {
      const more = ring.pending() > 0;
      const busy = more || (done > 0 && queue.foreign && this.fn.watch(queue, BUSY_NS));
      const quiet = queue.askForKicks(!busy);
      if (more || !quiet) this.fn.again(queue);
    }
    if (done > 0) this.interrupts.used(queue, ring, done);
    queue.countRing();
  }
}
