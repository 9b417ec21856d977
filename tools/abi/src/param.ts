/**
 * Module parameters: their types, and how the kernel reads text into them.
 *
 * Mirrors `kernel/params.c` (Linux 6.1). A parameter is declared as data, so that depmod, modinfo and the docs
 * can read it without running the module; its text is checked by a zod schema.
 */
import * as z from 'zod';

/** Kernel type names, as `modinfo` prints them after the description. */
export type ParamTypeName =
  | 'byte' | 'short' | 'ushort' | 'int' | 'uint' | 'long' | 'ulong' | 'ullong' | 'hexint' | 'charp' | 'bool' | 'invbool'
  | 'bint' | 'string' | `array of ${string}`;

/** One declared parameter. */
export interface ParamSpec<T> {
  readonly type: ParamTypeName;
  /** Reads the text after `=`; an issue whose message is an errno name (`ERANGE`, `EINVAL`, `ENOSPC`) gives the errno. */
  readonly schema: z.ZodType<T, string>;
  /** What `/sys/module/M/parameters/P` shows, without the newline. */
  show(value: T): string; // a method, so that specs of different types fit one table
  readonly default: T;
  /** Mode of the sysfs file; 0 makes none. */
  readonly perm: number;
  readonly desc: string | undefined;
  /** Whether the bare name, without `=`, is accepted (bool only). */
  readonly bare: boolean;
}

/** What a declaration may say besides the default. */
export interface ParamOptions {
  /** Octal mode of `/sys/module/M/parameters/P`; 0, the default, makes no file. */
  readonly perm?: number;
  readonly desc?: string;
}

/** Parameters of a module, by name. */
export type ParamSpecs = Readonly<Record<string, ParamSpec<unknown>>>;

/** Current values of a module's parameters. */
export type ParamValues<P> = { -readonly [K in keyof P]: P[K] extends ParamSpec<infer T> ? T : never };

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

/** Number text as `kstrtoll` takes it with base 0: sign, 0x, leading 0 for octal, one trailing newline. */
function kstrto(text: string, unsigned: boolean): bigint | 'EINVAL' {
  const m = /^([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)\n?$/.exec(text);
  if (m === null) return 'EINVAL';
  if (m[1] === '-' && unsigned) return 'EINVAL';
  const digits = m[2] as string;
  const value = /^0[0-7]+$/.test(digits) ? BigInt(`0o${digits.slice(1)}`) : BigInt(digits);
  return m[1] === '-' ? -value : value;
}

function integer(type: keyof typeof ranges): z.ZodType<bigint, string> {
  const [min, max] = ranges[type];
  return z.string().transform((text, ctx) => {
    const value = kstrto(text, min === 0n);
    if (typeof value !== 'bigint') {
      ctx.issues.push({ code: 'custom', message: 'EINVAL', input: text });
      return z.NEVER;
    }
    if (value < min || value > max) {
      ctx.issues.push({ code: 'custom', message: 'ERANGE', input: text });
      return z.NEVER;
    }
    return value;
  });
}

function num(type: 'byte' | 'short' | 'ushort' | 'int' | 'uint' | 'hexint', def: number, o: ParamOptions): ParamSpec<number> {
  return {
    type,
    schema: integer(type).transform(Number),
    show: type === 'hexint' ? (v) => `0x${v.toString(16).padStart(8, '0')}` : String,
    default: def, perm: o.perm ?? 0, desc: o.desc, bare: false,
  };
}

function big(type: 'long' | 'ulong' | 'ullong', def: bigint, o: ParamOptions): ParamSpec<bigint> {
  return { type, schema: integer(type), show: String, default: def, perm: o.perm ?? 0, desc: o.desc, bare: false };
}

/** `strtobool`: the first letter counts, "on" and "off" by their second. */
const boolText = z.string().transform((text, ctx): boolean => {
  if (/^([yYtT1]|[oO][nN])/.test(text)) return true;
  if (/^([nNfF0]|[oO][fF])/.test(text)) return false;
  ctx.issues.push({ code: 'custom', message: 'EINVAL', input: text });
  return z.NEVER;
});

/** Makers of parameter declarations, by kernel type. */
export const param = {
  byte: (def: number, o: ParamOptions = {}) => num('byte', def, o),
  short: (def: number, o: ParamOptions = {}) => num('short', def, o),
  ushort: (def: number, o: ParamOptions = {}) => num('ushort', def, o),
  int: (def: number, o: ParamOptions = {}) => num('int', def, o),
  uint: (def: number, o: ParamOptions = {}) => num('uint', def, o),
  hexint: (def: number, o: ParamOptions = {}) => num('hexint', def, o),
  long: (def: bigint, o: ParamOptions = {}) => big('long', def, o),
  ulong: (def: bigint, o: ParamOptions = {}) => big('ulong', def, o),
  ullong: (def: bigint, o: ParamOptions = {}) => big('ullong', def, o),
  bool: (def: boolean, o: ParamOptions = {}): ParamSpec<boolean> => ({
    type: 'bool', schema: boolText, show: (v) => (v ? 'Y' : 'N'), default: def, perm: o.perm ?? 0, desc: o.desc, bare: true,
  }),
  invbool: (def: boolean, o: ParamOptions = {}): ParamSpec<boolean> => ({
    type: 'invbool', schema: boolText.transform((v) => !v), show: (v) => (v ? 'N' : 'Y'),
    default: def, perm: o.perm ?? 0, desc: o.desc, bare: true,
  }),
  charp: (def: string | null, o: ParamOptions = {}): ParamSpec<string | null> => ({
    type: 'charp', schema: z.string().refine((t) => t.length <= 1024, 'ENOSPC'), show: (v) => v ?? '(null)',
    default: def, perm: o.perm ?? 0, desc: o.desc, bare: false,
  }),
  /** @param size bytes of the buffer, terminating zero included */
  string: (size: number, def: string, o: ParamOptions = {}): ParamSpec<string> => ({
    type: 'string', schema: z.string().refine((t) => t.length < size, 'ENOSPC'), show: (v) => v,
    default: def, perm: o.perm ?? 0, desc: o.desc, bare: false,
  }),
} as const;
