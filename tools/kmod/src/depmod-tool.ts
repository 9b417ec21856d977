/** `depmod(8)` of kmod 30: reads a directory, writes the text files; no `.bin` ones, as nothing here reads them. */
import { cycleErrors } from './depmod.ts';
import { DEPMOD_FILES, depmod } from './depmod-files.ts';
import { getopt } from './getopt.ts';
import { Messages } from './messages.ts';
import { isModuleFile, moduleName } from './names.ts';
import { modulesDir, parseModuleFile } from './system.ts';
import type { KmodSystem } from './system.ts';
import type { BuiltinModule, ModuleTree, TreeModule } from './tree.ts';

const OPTIONS = {
  short: 'aAb:C:eE:F:nvwurqmVhP:',
  long: {
    'all': 'a', 'quick': 'A', 'basedir': 'b:', 'config': 'C:', 'errsyms': 'e', 'symvers': 'E:', 'filesyms': 'F:', 'dry-run': 'n', 'show': 'n',
    'verbose': 'v', 'warn': 'w', 'symbol-prefix': 'P:', 'version': 'V', 'help': 'h',
  },
} as const;

/** Run depmod. @param argv without the program's name. @returns exit status */
export async function depmodTool(argv: readonly string[], sys: KmodSystem): Promise<number> {
  const log = new Messages('depmod', sys);
  const { options, operands, error } = getopt(argv, OPTIONS);
  if (error !== null) {
    log.usage(error);
    return 1;
  }
  const has = (name: string): boolean => options.some((o) => o.name === name);
  const value = (name: string): string | null => options.findLast((o) => o.name === name)?.value ?? null;
  if (has('h') || has('V')) {
    sys.out(has('h') ? 'depmod [-n] [-b ROOT] [-e -E SYMVERS|-F SYSTEM.MAP] [RELEASE] - write the dependency lists of a module tree\n' : 'kmod version 30\n');
    return 0;
  }
  const release = operands[0] ?? sys.release;
  if (!/^\d+\.\d+/.test(release)) {
    log.say('ERROR', `Bad version passed ${release}`);
    return 1;
  }
  return log.run(() => write(sys, log, modulesDir(release, value('b') ?? undefined), has, value));
}

async function write(
  sys: KmodSystem, log: Messages, dirname: string, has: (name: string) => boolean, value: (name: string) => string | null,
): Promise<number> {
  const scanned = await scanTree(sys, dirname, log);
  if (scanned === null) {
    log.say('ERROR', `could not open directory ${dirname}: ${sys.strerror('ENOENT')}`);
    log.say('FATAL', `could not search modules: ${sys.strerror('ENOENT')}`);
    return 1;
  }
  const kernel = await kernelSymbols(sys, value('E'), value('F'));
  if (has('e') && kernel === null) log.say('WARNING', '-e needs -E or -F');
  const { graph, texts, errors } = depmod(kernel === null ? scanned : { ...scanned, builtin: [...scanned.builtin, kernel] });
  if (has('e') && kernel !== null) {
    for (const u of graph.unknown) log.say('WARNING', `${dirname}/${u.module.path} needs unknown symbol ${u.symbol}`);
    if (value('E') !== null) for (const d of graph.disagreements) log.say('WARNING', `${dirname}/${d.module.path} disagrees about version of symbol ${d.symbol}`);
  }
  for (const line of cycleErrors(graph.cycles)) sys.err(`depmod: ${line}\n`);
  if (texts === null) return 1;
  for (const line of errors) sys.err(`depmod: ${line}\n`);
  for (const name of DEPMOD_FILES) {
    if (has('n')) sys.out(texts[name]);
    else {
      const errno = sys.writeFile === undefined ? 'EROFS' : await sys.writeFile(`${dirname}/${name}`, texts[name]);
      if (errno === 0) continue;
      log.say('ERROR', `openat(${dirname}, ${name}): ${sys.strerror(errno)}`);
      return 1;
    }
  }
  return 0;
}

/** Everything below a tree's directory; `build` and `source` are not entered. @returns `null` when there is no directory */
export async function scanTree(sys: KmodSystem, dirname: string, log: Messages | null = null): Promise<ModuleTree | null> {
  if ((await sys.readdir(dirname)) === null) return null;
  const modules: TreeModule[] = [];
  const visit = async (dir: string): Promise<void> => {
    for (const name of (await sys.readdir(dir)) ?? []) {
      const path = `${dir}/${name}`;
      if (name === '.' || name === '..' || name === 'build' || name === 'source') continue;
      if (!isModuleFile(name)) {
        if (!(await sys.exists(path))) await visit(path);
        continue;
      }
      const relative = path.slice(dirname.length + 1);
      const module = parseModuleFile((await sys.readBytes(path)) ?? new Uint8Array(), relative);
      if (typeof module === 'string') log?.say('ERROR', `failed to load symbols from ${path}: ${sys.strerror(module)}`);
      modules.push(typeof module !== 'string' ? module : { path: relative, name: moduleName(name), modinfo: [], exports: [], needs: [], aliases: [], softdeps: [], weakdeps: [], params: [], size: 0 });
    }
  };
  await visit(dirname);
  const warn = (file: string): void => log?.say('WARNING', `could not open ${file} at ${dirname}: ${sys.strerror('ENOENT')}`);
  const order = await sys.readFile(`${dirname}/modules.order`);
  if (order === null) warn('modules.order');
  const broken = order !== null && order !== '' && !order.endsWith('\n');
  if (broken) log?.say('ERROR', `${dirname}/modules.order:${order.split('\n').length} corrupted line misses '\\n'`);
  for (const file of ['modules.builtin', 'modules.builtin.modinfo']) if (!(await sys.exists(`${dirname}/${file}`))) warn(file);
  return { modules, builtin: [], order: order === null || broken ? null : order.split('\n').slice(0, -1) };
}

/** Symbols of the kernel image, from Module.symvers or System.map; `null` without either. */
async function kernelSymbols(sys: KmodSystem, symvers: string | null, map: string | null): Promise<BuiltinModule | null> {
  const exports: BuiltinModule['exports'][number][] = [];
  const add = (name: string, crc: number): void => void exports.push({ name, crc, gpl: false, namespace: '' });
  if (symvers !== null) {
    for (const line of ((await sys.readFile(symvers)) ?? '').split('\n')) {
      const [crc, name, owner] = line.split('\t');
      if (owner === 'vmlinux' && name !== undefined) add(name, Number(crc));
    }
  } else if (map !== null) {
    for (const line of ((await sys.readFile(map)) ?? '').split('\n')) {
      const name = / __ksymtab_(\S+)$/.exec(line)?.[1];
      if (name !== undefined) add(name, 0);
    }
  } else return null;
  return { path: 'vmlinux', name: 'vmlinux', modinfo: [], exports };
}
