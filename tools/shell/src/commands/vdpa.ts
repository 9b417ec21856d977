/** `vdpa`: management of vDPA devices over generic netlink. Mirrors `vdpa/vdpa.c` (iproute2 6.1). */
import { GenlSocket, NetlinkError, type GenlMessage } from '@vdpalab/user';
import {
  VDPA_ATTR_DEV_NAME, VDPA_ATTR_DEV_NET_CFG_MACADDR, VDPA_ATTR_DEV_NET_CFG_MAX_VQP, VDPA_ATTR_DEV_NET_CFG_MTU,
  VDPA_ATTR_DEV_QUEUE_INDEX, VDPA_ATTR_MGMTDEV_BUS_NAME, VDPA_ATTR_MGMTDEV_DEV_NAME, VDPA_CMD_DEV_CONFIG_GET, VDPA_CMD_DEV_DEL,
  VDPA_CMD_DEV_GET, VDPA_CMD_DEV_NEW, VDPA_CMD_DEV_VSTATS_GET, VDPA_CMD_MGMTDEV_GET, type NlaBuilder,
} from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { errnoText } from '../system.ts';
import { jsonText, type Json } from './json.ts';
import { showConfig, showDevice, showMgmtdev, type Shown } from './vdpa-format.ts';

const usage = `Usage: vdpa [ OPTIONS ] OBJECT { COMMAND | help }
where  OBJECT := { mgmtdev | dev }
       OPTIONS := { -V[ersion] | -n[o-nice-names] | -j[son] | -p[retty] }
`;
const mgmtdevUsage = 'Usage: vdpa mgmtdev show [ DEV ]\n';
const configUsage = 'Usage: vdpa dev config COMMAND [ OPTIONS ]\n';
const vstatsUsage = 'Usage: vdpa dev vstats COMMAND\n';
const devUsage = `Usage: vdpa dev show [ DEV ]
       vdpa dev add name NAME mgmtdev MANAGEMENTDEV [ mac MACADDR ] [ mtu MTU ]
                                                    [ max_vqp MAX_VQ_PAIRS ]
       vdpa dev del DEV
${configUsage}${vstatsUsage}`;

/** How one call prints. */
interface Output {
  readonly json: boolean;
  readonly pretty: boolean;
}

/** Ends the program with a message on standard error. */
class Refusal {
  readonly text: string;
  readonly status: number;

  constructor(text: string, status = 1) {
    this.text = text;
    this.status = status;
  }
}

/** What the kernel refused, as iproute2 words it. */
function refusalText(error: NetlinkError): string {
  return `${error.extack === null ? '' : `Error: ${error.extack}.\n`}kernel answers: ${errnoText(error.errno)}\n`;
}

/** `BUS/NAME` or `NAME`. */
function putMgmtdev(b: NlaBuilder, handle: string): void {
  const parts = handle.split('/');
  if (parts.length > 2) {
    throw new Refusal('Wrong vdpa mgmtdev identification string format\nExpected "mgmtdev_bus_name/mgmtdev_name"\nExpected "mgmtdev_name"\n');
  }
  const [first, second] = parts as [string, string?];
  if (second !== undefined) b.putString(VDPA_ATTR_MGMTDEV_BUS_NAME, first);
  b.putString(VDPA_ATTR_MGMTDEV_DEV_NAME, second ?? first);
}

/** `strtoul` of the whole text into 16 bits. */
function u16(text: string): number {
  const m = /^(0[xX][0-9a-fA-F]+|\d+)$/.exec(text);
  const value = m === null ? Number.NaN : Number(m[1]);
  if (!(value <= 0xffff)) throw new Refusal('');
  return value;
}

/** Six bytes; missing ones are zero, as the tool sends them. */
function macBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(6);
  text.split(':').forEach((part, i) => {
    if (!/^[0-9a-f]{1,2}$/i.test(part)) throw new Refusal(`"${part}" is invalid lladdr.\n`);
    bytes[i] = Number.parseInt(part, 16);
  });
  return bytes;
}

/** Arguments after `dev add`, put into the request. */
function addRequest(args: readonly string[]): (b: NlaBuilder) => void {
  let name: string | null = null;
  let mgmtdev: string | null = null;
  const puts: ((b: NlaBuilder) => void)[] = [];
  for (let i = 0; i < args.length; i += 2) {
    const [option, value] = [args[i] as string, args[i + 1]];
    if (option === 'name') name = value ?? null;
    else if (option === 'mgmtdev') mgmtdev = value ?? null;
    else if (option === 'mac') {
      const mac = value === undefined ? null : macBytes(value);
      if (mac !== null) puts.push((b) => b.put(VDPA_ATTR_DEV_NET_CFG_MACADDR, mac));
    } else if (option === 'mtu' || option === 'max_vqp') {
      const number = u16(value ?? '');
      puts.push((b) => b.putU16(option === 'mtu' ? VDPA_ATTR_DEV_NET_CFG_MTU : VDPA_ATTR_DEV_NET_CFG_MAX_VQP, number));
    } else throw new Refusal(`Unknown option "${option}"\n`);
  }
  if (mgmtdev === null) throw new Refusal('management device handle not set.\n');
  if (name === null) throw new Refusal('device name is not set.\n');
  const [handle, device] = [mgmtdev, name];
  return (b) => {
    putMgmtdev(b, handle);
    b.putString(VDPA_ATTR_DEV_NAME, device);
    for (const put of puts) put(b);
  };
}

