/** `ip link`: interfaces over rtnetlink. Mirrors `ip/iplink.c` and `ip/ipaddress.c` (iproute2 6.1). */
import { NetlinkError, NetlinkSocket } from '@vdpalab/user';
import {
  AF_UNSPEC, IFF_BROADCAST, IFF_LOOPBACK, IFF_MULTICAST, IFF_NOARP, IFF_PROMISC, IFF_UP, IFLA_ADDRESS, IFLA_BROADCAST, IFLA_CARRIER, IFLA_GROUP,
  IFLA_IFNAME, IFLA_LINKMODE, IFLA_MTU, IFLA_OPERSTATE, IFLA_PARENT_DEV_BUS_NAME, IFLA_PARENT_DEV_NAME, IFLA_PROMISCUITY, IFLA_QDISC, IFLA_STATS64,
  IFLA_TXQLEN, IFLA_VF_INFO, IFLA_VF_MAC, IFLA_VFINFO_LIST, IFLA_MAX_MTU, IFLA_MIN_MTU, IF_OPER_UP, NETLINK_ROUTE, NLM_F_ACK, NLM_F_DUMP, NlaBuilder,
  RTM_GETLINK, RTM_NEWLINK, ifinfomsg, nlaList, type NlaView,
} from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { errnoText } from '../system.ts';
import { jsonText, type Json } from './json.ts';

/** Ends the program with a message on standard error. */
class Refusal {
  readonly text: string;
  readonly status: number;

  constructor(text: string, status = 255) {
    this.text = text;
    this.status = status;
  }
}

/** An interface as the kernel describes it. */
interface Link {
  readonly index: number;
  readonly flags: number;
  readonly attrs: ReadonlyMap<number, Uint8Array>;
}

const IFF_LOWER_UP = 0x10000;
const flagNames: readonly (readonly [number, string])[] = [
  [IFF_LOOPBACK, 'LOOPBACK'], [IFF_BROADCAST, 'BROADCAST'], [IFF_MULTICAST, 'MULTICAST'], [IFF_NOARP, 'NOARP'], [IFF_PROMISC, 'PROMISC'], [IFF_UP, 'UP'],
  [IFF_LOWER_UP, 'LOWER_UP'],
];

const number = (bytes: Uint8Array | undefined): number => Number((bytes ?? new Uint8Array()).reduceRight((n, b) => (n << 8n) | BigInt(b), 0n));
const string = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes ?? new Uint8Array()).replace(/\0+$/, '');
const macText = (bytes: Uint8Array | undefined): string => Array.from(bytes ?? [], (b) => b.toString(16).padStart(2, '0')).join(':');

function parseLink(payload: Uint8Array): Link {
  const head = ifinfomsg.decode(payload);
  return { index: head.ifi_index, flags: head.ifi_flags, attrs: new Map(nlaList(payload.subarray(ifinfomsg.size)).attrs.map((a: NlaView) => [a.type, a.payload])) };
}

function macBytes(text: string): Uint8Array {
  const parts = text.split(':');
  const bad = parts.find((part) => !/^[0-9a-f]{1,2}$/i.test(part));
  if (bad !== undefined) throw new Refusal(`"${bad}" is invalid lladdr.\n`, 1);
  if (parts.length !== 6) throw new Refusal(`Wrong address (${text}) length: expected 6 bytes\n`, 1);
  return Uint8Array.from(parts, (part) => Number.parseInt(part, 16));
}

/** Counters of `struct rtnl_link_stats64` as -s shows them. */
function stats(link: Link): { rx: Record<string, number>; tx: Record<string, number> } {
  const raw = link.attrs.get(IFLA_STATS64) ?? new Uint8Array(200);
  const word = (i: number): number => number(raw.subarray(8 * i, 8 * i + 8));
  return {
    rx: { bytes: word(2), packets: word(0), errors: word(4), dropped: word(6), over_errors: word(11), multicast: word(8) },
    tx: { bytes: word(3), packets: word(1), errors: word(5), dropped: word(7), carrier_errors: word(17), collisions: word(9) },
  };
}

function shownFlags(link: Link): string[] {
  const names = flagNames.filter(([bit]) => (link.flags & bit) !== 0).map(([, name]) => name);
  return (link.flags & IFF_UP) !== 0 && number(link.attrs.get(IFLA_CARRIER)) === 0 ? ['NO-CARRIER', ...names] : names;
}

const stateText = (link: Link): string => (number(link.attrs.get(IFLA_OPERSTATE)) === IF_OPER_UP ? 'UP' : 'DOWN');

