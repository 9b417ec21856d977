/** `vdpa` of iproute2 6.1: management devices and devices over generic netlink. */
import { isKernelError } from '@vdpalab/abi';
import { GenlSocket, NetlinkError, type GenlMessage } from '@vdpalab/user';
import {
  VDPA_ATTR_DEV_NAME, VDPA_ATTR_DEV_NET_CFG_MACADDR, VDPA_ATTR_DEV_NET_CFG_MAX_VQP, VDPA_ATTR_DEV_NET_CFG_MTU, VDPA_ATTR_DEV_QUEUE_INDEX,
  VDPA_ATTR_MGMTDEV_BUS_NAME, VDPA_ATTR_MGMTDEV_DEV_NAME, VDPA_CMD_DEV_CONFIG_GET, VDPA_CMD_DEV_DEL, VDPA_CMD_DEV_GET, VDPA_CMD_DEV_NEW,
  VDPA_CMD_DEV_VSTATS_GET, VDPA_CMD_MGMTDEV_GET, VDPA_GENL_NAME, type NlaBuilder,
} from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { errnoText } from '../system.ts';
import { jsonText } from './json.ts';
import { configEntry, deviceEntry, mgmtdevEntry, statsEntry, type Entry } from './vdpa-show.ts';

const HELP = `Usage: vdpa [ OPTIONS ] OBJECT { COMMAND | help }
where  OBJECT := { mgmtdev | dev }
       OPTIONS := { -V[ersion] | -n[o-nice-names] | -j[son] | -p[retty] }
`;
const MGMT_HELP = 'Usage: vdpa mgmtdev show [ DEV ]\n';
const CONFIG_HELP = 'Usage: vdpa dev config COMMAND [ OPTIONS ]\n';
const STATS_HELP = 'Usage: vdpa dev vstats COMMAND\n';
const DEV_HELP = `Usage: vdpa dev show [ DEV ]
       vdpa dev add name NAME mgmtdev MANAGEMENTDEV [ mac MACADDR ] [ mtu MTU ]
                                                    [ max_vqp MAX_VQ_PAIRS ]
       vdpa dev del DEV
${CONFIG_HELP}${STATS_HELP}`;

const LONG: Readonly<Record<string, string>> = { version: 'V', json: 'j', pretty: 'p', 'no-nice-names': 'n', help: 'h' };

/** The program. */
export const vdpa: Applet = async (c) => {
  const operands: string[] = [];
  const flags = new Set<string>();
  let rest = false;
  for (const arg of c.args) {
    if (rest || !/^-./.test(arg)) {
      operands.push(arg);
      continue;
    }
    if (arg === '--') {
      rest = true;
      continue;
    }
    for (const letter of arg.startsWith('--') ? [LONG[arg.slice(2)] ?? '?'] : arg.slice(1)) {
      if ('Vjpnh'.includes(letter)) flags.add(letter);
      else {
        const known = letter === 's' || letter === '?';
        await c.err(`${known ? '' : `vdpa: invalid option -- '${letter}'\n`}Unknown option.\n${HELP}`);
        return 1;
      }
    }
    if (flags.has('V')) {
      c.out('vdpa utility, iproute2-6.1.0\n');
      return 0;
    }
    if (flags.has('h')) {
      await c.err(HELP);
      return 0;
    }
  }
  let socket: GenlSocket;
  try {
    socket = await GenlSocket.open(c.p, VDPA_GENL_NAME);
  } catch (error) {
    if (!(error instanceof NetlinkError) && !isKernelError(error)) throw error;
    await c.err('Failed to connect to vdpa Netlink\n');
    return 1;
  }
  try {
    return await new Tool(c, socket, flags).run(operands);
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return refused(c, error);
  } finally {
    await socket.close();
  }
};

