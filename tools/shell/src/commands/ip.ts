/** `ip link` and `ip address` of iproute2 6.1 over rtnetlink. Mirrors `ip/ip.c`, `ip/iplink.c`, `ip/ipaddress.c`. */
import { NetlinkError } from '@vdpalab/user';
import { ETH_ALEN, IFF_UP, IFLA_ADDRESS, IFLA_GROUP, IFLA_IFNAME, IFLA_MASTER, NLM_F_CREATE, NLM_F_EXCL, NlaBuilder, RTM_DELLINK, RTM_NEWLINK, type Ifinfomsg } from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { errnoText } from '../system.ts';
import { answers, LinkSocket, Refusal, type Link } from './ip-link.ts';
import { parseSet, WrongVfAddress } from './ip-link-set.ts';
import { printBrief, printLink, type ShowOptions } from './ip-link-show.ts';
import { printStats } from './ip-link-stats.ts';
import { parseOptions, USAGE, type IpOptions } from './ip-options.ts';
import { Words } from './ip-words.ts';
import { matches, unsigned } from './iproute-words.ts';
import { Printer } from './print.ts';

/** Help of `ip link`, as far as this program goes. */
const LINK_USAGE = `Usage: ip link set { DEVICE | dev DEVICE }
\t\t\t[ { up | down } ]
\t\t[ arp { on | off } ]
\t\t[ dynamic { on | off } ]
\t\t[ multicast { on | off } ]
\t\t[ allmulticast { on | off } ]
\t\t[ promisc { on | off } ]
\t\t[ trailers { on | off } ]
\t\t[ carrier { on | off } ]
\t\t[ txqueuelen PACKETS ]
\t\t[ name NEWNAME ]
\t\t[ address LLADDR ]
\t\t[ broadcast LLADDR ]
\t\t[ mtu MTU ]
\t\t[ alias NAME ]
\t\t[ group GROUP ]
\t\t[ vf NUM [ mac LLADDR ]
\t\t\t [ vlan VLANID [ qos VLAN-QOS ] ]
\t\t\t [ rate TXRATE ]
\t\t\t [ max_tx_rate TXRATE ]
\t\t\t [ min_tx_rate TXRATE ]
\t\t\t [ spoofchk { on | off} ]
\t\t\t [ query_rss { on | off} ]
\t\t\t [ state { auto | enable | disable} ]
\t\t\t [ trust { on | off} ] ]

\tip link show [ DEVICE | group GROUP ] [up] [master DEV] [type TYPE]
\tip link help
`;
/** Objects of the real program, in the order in which beginnings of their names are tried. */
const OBJECTS = [
  'address', 'addrlabel', 'maddress', 'route', 'rule', 'neighbor', 'neighbour', 'ntable', 'ntbl', 'link', 'l2tp', 'fou', 'ila', 'macsec', 'tunnel',
  'tunl', 'tuntap', 'tap', 'token', 'tcpmetrics', 'tcp_metrics', 'monitor', 'xfrm', 'mroute', 'mrule', 'netns', 'netconf', 'vrf', 'sr', 'nexthop',
  'mptcp', 'ioam', 'help', 'stats', 'amt',
] as const;

