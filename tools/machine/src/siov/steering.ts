/** What lies between the network and interfaces that work as one: their frames go out together, what comes in is spread. */
import type { Scheduler } from '@vdpalab/abi';
import { NetPort } from '../net/port.ts';
import type { Network } from '../net/port.ts';
import { flowHash } from '../virtio/flow.ts';
import { RX_BUDGET } from '../virtio/receive.ts';

/** Ports of several interfaces behind one port of the network; frames of a flow come to one of them. */
export class Steering implements Network {
  readonly name: string;
  /** Ports that are given frames, the first ones. */
  active = 1;
  private readonly uplink: NetPort;
  private readonly sched: Scheduler;
  private readonly ports: NetPort[] = [];

  /** @param uplink whose frames are spread from now on */
  constructor(uplink: NetPort, sched: Scheduler) {
    this.name = uplink.name;
    this.uplink = uplink;
    this.sched = sched;
    uplink.receiver = () => this.spread();
  }

  /** A port for one more interface. */
  attach(name: string): NetPort {
    const port = new NetPort(name, this, this.sched, this.uplink.pool, false);
    this.ports.push(port);
    return port;
  }

  /** Forget a port; the others stand closer. */
  detach(port: NetPort): undefined {
    const at = this.ports.indexOf(port);
    if (at >= 0) this.ports.splice(at, 1);
    this.active = 1;
  }

  forward(_from: NetPort, frame: number): undefined {
    this.uplink.send(frame);
  }

  private spread(): undefined {
    const { uplink, ports, active } = this;
    const { pool } = uplink;
    for (let n = 0; n < RX_BUDGET; n++) {
      const frame = uplink.next();
      if (frame < 0) return;
      const at = active === 1 ? 0 : flowHash(pool.memory.u8, pool.offset(frame), pool.length[frame]!) % active;
      ports[at]!.deliver(frame); // the first interface is never without its port while the uplink has this receiver
    }
  }
}
