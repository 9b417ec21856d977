/** Frames that wait for a device. Mirrors `net/sched/sch_generic.c` and `net/core/dev.c` (Linux 6.1), one queue, in order. */
import { KernelError } from '@vdpalab/abi';
import type { AtomicWork, Scheduler } from '@vdpalab/abi';
import { ETH_HLEN, ETH_P_8021Q, IFF_UP } from '@vdpalab/uapi';
import type { NetDev } from './net-device.ts';
import type { Skb, Skbs } from './skb.ts';
import { pickQueue } from './tx-queue.ts';

const VLAN_HLEN = 4;
/** Frames one turn sends: `dev_tx_weight`. */
const TX_WEIGHT = 64;

/** What a queue needs. */
export interface QdiscDeps {
  readonly sched: Scheduler;
  readonly skbs: Skbs;
  /** Let packet sockets hear a frame that leaves. */
  readonly tap: (skb: Skb, dev: NetDev) => undefined;
}

/** The queue of one device. */
export class Qdisc {
  private readonly dev: NetDev;
  private readonly deps: QdiscDeps;
  private readonly work: AtomicWork;
  /** Oldest first, from `head` on. */
  private waiting: Skb[] = [];
  private head = 0;
  private running = false;

  constructor(dev: NetDev, deps: QdiscDeps) {
    this.dev = dev;
    this.deps = deps;
    this.work = { name: 'net_tx', run: () => this.run(), pending: false, cause: 0 };
  }

  /** Frames that wait. */
  get length(): number {
    return this.waiting.length - this.head;
  }

  /**
   * Send a frame, at once or later; owns it, refused or not.
   *
   * A device without a carrier takes every frame and sends none, as with `noop_qdisc`.
   *
   * @throws ENETDOWN when the device is down
   * @throws EMSGSIZE for more than the MTU and a header
   * @throws ENOBUFS when the queue is full
   * @see `__dev_queue_xmit`, `__dev_xmit_skb`
   */
  send(skb: Skb): undefined {
    const { dev, deps } = this;
    const error = refusal(dev, skb, deps.skbs, this.length);
    if (error !== null) {
      if (error.errno === 'ENOBUFS') dev.stats.tx_dropped++;
      deps.skbs.symbols.kfree_skb(skb);
      throw error;
    }
    if (!dev.carrier) {
      deps.skbs.symbols.kfree_skb(skb);
      return;
    }
    this.waiting.push(skb);
    if (!this.running && !this.work.pending) this.run();
  }

  /** The device takes frames again. */
  schedule(): undefined {
    if (this.length > 0) this.deps.sched.raise(this.work);
  }

  /** Forget what waits: the device goes down. */
  flush(): undefined {
    const dropped = this.waiting.slice(this.head);
    this.waiting = [];
    this.head = 0;
    for (const skb of dropped) this.deps.skbs.symbols.kfree_skb(skb);
  }

  /** @see `__qdisc_run`, `sch_direct_xmit` */
  private run(): undefined {
    if (this.running) return; // a driver that wakes the queue while it is handed a frame
    this.running = true;
    let left = TX_WEIGHT;
    while (this.length > 0 && !this.dev.queue_stopped && left-- > 0) {
      if (!this.transmit(this.waiting[this.head]!)) break;
    }
    this.running = false;
    if (this.length > 0 && !this.dev.queue_stopped) this.deps.sched.raise(this.work);
  }

  /** Hand the oldest frame to the driver. @returns false when it stays */
  private transmit(skb: Skb): boolean {
    const { dev, deps } = this;
    if (!skb.tapped) deps.tap(skb, dev);
    skb.tapped = true;
    skb.queue_mapping = pickQueue(dev, skb, deps.skbs);
    // Off the list first: the driver may free it before it answers.
    this.advance();
    if (dev.netdev_ops.ndo_start_xmit(skb, dev) === 'NETDEV_TX_OK') return true;
    this.requeue(skb);
    // A driver that has no room stops its queue; one that did not is asked again in the next turn.
    return false;
  }

  private advance(): undefined {
    this.head++;
    if (this.head < 64 || this.head * 2 < this.waiting.length) return;
    this.waiting = this.waiting.slice(this.head);
    this.head = 0;
  }

  private requeue(skb: Skb): undefined {
    if (this.head > 0) this.waiting[--this.head] = skb;
    else this.waiting.unshift(skb);
  }
}

function refusal(dev: NetDev, skb: Skb, skbs: Skbs, waiting: number): KernelError | null {
  if ((dev.flags & IFF_UP) === 0) return new KernelError('ENETDOWN', 'netdev.xmit.down', `${dev.name} is down`);
  if (!fits(dev, skb.len, () => skbs.head(skb, ETH_HLEN))) {
    return new KernelError('EMSGSIZE', 'netdev.xmit.size', `${dev.name}: a frame of ${skb.len} bytes, MTU ${dev.mtu}`);
  }
  if (waiting < dev.tx_queue_len) return null;
  return new KernelError('ENOBUFS', 'netdev.xmit.full', `${dev.name}: ${waiting} frames wait already`);
}

/** Whether a frame fits the MTU: its header does not count, and a VLAN tag neither. @see `packet_extra_vlan_len_allowed` */
export function fits(dev: NetDev, len: number, head: () => Uint8Array): boolean {
  const most = dev.mtu + ETH_HLEN;
  if (len <= most) return true;
  const header = len <= most + VLAN_HLEN ? head() : null;
  return header !== null && ((header[12]! << 8) | header[13]!) === ETH_P_8021Q;
}
