/**
 * `devlink` of iproute2 6.1: instances, ports and parameters over generic netlink. Mirrors `devlink/devlink.c`. Of its objects, `dev`
 * and `port`; no batches, no other network namespaces.
 */
import { isKernelError } from '@vdpalab/abi';
import { getopt } from '@vdpalab/kmod';
import { GenlSocket, NetlinkError, type GenlMessage } from '@vdpalab/user';
import * as uapi from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { parseArguments, CMODES, type Arguments, type Handle, type OptionName, type Subject } from './devlink-arguments.ts';
import { ADD_HELP, DEL_HELP, DEV_HELP, FUNCTION_HELP, HELP, PORT_HELP } from './devlink-help.ts';
import { DevlinkPrinter } from './devlink-print.ts';
import {
  MNL_TYPE, paramOf, printDevice, printEswitch, printInfo, printParam, printPerformed, printPort, shownValue, VALUE_NAMES, type Param,
} from './devlink-show.ts';
import { complain, refused, WrongArgument, type Put } from './genl-tool.ts';
import { unsigned } from './iproute-words.ts';

/** Names and verbosity change nothing of what is shown here; batches and namespaces are not the lab's. */
const OPTIONS = {
  short: 'Vfb:njpvsN:ix',
  long: {
    Version: 'V', force: 'f', batch: 'b:', 'no-nice-names': 'n', json: 'j', pretty: 'p', verbose: 'v', statistics: 's', Netns: 'N:', iec: 'i', hex: 'x',
  },
} as const;

/** The program. */
export const devlink: Applet = async (c) => {
  const { options, operands, error } = getopt(c.args, OPTIONS);
  const flags = new Set<string>();
  for (const { name } of options) {
    if (name === 'V') {
      c.out('devlink utility, iproute2-6.1.0\n');
      return 0;
    }
    if (name.startsWith('b') || name.startsWith('N')) return c.fail(`-${name[0]} is not of the lab's devlink`);
    flags.add(name);
  }
  if (error !== null) return complain(c, `${c.name}: ${error}\nUnknown option.\n${HELP}`);
  let socket: GenlSocket;
  try {
    socket = await GenlSocket.open(c.p, uapi.DEVLINK_GENL_NAME);
  } catch (failure) {
    if (!(failure instanceof NetlinkError) && !isKernelError(failure)) throw failure;
    return complain(c, 'Failed to connect to devlink Netlink\n');
  }
  const printer = new DevlinkPrinter(flags.has('j'), flags.has('p'));
  try {
    const status = await new Tool(c, socket, printer, flags.has('s')).run(operands);
    c.out(printer.end());
    return status;
  } finally {
    await socket.close();
  }
};

/** Any beginning of a word stands for it, and so does no word at all. */
const matches = (given: string | undefined, full: string): boolean => given !== undefined && full.startsWith(given);

/** One run, connected. */
class Tool {
  readonly #c: Program;
  readonly #socket: GenlSocket;
  readonly #p: DevlinkPrinter;
  readonly #stats: boolean;

  constructor(c: Program, socket: GenlSocket, printer: DevlinkPrinter, stats: boolean) {
    this.#c = c;
    this.#socket = socket;
    this.#p = printer;
    this.#stats = stats;
  }