function linkJson(link: Link, withStats: boolean, details: boolean): { readonly [key: string]: Json } {
  const { attrs } = link;
  return {
    ifindex: link.index, ifname: string(attrs.get(IFLA_IFNAME)), flags: shownFlags(link), mtu: number(attrs.get(IFLA_MTU)), qdisc: string(attrs.get(IFLA_QDISC)),
    operstate: stateText(link), linkmode: number(attrs.get(IFLA_LINKMODE)) === 0 ? 'DEFAULT' : 'DORMANT', group: number(attrs.get(IFLA_GROUP)) === 0 ? 'default' : String(number(attrs.get(IFLA_GROUP))),
    txqlen: number(attrs.get(IFLA_TXQLEN)), link_type: 'ether', address: macText(attrs.get(IFLA_ADDRESS)), broadcast: macText(attrs.get(IFLA_BROADCAST)),
    ...(details ? {
      promiscuity: number(attrs.get(IFLA_PROMISCUITY)), min_mtu: number(attrs.get(IFLA_MIN_MTU)), max_mtu: number(attrs.get(IFLA_MAX_MTU)),
      ...(attrs.has(IFLA_PARENT_DEV_BUS_NAME) ? { parentbus: string(attrs.get(IFLA_PARENT_DEV_BUS_NAME)), parentdev: string(attrs.get(IFLA_PARENT_DEV_NAME)) } : {}),
    } : {}),
    ...(withStats ? { stats64: stats(link) } : {}),
  };
}

function linkText(link: Link, withStats: boolean, details: boolean): string {
  const { attrs } = link;
  let text = `${link.index}: ${string(attrs.get(IFLA_IFNAME))}: <${shownFlags(link).join(',')}> mtu ${number(attrs.get(IFLA_MTU))} qdisc ${string(attrs.get(IFLA_QDISC))} state ${stateText(link)} mode DEFAULT group default qlen ${number(attrs.get(IFLA_TXQLEN))}\n`;
  text += `    link/ether ${macText(attrs.get(IFLA_ADDRESS))} brd ${macText(attrs.get(IFLA_BROADCAST))}`;
  if (details) {
    text += ` promiscuity ${number(attrs.get(IFLA_PROMISCUITY))} minmtu ${number(attrs.get(IFLA_MIN_MTU))} maxmtu ${number(attrs.get(IFLA_MAX_MTU))}`;
    if (attrs.has(IFLA_PARENT_DEV_BUS_NAME)) text += ` parentbus ${string(attrs.get(IFLA_PARENT_DEV_BUS_NAME))} parentdev ${string(attrs.get(IFLA_PARENT_DEV_NAME))}`;
  }
  text += '\n';
  if (!withStats) return text;
  const { rx, tx } = stats(link);
  const columns = (names: readonly string[], values: readonly number[]): string => {
    const widths = names.map((name, i) => Math.max(name.length, String(values[i]).length));
    const row = (cells: readonly (string | number)[]): string => cells.map((cell, i) => String(cell).padStart(widths[i] as number)).join(' ');
    return `${row(names)}\n    ${row(values)}\n`;
  };
  text += `    RX: ${columns([' bytes', 'packets', 'errors', 'dropped', ' missed', '  mcast'], Object.values(rx))}`.replace(/\n {4}/, '\n        ');
  text += `    TX: ${columns([' bytes', 'packets', 'errors', 'dropped', 'carrier', 'collsns'], Object.values(tx))}`.replace(/\n {4}/, '\n        ');
  return text;
}

async function withSocket<T>(c: Program, body: (socket: NetlinkSocket) => Promise<T>): Promise<T> {
  const socket = await NetlinkSocket.open(c.p, NETLINK_ROUTE);
  try {
    return await body(socket);
  } finally {
    await socket.close();
  }
}

/** All interfaces, or the one of that name. @throws Refusal when there is none */
async function getLinks(c: Program, name: string | null): Promise<Link[]> {
  const request = new NlaBuilder();
  request.raw(ifinfomsg.encode({ ifi_family: AF_UNSPEC }));
  const messages = await withSocket(c, (socket) => socket.exchange(RTM_GETLINK, NLM_F_DUMP, request.bytes()));
  const links = messages.filter((m) => m.type === RTM_NEWLINK).map((m) => parseLink(m.payload));
  if (name === null) return links;
  const found = links.filter((link) => string(link.attrs.get(IFLA_IFNAME)) === name);
  if (found.length === 0) throw new Refusal(`Device "${name}" does not exist.\n`, 1);
  return found;
}

/** What `ip link set` asks for. */
interface Change {
  device: string | null;
  flags: number;
  mask: number;
  readonly puts: ((b: NlaBuilder) => void)[];
}

