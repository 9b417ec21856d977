/** A system for tests: files in a map, a kernel that knows who needs whom, and a shell of a few words. */
import type { ErrnoName } from '@vdpalab/abi';
import { analyze } from './depmod.ts';
import { builtinModinfoText, builtinText, depmod } from './depmod-files.ts';
import { depmodTool } from './depmod-tool.ts';
import { writeModule } from './elf/index.ts';
import { kmodTool } from './kmod-tool.ts';
import { modinfo } from './modinfo.ts';
import { modprobe } from './modprobe.ts';
import { moduleName } from './names.ts';
import { insmod, lsmod, rmmod } from './small-tools.ts';
import type { KmodSystem, LoadedView } from './system.ts';
import type { ModuleTree } from './tree.ts';

const STRERROR: Partial<Record<ErrnoName, string>> = {
  EPERM: 'Operation not permitted', ENOENT: 'No such file or directory', ENOEXEC: 'Exec format error', EEXIST: 'File exists',
  EINVAL: 'Invalid argument', EBUSY: 'Device or resource busy', EAGAIN: 'Resource temporarily unavailable', EROFS: 'Read-only file system',
};

interface FakeModule {
  readonly name: string;
  readonly size: number;
  readonly uses: readonly string[];
  refs: number;
}

/** See the file's head. */
export class FakeSystem implements KmodSystem {
  readonly release: string;
  readonly dirname: string;
  env: Readonly<Record<string, string | undefined>> = {};
  readonly files = new Map<string, string | Uint8Array>();
  /** What insert got: `name args flags`. */
  readonly inserted: string[] = [];
  /** Errno with which the kernel answers an insert or a removal of a module. */
  readonly refuse = new Map<string, ErrnoName>();
  stdout = '';
  stderr = '';
  readonly #tree: ModuleTree;
  readonly #sizes: ReadonlyMap<string, number>;
  #modules: FakeModule[] = [];

  /** @param root where lib/modules is: the host folder that real programs look at as well */
  constructor(tree: ModuleTree, release = '6.1.0-56-amd64', sizes: ReadonlyMap<string, number> = new Map(), root = '') {
    this.release = release;
    this.dirname = `${root}/lib/modules/${release}`;
    this.#tree = tree;
    this.#sizes = sizes;
    for (const m of tree.modules) this.files.set(`${this.dirname}/${m.path}`, writeModule(m, { package: null }));
    for (const [name, contents] of depmod(tree).files) this.files.set(`${this.dirname}/${name}`, contents);
    this.files.set(`${this.dirname}/modules.builtin`, builtinText(tree));
    this.files.set(`${this.dirname}/modules.builtin.modinfo`, builtinModinfoText(tree));
  }

  readonly strerror = (errno: ErrnoName): string => STRERROR[errno] ?? errno;
  readonly out = (text: string): void => void (this.stdout += text);
  readonly err = (text: string): void => void (this.stderr += text);
  readonly readFile = async (path: string): Promise<string | null> => {
    const contents = this.files.get(plain(path));
    return contents === undefined ? null : typeof contents === 'string' ? contents : new TextDecoder().decode(contents);
  };

  readonly readBytes = async (path: string): Promise<Uint8Array | null> => {
    const contents = this.files.get(plain(path));
    return contents === undefined ? null : typeof contents === 'string' ? new TextEncoder().encode(contents) : contents;
  };

  readonly exists = async (path: string): Promise<boolean> => this.files.has(plain(path));

  readonly writeFile = async (path: string, contents: string | Uint8Array): Promise<0> => {
    this.files.set(path, contents);
    return 0;
  };

  readonly readdir = async (path: string): Promise<readonly string[] | null> => {
    const names = [...this.files.keys()].filter((f) => f.startsWith(`${path}/`)).map((f) => f.slice(path.length + 1).split('/')[0] as string);
    return names.length === 0 ? null : [...new Set(names)];
  };

