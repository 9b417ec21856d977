/** Arguments of the vdpa tool's commands, as netlink attributes. Mirrors `vdpa_argv_parse_put` in `vdpa/vdpa.c` (iproute2 6.1). */
import {
  ETH_ALEN, VDPA_ATTR_DEV_NAME, VDPA_ATTR_DEV_NET_CFG_MACADDR, VDPA_ATTR_DEV_NET_CFG_MAX_VQP, VDPA_ATTR_DEV_NET_CFG_MTU,
  VDPA_ATTR_DEV_QUEUE_INDEX, VDPA_ATTR_MGMTDEV_BUS_NAME, VDPA_ATTR_MGMTDEV_DEV_NAME,
} from '@vdpalab/uapi';
import { WrongArgument, type Put } from './genl-tool.ts';
import { linkAddress, matches, unsigned } from './iproute-words.ts';

/** `VDPA_OPT_*`: a handle comes first and has no word before it. */
export type OptionName = 'mgmtdev-handle' | 'device-handle' | 'name' | 'mgmtdev' | 'mac' | 'mtu' | 'max_vqp' | 'qidx';

/** In the order of the attributes in the message. */
const ORDER: readonly OptionName[] = ['mgmtdev-handle', 'device-handle', 'mgmtdev', 'name', 'mac', 'mtu', 'max_vqp', 'qidx'];
/** Words any beginning of which will do. */
const SHORTENED: readonly OptionName[] = ['name', 'mgmtdev', 'max_vqp'];
const MISSING: readonly (readonly [OptionName, string])[] = [['mgmtdev', 'management device handle not set.\n'], ['name', 'device name is not set.\n']];

/**
 * Read a command's arguments. A word that is left alone at the end is passed over; of a word said twice the last counts.
 *
 * @throws WrongArgument
 */
export function parseArguments(args: readonly string[], required: readonly OptionName[], optional: readonly OptionName[] = []): Put {
  const found = new Map<OptionName, Put>();
  const rest = [...args];
  const mac = new Uint8Array(ETH_ALEN);
  const [first] = required;
  if (first === 'mgmtdev-handle' || first === 'device-handle') found.set(first, valueOf(first, rest.shift(), mac));
  const known = [...required, ...optional];
  while (rest.length > 1) {
    const [word, value] = rest.splice(0, 2) as [string, string]; // two are there
    const option = known.find((name) => (SHORTENED.includes(name) ? matches(word, name) : word === name));
    if (option === undefined) throw new WrongArgument(`Unknown option "${word}"\n`);
    found.set(option, valueOf(option, value, mac));
  }
  for (const [name, text] of MISSING) if (required.includes(name) && !found.has(name)) throw new WrongArgument(text);
  return (b) => {
    for (const name of ORDER) found.get(name)?.(b);
  };
}

/** @param mac keeps the bytes an address does not have: those of the one before it, or 0. @throws WrongArgument */
function valueOf(option: OptionName, value: string | undefined, mac: Uint8Array): Put {
  if (value === undefined) throw new WrongArgument('String parameter expected\n');
  switch (option) {
    case 'mgmtdev-handle': case 'mgmtdev': return handle(value);
    case 'device-handle': case 'name': return (b) => void b.putString(VDPA_ATTR_DEV_NAME, value);
    case 'mac': {
      const address = linkAddress(value, ETH_ALEN);
      if ('error' in address) throw new WrongArgument(address.error);
      mac.set(address.bytes);
      return (b) => void b.put(VDPA_ATTR_DEV_NET_CFG_MACADDR, mac);
    }
    case 'mtu': case 'max_vqp': {
      const number = numberOf(value, 0xffff);
      return (b) => void b.putU16(option === 'mtu' ? VDPA_ATTR_DEV_NET_CFG_MTU : VDPA_ATTR_DEV_NET_CFG_MAX_VQP, number);
    }
    case 'qidx': {
      const number = numberOf(value, 0xffff_ffff);
      return (b) => void b.putU32(VDPA_ATTR_DEV_QUEUE_INDEX, number);
    }
    default: return option satisfies never;
  }
}

/** @throws WrongArgument without a word */
function numberOf(text: string, max: number): number {
  const number = unsigned(text, 10, max);
  if (number === null) throw new WrongArgument('');
  return number;
}

/** `BUS/NAME` or `NAME`. @throws WrongArgument */
function handle(text: string): Put {
  const parts = text.split('/');
  if (parts.length > 2) {
    throw new WrongArgument('Wrong vdpa mgmtdev identification string format\nExpected "mgmtdev_bus_name/mgmtdev_name"\nExpected "mgmtdev_name"\n');
  }
  const [bus, name] = parts.length === 2 ? parts : [null, text];
  return (b) => {
    if (bus !== null && bus !== undefined) b.putString(VDPA_ATTR_MGMTDEV_BUS_NAME, bus);
    b.putString(VDPA_ATTR_MGMTDEV_DEV_NAME, name ?? '');
  };
}