function vfChange(args: readonly string[], at: number): { put: (b: NlaBuilder) => void; next: number } {
  const vf = Number(args[at]);
  if (!Number.isInteger(vf) || vf < 0) throw new Refusal(`Error: argument "${args[at] ?? ''}" is wrong: Invalid "vf" value\n\n`);
  if (args[at + 1] !== 'mac' || args[at + 2] === undefined) throw new Refusal(`Error: argument "${args[at + 1] ?? ''}" is wrong: what about the VF\n`);
  const mac = macBytes(args[at + 2] as string);
  const body = new Uint8Array(36);
  new DataView(body.buffer).setUint32(0, vf, true);
  body.set(mac, 4);
  return {
    next: at + 3,
    put(b) {
      const list = b.nestStart(IFLA_VFINFO_LIST);
      const info = b.nestStart(IFLA_VF_INFO);
      b.put(IFLA_VF_MAC, body);
      b.nestEnd(info);
      b.nestEnd(list);
    },
  };
}

function parseSet(args: readonly string[]): Change {
  const change: Change = { device: null, flags: 0, mask: 0, puts: [] };
  for (let i = 0; i < args.length;) {
    const word = args[i++] as string;
    const value = (): string => {
      const next = args[i++];
      if (next === undefined) throw new Refusal('Command line is not complete. Try option "help"\n');
      return next;
    };
    if (word === 'dev') change.device = value();
    else if (word === 'up' || word === 'down') {
      change.mask |= IFF_UP;
      if (word === 'up') change.flags |= IFF_UP;
    } else if (word === 'mtu') {
      const mtu = value();
      if (!/^\d+$/.test(mtu)) throw new Refusal(`Error: argument "${mtu}" is wrong: Invalid "mtu" value\n\n`);
      change.puts.push((b) => void b.putU32(IFLA_MTU, Number(mtu)));
    } else if (word === 'address') {
      const mac = macBytes(value());
      change.puts.push((b) => void b.put(IFLA_ADDRESS, mac));
    } else if (word === 'name') {
      const name = value();
      change.puts.push((b) => void b.putString(IFLA_IFNAME, name));
    } else if (word === 'vf') {
      const { put, next } = vfChange(args, i);
      change.puts.push(put);
      i = next;
    } else if (change.device === null) change.device = word;
    else throw new Refusal(`Error: either "dev" is duplicate, or "${word}" is a garbage.\n`);
  }
  return change;
}

async function set(c: Program, args: readonly string[]): Promise<void> {
  const change = parseSet(args);
  if (change.device === null) throw new Refusal('Not enough of information: "dev" argument is required.\n');
  let index: number;
  try {
    index = Number((await c.p.readFile(`/sys/class/net/${change.device}/ifindex`)).trim());
  } catch {
    throw new Refusal(`Cannot find device "${change.device}"\n`, 1);
  }
  const request = new NlaBuilder();
  request.raw(ifinfomsg.encode({ ifi_family: AF_UNSPEC, ifi_index: index, ifi_flags: change.flags, ifi_change: change.mask }));
  for (const put of change.puts) put(request);
  await withSocket(c, (socket) => socket.exchange(RTM_NEWLINK, NLM_F_ACK, request.bytes()));
}

async function show(c: Program, args: readonly string[], on: ReadonlySet<string>): Promise<void> {
  const names = args[0] === 'dev' ? args.slice(1) : args;
  const links = await getLinks(c, names[0] ?? null);
  const [s, d] = [on.has('s'), on.has('d')];
  if (on.has('j')) c.out(jsonText(links.map((link) => linkJson(link, s, d)), on.has('p')));
  else for (const link of links) c.out(linkText(link, s, d));
}

/** The program. */
export const ip: Applet = async (c) => {
  const on = new Set<string>();
  const rest: string[] = [];
  const long: Readonly<Record<string, string>> = { '-json': 'j', '-pretty': 'p', '-details': 'd', '-statistics': 's', '-stats': 's' };
  for (const arg of c.args) {
    if (rest.length === 0 && arg.startsWith('-')) for (const letter of long[arg] ?? arg.slice(1)) on.add(letter);
    else rest.push(arg);
  }
  try {
    if (on.has('V')) {
      c.out('ip utility, iproute2-6.1.0, libbpf 1.1.0\n');
      return 0;
    }
    const [object, command = 'show', ...args] = rest;
    if (object === undefined || !'link'.startsWith(object)) throw new Refusal(`Object "${object ?? ''}" is unknown, try "ip help".\n`);
    if ('show'.startsWith(command) || 'list'.startsWith(command)) await show(c, args, on);
    else if (command === 'set') await set(c, args);
    else throw new Refusal(`Command "${command}" is unknown, try "ip link help".\n`);
    return 0;
  } catch (error) {
    if (error instanceof Refusal) {
      await c.err(error.text);
      return error.status;
    }
    if (!(error instanceof NetlinkError)) throw error;
    await c.err(error.extack === null ? `RTNETLINK answers: ${errnoText(error.errno)}\n` : `Error: ${error.extack}.\n`);
    return 2;
  }
};