function print(c: Program, o: Output, heading: string, shown: readonly Shown[]): void {
  if (!o.json) {
    for (const s of shown) c.out(`${s.name}:${s.text}`);
    return;
  }
  const all: Json = { [heading]: Object.fromEntries(shown.map((s) => [s.name, s.json])) };
  c.out(jsonText(all, o.pretty));
}

/** A show command: all by a dump, one by its name. */
async function show(
  c: Program, o: Output, cmd: number, heading: string, put: ((b: NlaBuilder) => void) | null, shown: (m: GenlMessage) => Shown,
): Promise<void> {
  const socket = await GenlSocket.open(c.p, 'vdpa');
  try {
    const messages = put === null ? await socket.dump(cmd) : await socket.request(cmd, put);
    print(c, o, heading, messages.map(shown));
  } finally {
    await socket.close();
  }
}

async function send(c: Program, cmd: number, put: (b: NlaBuilder) => void): Promise<void> {
  const socket = await GenlSocket.open(c.p, 'vdpa');
  try {
    await socket.request(cmd, put);
  } finally {
    await socket.close();
  }
}

const byName = (name: string | undefined): ((b: NlaBuilder) => void) | null =>
  name === undefined ? null : (b) => void b.putString(VDPA_ATTR_DEV_NAME, name);

async function mgmtdev(c: Program, o: Output, args: readonly string[]): Promise<number> {
  const [command, handle] = args;
  if (command === undefined || command === 'help') throw new Refusal(mgmtdevUsage, 0);
  if (command !== 'show' && command !== 'list') throw new Refusal(`Command "${command}" not found\n`);
  await show(c, o, VDPA_CMD_MGMTDEV_GET, 'mgmtdev', handle === undefined ? null : (b) => putMgmtdev(b, handle), showMgmtdev);
  return 0;
}

/** Statistics of a queue; a refusal is told, and the status stays 0. */
async function vstats(c: Program, args: readonly string[]): Promise<number> {
  const [command, name, option, index] = args;
  if (command === undefined || command === 'help') throw new Refusal(vstatsUsage, 0);
  if (command !== 'show') throw new Refusal(`Command "${command}" not found\n`);
  if (name === undefined) throw new Refusal('device name is not set.\n');
  try {
    await send(c, VDPA_CMD_DEV_VSTATS_GET, (b) => {
      b.putString(VDPA_ATTR_DEV_NAME, name);
      if (option === 'qidx' && index !== undefined) b.putU32(VDPA_ATTR_DEV_QUEUE_INDEX, u16(index));
    });
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    await c.err(refusalText(error));
  }
  return 0;
}

async function dev(c: Program, o: Output, args: readonly string[]): Promise<number> {
  const [command = 'show', ...rest] = args;
  switch (command) {
    case 'help': throw new Refusal(devUsage, 0);
    case 'show':
    case 'list': await show(c, o, VDPA_CMD_DEV_GET, 'dev', byName(rest[0]), showDevice); return 0;
    case 'add': await send(c, VDPA_CMD_DEV_NEW, addRequest(rest)); return 0;
    case 'del': {
      const put = byName(rest[0]);
      if (put === null) throw new Refusal('device name is not set.\n');
      await send(c, VDPA_CMD_DEV_DEL, put);
      return 0;
    }
    case 'config': {
      if (rest[0] === undefined || rest[0] === 'help') throw new Refusal(configUsage, 0);
      if (rest[0] !== 'show') throw new Refusal(`Command "${rest[0]}" not found\n`);
      await show(c, o, VDPA_CMD_DEV_CONFIG_GET, 'config', byName(rest[1]), showConfig);
      return 0;
    }
    case 'vstats': return await vstats(c, rest);
    default: throw new Refusal(`Command "${command}" not found\n`);
  }
}

/** Options before the object. @throws Refusal for one that is unknown */
function options(args: readonly string[]): { output: Output; version: boolean; rest: readonly string[] } {
  let json = false;
  let pretty = false;
  let version = false;
  const rest: string[] = [];
  for (const arg of args) {
    if (!/^-./.test(arg)) {
      rest.push(arg);
      continue;
    }
    const long: Readonly<Record<string, string>> = { '--json': '-j', '--pretty': '-p', '--Version': '-V', '--help': '-h', '--no-nice-names': '-n' };
    for (const letter of (long[arg] ?? arg).slice(1)) {
      if (letter === 'j') json = true;
      else if (letter === 'p') pretty = true;
      else if (letter === 'V') version = true;
      else if (letter === 'h') throw new Refusal(usage, 0);
      else if (letter !== 'n') throw new Refusal(`vdpa: invalid option -- '${letter}'\nUnknown option.\n${usage}`);
    }
  }
  return { output: { json, pretty }, version, rest };
}

/** The program. */
export const vdpa: Applet = async (c) => {
  try {
    const { output, version, rest } = options(c.args);
    if (version) {
      c.out('vdpa utility, iproute2-6.1.0\n');
      return 0;
    }
    const [object, ...args] = rest;
    if (object === undefined || object === 'help') throw new Refusal(usage, 0);
    if (object === 'mgmtdev') return await mgmtdev(c, output, args);
    if (object === 'dev') return await dev(c, output, args);
    throw new Refusal(`Object "${object}" not found\n`);
  } catch (error) {
    if (error instanceof Refusal) {
      await c.err(error.text);
      return error.status;
    }
    if (error instanceof NetlinkError) {
      await c.err(error.errno === 'ENOENT' && error.extack === null ? 'Failed to connect to vdpa Netlink\n' : refusalText(error));
      return 1;
    }
    throw error;
  }
};
