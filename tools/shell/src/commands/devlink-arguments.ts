/** Arguments of the devlink tool's commands, as netlink attributes. Mirrors `dl_argv_parse` in `devlink/devlink.c` (iproute2 6.1). */
import * as uapi from '@vdpalab/uapi';
import { WrongArgument, type Put } from './genl-tool.ts';
import { linkAddress, unsigned } from './iproute-words.ts';

/** Longest address the tool reads. */
const MAX_ADDR_LEN = 32;

/** Modes of parameters by name. */
export const CMODES: Readonly<Record<string, number>> = {
  runtime: uapi.DEVLINK_PARAM_CMODE_RUNTIME, driverinit: uapi.DEVLINK_PARAM_CMODE_DRIVERINIT, permanent: uapi.DEVLINK_PARAM_CMODE_PERMANENT,
};

/** What a command acts on: an instance, a port of one, or either. */
export type Subject = 'device' | 'port' | 'either';

/** `DL_OPT_*` */
export type OptionName =
  | 'type' | 'mode' | 'inline-mode' | 'encap-mode' | 'name' | 'value' | 'cmode' | 'action' | 'limit' | 'hw_addr' | 'state' | 'flavour' | 'pfnum' | 'sfnum' | 'controller';

/** Reads the word behind an option. @throws WrongArgument */
type Reader = (value: string | undefined) => Put;

function text(put: (b: uapi.NlaBuilder, value: string) => void): Reader {
  return (value) => {
    if (value === undefined) throw new WrongArgument('String parameter expected\n');
    return (b) => put(b, value);
  };
}

/** @param refuse what is said of a word that is not among `values` */
function word(values: Readonly<Record<string, number>>, refuse: (word: string) => WrongArgument, put: (b: uapi.NlaBuilder, value: number) => void): Reader {
  return (value) => {
    if (value === undefined) throw new WrongArgument('String parameter expected\n');
    if (!Object.hasOwn(values, value)) throw refuse(value);
    return (b) => put(b, values[value] as number); // hasOwn
  };
}

function number(max: number, put: (b: uapi.NlaBuilder, value: number) => void): Reader {
  return (value) => {
    if (value === undefined) throw new WrongArgument('Unsigned number argument expected\n');
    const n = unsigned(value, 10, max);
    if (n === null) throw new WrongArgument(`"${value}" is not a number or not within range\n`);
    return (b) => put(b, n);
  };
}

const unknown = (what: string) => (given: string): WrongArgument => new WrongArgument(`Unknown ${what} "${given}"\n`);
const invalid = (what: string) => (given: string): WrongArgument => new WrongArgument(`Error: argument "${given}" is wrong: ${what}\n`, 255);

