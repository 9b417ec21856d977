/** `modinfo(8)` of kmod 30. */
import { configErrorText } from './config.ts';
import { paramsOf, readModule, type FileParam } from './elf/index.ts';
import { getopt } from './getopt.ts';
import { MODINFO_HELP, VERSION_TEXT } from './help.ts';
import { lookup } from './lookup.ts';
import { Messages } from './messages.ts';
import type { ModuleIndex } from './modindex.ts';
import { isModuleFile, moduleName, normalizeAlias } from './names.ts';
import { absolutePath, modulesDir, readConfig, readIndex } from './system.ts';
import type { KmodSystem } from './system.ts';

const OPTIONS = {
  short: 'adlpn0mF:k:b:Vh',
  long: {
    author: 'a', description: 'd', license: 'l', parameters: 'p', filename: 'n', null: '0', modname: 'm', field: 'F:',
    'set-version': 'k:', basedir: 'b:', version: 'V', help: 'h',
  },
} as const;

const FIELD_OF: Readonly<Record<string, string>> = { a: 'author', d: 'description', l: 'license', p: 'parm', n: 'filename' };

type Pair = readonly [key: string, value: string];

/** One run. */
interface Run {
  readonly sys: KmodSystem;
  readonly log: Messages;
  readonly index: ModuleIndex;
  /** What alone is asked for; `null` for everything. */
  readonly field: string | null;
  /** `-0` */
  readonly nul: boolean;
}

/** Print what modules say of themselves. @param argv without the program's name. @returns exit status */
export async function modinfo(argv: readonly string[], sys: KmodSystem): Promise<number> {
  const log = new Messages('modinfo', sys);
  const { options, operands, error } = getopt(argv, OPTIONS);
  const asked = options.find((o) => o.name === 'h' || o.name === 'V');
  if (asked !== undefined) {
    sys.out(asked.name === 'h' ? MODINFO_HELP : VERSION_TEXT);
    return 0;
  }
  if (error !== null) {
    log.usage(error);
    return 1;
  }
  const value = (name: string): string | undefined => options.findLast((o) => o.name === name)?.value ?? undefined;
  const has = (name: string): boolean => options.some((o) => o.name === name);
  if (operands.length === 0) {
    log.say('ERROR', 'missing module or filename.');
    return 1;
  }
  const fields = options.flatMap((o) => (o.name === 'F' ? [o.value ?? ''] : FIELD_OF[o.name] ?? []));
  const dirname = modulesDir(value('k') ?? sys.release, absolutePath(sys, value('b') ?? ''));
  const config = await readConfig(sys, dirname);
  for (const bad of config.errors) sys.err(`${configErrorText(bad)}\n`);
  const run: Run = { sys, log, index: await readIndex(sys, dirname), field: fields.at(-1) ?? null, nul: has('0') };
  return log.run(async () => {
    let status = 0;
    for (const operand of operands) {
      const path = isModuleFile(operand) ? absolutePath(sys, operand) : null;
      if (path !== null && await sys.exists(path)) {
        if (!(await ofFile(run, path))) status = 1;
        continue;
      }
      const names = has('m') ? named(run.index, operand) : lookup(operand, run.index, config).map((f) => f.module);
      if (names.length === 0) {
        const what = has('m') ? 'Module name' : normalizeAlias(operand) === null ? 'Module alias' : 'Module';
        log.say('ERROR', `${what} ${operand} not found.`);
        status = 1;
      }
      for (const name of names) if (!(await ofName(run, name))) status = 1;
    }
    return status;
  });
}

function named(index: ModuleIndex, name: string): string[] {
  const module = name.replaceAll('-', '_');
  return index.modules.has(module) || index.isBuiltin(module) ? [module] : [];
}

/** @returns whether there was something to say */
async function ofName(run: Run, name: string): Promise<boolean> {
  const file = run.index.modules.get(name);
  if (file !== undefined) return ofFile(run, run.index.absolute(file.path));
  if (!run.index.isBuiltin(name)) {
    run.log.say('ERROR', `Module ${name} not found.`);
    return false;
  }
  if (run.field === null) line(run, 'name', name);
  if (run.field === 'name') run.log.write(`${name}${run.nul ? '\0' : '\n'}`);
  tell(run, '(builtin)', run.index.builtinModinfo.get(name) ?? []);
  return true;
}

/** @returns whether there was something to say */
async function ofFile(run: Run, path: string): Promise<boolean> {
  const { sys, log, field } = run;
  if (field === 'filename') {
    tell(run, path, []);
    return true;
  }
  const bytes = await sys.readBytes(path);
  const file = bytes === null ? 'ENOENT' : readModule(bytes);
  if (typeof file !== 'string' && file.hasModinfo) {
    tell(run, path, file.modinfo);
    return true;
  }
  if (field === null) line(run, 'filename', path);
  log.say('ERROR', `could not get modinfo from '${moduleName(path)}': ${sys.strerror(typeof file === 'string' ? file : 'ENOENT')}`); // without a .modinfo, too
  return false;
}

/** `KEY:` and its value in the seventeenth column, or behind the key when that is longer. */
function line({ log, nul }: Run, key: string, value: string): void {
  log.write(`${key}:${' '.repeat(Math.abs(15 - key.length))}${value}${nul ? '\0' : '\n'}`);
}

/** Parameters stand last, those that were mentioned last first. */
function tell(run: Run, filename: string, pairs: readonly Pair[]): void {
  const { log, field, nul } = run;
  const end = nul ? '\0' : '\n';
  if (field === 'filename') log.write(`${filename}${end}`);
  else if (field === 'parm') for (const p of params(run, pairs)) log.write(`${withType(p)}${end}`);
  else if (field !== null) for (const [, value] of pairs.filter(([key]) => key === field)) log.write(`${value}${end}`);
  if (field !== null) return;
  line(run, 'filename', filename);
  for (const [key, value] of pairs) {
    if (key === 'parm' || key === 'parmtype') continue;
    if (nul) log.write(`${key}=${value}\0`);
    else line(run, key, value);
  }
  for (const p of params(run, pairs)) line(run, 'parm', p.desc === null ? `${p.name}:${p.type ?? ''}` : withType(p));
}

/** Parameters of the pairs; one without a name is complained of. */
function params({ log }: Run, pairs: readonly Pair[]): FileParam[] {
  for (const [key, value] of pairs) {
    if ((key === 'parm' || key === 'parmtype') && !value.includes(':')) log.say('ERROR', `Found invalid "${key}=${value}": missing ':'`);
  }
  return paramsOf(pairs);
}

function withType(p: FileParam): string {
  return `${p.name}:${p.desc ?? ''}${p.type === null ? '' : ` (${p.type})`}`;
}
