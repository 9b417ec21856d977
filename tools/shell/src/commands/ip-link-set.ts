/** What `ip link set` asks for. Mirrors `iplink_parse` in `ip/iplink.c` (iproute2 6.1). Not taken: masters, namespaces, kinds of links, XDP. */
import {
  ETH_ALEN, IFF_ALLMULTI, IFF_DYNAMIC, IFF_MULTICAST, IFF_NOARP, IFF_NOTRAILERS, IFF_PROMISC, IFF_UP, IFLA_ADDRESS, IFLA_BROADCAST, IFLA_CARRIER,
  IFLA_GROUP, IFLA_IFALIAS, IFLA_LINKMODE, IFLA_MASTER, IFLA_MTU, IFLA_OPERSTATE, IFLA_TXQLEN, IFLA_VFINFO_LIST, IFNAMSIZ, NlaBuilder, utf8Encode,
} from '@vdpalab/uapi';
import { Refusal } from './ip-link.ts';
import { LINK_MODES, OPERSTATES } from './ip-link-show.ts';
import { parseVf } from './ip-link-vf.ts';
import { Words } from './ip-words.ts';
import { linkAddress, matches, unsigned } from './iproute-words.ts';

const IFALIASZ = 256;
/** Bytes of the longest link-layer address. */
const MAX_ADDR_LEN = 32;

/** A change of one interface. */
export interface Change {
  /** `null` when no interface was named. */
  readonly device: string | null;
  /** IFF_* that are to be set, among those of the mask. */
  readonly flags: number;
  readonly mask: number;
  /** A new name. */
  readonly name: string | null;
  /** Bytes of the address that was given, if any. */
  readonly addressLength: number | null;
  /** Name of an interface that is to be its master. */
  readonly master: string | null;
  /** A number that was given, which is for new interfaces alone. */
  readonly index: boolean;
  readonly attributes: Uint8Array;
}

/** Flags by the word that says on or off; those with a minus are set by off. */
const ON_OFF: readonly (readonly [string, number])[] = [
  ['multicast', IFF_MULTICAST], ['allmulticast', IFF_ALLMULTI], ['promisc', IFF_PROMISC], ['trailers', -IFF_NOTRAILERS], ['arp', -IFF_NOARP], ['dynamic', IFF_DYNAMIC],
];

/** Whether a name can be one of an interface: 1 to 15 bytes, no blank or slash. */
function validName(name: string, most = IFNAMSIZ): boolean {
  return name !== '' && utf8Encode(name).length < most && !/[/\s]/.test(name);
}

