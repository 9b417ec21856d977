/** `modinfo(8)` of kmod 30. */
import { configErrorText } from './config.ts';
import { getopt } from './getopt.ts';
import { lookup } from './lookup.ts';
import { Messages } from './messages.ts';
import type { ModuleIndex } from './modindex.ts';
import { isModuleFile } from './names.ts';
import { modulesDir, parseModuleFile, readConfig, readIndex } from './system.ts';
import type { KmodSystem } from './system.ts';
import type { TreeParam } from './tree.ts';

const OPTIONS = {
  short: 'adlpn0mF:k:b:Vh',
  long: {
    author: 'a', description: 'd', license: 'l', parameters: 'p', filename: 'n', null: '0', modname: 'm', field: 'F:',
    'set-version': 'k:', basedir: 'b:', version: 'V', help: 'h',
  },
} as const;

const FIELD_OF: Readonly<Record<string, string>> = { a: 'author', d: 'description', l: 'license', p: 'parm', n: 'filename' };

type Pair = readonly [key: string, value: string];

/** What there is to say of one module. */
interface Info {
  readonly head: readonly Pair[];
  readonly pairs: readonly Pair[];
  readonly params: readonly TreeParam[];
}

/** Print what modules say of themselves. @param argv without the program's name. @returns exit status */
export async function modinfo(argv: readonly string[], sys: KmodSystem): Promise<number> {
  const log = new Messages('modinfo', sys);
  const { options, operands, error } = getopt(argv, OPTIONS);
  if (error !== null) {
    log.usage(error);
    return 1;
  }
  const value = (name: string): string | undefined => options.findLast((o) => o.name === name)?.value ?? undefined;
  const has = (name: string): boolean => options.some((o) => o.name === name);
  if (has('h') || has('V')) {
    sys.out(has('h') ? 'modinfo [-adlpn0m] [-F FIELD] [-k RELEASE] [-b ROOT] MODULE|FILE... - print what modules say of themselves\n' : 'kmod version 30\n');
    return 0;
  }
  if (operands.length === 0) {
    log.say('ERROR', 'missing module or filename.');
    return 1;
  }
  const fields = options.flatMap((o) => (o.name === 'F' ? [o.value ?? ''] : FIELD_OF[o.name] ?? []));
  const field = fields.at(-1) ?? null;
  const dirname = modulesDir(value('k') ?? sys.release, value('b'));
  const index = await readIndex(sys, dirname);
  const config = await readConfig(sys, dirname);
  for (const bad of config.errors) sys.err(`${configErrorText(bad)}\n`);
  let status = 0;
  for (const operand of operands) {
    const path = !has('m') && isModuleFile(operand) && (await sys.exists(operand)) ? operand : null;
    const names = path !== null ? [] : has('m') ? named(index, operand) : lookup(operand, index, config).map((f) => f.module);
    const infos: Info[] = [];
    for (const file of path === null ? names : [path]) {
      const info = path === null ? await byName(sys, index, file) : await byPath(sys, file);
      if (typeof info !== 'string') infos.push(info);
      else {
        log.say('ERROR', info);
        status = 1;
      }
    }
    if (path === null && names.length === 0) {
      log.say('ERROR', has('m') ? `Module name ${operand} not found.` : `Module ${operand} not found.`);
      status = 1;
    }
    for (const info of infos) sys.out(field === null ? full(info, has('0')) : only(info, field, has('0')));
  }
  return status;
}

function named(index: ModuleIndex, name: string): string[] {
  const module = name.replaceAll('-', '_');
  return index.modules.has(module) || index.isBuiltin(module) ? [module] : [];
}

async function byName(sys: KmodSystem, index: ModuleIndex, name: string): Promise<Info | string> {
  const file = index.modules.get(name);
  if (file !== undefined) return byPath(sys, index.absolute(file.path));
  if (!index.isBuiltin(name)) return `Module ${name} not found.`;
  const pairs = (index.builtinModinfo.get(name) ?? []).filter(([key]) => key !== 'parm' && key !== 'parmtype');
  return { head: [['name', name], ['filename', '(builtin)']], pairs, params: [] };
}

async function byPath(sys: KmodSystem, path: string): Promise<Info | string> {
  const bytes = await sys.readBytes(path);
  if (bytes === null) return `could not get modinfo from '${path}': ${sys.strerror('ENOENT')}`;
  const module = parseModuleFile(bytes, path);
  if (typeof module === 'string') return `could not get modinfo from '${path}': ${sys.strerror(module)}`;
  return { head: [['filename', path]], pairs: module.modinfo, params: module.params };
}

function full(info: Info, nul: boolean): string {
  const row = ([key, value]: Pair): string => (nul ? `${key}=${value}\0` : `${key}:${' '.repeat(Math.abs(15 - key.length))}${value}\n`);
  const params = info.params.map((p): Pair => ['parm', p.desc === null ? `${p.name}:${p.type}` : withType(p)]);
  return [...info.head, ...info.pairs, ...params].map(row).join('');
}

/** Values of one field; a parameter's type stands in brackets, description or not. */
function only(info: Info, field: string, nul: boolean): string {
  const end = nul ? '\0' : '\n';
  if (field === 'parm') return info.params.map((p) => `${withType(p)}${end}`).join('');
  return [...info.head, ...info.pairs].filter(([key]) => key === field).map(([, value]) => `${value}${end}`).join('');
}

function withType(p: TreeParam): string {
  return `${p.name}:${p.desc ?? ''}${p.type === '' ? '' : ` (${p.type})`}`;
}
