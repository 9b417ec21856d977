/** Who listens where: ports, groups, and the kernel's side of each protocol. Mirrors `net/netlink/af_netlink.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import type { Kernel } from './kernel.ts';
import type { Message } from './message.ts';
import type { NetlinkSocket, Skb } from './socket.ts';

/** First port handed out when the process id is taken; then downwards. */
const ROVER_START = -4097;
/** Groups of a protocol that does not say otherwise. */
const GROUPS = 64;

/** A request as the kernel's side gets it. */
export interface Request {
  readonly socket: NetlinkSocket;
  readonly proc: Process;
  readonly msg: Message;
}

/** What a request ended in: the sender may want an acknowledgement, or a dump answered. */
export type Outcome = 'done' | 'dumped';

/** The kernel's side of a protocol; `null` for one that only sends. */
export type KernelSide = ((request: Request) => Promise<Outcome>) | null;

interface Protocol {
  readonly input: KernelSide;
  readonly groups: number;
  readonly ports: Map<number, NetlinkSocket>;
}

/** `nl_table` */
export class NetlinkTable {
  readonly #k: Pick<Kernel, 'wake_up' | 'note_refusal'>;
  readonly #protocols = new Map<number, Protocol>();
  readonly #sockets = new Set<NetlinkSocket>();
  #rover = ROVER_START;

  constructor(k: Pick<Kernel, 'wake_up' | 'note_refusal'>) {
    this.#k = k;
  }

  /** Keep what a reply is about to tell. */
  noteRefusal(error: KernelError): undefined {
    this.#k.note_refusal?.('netlink', error);
  }

  get sockets(): readonly NetlinkSocket[] {
    return [...this.#sockets];
  }

  get protocols(): readonly number[] {
    return [...this.#protocols.keys()];
  }

  /** Serve a protocol. @throws Error (a lab bug) when it is served already */
  create(protocol: number, input: KernelSide, groups = GROUPS): void {
    if (this.#protocols.has(protocol)) throw new Error(`netlink protocol ${protocol}: served already`);
    this.#protocols.set(protocol, { input, groups, ports: new Map() });
  }

  /** Serve it no more; sockets that are open get ECONNREFUSED. */
  release(protocol: number): void {
    if (!this.#protocols.delete(protocol)) throw new Error(`netlink protocol ${protocol}: not served`);
  }

  /** @throws EPROTONOSUPPORT for a protocol nobody serves */
  open(socket: NetlinkSocket): void {
    if (!this.#protocols.has(socket.protocol)) {
      throw new KernelError('EPROTONOSUPPORT', 'netlink.socket.protocol', `netlink protocol ${socket.protocol}: nobody serves it`);
    }
    this.#sockets.add(socket);
  }

  close(socket: NetlinkSocket): void {
    this.#sockets.delete(socket);
    const ports = this.#protocols.get(socket.protocol)?.ports;
    if (ports?.get(socket.portid) === socket) ports.delete(socket.portid);
  }

  /** Groups a socket of the protocol may join: 1 to this. */
  groups(protocol: number): number {
    return this.#protocols.get(protocol)?.groups ?? 0;
  }

  /** Take this port. @throws EADDRINUSE */
  bind(socket: NetlinkSocket, portid: number): void {
    const ports = this.#ports(socket);
    if (ports.has(portid)) throw new KernelError('EADDRINUSE', 'netlink.bind.port', `netlink port ${portid} is taken`);
    ports.set(portid, socket);
    socket.portid = portid;
  }

  /** Take the process id as port, or else some other number. */
  autobind(socket: NetlinkSocket, proc: Process): void {
    if (socket.portid !== 0) return;
    const ports = this.#ports(socket);
    let portid = proc.pid;
    while (ports.has(portid)) portid = this.#rover-- >>> 0;
    this.bind(socket, portid);
  }

  /** The kernel's side. @throws ECONNREFUSED when nobody takes messages there */
  input(protocol: number): NonNullable<KernelSide> {
    const input = this.#protocols.get(protocol)?.input ?? null;
    if (input === null) throw new KernelError('ECONNREFUSED', 'netlink.send.kernel', `netlink protocol ${protocol}: the kernel takes nothing`);
    return input;
  }

  /** @throws ECONNREFUSED when no socket has that port */
  peer(protocol: number, portid: number): NetlinkSocket {
    const peer = this.#protocols.get(protocol)?.ports.get(portid);
    if (peer === undefined) throw new KernelError('ECONNREFUSED', 'netlink.send.port', `netlink protocol ${protocol}: no port ${portid}`);
    return peer;
  }

  /** Hand a message to one socket. @param force it may not be lost */
  deliver(socket: NetlinkSocket, skb: Skb, force = false): undefined {
    socket.push(skb, force);
    this.#k.wake_up(socket.wq);
  }

  /** Hand a message to all members of a group but its sender. */
  broadcast(protocol: number, skb: Skb): undefined {
    for (const socket of this.#sockets) {
      if (socket.protocol !== protocol || !socket.groups.has(skb.group)) continue;
      if (skb.portid !== 0 && socket.portid === skb.portid) continue;
      this.deliver(socket, skb);
    }
  }

  /** A group is no more. */
  clearGroup(protocol: number, group: number): void {
    for (const socket of this.#sockets) if (socket.protocol === protocol) socket.groups.delete(group);
  }

  #ports(socket: NetlinkSocket): Map<number, NetlinkSocket> {
    const protocol = this.#protocols.get(socket.protocol);
    if (protocol === undefined) throw new KernelError('ECONNREFUSED', 'netlink.bind.protocol', `netlink protocol ${socket.protocol} is gone`);
    return protocol.ports;
  }
}
