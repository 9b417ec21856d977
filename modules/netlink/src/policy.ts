/** Attributes against a policy, strictly: `NL_VALIDATE_STRICT`. Mirrors `lib/nlattr.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { ErrnoName } from '@vdpalab/abi';
import { NlaTable, nlaList } from '@vdpalab/uapi';
import type { NlaView } from '@vdpalab/uapi';
import type { NlaPolicy } from './header.ts';

/** Number -> policy; a number without one is refused. */
export type Policy = Readonly<Record<number, NlaPolicy>>;

/** Bytes of an integer type. */
const INTEGER: Partial<Record<NlaPolicy['type'], number>> = { u8: 1, u16: 2, u32: 4, u64: 8 };

/** A refusal that knows which attribute it is about. */
export class AttributeError extends KernelError {
  /** Its payload: a view of the request. */
  readonly payload: Uint8Array;

  constructor(errno: ErrnoName, condition: string, attr: NlaView, extack: string) {
    super(errno, `netlink.policy.${condition}`, `attribute ${attr.type} of ${attr.payload.length} bytes: ${extack}`, { extack });
    this.payload = attr.payload;
  }
}

/**
 * Check and read attributes.
 *
 * @throws EINVAL for unknown attributes, wrong lengths of integers, strings without a zero, bytes left over
 * @throws ERANGE for numbers out of range and wrong lengths of the rest
 */
export function parseAttributes(bytes: Uint8Array, policy: Policy, maxattr: number): NlaTable {
  const { attrs, leftover } = nlaList(bytes);
  for (const attr of attrs) {
    if (attr.type === 0 || attr.type > maxattr) throw new AttributeError('EINVAL', 'unknown', attr, 'Unknown attribute type');
    validate(attr, policy[attr.type]);
  }
  if (leftover > 0) {
    throw new KernelError('EINVAL', 'netlink.policy.leftover', `${leftover} bytes leftover after parsing attributes`, {
      extack: 'bytes leftover after parsing attributes',
    });
  }
  return new NlaTable(attrs);
}

/** `validate_nla` */
function validate(attr: NlaView, policy: NlaPolicy | undefined): void {
  const { payload } = attr;
  const size = policy === undefined ? undefined : INTEGER[policy.type];
  if (size !== undefined && payload.length !== size) throw new AttributeError('EINVAL', 'length', attr, 'invalid attribute length');
  if (policy?.type === 'nested' && !attr.nested) throw new AttributeError('EINVAL', 'nested', attr, 'NLA_F_NESTED is missing');
  if (attr.nested && policy !== undefined && policy.type !== 'nested' && policy.type !== 'unspec') {
    throw new AttributeError('EINVAL', 'nested', attr, 'NLA_F_NESTED not expected');
  }
  if (policy === undefined || policy.type === 'unspec') throw new AttributeError('EINVAL', 'unspec', attr, 'Unsupported attribute');
  const errno = refuses(payload, policy);
  if (errno !== null) throw new AttributeError(errno, 'shape', attr, 'Attribute failed policy validation');
  const range = outside(payload, policy);
  if (range !== null) throw new AttributeError('ERANGE', 'range', attr, range);
}

/** Errno of a payload that does not have the shape its type asks for. */
function refuses(payload: Uint8Array, { type, maxlen }: NlaPolicy): ErrnoName | null {
  switch (type) {
    case 'flag': return payload.length > 0 ? 'ERANGE' : null;
    case 'nul_string': {
      const zero = payload.subarray(0, maxlen === undefined ? payload.length : maxlen + 1).indexOf(0);
      return zero < 0 ? 'EINVAL' : tooLong(payload, maxlen);
    }
    case 'string': return payload.length < 1 ? 'ERANGE' : tooLong(payload, maxlen);
    case 'nested': return payload.length > 0 && payload.length < 4 ? 'ERANGE' : null;
    default: return null;
  }
}

/** A string's length does not count one zero at its end. */
function tooLong(payload: Uint8Array, maxlen: number | undefined): ErrnoName | null {
  const length = payload.at(-1) === 0 ? payload.length - 1 : payload.length;
  return maxlen !== undefined && length > maxlen ? 'ERANGE' : null;
}

/** What the extended acknowledgement says of a value that is out of its range. */
function outside(payload: Uint8Array, { type, min, max, minlen, maxlen }: NlaPolicy): string | null {
  if (type === 'binary') {
    if (minlen === undefined) return maxlen !== undefined && payload.length > maxlen ? 'Attribute failed policy validation' : null;
    return payload.length < minlen || payload.length > (maxlen ?? Infinity) ? 'binary attribute size out of range' : null;
  }
  if (INTEGER[type] === undefined) return null;
  const value = payload.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return (min !== undefined && value < min) || (max !== undefined && value > max) ? 'integer out of range' : null;
}