  async run(args: readonly string[]): Promise<number> {
    try {
      return await this.#object(args);
    } catch (error) {
      if (error instanceof NetlinkError) return refused(this.#c, error);
      if (error instanceof WrongArgument) return complain(this.#c, error.text, error.status);
      throw error;
    }
  }

  async #object([object, ...rest]: readonly string[]): Promise<number> {
    if (object === undefined || matches(object, 'help')) return complain(this.#c, HELP, 0);
    if (matches(object, 'dev')) return this.#dev(rest);
    if (matches(object, 'port')) return this.#port(rest);
    return complain(this.#c, `Object "${object}" not found\n`);
  }

  #notFound(command: string | undefined): Promise<number> {
    return complain(this.#c, `Command "${command}" not found\n`);
  }

  #parse(args: readonly string[], subject: Subject, required: readonly OptionName[] = [], optional: readonly OptionName[] = []): Promise<Arguments> {
    return parseArguments(args, subject, () => this.#portsByNetdev(), required, optional);
  }

  async #portsByNetdev(): Promise<ReadonlyMap<string, Handle>> {
    const ports = (await this.#socket.dump(uapi.DEVLINK_CMD_PORT_GET)).filter((m) => m.has(uapi.DEVLINK_ATTR_PORT_NETDEV_NAME));
    return new Map(ports.map((m) => [m.string(uapi.DEVLINK_ATTR_PORT_NETDEV_NAME), {
      bus: m.string(uapi.DEVLINK_ATTR_BUS_NAME), dev: m.string(uapi.DEVLINK_ATTR_DEV_NAME), port: m.number(uapi.DEVLINK_ATTR_PORT_INDEX),
    }]));
  }

  /** @param put names the one to show; `null`: all */
  async #show(section: string, cmd: number, put: Put | null, print: (m: GenlMessage) => void): Promise<number> {
    await this.#p.section(section, async () => {
      for (const m of put === null ? await this.#socket.dump(cmd) : await this.#socket.request(cmd, put)) print(m);
    });
    return 0;
  }

  async #set(cmd: number, { put }: Arguments): Promise<number> {
    await this.#socket.request(cmd, put);
    return 0;
  }

