/** Packet sockets: frames in and out of an interface. Mirrors `net/packet/af_packet.c` (Linux 6.1), SOCK_RAW only. */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { File, FileOperations, FsSymbols, SocketFamily } from '@vdpalab/fs';
import type { SchedSymbols, WaitQueue } from '@vdpalab/sched';
import {
  AF_PACKET, ARPHRD_ETHER, CAP_NET_RAW, ETH_HLEN, ETH_P_ALL, MSG_DONTWAIT, O_NONBLOCK, PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST,
  PACKET_OTHERHOST, PACKET_OUTGOING, POLLIN, POLLOUT, SO_RCVBUF, SOCK_RAW, SOL_SOCKET, sockaddr_ll,
} from '@vdpalab/uapi';
import type { EtherDevice } from './device.ts';
import type { SkBuff } from './header.ts';
import type { Skbs } from './skb.ts';

/** `net.core.rmem_default`: bytes of frames that wait to be read. */
const RMEM_DEFAULT = 212_992;
/** Room in front of a frame for a driver's header. */
const HEADROOM = 16;

/** What sockets ask of the core. */
export interface PacketDeps {
  readonly k: Pick<FsSymbols, 'capable'> & Pick<SchedSymbols, 'init_waitqueue_head' | 'wait_event' | 'wake_up'>;
  readonly skbs: Skbs['symbols'];
  readonly byIndex: (ifindex: number) => EtherDevice | null;
  readonly xmit: (dev: EtherDevice, skb: SkBuff, from: PacketSocket) => Atomic;
}

interface Received {
  readonly bytes: Uint8Array;
  readonly address: Uint8Array;
}

/** One open socket. */
export class PacketSocket {
  /** 0 hears every interface. */
  ifindex = 0;
  protocol: number;
  readonly queue: Received[] = [];
  queued = 0;
  limit = RMEM_DEFAULT;
  dropped = 0;
  readonly wq: WaitQueue;

  constructor(protocol: number, wq: WaitQueue) {
    this.protocol = protocol;
    this.wq = wq;
  }
}

/** What kind of frame it is to the interface. */
function packetType(dev: EtherDevice, bytes: Uint8Array): number {
  const first = bytes[0] ?? 0;
  if ((first & 1) !== 0) return bytes.subarray(0, 6).every((b) => b === 0xff) ? PACKET_BROADCAST : PACKET_MULTICAST;
  return bytes.subarray(0, 6).every((b, i) => b === dev.dev_addr[i]) ? PACKET_HOST : PACKET_OTHERHOST;
}

/** All packet sockets of one kernel. */
export class PacketSockets {
  readonly #deps: PacketDeps;
  readonly #open = new Set<PacketSocket>();

  constructor(deps: PacketDeps) {
    this.#deps = deps;
  }

