/** How the kernel reads numbers and booleans from text: `kstrtoull`, `kstrtoll` and `kstrtobool` (Linux 6.1, `lib/kstrtox.c`). */
import * as z from 'zod';

const ranges = {
  byte: [0n, 0xffn],
  short: [-0x8000n, 0x7fffn],
  ushort: [0n, 0xffffn],
  int: [-0x8000_0000n, 0x7fff_ffffn],
  uint: [0n, 0xffff_ffffn],
  long: [-(1n << 63n), (1n << 63n) - 1n],
  ulong: [0n, (1n << 64n) - 1n],
  ullong: [0n, (1n << 64n) - 1n],
  hexint: [0n, 0xffff_ffffn],
} as const;

/** What a refusal says besides the errno. */
export interface RefusalExtra {
  /** For the kernel log, after the parameter's name. */
  readonly log?: string | undefined;
  /** A value that is stored although the text was refused. */
  readonly stored?: unknown;
}

/**
 * Refuse a text inside a zod transform.
 *
 * @returns what the transform returns then
 */
export function refuse(ctx: z.core.$RefinementCtx, input: string, errno: 'EINVAL' | 'ERANGE' | 'ENOSPC' | (string & {}), extra: RefusalExtra = {}): never {
  ctx.issues.push({ code: 'custom', message: errno, input, params: { ...extra } });
  return z.NEVER;
}

const U64_MAX = (1n << 64n) - 1n;

/** Number text with base 0: sign, 0x, leading 0 for octal, one trailing newline. Digits too many count before what follows them. */
function kstrto(text: string, unsigned: boolean): bigint | 'EINVAL' | 'ERANGE' {
  const m = /^([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)/.exec(text);
  if (m === null) return 'EINVAL';
  if (m[1] === '-' && unsigned) return 'EINVAL';
  const digits = m[2] as string; // the group is not optional
  const value = /^0[0-7]+$/.test(digits) ? BigInt(`0o${digits.slice(1)}`) : BigInt(digits);
  if (value > U64_MAX) return 'ERANGE';
  if (!/^\n?$/.test(text.slice(m[0].length))) return 'EINVAL';
  return m[1] === '-' ? -value : value;
}

/** Text of an integer of a kernel type. */
export function integer(type: keyof typeof ranges): z.ZodType<bigint, string> {
  const [min, max] = ranges[type];
  return z.string().transform((text, ctx) => {
    const value = kstrto(text, min === 0n);
    if (typeof value !== 'bigint') return refuse(ctx, text, value);
    if (value < min || value > max) return refuse(ctx, text, 'ERANGE');
    return value;
  });
}

/** The first letter counts; "on" and "off" by their second. */
export const boolText: z.ZodType<boolean, string> = z.string().transform((text, ctx): boolean => {
  if (/^([yYtT1]|[oO][nN])/.test(text)) return true;
  if (/^([nNfF0]|[oO][fF])/.test(text)) return false;
  return refuse(ctx, text, 'EINVAL');
});
