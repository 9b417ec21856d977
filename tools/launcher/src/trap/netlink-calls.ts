/** Netlink sockets: what iproute2 and its like call, answered by the lab. */
import { readFileSync } from 'node:fs';
import type { HostProcesses } from '@vdpalab/fusefs';
import type { Lab } from '@vdpalab/lab';
import { descriptorLink, type TrapRule } from '@vdpalab/libc';
import {
  AF_NETLINK, EFAULT, EINVAL, ENODEV, MSG_DONTWAIT, MSG_TRUNC, NETLINK_GENERIC, NETLINK_ROUTE, O_CLOEXEC, SOCK_CLOEXEC, SOCK_NONBLOCK, SOL_NETLINK, SOL_SOCKET,
  __NR_bind, __NR_getsockname, __NR_ioctl, __NR_recvfrom, __NR_recvmsg, __NR_sendmsg, __NR_sendto, __NR_setsockopt, __NR_socket,
} from '@vdpalab/uapi';
import type { Answer, CallFamily, TrappedCall } from './call.ts';
import { callerOf } from './caller.ts';
import { CallError } from './call-error.ts';
import { finishHeader, gather, readAddress, readMessageHeader, scatter, writeAddress } from './message-header.ts';
import { LabSocket } from './netlink-socket.ts';
import { isNonblocking, StandIn } from './stand-in.ts';

/** `asm-generic/socket.h`: the two numbers of SO_RCVTIMEO. */
const SO_RCVTIMEO = [20, 66];
/** `linux/sockios.h`: names and numbers of interfaces. */
const SIOCGIFNAME = 0x8910;
const SIOCGIFINDEX = 0x8933;
/** `struct ifreq`: the name, then a union that starts with the number. */
const IFNAMSIZ = 16;
/** Largest `struct sockaddr_nl` or socket option that is looked at. */
const OPTION_MAX = 4096;

/** Sockets of the protocols that the lab serves, whatever is done with sockets, and names of interfaces. */
export const netlinkRules: readonly TrapRule[] = [
  { nr: __NR_socket, when: [[{ arg: 0, in: [AF_NETLINK] }, { arg: 2, in: [NETLINK_ROUTE, NETLINK_GENERIC] }]] },
  { nr: __NR_bind },
  { nr: __NR_getsockname },
  { nr: __NR_setsockopt, when: [[{ arg: 1, in: [SOL_NETLINK] }], [{ arg: 1, in: [SOL_SOCKET] }, { arg: 2, in: SO_RCVTIMEO }]] },
  { nr: __NR_sendto },
  { nr: __NR_sendmsg },
  { nr: __NR_recvfrom },
  { nr: __NR_recvmsg },
  { nr: __NR_ioctl, when: [[{ arg: 1, in: [SIOCGIFINDEX, SIOCGIFNAME] }]] },
];

/** Sockets of the protocols that the lab serves; all others stay the host's. */
export class NetlinkCalls implements CallFamily {
  readonly #lab: Lab;
  readonly #processes: HostProcesses;
  /** By what /proc/PID/fd shows. */
  readonly #sockets = new Map<string, LabSocket>();
  readonly #closing = new Set<Promise<void>>();

  constructor(lab: Lab, processes: HostProcesses) {
    this.#lab = lab;
    this.#processes = processes;
  }

  async answer(call: TrappedCall): Promise<Answer> {
    if (call.nr === __NR_socket) return this.#open(call);
    if (call.nr === __NR_ioctl) return this.#interfaceName(call);
    const socket = this.#socketOf(call);
    if (socket === null) return 'host';
    switch (call.nr) {
      case __NR_bind: return this.#bind(call, socket);
      case __NR_getsockname: return this.#getsockname(call, socket);
      case __NR_setsockopt: return this.#setsockopt(call, socket);
      case __NR_sendto: {
        const { memory } = call;
        const bytes = gather(memory, [{ base: call.raw(1), len: call.raw(2) }]);
        return this.#send(call, socket, bytes, readAddress(memory, call.raw(4), call.int(5)));
      }
      case __NR_sendmsg: {
        const { memory } = call;
        const header = readMessageHeader(memory, call.raw(1));
        const bytes = gather(memory, header.pieces);
        return this.#send(call, socket, bytes, readAddress(memory, header.name, header.nameLength));
      }
      case __NR_recvfrom: return this.#recvfrom(call, socket);
      case __NR_recvmsg: return this.#recvmsg(call, socket);
      default: return 'host';
    }
  }

  #socketOf(call: TrappedCall): LabSocket | null {
    if (this.#sockets.size === 0) return null;
    const link = descriptorLink(call.tid, call.int(0));
    return link === null ? null : this.#sockets.get(link) ?? null;
  }