/** In the order in which words are compared with them: any beginning of one will do, and so will none. */
const READERS: Readonly<Record<OptionName, Reader>> = {
  type: word({ auto: uapi.DEVLINK_PORT_TYPE_AUTO, eth: uapi.DEVLINK_PORT_TYPE_ETH, ib: uapi.DEVLINK_PORT_TYPE_IB },
    unknown('port type'), (b, n) => b.putU16(uapi.DEVLINK_ATTR_PORT_TYPE, n)),
  mode: word({ legacy: uapi.DEVLINK_ESWITCH_MODE_LEGACY, switchdev: uapi.DEVLINK_ESWITCH_MODE_SWITCHDEV },
    unknown('eswitch mode'), (b, n) => b.putU16(uapi.DEVLINK_ATTR_ESWITCH_MODE, n)),
  'inline-mode': word({
    none: uapi.DEVLINK_ESWITCH_INLINE_MODE_NONE, link: uapi.DEVLINK_ESWITCH_INLINE_MODE_LINK, network: uapi.DEVLINK_ESWITCH_INLINE_MODE_NETWORK,
    transport: uapi.DEVLINK_ESWITCH_INLINE_MODE_TRANSPORT,
  }, unknown('eswitch inline mode'), (b, n) => b.putU8(uapi.DEVLINK_ATTR_ESWITCH_INLINE_MODE, n)),
  'encap-mode': word({
    disable: uapi.DEVLINK_ESWITCH_ENCAP_MODE_NONE, none: uapi.DEVLINK_ESWITCH_ENCAP_MODE_NONE, enable: uapi.DEVLINK_ESWITCH_ENCAP_MODE_BASIC,
    basic: uapi.DEVLINK_ESWITCH_ENCAP_MODE_BASIC,
  }, unknown('eswitch encap mode'), (b, n) => b.putU8(uapi.DEVLINK_ATTR_ESWITCH_ENCAP_MODE, n)),
  name: text((b, value) => b.putString(uapi.DEVLINK_ATTR_PARAM_NAME, value)),
  value: text(() => undefined), // its type is not known yet
  cmode: word(CMODES, unknown('configuration mode'), (b, n) => b.putU8(uapi.DEVLINK_ATTR_PARAM_VALUE_CMODE, n)),
  action: word({ driver_reinit: uapi.DEVLINK_RELOAD_ACTION_DRIVER_REINIT, fw_activate: uapi.DEVLINK_RELOAD_ACTION_FW_ACTIVATE },
    unknown('reload action'), (b, n) => b.putU8(uapi.DEVLINK_ATTR_RELOAD_ACTION, n)),
  limit: word({ no_reset: 1 << uapi.DEVLINK_RELOAD_LIMIT_NO_RESET },
    unknown('reload limit'), (b, bit) => b.put(uapi.DEVLINK_ATTR_RELOAD_LIMITS, uapi.nla_bitfield32.encode({ value: bit, selector: bit }))),
  hw_addr: (value) => {
    if (value === undefined) throw new WrongArgument('String parameter expected\n');
    const address = linkAddress(value, MAX_ADDR_LEN);
    if ('error' in address) throw new WrongArgument(address.error);
    return (b) => b.put(uapi.DEVLINK_PORT_FUNCTION_ATTR_HW_ADDR, address.bytes);
  },
  state: word({ inactive: uapi.DEVLINK_PORT_FN_STATE_INACTIVE, active: uapi.DEVLINK_PORT_FN_STATE_ACTIVE },
    invalid('unknown state'), (b, n) => b.putU8(uapi.DEVLINK_PORT_FN_ATTR_STATE, n)),
  flavour: word({
    physical: uapi.DEVLINK_PORT_FLAVOUR_PHYSICAL, cpu: uapi.DEVLINK_PORT_FLAVOUR_CPU, dsa: uapi.DEVLINK_PORT_FLAVOUR_DSA,
    pcipf: uapi.DEVLINK_PORT_FLAVOUR_PCI_PF, pcivf: uapi.DEVLINK_PORT_FLAVOUR_PCI_VF, pcisf: uapi.DEVLINK_PORT_FLAVOUR_PCI_SF,
    virtual: uapi.DEVLINK_PORT_FLAVOUR_VIRTUAL,
  }, invalid('unknown flavour'), (b, n) => b.putU16(uapi.DEVLINK_ATTR_PORT_FLAVOUR, n)),
  pfnum: number(0xffff, (b, n) => b.putU16(uapi.DEVLINK_ATTR_PORT_PCI_PF_NUMBER, n)),
  sfnum: number(0xffff_ffff, (b, n) => b.putU32(uapi.DEVLINK_ATTR_PORT_PCI_SF_NUMBER, n)),
  controller: number(0xffff_ffff, (b, n) => b.putU32(uapi.DEVLINK_ATTR_PORT_CONTROLLER_NUMBER, n)),
};

const ORDER = Object.keys(READERS) as readonly OptionName[]; // its keys

/** Options that go into the nest of a port's function. */
const FUNCTION: readonly OptionName[] = ['hw_addr', 'state'];

/** What is said when an option is missing; only the first is. */
const MISSING: readonly (readonly [OptionName, string])[] = [
  ['type', 'Port type not set.'], ['name', 'Parameter name expected.'], ['value', 'Value to set expected.'], ['cmode', 'Configuration mode expected.'],
  ['flavour', 'Port flavour is expected.'], ['pfnum', 'Port PCI PF number is expected.'],
];