/** The program. */
export const ip: Applet = async (c) => {
  try {
    const options = parseOptions(c.args);
    if (options === 'version') {
      c.out('ip utility, iproute2-6.1.0, libbpf 1.1.2\n');
      return 0;
    }
    const socket = await LinkSocket.open(c);
    try {
      return await new Ip(c, socket, options).run();
    } finally {
      await socket.close();
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    await c.err(error.text);
    return error.status;
  }
};

/** One run, connected. */
class Ip {
  readonly #c: Program;
  readonly #socket: LinkSocket;
  readonly #options: IpOptions;

  constructor(c: Program, socket: LinkSocket, options: IpOptions) {
    this.#c = c;
    this.#socket = socket;
    this.#options = options;
  }

  run(): Promise<number> {
    const [word, ...args] = this.#options.words;
    const object = word === undefined ? 'help' : OBJECTS.find((name) => matches(word, name));
    if (object === undefined) throw new Refusal(`Object "${word}" is unknown, try "ip help".\n`, 1);
    if (object === 'help') throw new Refusal(USAGE);
    if (object === 'link') return this.#link(args);
    if (object === 'address') return this.#address(args);
    throw new Refusal(`Object "${object}" is not part of this lab's ip.\n`, 1);
  }

  async #link([command, ...args]: readonly string[]): Promise<number> {
    if (command === undefined) return this.#show([], true);
    if (matches(command, 'add')) return this.#add(args);
    if (matches(command, 'set') || matches(command, 'change')) return this.#set(args);
    if (matches(command, 'replace')) throw new Refusal('Not enough information: "type" argument is required\n', 1);
    if (matches(command, 'delete')) return this.#delete(args);
    if (matches(command, 'show') || matches(command, 'lst') || matches(command, 'list')) return this.#show(args, true);
    if (matches(command, 'help')) {
      await this.#c.err(LINK_USAGE);
      return 255;
    }
    throw new Refusal(`Command "${command}" is unknown, try "ip link help".\n`);
  }

  async #address([command, ...args]: readonly string[]): Promise<number> {
    if (command === undefined) return this.#show([], false);
    if (matches(command, 'show') || matches(command, 'lst') || matches(command, 'list')) return this.#show(args, false);
    const known = ['add', 'change', 'replace', 'delete', 'flush', 'save', 'showdump', 'restore', 'help'];
    if (known.some((name) => matches(command, name))) throw new Refusal(`"ip address ${command}" is not part of this lab: it has no internet protocols.\n`, 1);
    throw new Refusal(`Command "${command}" is unknown, try "ip address help".\n`);
  }

  /** A change, once what it says is read. @returns the status */
  async #talk(type: number, flags: number, head: Partial<Ifinfomsg>, attributes: Uint8Array): Promise<number> {
    try {
      await this.#socket.change(type, flags, head, attributes);
      return 0;
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      throw new Refusal(answers(error), 2);
    }
  }

  /** @throws Refusal when there is none */
  async #indexOf(device: string): Promise<number> {
    const index = await this.#socket.indexOf(device);
    if (index === 0) throw new Refusal(`Cannot find device "${device}"\n`, 1);
    return index;
  }

  async #set(args: readonly string[]): Promise<number> {
    const change = parseSet(args);
    if (change.device !== null && change.addressLength !== null && change.addressLength !== ETH_ALEN && (await this.#socket.indexOf(change.device)) !== 0) {
      throw new WrongVfAddress(change.addressLength);
    }
    if (change.index) throw new Refusal('index can be used only when creating devices or when moving device to another netns.\n');
    if (change.device === null) throw new Refusal('Not enough information: "dev" argument is required.\n');
    const ifi_index = await this.#indexOf(change.device);
    const b = new NlaBuilder();
    b.raw(change.attributes);
    if (change.master !== null) {
      const master = await this.#socket.indexOf(change.master);
      if (master === 0) throw Words.invalid(change.master, 'Device does not exist\n');
      b.putU32(IFLA_MASTER, master);
    }
    if (change.name !== null) b.putString(IFLA_IFNAME, change.name);
    return this.#talk(RTM_NEWLINK, 0, { ifi_index, ifi_flags: change.flags, ifi_change: change.mask }, b.bytes());
  }

  /** No kind of interface can be made here: the kernel says so. */
  async #add(args: readonly string[]): Promise<number> {
    const type = args.indexOf('type');
    if (type < 0 || args[type + 1] === undefined) throw new Refusal('Not enough information: "type" argument is required\n', 1);
    const name = args.slice(0, type).filter((word) => word !== 'dev' && word !== 'name').at(0);
    const b = new NlaBuilder();
    if (name !== undefined) b.putString(IFLA_IFNAME, name);
    return this.#talk(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, {}, b.bytes());
  }

  async #delete(args: readonly string[]): Promise<number> {
    const { device } = parseSet(args);
    if (device === null) throw new Refusal('Not enough information: "dev" argument is required.\n');
    return this.#talk(RTM_DELLINK, 0, { ifi_index: await this.#indexOf(device) }, new Uint8Array(0));
  }

  async #show(args: readonly string[], asLink: boolean): Promise<number> {
    const filter = await this.#filter(args);
    const { brief, json, pretty, family, ...rest } = this.#options;
    const show: ShowOptions = { ...rest, link: asLink, packet: asLink || family === 'unspec' || family === 'link' };
    const printer = new Printer(json, pretty);
    // No interface has an address: lists of addresses alone are empty.
    const links = asLink || show.packet ? await this.#links(filter, asLink) : [];
    const onlyAddresses = !asLink && show.oneline && family === 'unspec' && !brief;
    printer.json?.startArray();
    for (const link of links) {
      printer.object(null, () => {
        if (!filter.passes(link)) return;
        if (brief) printBrief(printer, link, { ...show, packet: asLink });
        else if (!onlyAddresses) printLink(printer, link, show);
        if (asLink) return;
        if (family === 'unspec') printer.list('addr_info', [], brief ? '\n' : '');
        if (show.stats > 0 && !brief) printStats(printer, link, show.stats > 1, '\n');
        if (show.stats > 0 && !brief) printer.text('\n');
      });
    }
    printer.json?.endArray();
    this.#c.out(printer.end());
    return 0;
  }

  async #links({ device, group }: Filter, asLink: boolean): Promise<Link[]> {
    if (device === null) return this.#socket.dump();
    if (group !== null || !asLink) return (await this.#socket.dump()).filter(({ name }) => name === device);
    try {
      return [await this.#socket.get(device)];
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      throw new Refusal(`${answers(error)}Cannot send link get request: ${errnoText(error.errno)}\n`, 1);
    }
  }

  /** Which interfaces `show` is to show. @throws Refusal */
  async #filter(args: readonly string[]): Promise<Filter> {
    const words = new Words(args);
    let [device, kind, group, master, up]: [string | null, string | null, number | null, boolean, boolean] = [null, null, null, false, false];
    for (let word = words.take(); word !== null; word = words.take()) {
      if (word === 'up') up = true;
      else if (word === 'nomaster') continue; // none has one
      else if (word === 'type') kind = words.next();
      else if (word === 'group') {
        const value = words.next();
        group = value === 'default' ? 0 : unsigned(value, 0, 0x7fff_ffff);
        if (group === null) throw Words.invalid(value, 'Invalid "group" value\n');
      } else if (word === 'master' || word === 'vrf') {
        const value = words.next();
        if ((await this.#socket.indexOf(value)) === 0) throw Words.invalid(value, 'Device does not exist\n');
        master = true;
      } else {
        const value = word === 'dev' ? words.next() : word;
        if (word !== 'dev' && matches(word, 'help')) throw new Refusal(LINK_USAGE);
        if (device !== null) throw new Refusal(`Error: either "dev" is duplicate, or "${value}" is a garbage.\n`);
        device = value;
      }
    }
    if (device !== null && (await this.#socket.indexOf(device)) === 0) throw new Refusal(`Device "${device}" does not exist.\n`, 1);
    return {
      device, group,
      passes: (link) => !master && kind === null && (!up || (link.flags & IFF_UP) !== 0) && (group === null || link.number(IFLA_GROUP) === group) && link.has(IFLA_ADDRESS),
    };
  }
}

interface Filter {
  readonly device: string | null;
  readonly group: number | null;
  readonly passes: (link: Link) => boolean;
}
