/** `vdpa` of iproute2 6.1: management devices and devices over generic netlink. Mirrors `vdpa/vdpa.c`. */
import { isKernelError } from '@vdpalab/abi';
import { getopt } from '@vdpalab/kmod';
import { Killed } from '@vdpalab/lab';
import { GenlSocket, NetlinkError, type GenlMessage } from '@vdpalab/user';
import {
  SIGABRT, VDPA_CMD_DEV_CONFIG_GET, VDPA_CMD_DEV_DEL, VDPA_CMD_DEV_GET, VDPA_CMD_DEV_NEW, VDPA_CMD_DEV_VSTATS_GET, VDPA_CMD_MGMTDEV_GET, VDPA_GENL_NAME,
} from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { complain, refused, WrongArgument, type Put } from './genl-tool.ts';
import { matches } from './iproute-words.ts';
import { parseArguments } from './vdpa-arguments.ts';
import { BufferOverflow, printConfig, printDevice, printMgmtdev, printStats, VdpaPrinter } from './vdpa-show.ts';

const HELP = `Usage: vdpa [ OPTIONS ] OBJECT { COMMAND | help }
where  OBJECT := { mgmtdev | dev }
       OPTIONS := { -V[ersion] | -n[o-nice-names] | -j[son] | -p[retty] }
`;
const MGMT_HELP = 'Usage: vdpa mgmtdev show [ DEV ]\n';
const CONFIG_HELP = 'Usage: vdpa dev config show [ DEV ]\n';
const STATS_HELP = 'Usage: vdpa dev vstats show DEV [qidx QUEUE_INDEX]\n';
const DEV_HELP = `Usage: vdpa dev show [ DEV ]
       vdpa dev add name NAME mgmtdev MANAGEMENTDEV [ mac MACADDR ] [ mtu MTU ]
                                                    [ max_vqp MAX_VQ_PAIRS ]
       vdpa dev del DEV
Usage: vdpa dev config COMMAND [ OPTIONS ]
Usage: vdpa dev vstats COMMAND
`;

/** -s is taken by getopt and by nothing else; the -n of the help is not even that. */
const OPTIONS = { short: 'jpVhs', long: { Version: 'V', json: 'j', pretty: 'p', help: 'h' } } as const;

/** The program. */
export const vdpa: Applet = async (c) => {
  const { options, operands, error } = getopt(c.args, OPTIONS);
  const flags = new Set<string>();
  for (const { name } of options) {
    if (name === 'V') {
      c.out('vdpa utility, iproute2-6.1.0\n');
      return 0;
    }
    if (name === 'h') return complain(c, HELP, 0);
    if (name === 's') return complain(c, `Unknown option.\n${HELP}`);
    flags.add(name);
  }
  if (error !== null) return complain(c, `${c.name}: ${error}\nUnknown option.\n${HELP}`);
  let socket: GenlSocket;
  try {
    socket = await GenlSocket.open(c.p, VDPA_GENL_NAME);
  } catch (failure) {
    if (!(failure instanceof NetlinkError) && !isKernelError(failure)) throw failure;
    return complain(c, 'Failed to connect to vdpa Netlink\n');
  }
  const printer = new VdpaPrinter(flags.has('j'), flags.has('p'));
  try {
    const status = await new Tool(c, socket, printer).run(operands);
    c.out(printer.end());
    return status;
  } catch (failure) {
    if (!(failure instanceof BufferOverflow)) throw failure;
    await c.err('*** buffer overflow detected ***: terminated\n');
    throw new Killed(c.p.proc, SIGABRT);
  } finally {
    await socket.close();
  }
};

/** One run, connected. */
class Tool {
  readonly #c: Program;
  readonly #socket: GenlSocket;
  readonly #printer: VdpaPrinter;

  constructor(c: Program, socket: GenlSocket, printer: VdpaPrinter) {
    this.#c = c;
    this.#socket = socket;
    this.#printer = printer;
  }

