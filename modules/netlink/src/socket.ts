/** One user's socket: `struct netlink_sock`. */
import { KernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import type { WaitQueue } from '@vdpalab/sched';
import { NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_NO_ENOBUFS } from '@vdpalab/uapi';

/** Bytes that may wait to be received, as `net.core.rmem_default`, and what each message costs beside its own. */
const RCVBUF = 212_992;
const SKB_OVERHEAD = 768;

/** What waits to be received: one or more messages that were sent together. */
export interface Skb {
  readonly bytes: Uint8Array;
  /** Sender's port, 0 for the kernel. */
  readonly portid: number;
  /** Multicast group it came for, 0 for none. */
  readonly group: number;
}

/** An open netlink socket. */
export class NetlinkSocket {
  readonly protocol: number;
  /** Woken when a message arrives. */
  readonly wq: WaitQueue;
  readonly groups = new Set<number>();
  /** NETLINK_* socket options that are on. */
  readonly options = new Set<number>();
  /** Capabilities of whoever opened it. */
  readonly openerCaps: ReadonlySet<number>;
  readonly comm: string;
  /** Address; 0 until bound. */
  portid = 0;
  readonly #queue: Skb[] = [];
  #queued = 0;
  #overrun = false;

  constructor(protocol: number, wq: WaitQueue, opener: Process) {
    this.protocol = protocol;
    this.wq = wq;
    this.comm = opener.comm;
    this.openerCaps = new Set(opener.cred.caps);
  }

  /** Error replies carry extended acknowledgements; they leave out the request. */
  get extAck(): boolean {
    return this.options.has(NETLINK_EXT_ACK);
  }

  get capAck(): boolean {
    return this.options.has(NETLINK_CAP_ACK);
  }

  /** Something to receive, or an error to report. */
  get readable(): boolean {
    return this.#queue.length > 0 || this.#overrun;
  }

  /** `netlink_capable`: whoever opened the socket and whoever sends must both hold it. */
  capable(sender: Process, cap: number): boolean {
    return this.openerCaps.has(cap) && sender.cred.caps.has(cap);
  }

  /** Put a message in the queue. @param force it may not be lost: dumps are. @returns whether there was room */
  push(skb: Skb, force: boolean): boolean {
    const cost = skb.bytes.length + SKB_OVERHEAD;
    if (!force && this.#queued + cost > RCVBUF) {
      if (!this.options.has(NETLINK_NO_ENOBUFS)) this.#overrun = true;
      return false;
    }
    this.#queue.push(skb);
    this.#queued += cost;
    return true;
  }

  /** The next message, which stays when `peek` is set. @throws ENOBUFS once after messages were lost */
  take(peek: boolean): Skb | null {
    if (this.#overrun) {
      this.#overrun = false;
      throw new KernelError('ENOBUFS', 'netlink.recv.overrun', `${this.comm}: messages were lost, ${RCVBUF} bytes wait`);
    }
    const [skb] = this.#queue;
    if (skb === undefined) return null;
    if (!peek) {
      this.#queue.shift();
      this.#queued -= skb.bytes.length + SKB_OVERHEAD;
    }
    return skb;
  }
}
