/** Finding a tree's modules, and reading what its kernel's build says. */
import type { DepmodConfig } from './depmod-config.ts';
import { replaces } from './depmod-config.ts';
import { parseModuleFile } from './system.ts';
import type { KmodSystem } from './system.ts';
import type { Messages } from './messages.ts';
import { isModuleFile, moduleName } from './names.ts';
import type { BuiltinModule, TreeModule } from './tree.ts';

/** A module's file that counts. */
export interface FoundFile {
  /** Below the tree's directory, or absolute. */
  readonly path: string;
  readonly name: string;
  readonly absolute: string;
}

/**
 * The files of a tree and of the directories outside it, one per module name.
 *
 * @returns `null` when the tree's directory is not there
 */
export async function findModules(sys: KmodSystem, dirname: string, config: DepmodConfig, log: Messages): Promise<FoundFile[] | null> {
  const found = new Map<string, FoundFile>();
  const missing = (dir: string): void => log.say('ERROR', `could not open directory ${dir}: ${sys.strerror('ENOENT')}`);
  const visit = async (dir: string): Promise<boolean> => {
    const names = await sys.readdir(dir);
    if (names === null) return false;
    for (const name of names) {
      if (name === '.' || name === '..' || name === 'build' || name === 'source' || config.exclude.has(name)) continue;
      const absolute = `${dir}/${name}`;
      if (!(await sys.exists(absolute))) {
        await visit(absolute);
        continue;
      }
      if (!isModuleFile(name)) continue;
      const path = absolute.startsWith(`${dirname}/`) ? absolute.slice(dirname.length + 1) : absolute;
      const file = { path, name: moduleName(name), absolute };
      const old = found.get(file.name);
      if (old === undefined || replaces(config, file, old)) found.set(file.name, file);
    }
    return true;
  };
  const there = await visit(dirname);
  if (!there) missing(dirname);
  if (!there) return null;
  for (const dir of config.external) if (!(await visit(dir))) missing(dir);
  return [...found.values()];
}

/** A file as a module; one that cannot be read stays, with nothing in it. */
export async function readModuleFile(sys: KmodSystem, file: FoundFile): Promise<TreeModule & { readonly error: string | null }> {
  const bytes = (await sys.readBytes(file.absolute)) ?? new Uint8Array();
  const module = bytes.length === 0 ? 'EINVAL' as const : parseModuleFile(bytes, file.path);
  if (typeof module !== 'string') return { ...module, error: null };
  return { path: file.path, name: file.name, modinfo: [], exports: [], needs: [], aliases: [], softdeps: [], weakdeps: [], params: [], size: 0, error: sys.strerror(module) };
}

/** Lines of modules.order; `null` when there is none, or when one of them has no end. */
export async function readOrder(sys: KmodSystem, dirname: string, log: Messages): Promise<string[] | null> {
  const order = await sys.readFile(`${dirname}/modules.order`);
  if (order === null) {
    log.say('WARNING', `could not open modules.order at ${dirname}: ${sys.strerror('ENOENT')}`);
    return null;
  }
  if (order === '' || order.endsWith('\n')) return order.split('\n').slice(0, -1);
  log.say('ERROR', `${dirname}/modules.order:${order.split('\n').length} corrupted line misses '\\n'`);
  return null;
}

/** Symbols of the kernel image by Module.symvers: those of `vmlinux`. */
export function symbolsOfSymvers(text: string): BuiltinModule['exports'] {
  return text.split('\n').flatMap((line) => {
    const [crc, name, owner] = line.split(/[ \t]+/);
    return owner === 'vmlinux' && name !== undefined ? [{ name, crc: Number.parseInt(crc ?? '0', 16), gpl: false, namespace: '' }] : [];
  });
}

/** Symbols of the kernel image by System.map: those with a `__ksymtab_` mark. */
export function symbolsOfMap(text: string): BuiltinModule['exports'] {
  return text.split('\n').flatMap((line) => {
    const name = / __ksymtab_(\S+)$/.exec(line)?.[1];
    return name === undefined ? [] : [{ name, crc: 0, gpl: false, namespace: '' }];
  });
}
