/** Armed timers: a binary heap of (time, order of arming) in typed arrays. */
import type { Atomic, TimerHandle } from '@vdpalab/abi';

/** A timer as the queue keeps it. */
export class Timer implements TimerHandle {
  readonly name: string;
  /** Virtual time, ns. */
  readonly at: number;
  readonly fire: () => Atomic;
  /** Trace id of what armed it. */
  readonly cause: number;
  /** Its place in the queue; -1 once it has fired or was disarmed. */
  slot = -1;
  readonly cancel: () => boolean;

  constructor(queue: TimerQueue, name: string, at: number, fire: () => Atomic, cause: number) {
    this.name = name;
    this.at = at;
    this.fire = fire;
    this.cause = cause;
    this.cancel = () => queue.disarm(this);
  }

  get pending(): boolean {
    return this.slot >= 0;
  }
}

/** Timers by time, those of one time in the order they were armed. Disarming takes a timer out at once. */
export class TimerQueue {
  private count = 0;
  private sequence = 0;
  // Per slot; a slot is a timer's place for as long as it is armed.
  private timers: (Timer | null)[] = [];
  private readonly freeSlots: number[] = [];
  private times = new Float64Array(16);
  private orders = new Float64Array(16);
  private positions = new Int32Array(16);
  // Heap of slots.
  private heap = new Int32Array(16);

  /** Timers armed. */
  get size(): number {
    return this.count;
  }

  /** Time of the earliest timer, `Infinity` when there is none. */
  get nextAt(): number {
    return this.count === 0 ? Infinity : this.times[this.heap[0]!]!;
  }

  /** Arm a timer. @param at virtual time, ns */
  arm(name: string, at: number, fire: () => Atomic, cause: number): Timer {
    const timer = new Timer(this, name, at, fire, cause);
    const slot = this.freeSlots.pop() ?? this.newSlot();
    timer.slot = slot;
    this.timers[slot] = timer;
    this.times[slot] = at;
    this.orders[slot] = ++this.sequence;
    this.place(slot, this.count);
    this.up(this.count++);
    return timer;
  }

  /** Take a timer out. @returns whether it was armed */
  disarm(timer: Timer): boolean {
    if (timer.slot < 0) return false;
    this.remove(timer.slot);
    return true;
  }

  /** Take the earliest timer out. */
  pop(): Timer {
    const slot = this.heap[0]!;
    const timer = this.timers[slot]!; // callers look at nextAt first
    this.remove(slot);
    return timer;
  }

  /** Armed timers, earliest first. */
  all(): readonly Timer[] {
    const slots = [...this.heap.subarray(0, this.count)];
    slots.sort((a, b) => (this.before(a, b) ? -1 : 1));
    return slots.map((slot) => this.timers[slot]!);
  }

  private newSlot(): number {
    const slot = this.timers.length;
    if (slot === this.heap.length) {
      const size = slot * 2;
      const wider = <T extends { set(from: T): void }>(made: T, old: T): T => {
        made.set(old);
        return made;
      };
      this.times = wider(new Float64Array(size), this.times);
      this.orders = wider(new Float64Array(size), this.orders);
      this.positions = wider(new Int32Array(size), this.positions);
      this.heap = wider(new Int32Array(size), this.heap);
    }
    this.timers.push(null);
    return slot;
  }

  private remove(slot: number): undefined {
    const position = this.positions[slot]!;
    this.timers[slot]!.slot = -1;
    this.timers[slot] = null;
    this.freeSlots.push(slot);
    const moved = this.heap[--this.count]!;
    if (moved === slot) return;
    this.place(moved, position);
    this.up(position);
    this.down(this.positions[moved]!);
  }

  private up(from: number): undefined {
    let position = from;
    const slot = this.heap[position]!;
    while (position > 0) {
      const parent = (position - 1) >> 1;
      const other = this.heap[parent]!;
      if (!this.before(slot, other)) break;
      this.place(other, position);
      position = parent;
    }
    this.place(slot, position);
  }

  private down(from: number): undefined {
    let position = from;
    const slot = this.heap[position]!;
    for (;;) {
      let child = position * 2 + 1;
      if (child >= this.count) break;
      if (child + 1 < this.count && this.before(this.heap[child + 1]!, this.heap[child]!)) child++;
      const other = this.heap[child]!;
      if (!this.before(other, slot)) break;
      this.place(other, position);
      position = child;
    }
    this.place(slot, position);
  }

  private place(slot: number, position: number): undefined {
    this.heap[position] = slot;
    this.positions[slot] = position;
  }

  private before(a: number, b: number): boolean {
    const ta = this.times[a]!;
    const tb = this.times[b]!;
    return ta < tb || (ta === tb && this.orders[a]! < this.orders[b]!);
  }
}
