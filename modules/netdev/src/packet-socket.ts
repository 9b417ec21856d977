/** Packet sockets: what one holds, and how it hears frames. Mirrors `net/packet/af_packet.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { SchedSymbols, WaitQueue } from '@vdpalab/sched';
import {
  AF_PACKET, ARPHRD_ETHER, ETH_ALEN, ETH_P_802_2, ETH_P_802_3_MIN, ETH_P_ALL, IFF_UP, PACKET_BROADCAST,
  PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST, PACKET_OUTGOING, sockaddr_ll,
} from '@vdpalab/uapi';
import type { NetDev } from './net-device.ts';
import type { Skb, Skbs } from './skb.ts';

const ETH_HEADER = 14;
/** Bytes a frame counts against the receive buffer beyond its own. */
const OVERHEAD = 768;
/** `net.core.rmem_default` */
const RCVBUF = 212_992;

/** A frame that waits to be received. */
interface Waiting {
  readonly skb: Skb;
  /** `struct sockaddr_ll` */
  readonly address: Uint8Array;
}

/** `struct packet_sock` */
export class PacketSocket {
  readonly wq: WaitQueue;
  readonly comm: string;
  /** Ethernet protocol it hears, in host byte order; 0 for none. */
  protocol: number;
  /** Interface it is bound to; 0 for all, -1 when that went away. */
  ifindex = 0;
  /** Whether frames reach it. */
  running = false;
  /** What the next call fails with. */
  error: 'ENETDOWN' | null = null;
  /** PACKET_IGNORE_OUTGOING */
  ignoreOutgoing = false;
  rcvbuf = RCVBUF;
  /** Frames heard, and lost because too many waited: `struct tpacket_stats`. */
  tp_packets = 0;
  tp_drops = 0;
  private readonly waiting: Waiting[] = [];
  private bytes = 0;

  constructor(protocol: number, comm: string, wq: WaitQueue) {
    this.protocol = protocol;
    this.comm = comm;
    this.wq = wq;
  }

  /** Frames that wait. */
  get queued(): number {
    return this.waiting.length;
  }

  /** Take the error that waits. @throws it */
  throwError(): undefined {
    const { error } = this;
    if (error === null) return;
    this.error = null;
    throw new KernelError(error, 'packet.down', `packet socket of ${this.comm}: interface ${this.ifindex} is down or gone`);
  }

  /** @see `packet_rcv` */
  push(frame: Waiting): boolean {
    this.tp_packets++;
    const size = frame.skb.len + OVERHEAD;
    if (this.bytes >= this.rcvbuf) {
      this.tp_drops++;
      return false;
    }
    this.bytes += size;
    this.waiting.push(frame);
    return true;
  }

  /** The oldest frame, taken or only looked at. */
  shift(peek: boolean): Waiting | null {
    const frame = this.waiting[0] ?? null;
    if (frame === null || peek) return frame;
    this.waiting.shift();
    this.bytes -= frame.skb.len + OVERHEAD;
    return frame;
  }
}

/** All packet sockets of one kernel. */
export class PacketSockets {
  readonly all = new Set<PacketSocket>();
  /** Those that hear anything now. */
  private running: PacketSocket[] = [];
  private readonly skbs: Skbs;
  private readonly k: Pick<SchedSymbols, 'wake_up'>;

  constructor(skbs: Skbs, k: Pick<SchedSymbols, 'wake_up'>) {
    this.skbs = skbs;
    this.k = k;
  }

  /** Let frames reach a socket: `register_prot_hook`. */
  start(socket: PacketSocket): undefined {
    socket.running = true;
    this.running = [...this.all].filter((one) => one.running);
  }

  /** @see `__unregister_prot_hook` */
  stop(socket: PacketSocket): undefined {
    socket.running = false;
    this.running = this.running.filter((one) => one !== socket);
  }

