/** Ethernet, ARP, IPv4, ICMP, UDP and TCP: what a responder reads and writes. Offsets are from the frame's first byte. */

export const ETHERNET_HEADER = 14;
export const IPV4_HEADER = 20;
export const UDP_HEADER = 8;
/** Without options. */
export const TCP_HEADER = 20;
const ARP_SIZE = 28;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_ARP = 0x0806;
const IPPROTO_ICMP = 1;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const ICMP_ECHO_REPLY = 0;
const ICMP_ECHO = 8;
const TTL = 64;
/** Don't Fragment, More Fragments and the offset: everything but the first of them makes a fragment. */
const FRAGMENT_MASK = 0x3fff;

/** A host on Ethernet. */
export interface Station {
  /** 6 bytes. */
  readonly mac: Uint8Array;
  /** 4 bytes. */
  readonly ip: Uint8Array;
}

export const TCP_FIN = 1;
export const TCP_SYN = 2;
export const TCP_RST = 4;
export const TCP_PSH = 8;
export const TCP_ACK = 16;
/** Option kinds that have no length. */
const TCPOPT_EOL = 0;
const TCPOPT_NOP = 1;
const TCPOPT_MSS = 2;

/** A TCP segment. */
export interface Segment {
  readonly fromPort: number;
  readonly toPort: number;
  /** Sequence numbers are 32 bits, unsigned. */
  readonly seq: number;
  readonly ack: number;
  /** TCP_* */
  readonly flags: number;
  /** Bytes. */
  readonly window: number;
  /** Largest segment the sender takes, in bytes; `null` when it does not say. */
  readonly mss: number | null;
  readonly payload: Uint8Array;
}

/** What a frame says, as far as a responder understands it. */
export type Packet =
  | { readonly kind: 'arp'; readonly from: Station }
  | { readonly kind: 'echo'; readonly from: Station; readonly message: Uint8Array }
  | { readonly kind: 'udp'; readonly from: Station; readonly fromPort: number; readonly toPort: number; readonly payload: Uint8Array }
  | { readonly kind: 'tcp'; readonly from: Station; readonly segment: Segment };

/** Why a frame gets no answer. */
export type Ignored =
  /** For another host, a protocol or message that is not spoken, or a fragment. */
  | 'foreign'
  /** Lengths contradict each other. */
  | 'malformed'
  /** A checksum is wrong. */
  | 'corrupt';

/**
 * Read a frame.
 *
 * @param me who reads: a request for another address is foreign
 */
export function readPacket(frame: Uint8Array, me: Station): Packet | Ignored {
  if (frame.length < ETHERNET_HEADER) return 'malformed';
  const broadcast = frame.subarray(0, 6).every((b) => b === 0xff);
  if (!broadcast && !same(frame.subarray(0, 6), me.mac)) return 'foreign';
  const type = be16(frame, 12);
  if (type === ETHERTYPE_ARP) return readArp(frame, me);
  return type === ETHERTYPE_IPV4 && !broadcast ? readIpv4(frame, me) : 'foreign';
}

function readArp(frame: Uint8Array, me: Station): Packet | Ignored {
  const arp = frame.subarray(ETHERNET_HEADER);
  if (arp.length < ARP_SIZE) return 'malformed';
  const ethernet = be16(arp, 0) === 1 && be16(arp, 2) === ETHERTYPE_IPV4 && arp[4] === 6 && arp[5] === 4;
  if (!ethernet || be16(arp, 6) !== ARP_REQUEST || !same(arp.subarray(24, 28), me.ip)) return 'foreign';
  return { kind: 'arp', from: { mac: arp.slice(8, 14), ip: arp.slice(14, 18) } };
}

function readIpv4(frame: Uint8Array, me: Station): Packet | Ignored {
  const ip = frame.subarray(ETHERNET_HEADER);
  if (ip.length < IPV4_HEADER) return 'malformed';
  const header = (ip[0]! & 15) * 4;
  const total = be16(ip, 2);
  if (ip[0]! >> 4 !== 4 || header < IPV4_HEADER || total < header || total > ip.length) return 'malformed';
  if (checksum(ip.subarray(0, header)) !== 0) return 'corrupt';
  if (!same(ip.subarray(16, 20), me.ip) || (be16(ip, 6) & FRAGMENT_MASK) !== 0) return 'foreign';
  const from = { mac: frame.slice(6, 12), ip: ip.slice(12, 16) };
  const body = ip.subarray(header, total); // what follows is padding
  if (ip[9] === IPPROTO_ICMP) {
    if (body.length < 8) return 'malformed';
    if (checksum(body) !== 0) return 'corrupt';
    return body[0] === ICMP_ECHO && body[1] === 0 ? { kind: 'echo', from, message: body } : 'foreign';
  }
  if (ip[9] === IPPROTO_TCP) {
    const segment = readSegment(body, from, me);
    return typeof segment === 'string' ? segment : { kind: 'tcp', from, segment };
  }
  if (ip[9] !== IPPROTO_UDP) return 'foreign';
  if (body.length < UDP_HEADER) return 'malformed';
  const length = be16(body, 4);
  if (length < UDP_HEADER || length > body.length) return 'malformed';
  const datagram = body.subarray(0, length);
  if (be16(body, 6) !== 0 && checksum(datagram, pseudoHeader(from.ip, me.ip, IPPROTO_UDP, length)) !== 0) return 'corrupt';
  return { kind: 'udp', from, fromPort: be16(body, 0), toPort: be16(body, 2), payload: datagram.subarray(UDP_HEADER) };
}

