/**
 * Module parameters: their types, and how the kernel reads text into them.
 *
 * Mirrors `kernel/params.c` (Linux 6.1). A parameter is declared as data, so that depmod, modinfo and the docs
 * can read it without running the module; its text is checked by a zod schema.
 */
import * as z from 'zod';
import { boolText, integer, refuse } from './param-text.ts';
import type { ErrnoName } from './error.ts';

/** Kernel type names, as `modinfo` prints them after the description; empty for a parameter with its own set and get. */
export type ParamTypeName =
  | 'byte' | 'short' | 'ushort' | 'int' | 'uint' | 'long' | 'ulong' | 'ullong' | 'hexint' | 'charp' | 'bool' | 'invbool'
  | 'bint' | 'string' | `array of ${string}` | '';

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
  /** Whether the bare name, without `=`, is accepted and means 1 (bool and bint only). */
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

/** What reading a parameter's text came to. */
export type ParamResult<T> =
  | { readonly ok: true; readonly value: T }
  | {
    readonly ok: false;
    readonly errno: ErrnoName;
    /** What the type itself says in the kernel log, after the parameter's name. */
    readonly log: string | undefined;
    /** What is stored all the same: an array keeps the elements before the bad one. */
    readonly stored: { readonly value: T } | undefined;
  };

/**
 * Read a parameter's text, as `ops->set` does.
 *
 * @param text what stands after `=`, or what was written to the sysfs file, newline and all
 */
export function readParam<T>(spec: ParamSpec<T>, text: string): ParamResult<T> {
  const result = spec.schema.safeParse(text);
  if (result.success) return { ok: true, value: result.data };
  const issue = result.error.issues[0];
  const errno = issue !== undefined && /^E[A-Z0-9]{3,}$/.test(issue.message) ? (issue.message as ErrnoName) : 'EINVAL'; // by contract of schema
  const extra = issue?.code === 'custom' ? issue.params : undefined;
  return {
    ok: false,
    errno,
    log: typeof extra?.['log'] === 'string' ? extra['log'] : undefined,
    stored: extra !== undefined && 'stored' in extra ? { value: extra['stored'] as T } : undefined, // put there by the same schema
  };
}

function num(type: 'byte' | 'short' | 'ushort' | 'int' | 'uint' | 'hexint', def: number, o: ParamOptions): ParamSpec<number> {
  return {
    type,
    schema: integer(type).transform(Number),
    show: type === 'hexint' ? (v) => `0x${v.toString(16).padStart(6, '0')}` : String, // %#08x counts the 0x
    default: def, perm: o.perm ?? 0, desc: o.desc, bare: false,
  };
}

function big(type: 'long' | 'ulong' | 'ullong', def: bigint, o: ParamOptions): ParamSpec<bigint> {
  return { type, schema: integer(type), show: String, default: def, perm: o.perm ?? 0, desc: o.desc, bare: false };
}

/** Comma separated elements; those before a bad one are stored, as `param_array` does. */
function array<T>(element: ParamSpec<T>, max: number, def: readonly T[], o: ParamOptions = {}): ParamSpec<readonly T[]> {
  const schema = z.string().transform((text, ctx): readonly T[] => {
    const values: T[] = [];
    for (const part of text.split(',')) {
      if (values.length === max) {
        return refuse(ctx, text, 'EINVAL', { log: `can only take ${max} arguments`, stored: values });
      }
      const one = readParam(element, part);
      if (!one.ok) return refuse(ctx, text, one.errno, { log: one.log, stored: values });
      values.push(one.value);
    }
    return values;
  });
  return {
    type: `array of ${element.type}`,
    schema,
    show: (values) => values.map((v) => element.show(v)).join(','),
    default: def, perm: o.perm ?? 0, desc: o.desc, bare: false,
  };
}

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
  /** `Y` on the command line stores false, and false is shown as `Y`; unlike bool it takes no bare name. */
  invbool: (def: boolean, o: ParamOptions = {}): ParamSpec<boolean> => ({
    type: 'invbool', schema: boolText.transform((v) => !v), show: (v) => (v ? 'N' : 'Y'),
    default: def, perm: o.perm ?? 0, desc: o.desc, bare: false,
  }),
  /** Read like bool, stored and shown as 1 or 0. */
  bint: (def: number, o: ParamOptions = {}): ParamSpec<number> => ({
    type: 'bint', schema: boolText.transform((v) => (v ? 1 : 0)), show: String, default: def, perm: o.perm ?? 0, desc: o.desc, bare: true,
  }),
  charp: (def: string | null, o: ParamOptions = {}): ParamSpec<string | null> => ({
    type: 'charp',
    schema: z.string().transform((t, ctx) => (t.length > 1024 ? refuse(ctx, t, 'ENOSPC', { log: 'string parameter too long' }) : t)),
    show: (v) => v ?? '(null)',
    default: def, perm: o.perm ?? 0, desc: o.desc, bare: false,
  }),
  /** @param size bytes of the buffer, terminating zero included */
  string: (size: number, def: string, o: ParamOptions = {}): ParamSpec<string> => ({
    type: 'string',
    schema: z.string().transform((t, ctx) => (t.length >= size
      ? refuse(ctx, t, 'ENOSPC', { log: `string doesn't fit in ${size - 1} chars.` }) : t)),
    show: (v) => v,
    default: def, perm: o.perm ?? 0, desc: o.desc, bare: false,
  }),
  /**
   * `module_param_array`
   *
   * @param element how each element is read; its own default, mode and description do not count
   * @param max most elements
   */
  array,
  /** `module_param_cb`: a parameter with a set and get of its own. @param bare accept the name without `=` as `1` */
  custom: <T>(spec: { schema: z.ZodType<T, string>; show: (value: T) => string; default: T; bare?: boolean } & ParamOptions): ParamSpec<T> => ({
    type: '', schema: spec.schema, show: spec.show, default: spec.default,
    perm: spec.perm ?? 0, desc: spec.desc, bare: spec.bare ?? false,
  }),
} as const;
