/** Queues of a virtual device, and the interfaces that have them. */
import type { VdpaCallback } from '@vdpalab/vdpa-core';
import { CONTROL_QUEUE, PAIR_QUEUES } from './registers.ts';
import type { AdiRegisters } from './registers.ts';

/** One queue. */
export interface AdiQueue {
  readonly registers: AdiRegisters;
  /** Its number there, which is also its vector. */
  readonly qid: number;
  /** Linux interrupt. */
  irq: number;
  callback: VdpaCallback | null;
}

/**
 * The queues of one virtual device, in its order: the pairs of its interfaces one after the other and, where there are
 * several, the control queue of the first.
 */
export class AdiQueues {
  readonly all: readonly AdiQueue[];
  /** Whether the driver took VIRTIO_NET_F_MQ: the control queue is the last then, else it is behind the first pair. */
  multiqueue = true;

  constructor(interfaces: readonly AdiRegisters[]) {
    const queue = (registers: AdiRegisters, qid: number): AdiQueue => ({ registers, qid, irq: 0, callback: null });
    const pairs = interfaces.flatMap((registers) => Array.from({ length: PAIR_QUEUES }, (_, qid) => queue(registers, qid)));
    this.all = interfaces.length === 1 ? pairs : [...pairs, queue(interfaces[0]!, CONTROL_QUEUE)];
  }

  /** @param index of the device; undefined when it has no such queue */
  at(index: number): AdiQueue | undefined {
    return this.multiqueue || index !== CONTROL_QUEUE ? this.all[index] : this.all.at(-1);
  }
}
