/** Where a function plugs into a network: a bounded queue of frames, taken in atomic work. */
import type { AtomicWork, Scheduler } from '@vdpalab/abi';
import type { FramePool } from './frame-pool.ts';
import { tagged, untagged } from './vlan.ts';

/** Frames a port keeps before it drops. */
export const PORT_DEPTH = 1024;

/** What a port counts. */
export interface PortCounters {
  /** From the function into the network. */
  sentFrames: number;
  sentBytes: number;
  /** From the network to the function. */
  receivedFrames: number;
  receivedBytes: number;
  /** For the function, but its queue was full or the port unplugged. */
  dropped: number;
}

/** What a port is plugged into. */
export interface Network {
  readonly name: string;
  /** Take a frame from a port, at least an Ethernet header long; the reference goes with it. */
  readonly forward: (from: NetPort, frame: number) => undefined;
  /** Forget a port. */
  readonly detach: (port: NetPort) => undefined;
}

/** Sees each frame that passes a port. */
export type FrameTap = (frame: number, port: NetPort, direction: 'sent' | 'received') => undefined;

/** Takes frames from {@link NetPort.next} while there are some, at most as many as it likes in one go. */
export type FrameReceiver = (port: NetPort) => undefined;

/** One end of a cable. */
export class NetPort {
  readonly name: string;
  readonly pool: FramePool;
  /** Position in its network's list; set by the network. */
  index = -1;
  /** Whether the network may learn addresses from this port. */
  learning: boolean;
  /** Tag that frames have in the network, and not at the function: see vlan.ts; 0 for none. */
  tci = 0;
  receiver: FrameReceiver | null = null;
  /** Sees frames of this port; `null` costs nothing. */
  tap: FrameTap | null = null;
  readonly counters: PortCounters = { sentFrames: 0, sentBytes: 0, receivedFrames: 0, receivedBytes: 0, dropped: 0 };
  private readonly network: Network;
  private readonly sched: Scheduler;
  private readonly work: AtomicWork;
  /** Frames by their number, made when the first one comes. */
  private ring: Uint16Array | null = null;
  private readonly depth: number;
  private head = 0;
  private tail = 0;
  private plugged = true;

  /** @param depth frames kept, a power of two */
  constructor(
    name: string, network: Network, sched: Scheduler, pool: FramePool, learning: boolean, depth = PORT_DEPTH,
  ) {
    this.name = name;
    this.network = network;
    this.sched = sched;
    this.pool = pool;
    this.learning = learning;
    this.depth = depth;
    this.work = { name: `port ${name}`, run: () => this.run(), pending: false, cause: 0 };
  }

  /** Frames that wait for the function. */
  get waiting(): number {
    return this.tail - this.head;
  }

  /** Send a frame of at least an Ethernet header into the network; the caller's reference goes with it. */
  send(frame: number): undefined {
    const { pool, counters } = this;
    if (!this.plugged) {
      pool.release(frame);
      return;
    }
    counters.sentFrames++;
    counters.sentBytes += pool.length[frame]!;
    if (this.tap !== null) this.tap(frame, this, 'sent');
    const out = this.tci === 0 ? frame : tagged(pool, frame, this.tci);
    if (out >= 0) this.network.forward(this, out);
  }

  /** The network has a frame for the function; the reference goes with it. */
  deliver(frame: number): undefined {
    if (!this.plugged || this.receiver === null || this.tail - this.head >= this.depth) {
      this.counters.dropped++;
      this.pool.release(frame);
      return;
    }
    const own = this.tci === 0 ? frame : untagged(this.pool, frame, this.tci & 0x0fff);
    if (own < 0) return;
    const ring = (this.ring ??= new Uint16Array(this.depth));
    ring[this.tail++ & (this.depth - 1)] = own;
    if (!this.work.pending) this.sched.raise(this.work);
  }

  /** Take the next frame, with its reference. @returns -1 when there is none */
  next(): number {
    if (this.head === this.tail || this.ring === null) return -1;
    const frame = this.ring[this.head++ & (this.depth - 1)]!;
    this.counters.receivedFrames++;
    this.counters.receivedBytes += this.pool.length[frame]!;
    if (this.tap !== null) this.tap(frame, this, 'received');
    return frame;
  }

  /** Drop what waits. @returns how many */
  flush(): number {
    const dropped = this.waiting;
    while (this.ring !== null && this.head < this.tail) this.pool.release(this.ring[this.head++ & (this.depth - 1)]!);
    this.counters.dropped += dropped;
    return dropped;
  }

  /** Pull the cable. */
  unplug(): undefined {
    if (!this.plugged) return;
    this.flush();
    this.plugged = false;
    this.receiver = null;
    this.network.detach(this);
  }

  private run(): undefined {
    if (this.receiver === null) {
      this.flush();
      return;
    }
    this.receiver(this);
    if (this.waiting > 0) this.sched.raise(this.work);
  }
}