  async #open(call: TrappedCall): Promise<Answer> {
    const type = call.int(1);
    const owner = await callerOf(call, this.#processes);
    const socket = await LabSocket.open(this.#lab, owner, type & 0xf, call.int(2), () => new StandIn((type & SOCK_NONBLOCK) !== 0));
    const { standIn } = socket;
    this.#sockets.set(standIn.link, socket);
    let given: number | null;
    try {
      given = call.returnFile(standIn.theirs, (type & SOCK_CLOEXEC) === 0 ? 0 : O_CLOEXEC);
    } catch (error) {
      this.#close(socket);
      throw error;
    }
    if (given === null) this.#close(socket);
    else standIn.handedOver(() => this.#close(socket));
    return 'answered';
  }

  #close(socket: LabSocket): void {
    this.#sockets.delete(socket.standIn.link);
    const closing = socket.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  async #bind(call: TrappedCall, socket: LabSocket): Promise<Answer> {
    const address = readAddress(call.memory, call.raw(1), call.int(2));
    if (address === null) throw new CallError(EFAULT, 'no address');
    await socket.use((p, fd) => p.bind(fd, address));
    return { value: 0 };
  }

  async #getsockname(call: TrappedCall, socket: LabSocket): Promise<Answer> {
    const address = await socket.use((p, fd) => p.getsockname(fd));
    writeAddress(call.memory, call.raw(1), call.raw(2), address);
    return { value: 0 };
  }

  async #setsockopt(call: TrappedCall, socket: LabSocket): Promise<Answer> {
    const [level, name, length] = [call.int(1), call.int(2), call.int(4)];
    if (length < 0 || length > OPTION_MAX) throw new CallError(EINVAL, `an option of ${length} bytes`);
    const value = call.memory.read(call.raw(3), length);
    if (level === SOL_SOCKET) {
      if (length < 16) throw new CallError(EINVAL, `a time of ${length} bytes`);
      const [seconds, micros] = new BigInt64Array(value.buffer, 0, 2) as unknown as [bigint, bigint]; // checked: 16 bytes
      socket.receiveTimeout = seconds < 0n ? 0 : Math.min(Number(seconds) * 1000 + Math.ceil(Number(micros) / 1000), 0x7fff_ffff);
      return 'host';
    }
    await socket.use((p, fd) => p.setsockopt(fd, level, name, value));
    return { value: 0 };
  }

  async #send(call: TrappedCall, socket: LabSocket, bytes: Uint8Array, address: Uint8Array | null): Promise<Answer> {
    const sender = await callerOf(call, this.#processes);
    return { value: await socket.send(sender.process, bytes, address) };
  }

  async #recvfrom(call: TrappedCall, socket: LabSocket): Promise<Answer> {
    const flags = call.int(3);
    const pieces = [{ base: call.raw(1), len: call.raw(2) }];
    if (pieces[0] !== undefined && pieces[0].len >> 63n !== 0n) throw new CallError(EINVAL, `room for ${pieces[0].len} bytes`);
    return this.#receive(call, socket, flags, (bytes, address) => {
      const room = scatter(call.memory, pieces, bytes);
      if (call.raw(4) !== 0n) writeAddress(call.memory, call.raw(4), call.raw(5), address);
      return room;
    });
  }

  async #recvmsg(call: TrappedCall, socket: LabSocket): Promise<Answer> {
    const flags = call.int(2);
    const header = readMessageHeader(call.memory, call.raw(1));
    return this.#receive(call, socket, flags, (bytes, address) => {
      const room = scatter(call.memory, header.pieces, bytes);
      finishHeader(call.memory, header, address, room < bytes.length ? MSG_TRUNC : 0);
      return room;
    });
  }

  /** @param put hands the message over; @returns bytes that found room */
  async #receive(call: TrappedCall, socket: LabSocket, flags: number, put: (bytes: Uint8Array, address: Uint8Array) => number): Promise<Answer> {
    const fd = call.int(0);
    const { tgid } = await callerOf(call, this.#processes);
    const nonblock = (flags & MSG_DONTWAIT) !== 0 || isNonblocking(readFileSync(`/proc/${call.tid}/fdinfo/${fd}`, 'utf8'));
    const { bytes, address } = await socket.receive(flags, { tid: call.tid, tgid, fd, waits: () => call.waits() }, nonblock);
    const room = put(bytes, address);
    return { value: (flags & MSG_TRUNC) !== 0 ? bytes.length : room };
  }

  /** SIOCGIFINDEX and SIOCGIFNAME: interfaces are the lab's, as they are over netlink. */
  async #interfaceName(call: TrappedCall): Promise<Answer> {
    if (call.int(1) !== SIOCGIFINDEX && call.int(1) !== SIOCGIFNAME) return 'host';
    const { memory } = call;
    const request = memory.read(call.raw(2), 40);
    const number = new DataView(request.buffer, IFNAMSIZ);
    const name = Buffer.from(request.subarray(0, IFNAMSIZ)).toString().replace(/\0.*$/s, '');
    const devices = this.#lab.loader.lookup('netdevs')?.() ?? [];
    const device = devices.find((dev) => (call.int(1) === SIOCGIFINDEX ? dev.name === name : dev.ifindex === number.getInt32(0, true)));
    if (device === undefined) throw new CallError(ENODEV, `no interface ${name}`);
    request.fill(0, 0, IFNAMSIZ);
    request.set(Buffer.from(device.name).subarray(0, IFNAMSIZ - 1));
    number.setInt32(0, device.ifindex, true);
    memory.write(call.raw(2), request);
    return { value: 0 };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.values()) this.#close(socket);
    await Promise.all(this.#closing);
  }
}
