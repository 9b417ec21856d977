/** `depmod(8)` of kmod 30. */
import { mergeConfigDirs } from './config.ts';
import type { ConfigSource } from './config.ts';
import { DEPMOD_DIRS, parseDepmodConfig } from './depmod-config.ts';
import type { DepmodConfig } from './depmod-config.ts';
import { cycleErrors } from './depmod.ts';
import type { DepGraph } from './depmod.ts';
import { DEPMOD_TEXTS, depmod } from './depmod-files.ts';
import { findModules, readModuleFile, readOrder, symbolsOfMap, symbolsOfSymvers } from './depmod-scan.ts';
import type { FoundFile } from './depmod-scan.ts';
import { getopt } from './getopt.ts';
import { DEPMOD_HELP, VERSION_TEXT } from './help.ts';
import { Messages } from './messages.ts';
import { isModuleFile, moduleName } from './names.ts';
import { absolutePath, modulesDir } from './system.ts';
import type { KmodSystem } from './system.ts';
import type { BuiltinModule, TreeModule } from './tree.ts';

const OPTIONS = {
  short: 'aAb:C:E:F:evnP:wmqruhV',
  long: {
    'all': 'a', 'quick': 'A', 'basedir': 'b:', 'config': 'C:', 'symvers': 'E:', 'filesyms': 'F:', 'errsyms': 'e', 'unresolved-error': '--unresolved-error',
    'quiet': '--quiet', 'root': '--root', 'verbose': 'v', 'show': 'n', 'dry-run': 'n', 'symbol-prefix': 'P:', 'warn': 'w', 'map': '--map', 'version': 'V', 'help': 'h',
  },
} as const;

/** One run. */
interface Run {
  readonly sys: KmodSystem;
  readonly log: Messages;
  readonly has: (name: string) => boolean;
  readonly value: (name: string) => string | null;
  readonly dirname: string;
  readonly config: DepmodConfig;
}

/** Run depmod. @param argv without the program's name. @returns exit status */
export async function depmodTool(argv: readonly string[], sys: KmodSystem): Promise<number> {
  const log = new Messages('depmod', sys);
  const { options, operands, error } = getopt(argv, OPTIONS);
  const has = (name: string): boolean => options.some((o) => o.name === name);
  const value = (name: string): string | null => options.findLast((o) => o.name === name)?.value ?? null;
  return log.run(async () => {
    // Options take effect as they are read: what stands before a bad one has had its say.
    for (const { name, value: given } of options) {
      if (name === 'h' || name === 'V') {
        sys.out(name === 'h' ? DEPMOD_HELP : VERSION_TEXT);
        return 0;
      }
      if (/^(--.*|[uqrm])$/.test(name)) log.say('WARNING', `Ignored deprecated option ${name.length === 1 ? `-${name}` : name}`);
      if (name === 'P' && given?.length !== 1) log.say('FATAL', '-P only takes a single char');
    }
    if (error !== null) {
      log.usage(error);
      return 1;
    }
    if (operands[0] !== undefined && !/^\s*\d+\.\s*\d+/.test(operands[0])) {
      log.say('ERROR', `Bad version passed ${operands[0]}`);
      return 1;
    }
    const release = operands[0] ?? sys.release;
    const dirname = modulesDir(release, absolutePath(sys, value('b') ?? ''));
    const paths = has('C') ? options.flatMap((o) => (o.name === 'C' && o.value !== null ? [o.value] : [])) : null;
    if (has('e') && !has('E') && !has('F')) log.say('WARNING', '-e needs -E or -F');
    const config = await readDepmodConfig(sys, log, release, paths);
    return work({ sys, log, has, value, dirname, config }, operands.slice(1));
  });
}

async function readDepmodConfig(sys: KmodSystem, log: Messages, release: string, paths: readonly string[] | null): Promise<DepmodConfig> {
  const sources: ConfigSource[] = [];
  for (const path of paths ?? DEPMOD_DIRS) {
    const names = await sys.readdir(path);
    sources.push(names !== null ? { dir: path, names } : { dir: path.slice(0, Math.max(path.lastIndexOf('/'), 0)), file: path.slice(path.lastIndexOf('/') + 1) });
  }
  const texts: { path: string; text: string }[] = [];
  for (const path of mergeConfigDirs(sources, /\.conf$/)) {
    if ((await sys.readdir(path)) !== null) log.say('ERROR', `Directories inside directories are not supported: ${path}`);
    const text = await sys.readFile(path);
    if (text !== null) texts.push({ path, text });
  }
  const config = parseDepmodConfig(texts, release);
  for (const line of config.errors) log.say('ERROR', line);
  return config;
}