/** Read the words behind `ip link set`. @throws Refusal */
export function parseSet(args: readonly string[]): Change {
  const words = new Words(args);
  const b = new NlaBuilder();
  let [device, name]: [string | null, string | null] = [null, null];
  let [flags, mask] = [0, 0];
  let addressLength: number | null = null;
  let index = false;
  let master: string | null = null;
  const seen = new Set<string>();
  const once = (key: string, value: string): void => {
    if (seen.has(key)) throw new Refusal(`Error: duplicate "${key}": "${value}" is the second value.\n`);
    seen.add(key);
  };
  const number = (key: string, value: string): number => {
    const int = integer(value);
    if (int === null) throw Words.invalid(value, `Invalid "${key}" value\n`);
    return int;
  };
  const setFlag = (bit: number, on: boolean): void => {
    mask |= bit;
    flags = on ? flags | bit : flags & ~bit;
  };
  const address = (attr: number): Uint8Array => {
    const got = linkAddress(words.next(), MAX_ADDR_LEN);
    if ('error' in got) throw new Refusal(got.error, 1);
    b.put(attr, got.bytes);
    return got.bytes;
  };
  for (let word = words.take(); word !== null; word = words.take()) {
    const onOff = ON_OFF.find(([key]) => (key === 'dynamic' ? matches(word as string, key) : word === key));
    if (word === 'up' || word === 'down') setFlag(IFF_UP, word === 'up');
    else if (word === 'name') {
      const value = words.next();
      if (name !== null) throw new Refusal(`Error: duplicate "name": "${value}" is the second value.\n`);
      if (!validName(value)) throw Words.invalid(value, '"name" not a valid ifname');
      name = value;
      device ??= value;
    } else if (word === 'index') {
      once('index', words.next());
      index = true;
    } else if (matches(word, 'address')) addressLength = address(IFLA_ADDRESS).length;
    else if (matches(word, 'broadcast') || word === 'brd') address(IFLA_BROADCAST);
    else if (matches(word, 'txqueuelen') || word === 'qlen' || matches(word, 'txqlen')) {
      const value = words.next();
      once('txqueuelen', value);
      b.putU32(IFLA_TXQLEN, number('txqueuelen', value));
    } else if (word === 'mtu') {
      const value = words.next();
      once('mtu', value);
      b.putU32(IFLA_MTU, number('mtu', value));
    } else if (onOff !== undefined) {
      const [key, bit] = onOff;
      setFlag(Math.abs(bit), words.onOff(key) === bit > 0);
    } else if (word === 'carrier') b.putU8(IFLA_CARRIER, words.onOff('carrier') ? 1 : 0);
    else if (word === 'vf') {
      const value = words.next();
      const vf = number('vf', value);
      if (device === null) throw new Refusal('Error: argument "dev" is required\n');
      const list = b.nestStart(IFLA_VFINFO_LIST);
      const halen = parseVf(words, vf, b);
      b.nestEnd(list);
      if (halen !== null && halen !== ETH_ALEN) throw new WrongVfAddress(halen);
    } else if (matches(word, 'master')) master = words.next();
    else if (matches(word, 'nomaster')) b.putU32(IFLA_MASTER, 0);
    else if (matches(word, 'alias')) {
      const value = words.next();
      if (utf8Encode(value).length >= IFALIASZ) throw Words.invalid(value, 'alias too long\n');
      b.put(IFLA_IFALIAS, utf8Encode(value));
    } else if (word === 'group') {
      const value = words.next();
      const group = value === 'default' ? 0 : unsigned(value, 0, 0x7fff_ffff);
      if (group === null) throw Words.invalid(value, 'Invalid "group" value\n');
      once('group', value);
      b.putU32(IFLA_GROUP, group);
    } else if (word === 'mode') b.putU8(IFLA_LINKMODE, choice(words.next(), LINK_MODES, 'Invalid link mode\n'));
    else if (word === 'state') b.putU8(IFLA_OPERSTATE, choice(words.next(), OPERSTATES, 'Invalid operstate\n'));
    else if (NOT_TAKEN.some((key) => word === key)) throw new Refusal(`"${word}" is not part of this lab's ip.\n`, 1);
    else {
      const value = word === 'dev' ? words.next() : word;
      if (device !== name) throw new Refusal(`Error: either "dev" is duplicate, or "${value}" is a garbage.\n`);
      if (!validName(value, 128)) throw Words.invalid(value, '"dev" not a valid ifname');
      device = value;
    }
  }
  return { device, flags, mask, name: name === device ? null : name, addressLength, master, index, attributes: b.bytes() };
}

/** Words of the real program that change what this lab's interfaces do not have. */
const NOT_TAKEN = [
  'link', 'vrf', 'netns', 'type', 'xdp', 'xdpgeneric', 'xdpdrv', 'xdpoffload', 'addrgenmode', 'protodown', 'protodown_reason',
  'gso_max_size', 'gso_max_segs', 'gro_max_size', 'parentdev', 'numtxqueues', 'numrxqueues', 'link-netns', 'link-netnsid', 'new-netnsid',
] as const;

/** A VF's address of the wrong length: told of once the interface is known. */
export class WrongVfAddress extends Refusal {
  constructor(length: number) {
    super(`Invalid address length ${length} - must be ${ETH_ALEN} bytes\n`, 1);
  }
}

/** `get_integer`: an int as strtol(3) reads it, as 32 bits. */
function integer(text: string): number | null {
  const magnitude = unsigned(text.replace(/^(\s*)-/, '$1'), 0, 0x8000_0000);
  if (magnitude === null) return null;
  const value = /^\s*-/.test(text) ? -magnitude : magnitude;
  return value > 0x7fff_ffff ? null : value >>> 0;
}

function choice(text: string, among: readonly string[], complaint: string): number {
  const at = among.findIndex((one) => one.toLowerCase() === text.toLowerCase());
  if (at >= 0) return at;
  const number = unsigned(text, 0, 255);
  if (number === null || number >= among.length) throw Words.invalid(text, complaint);
  return number;
}