  /** `AF_PACKET` for fs. */
  family(): SocketFamily {
    return {
      family: AF_PACKET,
      owner: null,
      create: async (type, protocol) => {
        if (!this.#deps.k.capable(CAP_NET_RAW)) throw new KernelError('EPERM', 'packet.create.capable', 'packet sockets need CAP_NET_RAW');
        if (type !== SOCK_RAW) throw new KernelError('EPROTOTYPE', 'packet.create.type', `socket type ${type}`);
        const sock = new PacketSocket(((protocol & 0xff) << 8) | (protocol >> 8), this.#deps.k.init_waitqueue_head('packet socket'));
        this.#open.add(sock);
        return { ops: this.#ops(), private_data: sock };
      },
    };
  }

  /** A frame passed the interface; everybody who listens gets a copy. @param sender the socket it came from */
  deliver(dev: EtherDevice, skb: SkBuff, outgoing: boolean, sender: PacketSocket | null): Atomic {
    let bytes: Uint8Array | null = null;
    for (const sock of this.#open) {
      if (sock === sender || sock.protocol === 0 || (sock.ifindex !== 0 && sock.ifindex !== dev.ifindex)) continue;
      if (outgoing && sock.protocol !== ETH_P_ALL) continue;
      bytes ??= this.#deps.skbs.skb_copy_bits(skb);
      const ethertype = ((bytes[12] ?? 0) << 8) | (bytes[13] ?? 0);
      if (sock.protocol !== ETH_P_ALL && sock.protocol !== ethertype) continue;
      this.#queue(sock, dev, bytes, outgoing ? PACKET_OUTGOING : packetType(dev, bytes));
    }
    return undefined;
  }

  /** The interface is gone: who is bound to it hears no more. */
  unbind(ifindex: number): Atomic {
    for (const sock of this.#open) {
      if (sock.ifindex !== ifindex) continue;
      sock.ifindex = -1;
      this.#deps.k.wake_up(sock.wq);
    }
    return undefined;
  }

  leftovers(): string[] {
    return [...this.#open].map((sock) => `packet socket on interface ${sock.ifindex}: ${sock.queue.length} frames unread`);
  }

  #queue(sock: PacketSocket, dev: EtherDevice, bytes: Uint8Array, pkttype: number): void {
    if (sock.queued + bytes.length > sock.limit) {
      sock.dropped++;
      return;
    }
    const addr = new Uint8Array(8);
    addr.set(bytes.subarray(6, 12));
    sock.queue.push({
      bytes,
      address: sockaddr_ll.encode({
        sll_family: AF_PACKET, sll_protocol: ((bytes[12] ?? 0) << 8) | (bytes[13] ?? 0), sll_ifindex: dev.ifindex, sll_hatype: ARPHRD_ETHER,
        sll_pkttype: pkttype, sll_halen: 6, sll_addr: addr,
      }),
    });
    sock.queued += bytes.length;
    this.#deps.k.wake_up(sock.wq);
  }

  #ops(): FileOperations {
    const of = (file: File): PacketSocket => file.private_data as PacketSocket; // made by create
    const receive = async (file: File, len: number, flags: number): Promise<Received> => {
      const sock = of(file);
      if (sock.queue.length === 0 && ((flags & MSG_DONTWAIT) !== 0 || (file.flags & O_NONBLOCK) !== 0)) {
        throw new KernelError('EAGAIN', 'packet.recv.empty', 'no frame waits');
      }
      await this.#deps.k.wait_event(sock.wq, () => sock.queue.length > 0 || sock.ifindex < 0, 'a frame');
      const next = sock.queue.shift();
      if (next === undefined) throw new KernelError('ENETDOWN', 'packet.recv.gone', 'the interface is gone');
      sock.queued -= next.bytes.length;
      return { bytes: next.bytes.slice(0, len), address: next.address };
    };
    return {
      release: async (file) => void this.#open.delete(of(file)),
      bind: async (file, address) => this.#bind(of(file), address),
      read: async (file, len) => (await receive(file, len, 0)).bytes,
      recvmsg: (file, len, _, flags) => receive(file, len, flags ?? 0),
      write: async (file, bytes) => this.#send(of(file), bytes, null),
      sendmsg: async (file, bytes, address) => this.#send(of(file), bytes, address),
      poll: (file) => POLLOUT | (of(file).queue.length > 0 ? POLLIN : 0),
      pollQueue: (file) => of(file).wq,
      setsockopt: async (file, level, name, value) => {
        if (level !== SOL_SOCKET || name !== SO_RCVBUF) throw new KernelError('ENOPROTOOPT', 'packet.option', `option ${name} of level ${level}`);
        if (value.length < 4) throw new KernelError('EINVAL', 'packet.option.size', `${value.length} bytes`);
        of(file).limit = 2 * new DataView(value.buffer, value.byteOffset).getInt32(0, true);
      },
    };
  }

  #bind(sock: PacketSocket, address: Uint8Array): void {
    if (address.length < sockaddr_ll.size) throw new KernelError('EINVAL', 'packet.bind.size', `an address of ${address.length} bytes`);
    const ll = sockaddr_ll.decode(address);
    if (ll.sll_family !== AF_PACKET) throw new KernelError('EINVAL', 'packet.bind.family', `family ${ll.sll_family}`);
    if (ll.sll_ifindex !== 0 && this.#deps.byIndex(ll.sll_ifindex) === null) {
      throw new KernelError('ENODEV', 'packet.bind.device', `no interface has index ${ll.sll_ifindex}`);
    }
    sock.ifindex = ll.sll_ifindex;
    if (ll.sll_protocol !== 0) sock.protocol = ll.sll_protocol;
  }

  #send(sock: PacketSocket, bytes: Uint8Array, address: Uint8Array | null): number {
    const ifindex = address === null ? sock.ifindex : sockaddr_ll.decode(address).sll_ifindex;
    const dev = this.#deps.byIndex(ifindex);
    if (dev === null) throw new KernelError('ENXIO', 'packet.send.device', `no interface has index ${ifindex}`);
    if (bytes.length < ETH_HLEN) throw new KernelError('EINVAL', 'packet.send.short', `${bytes.length} bytes, an Ethernet header has ${ETH_HLEN}`);
    const skb = this.#deps.skbs.alloc_skb(bytes.length, HEADROOM);
    this.#deps.skbs.skb_store_bits(skb, bytes);
    this.#deps.xmit(dev, skb, sock);
    return bytes.length;
  }
}
