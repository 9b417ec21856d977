/** Parameters from text. Mirrors `next_arg` in `lib/cmdline.c` and `parse_args` in `kernel/params.c` (Linux 6.1). */
import { readParam, KernelError } from '@vdpalab/abi';
import type { Atomic, ErrnoName, ModuleParameter, ParamSpec, ParamSpecs } from '@vdpalab/abi';

/** One word of a parameter string. */
export interface Arg {
  readonly name: string;
  /** `null` when there is no `=`. */
  readonly value: string | null;
}

const BLANK = /[ \t\n\v\f\r\u00a0]/; // isspace() of the kernel's ctype table

/**
 * Split a parameter string: at blanks outside quotes; quotes around the value or the whole word are dropped.
 *
 * @returns the words, and what stands after a bare `--`, or `null` when there is none
 */
export function splitArgs(text: string): { readonly args: readonly Arg[]; readonly afterDashes: string | null } {
  const args: Arg[] = [];
  let at = skipBlanks(text, 0);
  while (at < text.length) {
    const quoted = text[at] === '"';
    if (quoted) at++;
    const start = at;
    let inQuote = quoted;
    let equals = -1;
    for (; at < text.length; at++) {
      const c = text[at] as string; // at is in range
      if (BLANK.test(c) && !inQuote) break;
      if (equals < 0 && c === '=' && at > start) equals = at; // a leading '=' belongs to the name
      if (c === '"') inQuote = !inQuote;
    }
    let end = at;
    let value: string | null = null;
    if (equals >= 0) {
      let from = equals + 1;
      if (text[from] === '"') {
        from++;
        if (text[end - 1] === '"' && end > from) end--;
      }
      if (quoted && end === at && text[end - 1] === '"' && end > from) end--;
      value = text.slice(from, end);
    } else if (quoted && text[end - 1] === '"' && end > start) {
      end--;
    }
    const name = text.slice(start, equals >= 0 ? equals : end);
    at = skipBlanks(text, at);
    if (value === null && name === '--') return { args, afterDashes: text.slice(at) };
    args.push({ name, value });
  }
  return { args, afterDashes: null };
}

function skipBlanks(text: string, at: number): number {
  while (at < text.length && BLANK.test(text[at] as string)) at++;
  return at;
}

/** `parameq`: `-` and `_` are the same in names. */
function same(a: string, b: string): boolean {
  return a.replaceAll('-', '_') === b.replaceAll('-', '_');
}

/** What parsing tells the kernel log. @param level 0 emerg .. 7 debug */
export type Printk = (level: number, text: string) => Atomic;

/** Set every parameter to its default. @param values what the module's code reads */
export function setDefaults(specs: ParamSpecs, values: Record<string, unknown>): void {
  for (const [name, spec] of Object.entries(specs)) values[name] = spec.default;
}

/**
 * Read a parameter string into values; a bad value does not keep the later ones from being read.
 *
 * @throws EINVAL | ERANGE | ENOSPC for the last value that was refused; unknown names are only warned of
 */
export function parseArgs(module: string, text: string, specs: ParamSpecs, values: Record<string, unknown>, printk: Printk): void {
  const { args, afterDashes } = splitArgs(text);
  let failure: KernelError | null = null;
  for (const arg of args) failure = parseOne(module, arg, specs, values, printk) ?? failure;
  if (failure !== null) throw failure;
  if (afterDashes !== null) printk(4, `${module}: parameters '${afterDashes}' after \`--' ignored`);
}

function parseOne(module: string, arg: Arg, specs: ParamSpecs, values: Record<string, unknown>, printk: Printk): KernelError | null {
  const known = Object.entries(specs).find(([name]) => same(name, arg.name));
  if (known === undefined) {
    const always = arg.name === 'async_probe' || /^([^.]*\.)?dyndbg$/.test(arg.name);
    // The check for `module.dyndbg` has cut the name at its dot by the time it is printed.
    if (!always) printk(4, `${module}: unknown parameter '${arg.name.split('.', 1)[0] ?? ''}' ignored`);
    return null;
  }
  const [name, spec] = known;
  let errno: ErrnoName;
  if (arg.value === null && !spec.bare) errno = 'EINVAL';
  else {
    const refused = store(name, spec, arg.value ?? '1', values, printk);
    if (refused === null) return null;
    errno = refused;
  }
  // An array's text was cut at its first comma by the time the kernel prints it.
  const shown = spec.type.startsWith('array of ') ? (arg.value ?? '').split(',', 1)[0] ?? '' : arg.value ?? '';
  const what = errno === 'ENOSPC' ? 'too large' : 'invalid';
  printk(3, errno === 'ENOENT' ? `${module}: Unknown parameter \`${arg.name}'` : `${module}: \`${shown}' ${what} for parameter \`${arg.name}'`);
  return new KernelError(errno, 'module.param.value', `${module}: parameter ${name} (${spec.type}) refuses '${arg.value ?? ''}'`);
}

function store(name: string, spec: ParamSpec<unknown>, text: string, values: Record<string, unknown>, printk: Printk): ErrnoName | null {
  const result = readParam(spec, text);
  if (result.ok) {
    values[name] = result.value;
    return null;
  }
  if (result.log !== undefined) printk(3, `${name}: ${result.log}`);
  if (result.stored !== undefined) values[name] = result.stored.value;
  return result.errno;
}

/** The parameters that have a sysfs file, over live values; what they show has no newline yet. */
export function parameterFiles(module: string, specs: ParamSpecs, values: Record<string, unknown>, printk: Printk): readonly ModuleParameter[] {
  return Object.entries(specs).filter(([, spec]) => spec.perm !== 0).map(([name, spec]) => ({
    name,
    perm: spec.perm,
    show: () => spec.show(values[name]),
    store: (text) => {
      const errno = store(name, spec, text, values, printk);
      if (errno !== null) throw new KernelError(errno, 'module.param.store', `${module}: parameter ${name} (${spec.type}) refuses '${text}'`);
      return undefined;
    },
  }));
}
