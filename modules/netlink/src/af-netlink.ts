/** The socket family AF_NETLINK. Mirrors `net/netlink/af_netlink.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { File, FileOperations, Process, SocketFamily } from '@vdpalab/fs';
import * as uapi from '@vdpalab/uapi';
import type { SockaddrNl } from '@vdpalab/uapi';
import type { Kernel } from './kernel.ts';
import { receive } from './receive.ts';
import { NetlinkSocket } from './socket.ts';
import type { NetlinkTable } from './table.ts';

/** One past the largest protocol. */
const MAX_LINKS = 32;
/** Largest message, as `net.core.wmem_default` less the overhead. */
const SNDBUF = 212_992 - 32;
/** Options of level SOL_NETLINK that are on or off. */
const SWITCHES: readonly number[] = [
  uapi.NETLINK_PKTINFO, uapi.NETLINK_BROADCAST_ERROR, uapi.NETLINK_NO_ENOBUFS, uapi.NETLINK_LISTEN_ALL_NSID, uapi.NETLINK_CAP_ACK,
  uapi.NETLINK_EXT_ACK, uapi.NETLINK_GET_STRICT_CHK,
];
const BUFFER_OPTIONS: readonly number[] = [uapi.SO_SNDBUF, uapi.SO_RCVBUF, uapi.SO_PASSCRED];

/** The family's sockets, for `sock_register`. */
export function netlinkFamily(k: Pick<Kernel, 'init_waitqueue_head' | 'wait_event'>, table: NetlinkTable): SocketFamily {
  const ops = socketOps(k, table);
  return {
    family: uapi.AF_NETLINK,
    owner: null,
    create: async (type, protocol, proc) => {
      if (type !== uapi.SOCK_RAW && type !== uapi.SOCK_DGRAM) {
        throw new KernelError('ESOCKTNOSUPPORT', 'netlink.socket.type', `netlink socket of type ${type}`);
      }
      if (protocol < 0 || protocol >= MAX_LINKS) {
        throw new KernelError('EPROTONOSUPPORT', 'netlink.socket.protocol', `netlink protocol ${protocol}: 0 to ${MAX_LINKS - 1}`);
      }
      const socket = new NetlinkSocket(protocol, k.init_waitqueue_head(`netlink ${protocol} of ${proc.comm}`), proc);
      table.open(socket);
      return { ops, private_data: socket };
    },
  };
}

function socketOps(k: Pick<Kernel, 'wait_event'>, table: NetlinkTable): FileOperations {
  return {
    release: async (file) => table.close(socketOf(file)),
    bind: async (file, address, proc) => bind(table, socketOf(file), address, proc),
    sendmsg: async (file, bytes, address, proc) => await send(table, socketOf(file), bytes, address, proc),
    recvmsg: async (file, len, _proc, flags = 0) => {
      const socket = socketOf(file);
      const nonblock = (file.flags & uapi.O_NONBLOCK) !== 0 || (flags & uapi.MSG_DONTWAIT) !== 0;
      if (!socket.readable && !nonblock) await k.wait_event(socket.wq, () => socket.readable, `message on netlink socket of ${socket.comm}`);
      const skb = socket.take((flags & uapi.MSG_PEEK) !== 0);
      if (skb === null) throw new KernelError('EAGAIN', 'netlink.recv.empty', `${socket.comm}: no netlink message waits`);
      return {
        bytes: (flags & uapi.MSG_TRUNC) !== 0 ? skb.bytes.slice() : skb.bytes.slice(0, len),
        address: uapi.sockaddr_nl.encode({ nl_family: uapi.AF_NETLINK, nl_pid: skb.portid, nl_groups: groupMask(skb.group) }),
      };
    },
    getsockname: async (file) => {
      const socket = socketOf(file);
      const groups = [...socket.groups].reduce((mask, group) => (mask | groupMask(group)) >>> 0, 0);
      return uapi.sockaddr_nl.encode({ nl_family: uapi.AF_NETLINK, nl_pid: socket.portid, nl_groups: groups });
    },
    setsockopt: async (file, level, name, value) => setOption(table, socketOf(file), level, name, value),
    poll: (file) => uapi.POLLOUT | uapi.POLLWRNORM | (socketOf(file).readable ? uapi.POLLIN | uapi.POLLRDNORM : 0),
    pollQueue: (file) => socketOf(file).wq,
  };
}

function socketOf(file: File): NetlinkSocket {
  if (!(file.private_data instanceof NetlinkSocket)) throw new Error(`${file.path}: no netlink socket`);
  return file.private_data;
}

