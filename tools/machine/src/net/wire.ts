/** A cable between two ports. */
import type { Scheduler } from '@vdpalab/abi';
import type { FramePool } from './frame-pool.ts';
import { NetPort } from './port.ts';
import type { Network } from './port.ts';

/** Two ends, nothing between them. */
export class Wire implements Network {
  readonly name: string;
  readonly kind = 'wire';
  /** Frames that found nobody at the other end. */
  lost = 0;
  private readonly sched: Scheduler;
  private readonly pool: FramePool;
  private readonly ends: (NetPort | null)[] = [null, null];

  constructor(name: string, sched: Scheduler, pool: FramePool) {
    this.name = name;
    this.sched = sched;
    this.pool = pool;
  }

  /** Ends in use. */
  get ports(): readonly NetPort[] {
    return this.ends.filter((port) => port !== null);
  }

  /** Plug a free end in. @returns `null` when both are taken */
  attach(name: string, learning = true): NetPort | null {
    const index = this.ends.indexOf(null);
    if (index < 0) return null;
    const port = new NetPort(name, this, this.sched, this.pool, learning);
    port.index = index;
    this.ends[index] = port;
    return port;
  }

  detach(port: NetPort): undefined {
    if (this.ends[port.index] === port) this.ends[port.index] = null;
  }

  forward(from: NetPort, frame: number): undefined {
    const other = this.ends[1 - from.index] ?? null;
    if (other === null) {
      this.lost++;
      this.pool.release(frame);
    } else {
      other.deliver(frame);
    }
  }
}
