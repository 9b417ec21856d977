/** tcpreplay and tcpdump: captures out of and into an interface, over packet sockets. */
import { isKernelError } from '@vdpalab/abi';
import { PcapError, PcapWriter, readPcap, type PcapPacket } from '@vdpalab/machine';
import {
  AF_PACKET, ETH_P_ALL, O_CREAT, O_TRUNC, O_WRONLY, POLLIN, SO_RCVBUF, SOCK_RAW, SOL_SOCKET, sockaddr_ll,
} from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { errorText } from '../system.ts';

/** Bytes of frames a capture keeps unread. */
const CAPTURE_BUFFER = 8 * 1024 * 1024;

/** A whole file of the lab as bytes. */
export async function readFileBytes(c: Program, path: string): Promise<Uint8Array> {
  const fd = await c.p.open(path);
  try {
    const pieces: Uint8Array[] = [];
    for (let piece = await c.p.read(fd, 65536); piece.length > 0; piece = await c.p.read(fd, 65536)) pieces.push(piece);
    return Buffer.concat(pieces);
  } finally {
    await c.p.close(fd);
  }
}

/** Write a whole file of the lab. */
export async function writeFileBytes(c: Program, path: string, bytes: Uint8Array): Promise<void> {
  const fd = await c.p.open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644);
  try {
    for (let at = 0; at < bytes.length;) at += await c.p.write(fd, bytes.subarray(at, at + 65536));
  } finally {
    await c.p.close(fd);
  }
}

/** Index of an interface by name. @throws KernelError ENODEV-like refusal of the file when there is none */
async function ifindexOf(c: Program, name: string): Promise<number> {
  return Number((await c.p.readFile(`/sys/class/net/${name}/ifindex`)).trim());
}

/** A socket bound to an interface. @param protocol 0 to send only */
async function packetSocket(c: Program, ifindex: number, protocol: number): Promise<number> {
  const fd = await c.p.socket(AF_PACKET, SOCK_RAW, 0);
  await c.p.bind(fd, sockaddr_ll.encode({ sll_family: AF_PACKET, sll_protocol: protocol, sll_ifindex: ifindex }));
  return fd;
}

/** Frames of a capture, or what is wrong with it, on standard error. */
async function frames(c: Program, path: string): Promise<readonly PcapPacket[] | null> {
  try {
    return readPcap(await readFileBytes(c, path));
  } catch (error) {
    if (!(error instanceof PcapError) && !isKernelError(error)) throw error;
    await c.fail(`${path}: ${error instanceof PcapError ? error.message : errorText(error)}`);
    return null;
  }
}

/** `tcpreplay -i IF FILE`: send every frame; those the kernel refuses are named with their reason. */
const tcpreplay: Applet = async (c) => {
  const [flag, name, path, ...rest] = c.args;
  if (flag !== '-i' || name === undefined || path === undefined || rest.length > 0) {
    await c.err('usage: tcpreplay -i INTERFACE FILE\n');
    return 1;
  }
  const packets = await frames(c, path);
  if (packets === null) return 1;
  let fd: number;
  try {
    fd = await packetSocket(c, await ifindexOf(c, name), 0);
  } catch (error) {
    return await c.fail(`${name}: ${errorText(error)}`);
  }
  let sent = 0;
  let bytes = 0;
  try {
    for (const [i, packet] of packets.entries()) {
      try {
        await c.p.write(fd, packet.bytes);
        sent++;
        bytes += packet.bytes.length;
      } catch (error) {
        await c.flush();
        await c.err(`Warning: Unable to send packet: frame ${i + 1} of ${packet.bytes.length} bytes: ${errorText(error)}\n`);
      }
    }
  } finally {
    await c.p.close(fd);
  }
  c.out(`Actual: ${sent} packets (${bytes} bytes) sent\n`);
  c.out(`Statistics for network device: ${name}\n`);
  c.out(`\tSuccessful packets:        ${sent}\n\tFailed packets:            ${packets.length - sent}\n`);
  return 0;
};

