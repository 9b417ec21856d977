/** The socket family AF_PACKET, raw. Mirrors `net/packet/af_packet.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { File, FileOperations, Process, SocketFamily } from '@vdpalab/fs';
import type { SchedSymbols } from '@vdpalab/sched';
import * as uapi from '@vdpalab/uapi';
import type { SockaddrLl } from '@vdpalab/uapi';
import type { NetDev } from './net-device.ts';
import { isUp, linkAddress, PacketSocket } from './packet-socket.ts';
import type { PacketSockets } from './packet-socket.ts';
import { fits } from './qdisc.ts';
import type { Skbs } from './skb.ts';

const RECV_FLAGS = uapi.MSG_PEEK | uapi.MSG_DONTWAIT | uapi.MSG_TRUNC;
/** Bytes left free in front of a frame for a driver's header: `LL_RESERVED_SPACE`. */
const HEADROOM = 128;
/** Bytes of `struct sockaddr_ll` before the hardware address. */
const ADDR_OFFSET = uapi.sockaddr_ll.offsets.sll_addr;

/** What the family needs. */
export interface PacketDeps {
  readonly k: Pick<SchedSymbols, 'init_waitqueue_head' | 'wait_event' | 'wake_up'>;
  readonly sockets: PacketSockets;
  readonly skbs: Skbs;
  readonly deviceByIndex: (ifindex: number) => NetDev | null;
}

/** The family, for `sock_register`. */
export function packetFamily(deps: PacketDeps): SocketFamily {
  const ops = socketOps(deps);
  return {
    family: uapi.AF_PACKET,
    owner: null,
    async create(type, protocol, proc) {
      if (!proc.cred.caps.has(uapi.CAP_NET_RAW)) {
        throw new KernelError('EPERM', 'packet.socket.cap', `${proc.comm}: a packet socket needs CAP_NET_RAW`);
      }
      if (type !== uapi.SOCK_RAW) {
        throw new KernelError('ESOCKTNOSUPPORT', 'packet.socket.type', `packet socket of type ${type}: only SOCK_RAW is served`);
      }
      const socket = new PacketSocket(ntohs(protocol), proc.comm, deps.k.init_waitqueue_head(`packet socket of ${proc.comm}`));
      deps.sockets.all.add(socket);
      if (socket.protocol !== 0) deps.sockets.start(socket);
      return { ops, private_data: socket };
    },
  };
}

function socketOps(deps: PacketDeps): FileOperations {
  const { k, sockets, skbs } = deps;
  return {
    release: async (file) => sockets.close(socketOf(file)),
    bind: async (file, address) => bind(deps, socketOf(file), address),
    sendmsg: async (file, bytes, address, proc) => send(deps, socketOf(file), bytes, address, proc),
    async recvmsg(file, len, _proc, flags = 0) {
      const socket = socketOf(file);
      if ((flags & ~RECV_FLAGS) !== 0) throw new KernelError('EINVAL', 'packet.recv.flags', `flags 0x${flags.toString(16)}`);
      const ready = (): boolean => socket.queued > 0 || socket.error !== null;
      const nonblock = (file.flags & uapi.O_NONBLOCK) !== 0 || (flags & uapi.MSG_DONTWAIT) !== 0;
      if (!ready() && !nonblock) await k.wait_event(socket.wq, ready, `frame on packet socket of ${socket.comm}`);
      socket.throwError();
      const peek = (flags & uapi.MSG_PEEK) !== 0;
      const frame = socket.shift(peek);
      if (frame === null) throw new KernelError('EAGAIN', 'packet.recv.empty', `${socket.comm}: no frame waits`);
      const bytes = skbs.symbols.skb_copy_bits(frame.skb);
      if (!peek) skbs.symbols.kfree_skb(frame.skb);
      return { bytes: (flags & uapi.MSG_TRUNC) !== 0 ? bytes : bytes.subarray(0, len), address: frame.address };
    },
    async getsockname(file) {
      const socket = socketOf(file);
      const dev = deps.deviceByIndex(socket.ifindex);
      return linkAddress(dev, socket.protocol, 0, dev?.dev_addr ?? new Uint8Array(0));
    },
    setsockopt: async (file, level, name, value) => setOption(deps, socketOf(file), level, name, value),
    poll(file) {
      const { queued, error } = socketOf(file);
      return uapi.POLLOUT | uapi.POLLWRNORM | uapi.POLLWRBAND
        | (queued > 0 ? uapi.POLLIN | uapi.POLLRDNORM : 0) | (error === null ? 0 : uapi.POLLERR);
    },
    pollQueue: (file) => socketOf(file).wq,
  };
}