  /** Stop, with an error for whoever waits. */
  fail(socket: PacketSocket): undefined {
    this.stop(socket);
    socket.error = 'ENETDOWN';
    this.k.wake_up(socket.wq);
  }

  close(socket: PacketSocket): undefined {
    this.stop(socket);
    this.all.delete(socket);
    for (let frame = socket.shift(false); frame !== null; frame = socket.shift(false)) {
      this.skbs.symbols.kfree_skb(frame.skb);
    }
  }

  /** A frame leaves: sockets that hear everything hear it, but for the one that sent it. @see `dev_queue_xmit_nit` */
  outgoing(skb: Skb, dev: NetDev): undefined {
    for (const socket of this.running) {
      if (socket.protocol !== ETH_P_ALL || socket.ignoreOutgoing || socket === skb.sender) continue;
      if (socket.ifindex === 0 || socket.ifindex === dev.ifindex) this.deliver(socket, skb, dev, PACKET_OUTGOING);
    }
  }

  /** A frame came in. @see `__netif_receive_skb_core` */
  incoming(skb: Skb, dev: NetDev): undefined {
    if (this.running.length === 0) return;
    const header = this.skbs.head(skb, ETH_HEADER);
    const protocol = protocolOf(header);
    const type = packetType(header, dev);
    for (const socket of this.running) {
      if (socket.protocol !== ETH_P_ALL && socket.protocol !== protocol) continue;
      if (socket.ifindex === 0 || socket.ifindex === dev.ifindex) this.deliver(socket, skb, dev, type);
    }
  }

  /** The device went up, down, or away. @see `packet_notifier` */
  notify(dev: NetDev, event: 'up' | 'down' | 'unregister'): undefined {
    for (const socket of this.all) {
      if (socket.ifindex !== dev.ifindex) continue;
      if (event === 'up') {
        if (socket.protocol !== 0) this.start(socket);
        continue;
      }
      if (socket.running) this.fail(socket);
      if (event === 'unregister') socket.ifindex = -1;
    }
  }

  private deliver(socket: PacketSocket, skb: Skb, dev: NetDev, type: number): undefined {
    const header = this.skbs.head(skb, ETH_HEADER);
    const address = linkAddress(dev, protocolOf(header), type, header.slice(ETH_ALEN, 2 * ETH_ALEN));
    if (socket.push({ skb: this.skbs.get(skb), address })) this.k.wake_up(socket.wq);
    else this.skbs.symbols.kfree_skb(skb);
  }
}

/** The address of a frame or a socket. @param addr hardware address */
export function linkAddress(dev: NetDev | null, protocol: number, type: number, addr: Uint8Array): Uint8Array {
  return sockaddr_ll.encode({
    sll_family: AF_PACKET, sll_protocol: protocol, sll_ifindex: dev?.ifindex ?? 0,
    sll_hatype: dev === null ? 0 : ARPHRD_ETHER, sll_pkttype: type, sll_halen: dev === null ? 0 : ETH_ALEN,
    sll_addr: addr.slice(0, 8),
  });
}

/** Whether a device can be heard now. */
export function isUp(dev: NetDev | null): boolean {
  return dev !== null && (dev.flags & IFF_UP) !== 0;
}

/** @see `eth_type_trans` */
function protocolOf(header: Uint8Array): number {
  if (header.length < ETH_HEADER) return 0;
  const proto = (header[12]! << 8) | header[13]!;
  // Below are lengths: the frame's protocol is in an 802.2 header.
  return proto >= ETH_P_802_3_MIN ? proto : ETH_P_802_2;
}

function packetType(header: Uint8Array, dev: NetDev): number {
  const to = header.subarray(0, ETH_ALEN);
  if (to.every((byte) => byte === 0xff)) return PACKET_BROADCAST;
  if ((to[0]! & 1) !== 0) return PACKET_MULTICAST;
  return to.every((byte, i) => byte === dev.dev_addr[i]) ? PACKET_HOST : PACKET_OTHERHOST;
}
