/** Device work of queues that the driver kicks: transmit queues and the control queue. */
import { ChainBatch } from '@vdpalab/vring';
import type { DirtyLog } from '@vdpalab/vring';
import type { DmaPort } from '../dma.ts';
import type { ControlQueue } from './control.ts';
import type { N3000Counters } from './counters.ts';
import type { Interrupts } from './interrupts.ts';
import type { DeviceRing, VirtQueue } from './queue.ts';
import { TX_BUDGET } from './transmit.ts';
import type { Transmitter } from './transmit.ts';

/** Longest control chain, in segments. */
const CONTROL_SEGMENTS = 1024;

/** The function, as far as its work needs to know it. */
export interface ServedFunction {
  readonly dma: () => DmaPort;
  /** Whether the driver is ready and nothing broke. */
  readonly running: () => boolean;
  readonly log: () => DirtyLog | null;
  /** The queue has more to do. */
  readonly again: (queue: VirtQueue) => undefined;
  /** The device cannot go on. */
  readonly giveUp: (rule: string, text: string) => undefined;
}

/** Serves the queues of one function. */
export class QueueServer {
  private readonly fn: ServedFunction;
  private readonly transmitter: Transmitter;
  private readonly control: ControlQueue;
  private readonly interrupts: Interrupts;
  private readonly counters: N3000Counters;
  /** Holds a command; made for the first one. */
  private batch: ChainBatch | null = null;

  constructor(
    fn: ServedFunction, transmitter: Transmitter, control: ControlQueue, interrupts: Interrupts, counters: N3000Counters,
  ) {
    this.fn = fn;
    this.transmitter = transmitter;
    this.control = control;
    this.interrupts = interrupts;
    this.counters = counters;
  }

  /** Send what a transmit queue holds, as far as one turn goes. */
  transmit(queue: VirtQueue, ring: DeviceRing): undefined {
    let done = 0;
    while (done < TX_BUDGET) {
      const sent = ring.transmit(this.transmitter, TX_BUDGET - done);
      if (sent > 0) done += sent;
      else if (sent === 0 || !this.refused(queue, ring)) break;
      else done++;
    }
    const read = this.transmitter.takeRead();
    if (read > 0) this.fn.dma().count(read, 0);
    this.finish(queue, ring, done);
  }

  /** Carry out the commands of the control queue. */
  commands(queue: VirtQueue, ring: DeviceRing): undefined {
    const batch = (this.batch ??= new ChainBatch(1, CONTROL_SEGMENTS));
    let done = 0;
    while (done < TX_BUDGET) {
      const got = ring.pop(batch);
      if (got === 0 || (got < 0 && !this.refused(queue, ring))) break;
      if (got > 0) this.command(ring, batch);
      done++;
    }
    this.finish(queue, ring, done);
  }

  /**
   * A chain was refused. One that DMA could not reach is given back empty, and its frame is lost; any other breaks the
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

  private command(ring: DeviceRing, batch: ChainBatch): undefined {
    this.counters.commands++;
    const read = this.control.run(batch, 0);
    const at = batch.split[0]!;
    if (batch.written[0]! > 0) this.fn.log()?.mark(batch.addrLo[at]!, batch.addrHi[at]!, 1);
    this.fn.dma().count(read, batch.written[0]!);
    ring.pushMany(batch);
  }

  /** End a turn: come back when chains are left, else ask for a kick; interrupt as the driver wishes. */
  private finish(queue: VirtQueue, ring: DeviceRing, done: number): undefined {
    if (this.fn.running()) {
      const more = ring.pending() > 0;
      const quiet = queue.askForKicks(!more);
      if (more || !quiet) this.fn.again(queue);
    }
    if (done > 0) this.interrupts.used(queue, ring, done);
    queue.countRing();
  }
}