/** What libnetlink prints of a refusal. @returns 1 */
export async function refused(c: Program, error: NetlinkError): Promise<number> {
  const { extack } = error;
  await c.err(`${extack === null ? '' : `Error: ${extack}${extack.endsWith('.') ? '' : '.'}\n`}kernel answers: ${errnoText(error.errno)}\n`);
  return 1;
}

/** iproute2 takes any beginning of a word. */
function is(word: string, full: string): boolean {
  return word !== '' && full.startsWith(word);
}

class Tool {
  readonly #c: Program;
  readonly #socket: GenlSocket;
  readonly #json: boolean;
  readonly #pretty: boolean;

  constructor(c: Program, socket: GenlSocket, flags: ReadonlySet<string>) {
    this.#c = c;
    this.#socket = socket;
    this.#json = flags.has('j');
    this.#pretty = flags.has('p');
  }

  async run(args: readonly string[]): Promise<number> {
    const [object, ...rest] = args;
    if (object === undefined || is(object, 'help')) return this.#help(HELP);
    if (is(object, 'mgmtdev')) return this.#mgmtdev(rest);
    if (is(object, 'dev')) return this.#dev(rest);
    await this.#c.err(`Object "${object}" not found\n`);
    return 1;
  }

  async #help(text: string): Promise<number> {
    await this.#c.err(text);
    return 0;
  }

  async #notFound(command: string): Promise<number> {
    await this.#c.err(`Command "${command}" not found\n`);
    return 1;
  }

  async #mgmtdev([command, handle]: readonly string[]): Promise<number> {
    if (command === undefined || is(command, 'help')) return this.#help(MGMT_HELP);
    if (!is(command, 'show') && !is(command, 'list')) return this.#notFound(command);
    const put = handle === undefined ? null : await this.#handle(handle);
    if (handle !== undefined && put === null) return 1;
    const messages = await this.#get(VDPA_CMD_MGMTDEV_GET, put);
    this.#show('mgmtdev', messages.map((m) => mgmtdevEntry(m)));
    return 0;
  }

  async #dev([command, ...args]: readonly string[]): Promise<number> {
    if (command === undefined || is(command, 'show') || is(command, 'list')) {
      this.#show('dev', (await this.#get(VDPA_CMD_DEV_GET, byName(args[0]))).map((m) => deviceEntry(m)));
      return 0;
    }
    if (is(command, 'help')) return this.#help(DEV_HELP);
    if (is(command, 'add')) return this.#add(args);
    if (is(command, 'del')) {
      if (args[0] === undefined) {
        await this.#c.err('String parameter expected\n');
        return 1;
      }
      await this.#socket.request(VDPA_CMD_DEV_DEL, byName(args[0]) ?? undefined);
      return 0;
    }
    if (is(command, 'config')) return this.#config(args);
    return is(command, 'vstats') ? this.#stats(args) : this.#notFound(command);
  }

  async #config([command, name]: readonly string[]): Promise<number> {
    if (command !== undefined && is(command, 'help')) return this.#help(CONFIG_HELP);
    if (command !== undefined && !is(command, 'show') && !is(command, 'list')) return this.#notFound(command);
    this.#show('config', (await this.#get(VDPA_CMD_DEV_CONFIG_GET, byName(name))).map((m) => configEntry(m)));
    return 0;
  }

  async #stats([command, name, key, index]: readonly string[]): Promise<number> {
    if (command === undefined || is(command, 'help')) return this.#help(STATS_HELP);
    if (!is(command, 'show') && !is(command, 'list')) return this.#notFound(command);
    try {
      const messages = await this.#socket.request(VDPA_CMD_DEV_VSTATS_GET, (b) => {
        if (name !== undefined) b.putString(VDPA_ATTR_DEV_NAME, name);
        if (key === 'qidx' && index !== undefined) b.putU32(VDPA_ATTR_DEV_QUEUE_INDEX, Number(index));
      });
      this.#show('vstats', messages.map((m) => statsEntry(m)));
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      await refused(this.#c, error); // the tool ends well all the same
    }
    return 0;
  }

  /** `BUS/NAME` or `NAME`. @returns `null` after a complaint */
  async #handle(text: string): Promise<((b: NlaBuilder) => void) | null> {
    const parts = text.split('/');
    if (parts.length > 2) {
      await this.#c.err('Wrong vdpa mgmtdev identification string format\nExpected "mgmtdev_bus_name/mgmtdev_name"\nExpected "mgmtdev_name"\n');
      return null;
    }
    return (b) => {
      if (parts.length === 2) b.putString(VDPA_ATTR_MGMTDEV_BUS_NAME, parts[0]);
      b.putString(VDPA_ATTR_MGMTDEV_DEV_NAME, parts.at(-1) ?? '');
    };
  }

  async #add(args: readonly string[]): Promise<number> {
    const puts: ((b: NlaBuilder) => void)[] = [];
    let handle: ((b: NlaBuilder) => void) | null = null;
    let name: string | undefined;
    for (let i = 0; i < args.length; i += 2) {
      const [key, value] = [args[i], args[i + 1]];
      if (is(key, 'name')) name = value;
      else if (is(key, 'mgmtdev')) {
        handle = await this.#handle(value ?? '');
        if (handle === null) return 1;
      } else if (key === 'mac') {
        const mac = await this.#mac(value ?? '');
        if (mac === null) return 1;
        puts.push((b) => void b.put(VDPA_ATTR_DEV_NET_CFG_MACADDR, mac));
      } else if (key === 'mtu' || is(key, 'max_vqp')) {
        const number = u16(value);
        if (number === null) return 1;
        puts.push((b) => void b.putU16(key === 'mtu' ? VDPA_ATTR_DEV_NET_CFG_MTU : VDPA_ATTR_DEV_NET_CFG_MAX_VQP, number));
      } else {
        await this.#c.err(`Unknown option "${key}"\n`);
        return 1;
      }
    }
    if (handle === null || name === undefined) {
      await this.#c.err(handle === null ? 'management device handle not set.\n' : 'device name is not set.\n');
      return 1;
    }
    const [putHandle, device] = [handle, name];
    await this.#socket.request(VDPA_CMD_DEV_NEW, (b) => {
      putHandle(b);
      b.putString(VDPA_ATTR_DEV_NAME, device);
      for (const put of puts) put(b);
    });
    return 0;
  }

  /** `ll_addr_a2n`: up to six bytes count. */
  async #mac(text: string): Promise<Uint8Array | null> {
    const mac = new Uint8Array(6);
    for (const [i, part] of text.split(':').slice(0, 6).entries()) {
      if (part !== '' && !/^[0-9a-fA-F]{1,2}$/.test(part)) {
        await this.#c.err(`"${part}" is invalid lladdr.\n`);
        return null;
      }
      mac[i] = Number.parseInt(part === '' ? '0' : part, 16);
    }
    return mac;
  }

  #get(cmd: number, put: ((b: NlaBuilder) => void) | null): Promise<GenlMessage[]> {
    return put === null ? this.#socket.dump(cmd) : this.#socket.request(cmd, put);
  }

  #show(object: string, entries: readonly Entry[]): void {
    if (this.#json) this.#c.out(jsonText({ [object]: Object.fromEntries(entries.map(({ name, json }) => [name, json])) }, this.#pretty));
    else for (const { text } of entries) this.#c.out(text);
  }
}

function byName(name: string | undefined): ((b: NlaBuilder) => void) | null {
  return name === undefined ? null : (b) => void b.putString(VDPA_ATTR_DEV_NAME, name);
}

function u16(text: string | undefined): number | null {
  if (text === undefined || !/^(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) return null;
  const value = /^0\d/.test(text) ? Number.parseInt(text, 8) : Number(text);
  return value <= 0xffff ? value : null;
}