function readSegment(body: Uint8Array, from: Station, me: Station): Segment | Ignored {
  if (body.length < TCP_HEADER) return 'malformed';
  const header = (body[12]! >> 4) * 4;
  if (header < TCP_HEADER || header > body.length) return 'malformed';
  if (checksum(body, pseudoHeader(from.ip, me.ip, IPPROTO_TCP, body.length)) !== 0) return 'corrupt';
  return {
    fromPort: be16(body, 0), toPort: be16(body, 2), seq: be32(body, 4), ack: be32(body, 8), flags: body[13]! & 0x3f,
    window: be16(body, 14), mss: mssOption(body.subarray(TCP_HEADER, header)), payload: body.subarray(header),
  };
}

function mssOption(options: Uint8Array): number | null {
  for (let i = 0; i < options.length && options[i] !== TCPOPT_EOL;) {
    const length = options[i] === TCPOPT_NOP ? 1 : (options[i + 1] ?? 0);
    if (options[i] === TCPOPT_MSS && length === 4 && i + 4 <= options.length) return be16(options, i + 2);
    if (options[i] !== TCPOPT_NOP && length < 2) return null;
    i += length;
  }
  return null;
}

/** Say where an address is. */
export function arpReply(me: Station, to: Station): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER + ARP_SIZE);
  ethernet(frame, me, to, ETHERTYPE_ARP);
  frame.set([0, 1, 8, 0, 6, 4, 0, ARP_REPLY, ...me.mac, ...me.ip, ...to.mac, ...to.ip], ETHERNET_HEADER);
  return frame;
}

/** Answer an echo request with what it said. @param message the request's ICMP message */
export function echoReply(me: Station, to: Station, message: Uint8Array): Uint8Array {
  const { frame, body } = ipv4(me, to, IPPROTO_ICMP, message.length);
  body.set(message);
  body[0] = ICMP_ECHO_REPLY;
  put16(body, 2, 0);
  put16(body, 2, checksum(body));
  return frame;
}

/** A datagram as a frame. */
export function udpFrame(me: Station, fromPort: number, to: Station, toPort: number, payload: Uint8Array): Uint8Array {
  const length = UDP_HEADER + payload.length;
  const { frame, body } = ipv4(me, to, IPPROTO_UDP, length);
  put16(body, 0, fromPort);
  put16(body, 2, toPort);
  put16(body, 4, length);
  body.set(payload, UDP_HEADER);
  const sum = checksum(body, pseudoHeader(me.ip, to.ip, IPPROTO_UDP, length));
  put16(body, 6, sum === 0 ? 0xffff : sum); // 0 would mean: none
  return frame;
}

/** A TCP segment as a frame. */
export function tcpFrame(me: Station, to: Station, segment: Segment): Uint8Array {
  const { mss, payload } = segment;
  const header = TCP_HEADER + (mss === null ? 0 : 4);
  const { frame, body } = ipv4(me, to, IPPROTO_TCP, header + payload.length);
  put16(body, 0, segment.fromPort);
  put16(body, 2, segment.toPort);
  put32(body, 4, segment.seq);
  put32(body, 8, segment.ack);
  body[12] = (header / 4) << 4;
  body[13] = segment.flags;
  put16(body, 14, segment.window);
  if (mss !== null) {
    body.set([TCPOPT_MSS, 4], TCP_HEADER);
    put16(body, TCP_HEADER + 2, mss);
  }
  body.set(payload, header);
  put16(body, 16, checksum(body, pseudoHeader(me.ip, to.ip, IPPROTO_TCP, body.length)));
  return frame;
}

function ipv4(me: Station, to: Station, protocol: number, length: number): { frame: Uint8Array; body: Uint8Array } {
  const frame = new Uint8Array(ETHERNET_HEADER + IPV4_HEADER + length);
  ethernet(frame, me, to, ETHERTYPE_IPV4);
  const ip = frame.subarray(ETHERNET_HEADER);
  ip[0] = 0x45;
  put16(ip, 2, IPV4_HEADER + length);
  ip[8] = TTL;
  ip[9] = protocol;
  ip.set(me.ip, 12);
  ip.set(to.ip, 16);
  put16(ip, 10, checksum(ip.subarray(0, IPV4_HEADER)));
  return { frame, body: ip.subarray(IPV4_HEADER) };
}

function ethernet(frame: Uint8Array, me: Station, to: Station, type: number): undefined {
  frame.set(to.mac, 0);
  frame.set(me.mac, 6);
  put16(frame, 12, type);
}

/** Sum of what the checksums of UDP and TCP cover besides the message. */
function pseudoHeader(from: Uint8Array, to: Uint8Array, protocol: number, length: number): number {
  return be16(from, 0) + be16(from, 2) + be16(to, 0) + be16(to, 2) + protocol + length;
}

/**
 * The Internet checksum; over bytes that hold theirs it is 0.
 *
 * @param sum of 16-bit words that are covered besides
 * @see RFC 1071
 */
export function checksum(bytes: Uint8Array, sum = 0): number {
  let total = sum;
  for (let i = 0; i + 1 < bytes.length; i += 2) total += (bytes[i]! << 8) | bytes[i + 1]!;
  if ((bytes.length & 1) === 1) total += bytes.at(-1)! << 8;
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x1_0000);
  return total ^ 0xffff;
}

export function be16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

export function put16(bytes: Uint8Array, at: number, value: number): undefined {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
}

function be32(bytes: Uint8Array, at: number): number {
  return be16(bytes, at) * 0x1_0000 + be16(bytes, at + 2);
}

function put32(bytes: Uint8Array, at: number, value: number): undefined {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value & 0xffff);
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}
