/** How `ip` shows an interface. Mirrors `print_linkinfo` in `ip/ipaddress.c` (iproute2 6.1). Not shown: XDP, masters, kinds of links, names of link-layer types but two. */
import {
  ARPHRD_ETHER, ARPHRD_LOOPBACK, IFF_ALLMULTI, IFF_AUTOMEDIA, IFF_BROADCAST, IFF_DEBUG, IFF_DORMANT, IFF_DYNAMIC, IFF_ECHO, IFF_LOOPBACK, IFF_LOWER_UP,
  IFF_MASTER, IFF_MULTICAST, IFF_NOARP, IFF_NOTRAILERS, IFF_POINTOPOINT, IFF_PORTSEL, IFF_PROMISC, IFF_RUNNING, IFF_SLAVE, IFF_UP, IFLA_ADDRESS,
  IFLA_AF_SPEC, IFLA_ALLMULTI, IFLA_BROADCAST, IFLA_GROUP, IFLA_GRO_MAX_SIZE, IFLA_GSO_MAX_SEGS, IFLA_GSO_MAX_SIZE, IFLA_IFALIAS, IFLA_LINKMODE,
  IFLA_MAX_MTU, IFLA_MIN_MTU, IFLA_MTU, IFLA_NUM_RX_QUEUES, IFLA_NUM_TX_QUEUES, IFLA_NUM_VF, IFLA_OPERSTATE, IFLA_PARENT_DEV_BUS_NAME,
  IFLA_PARENT_DEV_NAME, IFLA_PERM_ADDRESS, IFLA_PROMISCUITY, IFLA_QDISC, IFLA_TSO_MAX_SEGS, IFLA_TSO_MAX_SIZE, IFLA_TXQLEN, IFLA_VFINFO_LIST, nlaList,
} from '@vdpalab/uapi';
import type { Link } from './ip-link.ts';
import { printStats } from './ip-link-stats.ts';
import { printVf } from './ip-link-vf.ts';
import type { Printer } from './print.ts';

/** How to show. */
export interface ShowOptions {
  /** How often -s was given. */
  readonly stats: number;
  readonly details: boolean;
  /** Numbers for names: -N. */
  readonly numeric: boolean;
  readonly oneline: boolean;
  /** `ip link`, not `ip address`. */
  readonly link: boolean;
  /** Show the link layer's address: no other family was asked for. */
  readonly packet: boolean;
}

const FLAGS: readonly (readonly [number, string])[] = [
  [IFF_LOOPBACK, 'LOOPBACK'], [IFF_BROADCAST, 'BROADCAST'], [IFF_POINTOPOINT, 'POINTOPOINT'], [IFF_MULTICAST, 'MULTICAST'], [IFF_NOARP, 'NOARP'],
  [IFF_ALLMULTI, 'ALLMULTI'], [IFF_PROMISC, 'PROMISC'], [IFF_MASTER, 'MASTER'], [IFF_SLAVE, 'SLAVE'], [IFF_DEBUG, 'DEBUG'], [IFF_DYNAMIC, 'DYNAMIC'],
  [IFF_AUTOMEDIA, 'AUTOMEDIA'], [IFF_PORTSEL, 'PORTSEL'], [IFF_NOTRAILERS, 'NOTRAILERS'], [IFF_UP, 'UP'], [IFF_LOWER_UP, 'LOWER_UP'],
  [IFF_DORMANT, 'DORMANT'], [IFF_ECHO, 'ECHO'],
];
/** By IF_OPER_* */
export const OPERSTATES = ['UNKNOWN', 'NOTPRESENT', 'DOWN', 'LOWERLAYERDOWN', 'TESTING', 'DORMANT', 'UP'] as const;
/** By IF_LINK_MODE_* */
export const LINK_MODES = ['DEFAULT', 'DORMANT'] as const;
const LINK_TYPES: Readonly<Record<number, string>> = { [ARPHRD_ETHER]: 'ether', [ARPHRD_LOOPBACK]: 'loopback' };
/** IFLA_INET6_ADDR_GEN_MODE in the AF_INET6 part of IFLA_AF_SPEC. */
const [AF_INET6, IFLA_INET6_ADDR_GEN_MODE] = [10, 8];
const ADDR_GEN_MODES = ['eui64', 'none', 'stable_secret', 'random'] as const;

/** `52:54:00:12:34:56` */
export function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

function printFlags(p: Printer, link: Link): void {
  const names = FLAGS.filter(([bit]) => (link.flags & bit) !== 0).map(([, name]) => name);
  if ((link.flags & (IFF_UP | IFF_RUNNING)) === IFF_UP) names.unshift('NO-CARRIER');
  p.list('flags', names, `<${names.join(',')}> `);
}

function printOperstate(p: Printer, link: Link, pad: (state: string) => string): void {
  const state = OPERSTATES[link.number(IFLA_OPERSTATE)] ?? `${link.number(IFLA_OPERSTATE)}`;
  p.field('operstate', state, pad(state));
}

/** `ip -br link`, and the first half of `ip -br address`. */
export function printBrief(p: Printer, link: Link, { packet }: ShowOptions): void {
  p.field('ifname', link.name, `${link.name.padEnd(16)} `);
  printOperstate(p, link, (state) => `${state.padEnd(14)} `);
  if (!packet) return;
  const mac = macText(link.bytes(IFLA_ADDRESS));
  p.field('address', mac, `${mac} `);
  printFlags(p, link);
  p.text('\n');
}

