/** What a link request says. Mirrors `net/core/rtnetlink.c` (Linux 6.1), `ifla_policy`, `validate_linkmsg`. */
import { KernelError } from '@vdpalab/abi';
import * as uapi from '@vdpalab/uapi';
import type { Ifinfomsg, NlaTable } from '@vdpalab/uapi';
import type { NetDev } from './net-device.ts';

const IFALIASZ = 256;
const MAX_ADDR_LEN = 32;
/** Shortest payloads of the attributes that are read, in bytes. */
const MIN_LENGTH: Readonly<Record<number, number>> = {
  [uapi.IFLA_MTU]: 4, [uapi.IFLA_EXT_MASK]: 4, [uapi.IFLA_CARRIER]: 1, [uapi.IFLA_TXQLEN]: 4, [uapi.IFLA_GROUP]: 4, [uapi.IFLA_MASTER]: 4,
  [uapi.IFLA_OPERSTATE]: 1, [uapi.IFLA_LINKMODE]: 1, [uapi.IFLA_PROTO_DOWN]: 1,
};

/** A request, read. Attributes nobody here knows are passed over, as by the parsers before strict validation. */
export interface LinkRequest {
  readonly head: Ifinfomsg;
  readonly attrs: NlaTable;
  /** Name of IFLA_IFNAME. */
  readonly name: string | null;
  /** Whether it names an interface by IFLA_ALT_IFNAME. None has a second name. */
  readonly altName: boolean;
}

/** @throws EINVAL when it is cut short; ERANGE for attributes that are too short or names that are too long */
export function readRequest(payload: Uint8Array): LinkRequest {
  const { size } = uapi.ifinfomsg;
  // A plain dump request is one byte, padded.
  if (payload.length < size) throw new KernelError('EINVAL', 'rtnetlink.link.short', `a link request of ${payload.length} bytes`);
  const { attrs } = uapi.nlaList(payload.subarray(size));
  for (const attr of attrs) {
    const least = MIN_LENGTH[attr.type] ?? 0;
    if (attr.payload.length < least) refuse(`attribute ${attr.type} of ${attr.payload.length} bytes`);
    if (attr.type === uapi.IFLA_IFNAME && lengthOf(attr.payload) >= uapi.IFNAMSIZ) refuse('an interface name of 16 bytes or more');
    if (attr.type === uapi.IFLA_IFALIAS && attr.payload.length >= IFALIASZ) refuse(`an alias of ${attr.payload.length} bytes`);
    if ((attr.type === uapi.IFLA_ADDRESS || attr.type === uapi.IFLA_BROADCAST) && attr.payload.length > MAX_ADDR_LEN) refuse(`an address of ${attr.payload.length} bytes`);
  }
  const table = new uapi.NlaTable(attrs);
  const name = table.has(uapi.IFLA_IFNAME) ? text(table.bytes(uapi.IFLA_IFNAME)) : null;
  return { head: uapi.ifinfomsg.decode(payload), attrs: table, name, altName: table.has(uapi.IFLA_ALT_IFNAME) };
}

/**
 * The device a request is about: by number, else by name.
 *
 * @returns `null` when there is none
 * @throws EINVAL when it names none
 */
export function findDevice(request: LinkRequest, byIndex: (n: number) => NetDev | null, byName: (n: string) => NetDev | null): NetDev | null {
  const { head, name, altName } = request;
  if (head.ifi_index > 0) return byIndex(head.ifi_index);
  if (name !== null) return byName(name);
  if (altName) return null;
  throw new KernelError('EINVAL', 'rtnetlink.link.unnamed', 'the request names no interface');
}

/** RTEXT_FILTER_* of a request. */
export function extMask({ attrs }: LinkRequest): number {
  return attrs.has(uapi.IFLA_EXT_MASK) ? attrs.u32(uapi.IFLA_EXT_MASK) : 0;
}

function refuse(text: string): never {
  throw new KernelError('ERANGE', 'rtnetlink.link.policy', text, { extack: 'Attribute failed policy validation' });
}

function lengthOf(bytes: Uint8Array): number {
  const zero = bytes.indexOf(0);
  return zero < 0 ? bytes.length : zero;
}

function text(bytes: Uint8Array): string {
  return uapi.utf8Decode(bytes.subarray(0, lengthOf(bytes)));
}