  async run(args: readonly string[]): Promise<number> {
    try {
      return await this.#object(args);
    } catch (error) {
      if (error instanceof NetlinkError) return refused(this.#c, error);
      if (error instanceof WrongArgument) return complain(this.#c, error.text);
      throw error;
    }
  }

  async #object([object, ...rest]: readonly string[]): Promise<number> {
    if (object === undefined || matches(object, 'help')) return complain(this.#c, HELP, 0);
    if (matches(object, 'mgmtdev')) return this.#mgmtdev(rest);
    if (matches(object, 'dev')) return this.#dev(rest);
    return complain(this.#c, `Object "${object}" not found\n`);
  }

  #notFound(command: string): Promise<number> {
    return complain(this.#c, `Command "${command}" not found\n`);
  }

  async #mgmtdev([command, ...args]: readonly string[]): Promise<number> {
    if (command === undefined || matches(command, 'help')) return complain(this.#c, MGMT_HELP, 0);
    if (!matches(command, 'show') && !matches(command, 'list')) return this.#notFound(command);
    return this.#show('mgmtdev', VDPA_CMD_MGMTDEV_GET, args.length > 0 ? parseArguments(args, ['mgmtdev-handle']) : null, printMgmtdev);
  }

  async #dev([command, ...args]: readonly string[]): Promise<number> {
    if (command === undefined || matches(command, 'show') || matches(command, 'list')) {
      return this.#show('dev', VDPA_CMD_DEV_GET, args.length > 0 ? parseArguments(args, ['device-handle']) : null, printDevice);
    }
    if (matches(command, 'help')) return complain(this.#c, DEV_HELP, 0);
    if (matches(command, 'add')) {
      await this.#socket.request(VDPA_CMD_DEV_NEW, parseArguments(args, ['name', 'mgmtdev'], ['mac', 'mtu', 'max_vqp']));
      return 0;
    }
    if (matches(command, 'del')) {
      await this.#socket.request(VDPA_CMD_DEV_DEL, parseArguments(args, ['device-handle']));
      return 0;
    }
    if (matches(command, 'config')) return this.#config(args);
    return command === 'vstats' ? this.#stats(args) : this.#notFound(command);
  }

  async #config([command, ...args]: readonly string[]): Promise<number> {
    if (command !== undefined && matches(command, 'help')) return complain(this.#c, CONFIG_HELP, 0);
    if (command !== undefined && !matches(command, 'show')) return this.#notFound(command);
    return this.#show('config', VDPA_CMD_DEV_CONFIG_GET, args.length > 0 ? parseArguments(args, ['device-handle']) : null, printConfig);
  }

  async #stats([command, ...args]: readonly string[]): Promise<number> {
    if (command === undefined) return complain(this.#c, STATS_HELP);
    if (command === 'help') return complain(this.#c, STATS_HELP, 0);
    if (command !== 'show') return this.#notFound(command);
    if (args.length !== 1 && args.length !== 3) return complain(this.#c, STATS_HELP);
    const put = parseArguments(args, ['device-handle'], ['qidx']);
    await this.#printer.section('vstats', async () => {
      try {
        for (const m of await this.#socket.request(VDPA_CMD_DEV_VSTATS_GET, put)) printStats(this.#printer, m);
      } catch (error) {
        if (!(error instanceof NetlinkError)) throw error;
        await refused(this.#c, error); // the tool ends well all the same
      }
    });
    return 0;
  }

  /** @param put names the one to show; `null`: all */
  async #show(section: string, cmd: number, put: Put | null, print: (p: VdpaPrinter, m: GenlMessage) => void): Promise<number> {
    await this.#printer.section(section, async () => {
      const messages = put === null ? await this.#socket.dump(cmd) : await this.#socket.request(cmd, put);
      for (const m of messages) print(this.#printer, m);
    });
    return 0;
  }
}