/** Ports by the names of their interfaces. */
export type PortsByNetdev = () => Promise<ReadonlyMap<string, Handle>>;

/** An instance or a port. */
export interface Handle {
  readonly bus: string;
  readonly dev: string;
  readonly port: number | null;
}

/** What was read. */
export interface Arguments {
  /** Handle and options, but a parameter's value, whose type is not known yet. */
  readonly put: Put;
  readonly handle: Handle;
  /** Words as given. */
  readonly words: ReadonlyMap<OptionName, string>;
}

/** @throws WrongArgument */
export async function parseArguments(
  args: readonly string[], subject: Subject, ports: PortsByNetdev, required: readonly OptionName[] = [], optional: readonly OptionName[] = [],
): Promise<Arguments> {
  const [first, ...rest] = args;
  const handle = await readHandle(first, subject, ports);
  const words = new Map<OptionName, string>();
  const puts: Put[] = [putHandle(handle)];
  const fn: Put[] = [];
  const known = ORDER.filter((name) => required.includes(name) || optional.includes(name));
  while (rest.length > 0) {
    const given = rest.shift() as string; // one is there
    const option = known.find((name) => name.startsWith(given));
    if (option === undefined) throw new WrongArgument(`Unknown option "${given}"\n`);
    const value = rest.shift();
    (FUNCTION.includes(option) ? fn : puts).push(READERS[option](value));
    words.set(option, value as string); // a reader refuses none
  }
  const missing = MISSING.find(([name]) => required.includes(name) && !words.has(name));
  if (missing !== undefined) throw new WrongArgument(`${missing[1]}\n`);
  if (fn.length > 0) puts.push((b) => putFunction(b, fn));
  return { put: (b) => puts.forEach((put) => put(b)), handle, words };
}

function putFunction(b: uapi.NlaBuilder, fn: readonly Put[]): void {
  const nest = b.nestStart(uapi.DEVLINK_ATTR_PORT_FUNCTION | uapi.NLA_F_NESTED);
  for (const put of fn) put(b);
  b.nestEnd(nest);
}

function putHandle({ bus, dev, port }: Handle): Put {
  return (b) => {
    b.putString(uapi.DEVLINK_ATTR_BUS_NAME, bus);
    b.putString(uapi.DEVLINK_ATTR_DEV_NAME, dev);
    if (port !== null) b.putU32(uapi.DEVLINK_ATTR_PORT_INDEX, port);
  };
}

async function readHandle(word: string | undefined, subject: Subject, ports: PortsByNetdev): Promise<Handle> {
  const parts = word?.split('/') ?? [];
  if (subject === 'device') {
    if (word === undefined) throw new WrongArgument('Devlink identification ("bus_name/dev_name") expected\n');
    if (parts.length !== 2) throw new WrongArgument('Wrong identification string format.\nDevlink identification ("bus_name/dev_name") expected\n');
    return { bus: parts[0] as string, dev: parts[1] as string, port: null };
  }
  if (word === undefined) throw new WrongArgument(subject === 'port' ? `${PORT_FORMS} expected.\n` : `One of following identifications expected:\nDevlink identification ("bus_name/dev_name")\n${PORT_FORMS}\n`);
  const [bus = '', dev = '', index] = parts;
  if (parts.length === 3) {
    const port = unsigned(index, 10, 0xffff_ffff);
    if (port === null) throw new WrongArgument(`Port index "${index}" is not a number or not within range\n`);
    return { bus, dev, port };
  }
  if (parts.length === 2 && subject === 'either') return { bus, dev, port: null };
  if (parts.length === 1) {
    const found = (await ports()).get(word);
    if (found === undefined) throw new WrongArgument(`Netdevice "${word}" not found\n`);
    return found;
  }
  const either = subject === 'either' ? '"bus_name/dev_name" or ' : '';
  throw new WrongArgument(`Wrong port identification string format.\nExpected ${either}"bus_name/dev_name/port_index" or "netdev_ifname".\n`);
}

const PORT_FORMS = 'Port identification ("bus_name/dev_name/port_index" or "netdev ifname")';