const mac = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(':');
const ethertypes: Readonly<Record<number, string>> = { 0x0800: 'IPv4', 0x0806: 'ARP', 0x86dd: 'IPv6', 0x8100: '802.1Q' };

/** One line about a frame, as `tcpdump -e` begins it. */
function describe(at: number, frame: Uint8Array): string {
  const type = ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
  const name = ethertypes[type] ?? 'Unknown';
  return `${at.toFixed(6)} ${mac(frame.subarray(6, 12))} > ${mac(frame.subarray(0, 6))}, ethertype ${name} (0x${type.toString(16).padStart(4, '0')}), length ${frame.length}\n`;
}

interface DumpOptions {
  interface: string | null;
  write: string | null;
  read: string | null;
  count: number;
  /** Milliseconds without a frame after which a capture ends; a real tcpdump is stopped by a signal. */
  idle: number;
}

function dumpOptions(args: readonly string[]): DumpOptions | string {
  const o: DumpOptions = { interface: null, write: null, read: null, count: Number.POSITIVE_INFINITY, idle: 1000 };
  for (let i = 0; i < args.length; i++) {
    const flag = args[i] as string;
    if (flag === '-e' || flag === '-n' || flag === '-U') continue;
    const value = args[++i];
    if (value === undefined) return `option requires an argument -- '${flag.slice(1)}'`;
    if (flag === '-i') o.interface = value;
    else if (flag === '-w') o.write = value;
    else if (flag === '-r') o.read = value;
    else if ((flag === '-c' || flag === '-G') && /^[1-9]\d*$/.test(value)) {
      if (flag === '-c') o.count = Number(value);
      else o.idle = Number(value) * 1000;
    } else return flag === '-c' ? `invalid packet count ${value}` : `invalid option -- '${flag.slice(1)}'`;
  }
  return o;
}

async function captureFrames(c: Program, o: DumpOptions & { interface: string }): Promise<number> {
  const fd = await packetSocket(c, await ifindexOf(c, o.interface), ETH_P_ALL);
  const pcap = new PcapWriter();
  let seen = 0;
  try {
    const size = new Uint8Array(4);
    new DataView(size.buffer).setInt32(0, CAPTURE_BUFFER, true);
    await c.system.symbol('ksys_setsockopt')(c.p.proc, fd, SOL_SOCKET, SO_RCVBUF, size);
    while (seen < o.count) {
      const [ready] = await c.p.poll([{ fd, events: POLLIN }], o.idle * 1e6);
      if (ready === 0) break;
      const { bytes } = await c.p.recvmsg(fd, 262_144);
      seen++;
      pcap.packet(c.system.now(), bytes);
      if (o.write === null) c.out(describe(c.system.now() / 1e9, bytes));
    }
  } finally {
    await c.p.close(fd);
  }
  if (o.write !== null) await writeFileBytes(c, o.write, pcap.bytes());
  await c.flush();
  await c.err(`${seen} packets captured\n`);
  return 0;
}

/** `tcpdump -i IF [-w FILE] [-c N] [-G SECONDS]` and `tcpdump -r FILE`. */
const tcpdump: Applet = async (c) => {
  const o = dumpOptions(c.args);
  if (typeof o === 'string') return await c.fail(o);
  if (o.read !== null) {
    const packets = await frames(c, o.read);
    if (packets === null) return 1;
    for (const p of packets.slice(0, o.count)) c.out(describe(p.seconds + p.nanoseconds / 1e9, p.bytes));
    return 0;
  }
  if (o.interface === null) return await c.fail('no interface: name one with -i');
  try {
    return await captureFrames(c, { ...o, interface: o.interface });
  } catch (error) {
    if (!isKernelError(error)) throw error;
    return await c.fail(`${o.interface}: ${errorText(error)}`);
  }
};

/** Both by name. */
export const pcapCommands: readonly (readonly [string, Applet])[] = [['tcpreplay', tcpreplay], ['tcpdump', tcpdump]];