  async #dev([command, ...args]: readonly string[]): Promise<number> {
    if (matches(command, 'help')) return complain(this.#c, DEV_HELP, 0);
    if (command === undefined || matches(command, 'show') || matches(command, 'list')) {
      const put = args.length === 0 ? null : (await this.#parse(args, 'device')).put;
      return this.#show('dev', uapi.DEVLINK_CMD_GET, put, (m) => printDevice(this.#p, m, this.#stats));
    }
    if (matches(command, 'eswitch')) return this.#eswitch(args);
    if (matches(command, 'reload')) return this.#reload(args);
    if (matches(command, 'param')) return this.#param(args);
    if (!matches(command, 'info')) return this.#notFound(command);
    if (matches(args[0], 'help')) return complain(this.#c, DEV_HELP, 0);
    const put = args.length === 0 ? null : (await this.#parse(args, 'device')).put;
    return this.#show('info', uapi.DEVLINK_CMD_INFO_GET, put, (m) => printInfo(this.#p, m));
  }

  async #eswitch([command, ...args]: readonly string[]): Promise<number> {
    if (command === undefined || matches(command, 'help')) return complain(this.#c, DEV_HELP, 0);
    if (matches(command, 'set')) {
      const parsed = await this.#parse(args, 'device', [], ['mode', 'inline-mode', 'encap-mode']);
      if (parsed.words.size === 0) return complain(this.#c, 'Need to set at least one option\n');
      return this.#set(uapi.DEVLINK_CMD_ESWITCH_SET, parsed);
    }
    if (!matches(command, 'show')) return this.#notFound(command);
    const { put } = await this.#parse(args, 'device');
    return this.#show('dev', uapi.DEVLINK_CMD_ESWITCH_GET, put, (m) => printEswitch(this.#p, m));
  }

  async #reload(args: readonly string[]): Promise<number> {
    if (args.length === 0 || matches(args[0], 'help')) return complain(this.#c, DEV_HELP, 0);
    const { put } = await this.#parse(args, 'device', [], ['action', 'limit']);
    for (const m of await this.#socket.request(uapi.DEVLINK_CMD_RELOAD, put)) await this.#p.section('reload', async () => printPerformed(this.#p, m));
    return 0;
  }

  async #param([command, ...args]: readonly string[]): Promise<number> {
    if (matches(command, 'help')) return complain(this.#c, DEV_HELP, 0);
    if (command === undefined || matches(command, 'show') || matches(command, 'list')) {
      const put = args.length === 0 ? null : (await this.#parse(args, 'device', ['name'])).put;
      return this.#show('param', uapi.DEVLINK_CMD_PARAM_GET, put, (m) => printParam(this.#p, m));
    }
    if (!matches(command, 'set')) return this.#notFound(command);
    return this.#setParam(await this.#parse(args, 'device', ['name', 'value', 'cmode']));
  }

  /** Asks for the parameter first: what type it is, and whether it is that already. */
  async #setParam({ put, words }: Arguments): Promise<number> {
    const [shown] = await this.#socket.request(uapi.DEVLINK_CMD_PARAM_GET, put);
    if (shown === undefined) throw new Error('devlink: a parameter was asked for, and nothing came');
    const param = paramOf(shown);
    const cmode = CMODES[words.get('cmode') ?? ''];
    const current = param.values.find((value) => value.cmode === cmode);
    if (current === undefined) return complain(this.#c, 'Configuration mode not supported\n');
    const text = words.get('value') ?? '';
    const data = bytesOf(param, text);
    if (data === undefined) return complain(this.#c, `Value "${text}" is not a number or not within range\n`);
    if (shownValue(param, data) === shownValue(param, current.data)) return 0;
    await this.#socket.request(uapi.DEVLINK_CMD_PARAM_SET, (b) => {
      put(b);
      b.putU8(uapi.DEVLINK_ATTR_PARAM_TYPE, param.type);
      if (data !== null) b.put(uapi.DEVLINK_ATTR_PARAM_VALUE_DATA, data);
    });
    return 0;
  }

  async #port([command, ...args]: readonly string[]): Promise<number> {
    if (matches(command, 'help')) return complain(this.#c, PORT_HELP, 0);
    if (command === undefined || matches(command, 'show') || matches(command, 'list')) {
      const put = args.length === 0 ? null : (await this.#parse(args, 'port')).put;
      return this.#show('port', uapi.DEVLINK_CMD_PORT_GET, put, (m) => printPort(this.#p, m));
    }
    if (matches(command, 'set')) return this.#set(uapi.DEVLINK_CMD_PORT_SET, await this.#parse(args, 'port', ['type']));
    if (matches(command, 'function')) return this.#function(args);
    if (matches(command, 'add')) {
      if (args.length === 0 || matches(args[0], 'help')) return complain(this.#c, ADD_HELP, 0);
      const { put } = await this.#parse(args, 'either', ['flavour', 'pfnum'], ['sfnum', 'controller']);
      for (const m of await this.#socket.request(uapi.DEVLINK_CMD_PORT_NEW, put)) printPort(this.#p, m);
      return 0;
    }
    if (!matches(command, 'del')) return this.#notFound(command);
    if (args.length === 0 || matches(args[0], 'help')) return complain(this.#c, DEL_HELP, 0);
    return this.#set(uapi.DEVLINK_CMD_PORT_DEL, await this.#parse(args, 'port'));
  }

  async #function([command, ...args]: readonly string[]): Promise<number> {
    if (command === undefined || matches(command, 'help')) return complain(this.#c, FUNCTION_HELP, 0);
    if (!matches(command, 'set')) return this.#notFound(command);
    if (args.length === 0) return complain(this.#c, FUNCTION_HELP, 0);
    return this.#set(uapi.DEVLINK_CMD_PORT_SET, await this.#parse(args, 'port', [], ['hw_addr', 'state']));
  }
}

/** A value's text as bytes, `null` for a flag that is off; undefined for what is no such value. */
function bytesOf({ name, type }: Param, text: string): Uint8Array | null | undefined {
  if (type === MNL_TYPE.flag) {
    if (['true', '1', 'enable'].includes(text)) return new Uint8Array(0);
    return ['false', '0', 'disable'].includes(text) ? null : undefined;
  }
  if (type === MNL_TYPE.string) return uapi.utf8Encode(`${text}\0`);
  const size = type === MNL_TYPE.u8 ? 1 : type === MNL_TYPE.u16 ? 2 : 4;
  const names = VALUE_NAMES[name];
  const n = names === undefined ? unsigned(text, 10, 2 ** (8 * size) - 1) : names.includes(text) ? names.indexOf(text) : null;
  return n === null ? undefined : Uint8Array.from({ length: size }, (_, i) => Math.floor(n / 256 ** i));
}