/** `ip link`, and the first half of `ip address`. */
export function printLink(p: Printer, link: Link, options: ShowOptions): void {
  const nl = options.oneline ? '\\' : '\n';
  p.field('ifindex', link.index, `${link.index}: `);
  p.field('ifname', link.name, `${link.name}: `);
  printFlags(p, link);
  p.field('mtu', link.number(IFLA_MTU), `mtu ${link.number(IFLA_MTU)} `);
  p.field('qdisc', link.string(IFLA_QDISC), `qdisc ${link.string(IFLA_QDISC)} `);
  printOperstate(p, link, (state) => `state ${state} `);
  if (options.link) {
    const mode = LINK_MODES[link.number(IFLA_LINKMODE)] ?? `${link.number(IFLA_LINKMODE)}`;
    p.field('linkmode', mode, `mode ${mode} `);
  }
  const group = !options.numeric && link.number(IFLA_GROUP) === 0 ? 'default' : String(link.number(IFLA_GROUP));
  p.field('group', group, `group ${group} `);
  if (link.number(IFLA_TXQLEN) > 0) p.field('txqlen', link.number(IFLA_TXQLEN), `qlen ${link.number(IFLA_TXQLEN)}`);
  if (options.packet || options.details) printAddresses(p, link, options, nl);
  if (options.details) printDetails(p, link, options);
  if ((options.link || options.details) && link.has(IFLA_IFALIAS)) p.field('ifalias', link.string(IFLA_IFALIAS), `${nl}    alias ${link.string(IFLA_IFALIAS)}`);
  if (options.link && options.stats > 0) {
    p.text(nl);
    printStats(p, link, options.stats > 1, nl);
  }
  if ((options.link || options.details) && link.has(IFLA_VFINFO_LIST) && link.has(IFLA_NUM_VF)) {
    p.json?.name('vfinfo_list').startArray();
    for (const vf of nlaList(link.bytes(IFLA_VFINFO_LIST)).attrs) p.object(null, () => printVf(p, vf.payload, link.bytes(IFLA_ADDRESS).length, nl));
    p.json?.endArray();
  }
  p.text('\n');
}

function printAddresses(p: Printer, link: Link, { numeric }: ShowOptions, nl: string): void {
  const type = (numeric ? undefined : LINK_TYPES[link.type]) ?? `[${link.type}]`;
  p.field('link_type', type, `${nl}    link/${type} `);
  const [address, broadcast, permanent] = [IFLA_ADDRESS, IFLA_BROADCAST, IFLA_PERM_ADDRESS].map((attr) => macText(link.bytes(attr))) as [string, string, string];
  if (link.has(IFLA_ADDRESS)) p.field('address', address, address);
  if (link.has(IFLA_BROADCAST)) p.field('broadcast', broadcast, ` brd ${broadcast}`);
  if (link.has(IFLA_PERM_ADDRESS) && permanent !== address) p.field('permaddr', permanent, ` permaddr ${permanent}`);
}

function printDetails(p: Printer, link: Link, options: ShowOptions): void {
  const number = (key: string, attr: number, word: string): void => {
    if (link.has(attr)) p.field(key, link.number(attr), `${word} ${link.number(attr)} `);
  };
  number('promiscuity', IFLA_PROMISCUITY, ' promiscuity');
  number('allmulti', IFLA_ALLMULTI, ' allmulti');
  number('min_mtu', IFLA_MIN_MTU, 'minmtu');
  number('max_mtu', IFLA_MAX_MTU, 'maxmtu');
  if (options.link) printAddrGenMode(p, link);
  number('num_tx_queues', IFLA_NUM_TX_QUEUES, 'numtxqueues');
  number('num_rx_queues', IFLA_NUM_RX_QUEUES, 'numrxqueues');
  number('gso_max_size', IFLA_GSO_MAX_SIZE, 'gso_max_size');
  number('gso_max_segs', IFLA_GSO_MAX_SEGS, 'gso_max_segs');
  number('tso_max_size', IFLA_TSO_MAX_SIZE, 'tso_max_size');
  number('tso_max_segs', IFLA_TSO_MAX_SEGS, 'tso_max_segs');
  number('gro_max_size', IFLA_GRO_MAX_SIZE, 'gro_max_size');
  const string = (key: string, attr: number): void => {
    if (link.has(attr)) p.field(key, link.string(attr), `${key} ${link.string(attr)} `);
  };
  string('parentbus', IFLA_PARENT_DEV_BUS_NAME);
  string('parentdev', IFLA_PARENT_DEV_NAME);
}

function printAddrGenMode(p: Printer, link: Link): void {
  const inet6 = nlaList(link.bytes(IFLA_AF_SPEC)).attrs.find(({ type }) => type === AF_INET6);
  const mode = inet6 === undefined ? undefined : nlaList(inet6.payload).attrs.find(({ type }) => type === IFLA_INET6_ADDR_GEN_MODE)?.payload[0];
  if (mode === undefined) return;
  const name = ADDR_GEN_MODES[mode] ?? String(mode);
  p.field('inet6_addr_gen_mode', name, `addrgenmode ${name} `);
}
