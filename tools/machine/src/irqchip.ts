/** Message-signalled interrupts as x86 has them: a 32-bit write into a window of addresses fires a vector. */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, AtomicWork, IrqChip, Scheduler, Trace } from '@vdpalab/abi';
import type { Counters } from './counters.ts';
import { MSI_BASE, MSI_END } from './memory-map.ts';

/** First vector: those below are the CPU's exceptions. */
export const FIRST_VECTOR = 32;
/** Vectors of one destination: a message's data carries eight bits. */
const PER_DESTINATION = 256 - FIRST_VECTOR;
/** Destinations a message can name: address bits 12 to 19 and, extended, 5 to 11. */
const DESTINATIONS = 0x8000;

/** What became of an interrupt message. */
export type MessageOutcome = 'delivered' | 'spurious' | 'refused';

interface Vector {
  readonly number: number;
  /** The only requester that may fire it; `null` for any. */
  readonly source: number | null;
  readonly work: AtomicWork;
  live: boolean;
}

/** The chip that turns messages into interrupts. Handlers run at the scheduler's gate. */
export class MessageIrqChip implements IrqChip {
  onInterrupt: ((vector: number) => Atomic) | null = null;
  private readonly table = new Map<number, Vector>();
  private readonly free: number[] = [];
  private next = FIRST_VECTOR;
  private readonly sched: Scheduler;
  private readonly trace: Trace;
  private readonly counters: Counters;
  private readonly remapping: boolean;
  private readonly end: number;

  /**
   * @param remapping whether messages are checked against the vector's source, as interrupt remapping does
   * @param vectors how many there are
   */
  constructor(sched: Scheduler, trace: Trace, counters: Counters, remapping: boolean, vectors: number) {
    this.sched = sched;
    this.trace = trace;
    this.counters = counters;
    this.remapping = remapping;
    this.end = FIRST_VECTOR + Math.min(vectors, DESTINATIONS * PER_DESTINATION);
  }

  /**
   * Reserve the vector freed last, or the next one.
   *
   * @param source requester id that may fire it; any when absent
   */
  allocVector(source?: number): number {
    const number = this.free.pop() ?? (this.next < this.end ? this.next++ : -1);
    if (number < 0) {
      throw new KernelError('ENOSPC', 'irqchip.alloc.full', `interrupt vectors: all ${this.end - FIRST_VECTOR} in use`);
    }
    const vector: Vector = {
      number,
      source: source ?? null,
      live: true,
      work: {
        name: `vector ${number}`,
        run: () => {
          if (vector.live) this.onInterrupt?.(number);
        },
        pending: false,
        cause: 0,
      },
    };
    this.table.set(number, vector);
    return number;
  }

  /** @throws KernelError EINVAL when the vector is not reserved */
  freeVector(vector: number): undefined {
    const entry = this.table.get(vector);
    if (entry === undefined) throw unreserved(vector);
    entry.live = false;
    this.table.delete(vector);
    this.free.push(vector);
  }

  /** @throws KernelError EINVAL when the vector is not reserved */
  message(vector: number): { readonly address: number; readonly data: number } {
    if (!this.table.has(vector)) throw unreserved(vector);
    const index = vector - FIRST_VECTOR;
    const destination = Math.floor(index / PER_DESTINATION);
    return {
      address: MSI_BASE + ((destination & 0xff) << 12) + ((destination >> 8) << 5),
      data: FIRST_VECTOR + (index % PER_DESTINATION),
    };
  }

  /** Vectors that are reserved. */
  vectors(): readonly number[] {
    return [...this.table.keys()].sort((a, b) => a - b);
  }

  /**
   * A device wrote a message.
   *
   * @param rid requester id of the device
   */
  deliver(rid: number, address: number, data: number): MessageOutcome {
    const vector = this.table.get(vectorOf(address, data));
    if (vector === undefined) {
      this.counters.spurious++;
      return 'spurious';
    }
    if (this.remapping && vector.source !== null && vector.source !== rid) return 'refused';
    this.counters.interrupts++;
    if (this.trace.enabled) {
      const outer = this.sched.cause;
      this.sched.cause = this.trace.emit('interrupt', { rid, vector: vector.number, merged: vector.work.pending });
      this.sched.raise(vector.work);
      this.sched.cause = outer;
    } else {
      this.sched.raise(vector.work);
    }
    return 'delivered';
  }
}

/** Whether an address lies in the interrupt message window. */
export function isMessageAddress(address: number): boolean {
  return address >= MSI_BASE && address <= MSI_END;
}

function vectorOf(address: number, data: number): number {
  const offset = address - MSI_BASE;
  const destination = ((offset >>> 12) & 0xff) | (((offset >>> 5) & 0x7f) << 8);
  const local = data & 0xff;
  return local < FIRST_VECTOR ? -1 : local + destination * PER_DESTINATION;
}

function unreserved(vector: number): KernelError {
  return new KernelError('EINVAL', 'irqchip.vector.unreserved', `interrupt vector ${vector}: not reserved`);
}