async function work(run: Run, operands: readonly string[]): Promise<number> {
  const { sys, log, has, dirname, config } = run;
  const kernel = await kernelSymbols(run);
  let files: readonly FoundFile[];
  if (operands.length > 0 && !has('a') && !has('A')) files = await named(run, operands);
  else {
    if (has('A') && await upToDate(run)) return 0;
    const found = await findModules(sys, dirname, config, log);
    if (found === null) {
      log.say('FATAL', `could not search modules: ${sys.strerror('ENOENT')}`);
      return 1;
    }
    files = found;
  }
  const order = await readOrder(sys, dirname, log);
  const modules: (TreeModule & { readonly error: string | null })[] = [];
  for (const file of files) modules.push(await readModuleFile(sys, file));
  const [builtin, builtinModinfo] = [await sys.readFile(`${dirname}/modules.builtin`), await sys.readFile(`${dirname}/modules.builtin.modinfo`)];
  const tree = { modules, builtin: kernel === null ? [] : [kernel], order };
  const { graph, texts, files: written, messages } = depmod(tree, { builtin, builtinModinfo });
  const paths = new Map(files.map((f) => [f.name, f.absolute] as const));
  for (const { module } of graph.nodes) {
    const failure = modules.find((m) => m.name === module.name)?.error ?? null;
    if (failure !== null) log.say('ERROR', `failed to load symbols from ${paths.get(module.name)}: ${failure}`);
  }
  sayNeeds(run, graph, paths, kernel !== null);
  for (const line of cycleErrors(graph.cycles)) sys.err(`depmod: ${line}\n`);
  if (texts === null) return 1;
  const tell = (about: 'index' | 'duplicate' | 'devname'): void => {
    for (const m of messages) if (m.about === about || (about === 'index' && m.about === 'duplicate' && has('w'))) sys.err(`depmod: ${m.text}\n`);
  };
  if (has('n')) {
    tell('devname');
    for (const name of DEPMOD_TEXTS) log.write(texts[name]);
    return 0;
  }
  tell('index');
  for (const [file, text] of [['modules.builtin', builtin], ['modules.builtin.modinfo', builtinModinfo]] as const) {
    if (text === null) log.say('WARNING', `could not open ${file} at ${dirname}: ${sys.strerror('ENOENT')}`);
  }
  tell('devname');
  for (const [name, contents] of written) {
    const errno = sys.writeFile === undefined ? 'EROFS' : await sys.writeFile(`${dirname}/${name}`, contents);
    if (errno === 0) continue;
    log.say('ERROR', `openat(${dirname}, ${name}): ${sys.strerror(errno)}`);
    return 1;
  }
  return 0;
}

/** Modules named on the command line, by absolute paths. */
async function named(run: Run, operands: readonly string[]): Promise<FoundFile[]> {
  const { sys, log, dirname } = run;
  const files: FoundFile[] = [];
  for (const path of operands) {
    if (!path.startsWith('/')) log.say('FATAL', `${path}: not absolute path.`);
    if (!(await sys.exists(path))) log.say('FATAL', `could not create module ${path}: ${sys.strerror('ENOENT')}`);
    files.push({ path: path.startsWith(`${dirname}/`) ? path.slice(dirname.length + 1) : path, name: moduleName(path), absolute: path });
  }
  return files;
}

/** `-A`: whether no module's file is younger than modules.dep. */
async function upToDate(run: Run): Promise<boolean> {
  const { sys, dirname, config } = run;
  const mtime = async (path: string): Promise<number | null> => (await sys.mtime?.(path)) ?? null;
  const written = await mtime(`${dirname}/modules.dep`);
  if (written === null) return false;
  const old = async (dir: string): Promise<boolean> => {
    for (const name of (await sys.readdir(dir)) ?? []) {
      const path = `${dir}/${name}`;
      if (name === '.' || name === '..' || name === 'build' || name === 'source' || config.exclude.has(name)) continue;
      if (!(await sys.exists(path))) {
        if (!(await old(path))) return false;
      } else if (isModuleFile(name) && ((await mtime(path)) ?? 0) > written) return false;
    }
    return true;
  };
  for (const dir of [dirname, ...config.external]) if (!(await old(dir))) return false;
  return true;
}

/** What `-E` or `-F` says; `null` without either. */
async function kernelSymbols(run: Run): Promise<BuiltinModule | null> {
  const { sys, log, value } = run;
  const file = value('E') ?? value('F');
  if (file === null) return null;
  const text = await sys.readFile(file);
  if (text === null) log.say('FATAL', `could not load ${file}: ${sys.strerror('ENOENT')}`);
  return { path: 'vmlinux', name: 'vmlinux', modinfo: [], exports: value('E') === null ? symbolsOfMap(text ?? '') : symbolsOfSymvers(text ?? '') };
}

/** `-v`: each dependency with the symbol that makes it; `-e` and `-E`: what is wrong with needs. Module by module. */
function sayNeeds(run: Run, graph: DepGraph, paths: ReadonlyMap<string, string>, kernelKnown: boolean): void {
  const { log, has } = run;
  for (const { module, direct } of graph.nodes) {
    const left = new Set(direct.map((d) => d.module.name));
    const issues = graph.issues.filter((i) => i.module === module);
    for (const need of module.needs) {
      const owner = graph.owners.get(need.name.replace(/^\./, ''))?.module.name;
      for (const issue of issues.filter((i) => i.symbol === need.name)) {
        if (issue.kind === 'unknown' && has('e') && kernelKnown) log.say('WARNING', `${paths.get(module.name)} needs unknown symbol ${need.name}`);
        if (issue.kind === 'version' && has('e') && has('E')) log.say('WARNING', `${paths.get(module.name)} disagrees about version of symbol ${need.name}`);
      }
      if (owner === undefined || !left.delete(owner)) continue;
      if (has('v')) log.print(`${paths.get(module.name)} needs "${need.name}": ${paths.get(owner)}`);
    }
  }
}
