/** An Ethernet switch that learns. */
import type { Scheduler } from '@vdpalab/abi';
import type { FramePool } from './frame-pool.ts';
import { MacTable } from './mac-table.ts';
import { NetPort } from './port.ts';
import type { Network } from './port.ts';

/** What a switch counts. */
export interface SwitchCounters {
  /** To the one port behind the address. */
  forwarded: number;
  /** Broadcast, multicast or an unknown address: to every other port. */
  flooded: number;
  /** The address is behind the port the frame came from. */
  filtered: number;
  /** Addresses that did not fit the table. */
  unlearned: number;
}

/** Forwards by destination address, never back to where a frame came from. */
export class EthernetSwitch implements Network {
  readonly name: string;
  readonly kind = 'switch';
  readonly macs = new MacTable();
  readonly counters: SwitchCounters = { forwarded: 0, flooded: 0, filtered: 0, unlearned: 0 };
  private readonly sched: Scheduler;
  private readonly pool: FramePool;
  /** By index; a port that left leaves a hole, filled by the next. */
  private readonly slots: (NetPort | null)[] = [];
  private count = 0;

  constructor(name: string, sched: Scheduler, pool: FramePool) {
    this.name = name;
    this.sched = sched;
    this.pool = pool;
  }

  /** Ports plugged in now. */
  get ports(): readonly NetPort[] {
    return this.slots.filter((port) => port !== null);
  }

  /** Plug a cable in. @param learning whether addresses are learnt from it */
  attach(name: string, learning = true): NetPort {
    const port = new NetPort(name, this, this.sched, this.pool, learning);
    const hole = this.slots.indexOf(null);
    port.index = hole < 0 ? this.slots.length : hole;
    this.slots[port.index] = port;
    this.count++;
    return port;
  }

  detach(port: NetPort): undefined {
    if (this.slots[port.index] !== port) return;
    this.slots[port.index] = null;
    this.count--;
    this.macs.forget(port.index);
  }

  forward(from: NetPort, frame: number): undefined {
    const { u16, u32 } = this.pool.memory;
    const at = this.pool.offset(frame) >>> 1; // frames are aligned to 16 bytes
    const low = u32[at >>> 1]!;
    const high = u16[at + 2]!;
    const source = u16[at + 3]!;
    if (from.learning && (source & 1) === 0) {
      const tail = u32[(at >>> 1) + 2]!;
      if (!this.macs.learn(source | (tail << 16), tail >>> 16, from.index)) this.counters.unlearned++;
    }
    const to = (low & 1) === 1 ? -1 : this.macs.find(low, high);
    if (to < 0) this.flood(from, frame);
    else if (to === from.index) {
      this.counters.filtered++;
      this.pool.release(frame);
    } else {
      this.counters.forwarded++;
      this.slots[to]!.deliver(frame); // addresses of a port that left are forgotten
    }
  }

  private flood(from: NetPort, frame: number): undefined {
    this.counters.flooded++;
    this.pool.retain(frame, this.count);
    let given = 0;
    const { slots } = this;
    for (let i = 0; i < slots.length; i++) {
      const port = slots[i]!; // below the length
      if (port === null || port === from) continue;
      port.deliver(frame);
      given++;
    }
    for (; given <= this.count; given++) this.pool.release(frame);
  }
}