/** @throws EINVAL for another family or a second port; EADDRINUSE */
function bind(table: NetlinkTable, socket: NetlinkSocket, address: Uint8Array, proc: Process): void {
  const { nl_pid, nl_groups } = decodeAddress(address, 'bind');
  if (socket.portid !== 0) {
    if (nl_pid !== socket.portid) throw new KernelError('EINVAL', 'netlink.bind.again', `bound to port ${socket.portid}, asked for ${nl_pid}`);
  } else if (nl_pid === 0) {
    table.autobind(socket, proc);
  } else {
    table.bind(socket, nl_pid);
  }
  for (let group = 1; group <= 32; group++) {
    if ((nl_groups & groupMask(group)) === 0) socket.groups.delete(group);
    else socket.groups.add(group);
  }
}

/** To the kernel, to a port, to a group. @throws ENODATA EMSGSIZE EINVAL EPERM ECONNREFUSED */
async function send(table: NetlinkTable, socket: NetlinkSocket, bytes: Uint8Array, address: Uint8Array | null, proc: Process): Promise<number> {
  const to = address === null ? null : decodeAddress(address, 'send');
  if (bytes.length === 0) throw new KernelError('ENODATA', 'netlink.send.empty', `${socket.comm}: an empty netlink message`);
  if (bytes.length > SNDBUF) throw new KernelError('EMSGSIZE', 'netlink.send.size', `${bytes.length} bytes, at most ${SNDBUF}`);
  const portid = to?.nl_pid ?? 0;
  const group = to === null || to.nl_groups === 0 ? 0 : 32 - Math.clz32(to.nl_groups & -to.nl_groups);
  if ((portid !== 0 || group !== 0) && socket.protocol !== uapi.NETLINK_USERSOCK && !socket.capable(proc, uapi.CAP_NET_ADMIN)) {
    throw new KernelError('EPERM', 'netlink.send.user', `${socket.comm}: sending to port ${portid}, group ${group} needs CAP_NET_ADMIN`);
  }
  table.autobind(socket, proc);
  const copy = bytes.slice();
  if (group !== 0) table.broadcast(socket.protocol, { bytes: copy, portid: socket.portid, group });
  if (portid !== 0) table.deliver(table.peer(socket.protocol, portid), { bytes: copy, portid: socket.portid, group: 0 });
  else if (group === 0) await receive(table, socket, proc, copy);
  return bytes.length;
}

/** @throws ENOPROTOOPT for an unknown option; EINVAL for a group there is not */
function setOption(table: NetlinkTable, socket: NetlinkSocket, level: number, name: number, value: Uint8Array): void {
  if (level === uapi.SOL_SOCKET && BUFFER_OPTIONS.includes(name)) return; // buffers have one size here
  const unknown = new KernelError('ENOPROTOOPT', 'netlink.sockopt.name', `level ${level}, option ${name}`);
  if (level !== uapi.SOL_NETLINK) throw unknown;
  const number = value.length < 4 ? 0 : new DataView(value.buffer, value.byteOffset).getInt32(0, true);
  if (SWITCHES.includes(name)) {
    if (number === 0) socket.options.delete(name);
    else socket.options.add(name);
    return;
  }
  if (name !== uapi.NETLINK_ADD_MEMBERSHIP && name !== uapi.NETLINK_DROP_MEMBERSHIP) throw unknown;
  const groups = table.groups(socket.protocol);
  if (number < 1 || number > groups) throw new KernelError('EINVAL', 'netlink.sockopt.group', `group ${number}, 1 to ${groups}`);
  if (name === uapi.NETLINK_ADD_MEMBERSHIP) socket.groups.add(number);
  else socket.groups.delete(number);
}

/** @throws EINVAL for another family or too few bytes */
function decodeAddress(address: Uint8Array, what: string): SockaddrNl {
  const short = address.length < uapi.sockaddr_nl.size;
  const decoded = short ? null : uapi.sockaddr_nl.decode(address);
  if (decoded?.nl_family === uapi.AF_NETLINK) return decoded;
  throw new KernelError('EINVAL', 'netlink.address', `${what}: ${short ? `an address of ${address.length} bytes` : `address family ${decoded?.nl_family}`}`);
}

/** Bit of a group in an address; groups above 32 have none. */
function groupMask(group: number): number {
  return group >= 1 && group <= 32 ? (1 << (group - 1)) >>> 0 : 0;
}