/** @throws EINVAL for another family or too few bytes; ENODEV for an interface there is not @see `packet_bind` */
function bind({ sockets, deviceByIndex }: PacketDeps, socket: PacketSocket, address: Uint8Array): undefined {
  const { sll_ifindex: ifindex, sll_protocol: protocol } = decodeAddress(address);
  const dev = ifindex === 0 ? null : deviceByIndex(ifindex);
  if (ifindex !== 0 && dev === null) throw new KernelError('ENODEV', 'packet.bind.interface', `no interface ${ifindex}`);
  sockets.stop(socket);
  socket.ifindex = ifindex;
  if (protocol !== 0) socket.protocol = protocol;
  if (socket.protocol === 0) return;
  if (dev === null || isUp(dev)) sockets.start(socket);
  else sockets.fail(socket);
}

/**
 * Send one frame, Ethernet header included.
 *
 * @throws ENXIO without an interface; ENETDOWN; EINVAL when it is shorter than a header; EMSGSIZE; ENOBUFS
 * @see `packet_snd`
 */
function send(deps: PacketDeps, socket: PacketSocket, bytes: Uint8Array, address: Uint8Array | null, proc: Process): number {
  const to = address === null ? null : decodeAddress(address);
  const dev = deps.deviceByIndex(to?.sll_ifindex ?? socket.ifindex);
  if (dev === null) throw new KernelError('ENXIO', 'packet.send.interface', `${proc.comm}: no interface to send on`);
  if (!isUp(dev)) throw new KernelError('ENETDOWN', 'packet.send.down', `${dev.name} is down`);
  if (!fits(dev, bytes.length, () => bytes)) {
    throw new KernelError('EMSGSIZE', 'packet.send.size', `${dev.name}: a frame of ${bytes.length} bytes, MTU ${dev.mtu}`);
  }
  if (bytes.length < uapi.ETH_HLEN) {
    throw new KernelError('EINVAL', 'packet.send.header', `a frame of ${bytes.length} bytes has no Ethernet header`);
  }
  const skb = deps.skbs.own(allocate(deps.skbs, bytes.length));
  deps.skbs.symbols.skb_store_bits(skb, bytes);
  skb.dev = dev;
  skb.sender = socket;
  dev.qdisc.send(skb);
  return bytes.length;
}

/** @throws ENOBUFS where memory is short, as `sock_alloc_send_pskb` does */
function allocate(skbs: Skbs, len: number): ReturnType<Skbs['symbols']['alloc_skb']> {
  try {
    return skbs.symbols.alloc_skb(len, HEADROOM);
  } catch (error) {
    throw new KernelError('ENOBUFS', 'packet.send.memory', `no memory for a frame of ${len} bytes`, { cause: error });
  }
}

/** @throws ENOPROTOOPT for an unknown option; EINVAL for too few bytes; ENODEV for an interface there is not */
function setOption({ deviceByIndex }: PacketDeps, socket: PacketSocket, level: number, name: number, value: Uint8Array): undefined {
  const int = (): number => {
    if (value.length < 4) throw new KernelError('EINVAL', 'packet.sockopt.length', `option ${name}: ${value.length} bytes`);
    return new DataView(value.buffer, value.byteOffset).getInt32(0, true);
  };
  if (level === uapi.SOL_SOCKET && name === uapi.SO_RCVBUF) {
    socket.rcvbuf = Math.max(2 * int(), 2304); // doubled for overhead, and never below SOCK_MIN_RCVBUF
    return;
  }
  if (level === uapi.SOL_SOCKET && name === uapi.SO_SNDBUF) return;
  if (level === uapi.SOL_PACKET && name === uapi.PACKET_IGNORE_OUTGOING) {
    socket.ignoreOutgoing = int() !== 0;
    return;
  }
  if (level === uapi.SOL_PACKET && (name === uapi.PACKET_ADD_MEMBERSHIP || name === uapi.PACKET_DROP_MEMBERSHIP)) {
    // Devices here hear what they hear: the filter is theirs, and promiscuity changes nothing.
    if (value.length < uapi.packet_mreq.size) throw new KernelError('EINVAL', 'packet.sockopt.length', `membership of ${value.length} bytes`);
    const { mr_ifindex } = uapi.packet_mreq.decode(value);
    if (deviceByIndex(mr_ifindex) === null) throw new KernelError('ENODEV', 'packet.membership', `no interface ${mr_ifindex}`);
    return;
  }
  throw new KernelError('ENOPROTOOPT', 'packet.sockopt.name', `level ${level}, option ${name}`);
}

/** @throws EINVAL for another family or too few bytes */
function decodeAddress(address: Uint8Array): SockaddrLl {
  const decoded = address.length < uapi.sockaddr_ll.size ? null : uapi.sockaddr_ll.decode(address);
  if (decoded?.sll_family === uapi.AF_PACKET && address.length >= ADDR_OFFSET + decoded.sll_halen) return decoded;
  throw new KernelError('EINVAL', 'packet.address', `${address.length} bytes are no link address`);
}

function socketOf(file: File): PacketSocket {
  if (file.private_data instanceof PacketSocket) return file.private_data;
  throw new Error(`${file.path}: no packet socket`);
}

/** The third argument of socket() is in network byte order. */
function ntohs(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}
