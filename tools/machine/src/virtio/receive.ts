/** Receive queues: from frames on the wire to chains in a ring. */
import { EMSGSIZE } from '@vdpalab/uapi';
import { RECEIVE_MERGEABLE, Runs } from '@vdpalab/vring';
import { FRAME_HEADER } from '../net/frame-pool.ts';
import type { FramePool } from '../net/frame-pool.ts';
import type { NetPort } from '../net/port.ts';
import type { NetCounters } from './counters.ts';
import type { DeviceRing, VirtQueue } from './queue.ts';
import { ETH_HEADER, VLAN_TAG } from './transmit.ts';

/** Frames taken from the port before others have their turn. */
export const RX_BUDGET = 64;

/** The function, as far as receiving goes. */
export interface ReceivePath {
  /** Whether a frame is for the function. @param at where it begins */
  readonly accepts: (u8: Uint8Array, at: number) => boolean;
  /** The receive queue of a frame that is, when it runs. */
  readonly queue: (u8: Uint8Array, at: number, length: number) => VirtQueue | null;
  readonly headerSize: () => number;
  readonly mergeable: () => boolean;
  /** A frame went into a queue. */
  readonly trace: (queue: VirtQueue, frame: number) => undefined;
  /** Chains were used in a queue. */
  readonly used: (queue: VirtQueue) => undefined;
  /** The ring is not where the driver said. */
  readonly unreachable: (queue: VirtQueue) => undefined;
  /** A ring call refused a chain. @returns false when the function gave up */
  readonly refused: (queue: VirtQueue, ring: DeviceRing) => boolean;
}

/** Copies frames into buffers. */
export class Receiver {
  private written = 0;
  private readonly longest: number;
  private readonly path: ReceivePath;
  private readonly counters: NetCounters;
  private readonly runs = new Runs(2);
  /** Queues that were written to in this turn. */
  private readonly touched: VirtQueue[] = [];
  /**
   * A queue of another process that was found without buffers in this turn: it is not looked at again, since every look
   * takes the available index away from its driver's processor.
   */
  private full: VirtQueue | null = null;

  /** @param mtu bytes */
  constructor(mtu: number, path: ReceivePath, counters: NetCounters) {
    this.longest = mtu + ETH_HEADER + VLAN_TAG;
    this.path = path;
    this.counters = counters;
  }

  /** Bytes written by DMA since the last call. */
  takeWritten(): number {
    const { written } = this;
    this.written = 0;
    return written;
  }

  /** Take frames from the port and publish what they used, once for each queue. */
  run(port: NetPort): undefined {
    const { pool } = port;
    const { touched, path } = this;
    this.full = null;
    for (let n = 0; n < RX_BUDGET; n++) {
      const frame = port.next();
      if (frame < 0) break;
      this.take(pool, frame);
      pool.release(frame);
    }
    for (let i = 0; i < touched.length; i++) path.used(touched[i]!);
    while (touched.length > 0) touched.pop(); // setting a length is slow
  }

  private take(pool: FramePool, frame: number): undefined {
    const { counters, path } = this;
    const length = pool.length[frame]!;
    if (length > this.longest) {
      counters.rxTooLong++;
      return;
    }
    const at = pool.offset(frame);
    const { u8 } = pool.memory;
    if (!path.accepts(u8, at)) {
      counters.rxFiltered++;
      return;
    }
    const queue = path.queue(u8, at, length);
    if (queue === null) {
      counters.rxStopped++;
      return;
    }
    if (queue === this.full) {
      counters.rxNoBuffer++;
      return;
    }
    const ring = queue.open();
    if (ring === null) {
      counters.rxStopped++;
      path.unreachable(queue);
      return;
    }
    const header = path.headerSize();
    const { runs } = this;
    runs.clear();
    if (header === FRAME_HEADER) {
      runs.add(pool.memory, at - FRAME_HEADER, FRAME_HEADER + length);
    } else {
      runs.add(pool.memory, at - FRAME_HEADER, header);
      runs.add(pool.memory, at, length);
    }
    const used = ring.receive(runs, path.mergeable() ? RECEIVE_MERGEABLE : 0);
    if (used > 0) {
      counters.rxFrames++;
      counters.rxBytes += length;
      this.written += header + length;
      this.touch(queue);
      path.trace(queue, frame);
    } else if (used === 0) {
      counters.rxNoBuffer++;
      if (queue.foreign) this.full = queue;
    } else if (used === -EMSGSIZE) {
      counters.rxTooLong++;
    } else if (path.refused(queue, ring)) {
      this.touch(queue);
    }
  }

  private touch(queue: VirtQueue): undefined {
    const { touched } = this;
    for (let i = 0; i < touched.length; i++) if (touched[i] === queue) return;
    touched.push(queue);
  }
}