  readonly loaded = (): readonly LoadedView[] => this.#modules.map((m) => {
    const holders = this.#modules.filter((u) => u.uses.includes(m.name)).map((u) => u.name);
    return { name: m.name, size: m.size, state: 'live', holders, refcnt: m.refs + holders.length };
  });

  /** Put modules into the kernel without asking. @param names newest first */
  setLoaded(names: readonly string[]): void {
    this.#modules = names.map((name) => this.#module(name, this.#direct(name).filter((d) => names.includes(d))));
  }

  /** Take a reference, as an open file does. */
  hold(name: string, refs = 1): void {
    const module = this.#modules.find((m) => m.name === name);
    if (module !== undefined) module.refs += refs;
  }

  readonly insert = async (path: string, args: string, flags: number): Promise<ErrnoName | 0> => {
    if (!this.files.has(path)) return 'ENOENT';
    const name = moduleName(path);
    this.inserted.push(`${name} '${args}' ${flags}`);
    const refused = this.refuse.get(name);
    if (refused !== undefined) return refused;
    if (this.#modules.some((m) => m.name === name)) return 'EEXIST';
    const needs = this.#direct(name);
    if (!needs.every((need) => this.#modules.some((m) => m.name === need))) return 'ENOENT';
    if (/=zz( |$)/.test(args)) return 'EINVAL';
    this.#modules.unshift(this.#module(name, needs));
    return 0;
  };

  readonly remove = async (name: string, flags: number): Promise<ErrnoName | 0> => {
    const view = this.loaded().find((m) => m.name === name);
    if (view === undefined) return 'ENOENT';
    if (view.holders.length > 0) return 'EAGAIN';
    const force = (flags & 0o1000) !== 0;
    const refused = this.refuse.get(name);
    if (refused !== undefined && !force) return refused;
    if (view.refcnt > 0 && !force) return 'EAGAIN';
    this.#modules = this.#modules.filter((m) => m.name !== name);
    return 0;
  };

  readonly runCommand = (command: string, env: Readonly<Record<string, string>>): Promise<number> => this.shell(command, env);

  /** Run `a; b > file`: the tools, echo, printf, cat, rm, mkdir, true and false. @returns the last command's status */
  async shell(line: string, env: Readonly<Record<string, string>> = {}): Promise<number> {
    const outer = this.env;
    this.env = { ...outer, ...env };
    let status = 0;
    for (const part of splitCommands(line)) {
      const words = splitWords(part);
      const to = words.lastIndexOf('>');
      const before = this.stdout;
      if (to >= 0) this.stdout = '';
      status = await this.#command(to >= 0 ? words.slice(0, to) : words);
      if (to >= 0) {
        this.files.set(words[to + 1] as string, this.stdout); // a redirection has a target
        this.stdout = before;
      }
    }
    this.env = outer;
    return status;
  }

  async #command([command, ...argv]: readonly string[]): Promise<number> {
    switch (command?.replace(/^\/s?bin\//, '')) {
      case 'modprobe': return modprobe(argv, this);
      case 'insmod': return insmod(argv, this);
      case 'rmmod': return rmmod(argv, this);
      case 'lsmod': return lsmod(argv, this);
      case 'modinfo': return modinfo(argv, this);
      case 'depmod': return depmodTool(argv, this);
      case 'kmod': return kmodTool(argv, this);
      case 'echo': this.out(`${argv.join(' ')}\n`); return 0;
      case 'printf': this.out((argv[0] ?? '').replaceAll('\\n', '\n').replaceAll('\\\\', '\\')); return 0;
      case 'cat': this.out((await this.readFile(argv[0] ?? '')) ?? ''); return 0;
      case 'rm': this.files.delete(argv[0] ?? ''); return 0;
      case 'mkdir': case 'true': return 0;
      case 'false': return 1;
      default: this.err(`sh: 1: ${command}: not found\n`); return 127;
    }
  }

  #module(name: string, uses: readonly string[]): FakeModule {
    return { name, uses, size: this.#sizes.get(name) ?? 16384, refs: 0 };
  }

  #direct(name: string): string[] {
    const node = analyze(this.#tree).nodes.find((n) => n.module.name === name);
    const weak = new Set(node?.module.needs.filter((n) => n.weak).map((n) => n.name));
    return (node?.direct ?? []).filter((d) => !d.module.exports.every((e) => weak.has(e.name))).map((d) => d.module.name);
  }
}

/** A path without `.` in it. */
const plain = (path: string): string => path.replaceAll('/./', '/');

function splitCommands(line: string): string[] {
  return (line.match(/(?:'[^']*'|[^;'])+/g) ?? []).map((part) => part.trim()).filter((part) => part !== '');
}

function splitWords(text: string): string[] {
  return (text.match(/(?:'[^']*'|[^\s'])+/g) ?? []).map((word) => word.replaceAll("'", ''));
}
