/** What the tools ask of the system they run on. The lab stands behind it; tests use {@link FakeSystem}'s like. */
import type { ErrnoName, ModuleView } from '@vdpalab/abi';
import { mergeConfigDirs, parseConfig } from './config.ts';
import type { Config, ConfigError, ConfigFile, ConfigSource } from './config.ts';
import { readModule, treeModuleOfFile, type ElfErrno } from './elf/index.ts';
import { ModuleIndex } from './modindex.ts';
import type { TreeModule } from './tree.ts';

/** What the tools read of a loaded module: /proc/modules and /sys/module. */
export type LoadedView = Pick<ModuleView, 'name' | 'state' | 'refcnt' | 'size' | 'holders'>;

/** The system under the tools. Paths are absolute. */
export interface KmodSystem {
  /** `uname -r` */
  readonly release: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Text of a file; `null` when there is none. */
  readonly readFile: (path: string) => Promise<string | null>;
  /** Bytes of a file; `null` when there is none. */
  readonly readBytes: (path: string) => Promise<Uint8Array | null>;
  /** Names in a directory; `null` when there is none. */
  readonly readdir: (path: string) => Promise<readonly string[] | null>;
  /** Whether a regular file is there. */
  readonly exists: (path: string) => Promise<boolean>;
  /** When a file was last written; `null` when there is none. For `depmod -A`. */
  readonly mtime?: (path: string) => Promise<number | null>;
  /** Only depmod writes. */
  readonly writeFile?: (path: string, contents: string | Uint8Array) => Promise<ErrnoName | 0>;
  /** Loaded modules, newest first, built-in ones excluded. */
  readonly loaded: () => readonly LoadedView[];
  /** `finit_module`. @returns the errno it failed with, or 0 */
  readonly insert: (path: string, args: string, flags: number) => Promise<ErrnoName | 0>;
  /** `delete_module`. @returns the errno it failed with, or 0 */
  readonly remove: (name: string, flags: number) => Promise<ErrnoName | 0>;
  /** `system(3)`: run a command through the shell. @param env added to the environment. @returns its exit status */
  readonly runCommand: (command: string, env: Readonly<Record<string, string>>) => Promise<number>;
  /** `strerror(3)` */
  readonly strerror: (errno: ErrnoName) => string;
  /** Wait, for `modprobe -w`; absent, it does not wait. */
  readonly sleep?: (ms: number) => Promise<void>;
  /** Write what was put out so far. */
  readonly flush?: () => Promise<void>;
  /** Write to standard output; texts hold their newlines. */
  readonly out: (text: string) => void;
  /** Write to standard error. */
  readonly err: (text: string) => void;
  /** `syslog(3)`; absent, what is said there is lost. */
  readonly syslog?: (text: string) => void;
}

/** Directories of modprobe.d, the first wins. */
export const MODPROBE_DIRS: readonly string[] = ['/etc/modprobe.d', '/run/modprobe.d', '/usr/local/lib/modprobe.d', '/lib/modprobe.d'];

/** A path as it is from the root on; an empty one stays empty. */
export function absolutePath(sys: KmodSystem, path: string): string {
  return path === '' || path.startsWith('/') ? path : `${sys.env['PWD'] ?? ''}/${path}`;
}

/** `/lib/modules/RELEASE` below a root. */
export function modulesDir(release: string, root = ''): string {
  return `${root.replace(/\/$/, '')}/lib/modules/${release}`;
}

/** Read depmod's indexes of a tree; missing ones count as empty. */
export async function readIndex(sys: KmodSystem, dirname: string): Promise<ModuleIndex> {
  const bin = (name: string): Promise<Uint8Array | null> => sys.readBytes(`${dirname}/modules.${name}.bin`);
  return new ModuleIndex(dirname, {
    dep: await bin('dep'),
    alias: await bin('alias'),
    symbols: await bin('symbols'),
    builtin: await bin('builtin'),
    builtinAlias: await bin('builtin.alias'),
    builtinModinfo: await sys.readFile(`${dirname}/modules.builtin.modinfo`),
  });
}

/**
 * Read the configuration: modprobe.d, the tree's modules.softdep in its place among the file names, the command line.
 *
 * @param paths `-C`: files or directories instead of the usual directories
 */
export async function readConfig(sys: KmodSystem, dirname: string, paths: readonly string[] | null = null): Promise<Config> {
  const sources: ConfigSource[] = [];
  for (const path of paths ?? MODPROBE_DIRS) {
    const names = await sys.readdir(path);
    sources.push(names !== null ? { dir: path, names } : { dir: path.slice(0, Math.max(path.lastIndexOf('/'), 0)), file: path.slice(path.lastIndexOf('/') + 1) });
  }
  const files: ConfigFile[] = [];
  const directories: ConfigError[] = [];
  for (const path of mergeConfigDirs([...sources, { dir: dirname, file: 'modules.softdep' }])) {
    const text = await sys.readFile(path);
    if (text !== null) files.push({ path, text });
    else if ((await sys.readdir(path)) !== null) directories.push({ file: path, line: 0, word: null });
  }
  const config = parseConfig(files, (await sys.readFile('/proc/cmdline')) ?? '');
  return { ...config, errors: [...directories, ...config.errors] };
}

/** What libkmod says of a file too short to tell whether it is compressed, before the kernel sees it; `null` for others. */
export function tooShort(bytes: Uint8Array | null): ErrnoName | null {
  return bytes !== null && bytes.length < 6 ? 'EINVAL' : null;
}

/** A module file's bytes as a module of a tree, or why they are none. @param path below the tree's directory */
export function parseModuleFile(bytes: Uint8Array, path: string): TreeModule | ElfErrno {
  const file = readModule(bytes);
  return typeof file === 'string' ? file : treeModuleOfFile(file, path);
}

/** State of a module as `/sys/module` shows it; `null` when it is not in the kernel. */
export function moduleState(sys: KmodSystem, index: ModuleIndex | null, name: string): 'builtin' | 'coming' | 'live' | 'going' | null {
  if (index?.isBuiltin(name) === true) return 'builtin';
  const state = sys.loaded().find((m) => m.name === name)?.state;
  return state === undefined || state === 'unformed' ? null : state;
}
