/** `find`: tests, -exec, operators; in the directory's own order. */
import type { Stat } from '@vdpalab/fs';
import { patternRegExp } from '../pattern.ts';
import type { Applet, Program } from '../program.ts';
import { ProgramExit } from '../program.ts';
import { writeText } from '../streams.ts';
import { errorText } from '../system.ts';
import { modeString, userId } from './stat-text.ts';
import { quoteName } from './options.ts';

interface Seen {
  readonly path: string;
  readonly name: string;
  readonly stat: Stat;
  readonly depth: number;
}

type Test = (seen: Seen) => Promise<boolean>;

const KIND: Readonly<Record<string, Stat['kind']>> = { f: 'file', d: 'dir', l: 'link', c: 'chr', b: 'blk', p: 'fifo', s: 'sock' };

/** Walk trees. */
export const find: Applet = async (c) => new Walk(c).run();

class Walk {
  readonly #c: Program;
  readonly #args: string[];
  #minDepth = 0;
  #maxDepth = Infinity;
  #acts = false;
  #follow = false;
  #depthFirst = false;
  #pruned = false;
  #status = 0;
  readonly #batches: { argv: readonly string[]; paths: string[] }[] = [];

  constructor(c: Program) {
    this.#c = c;
    this.#args = [...c.args];
  }

  async run(): Promise<number> {
    const paths: string[] = [];
    while (this.#args[0] === '-L' || this.#args[0] === '-P' || this.#args[0] === '-H') this.#follow = this.#args.shift() === '-L';
    while (this.#args.length > 0 && !/^[-(!]/.test(this.#args[0])) paths.push(this.#args.shift() as string);
    const expression = this.#args.length === 0 ? null : await this.#or();
    if (this.#args.length > 0) return this.#c.fail(`paths must precede expression: \`${this.#args[0]}'`);
    const print: Test = async ({ path }) => {
      this.#c.out(`${path}\n`);
      return true;
    };
    const test: Test = this.#acts && expression !== null ? expression : async (seen) => (expression === null || (await expression(seen))) && print(seen);
    for (const path of paths.length === 0 ? ['.'] : paths) await this.#visit(path, path.replace(/.\/+$/, (m) => m[0]).split('/').at(-1) ?? path, 0, test);
    for (const { argv, paths: found } of this.#batches) {
      await this.#c.flush();
      if (found.length > 0) await this.#c.launch.runProgram(argv.flatMap((arg) => (arg === '{}' ? found : [arg])));
    }
    return this.#status;
  }

  async #visit(path: string, name: string, depth: number, test: Test): Promise<void> {
    let stat: Stat;
    try {
      stat = this.#follow ? await this.#c.p.stat(path) : await this.#c.p.lstat(path);
    } catch (error) {
      await this.#problem(path, error);
      return;
    }
    this.#pruned = false;
    const seen = { path, name, stat, depth };
    if (depth >= this.#minDepth && !this.#depthFirst) await test(seen);
    if (stat.kind === 'dir' && depth < this.#maxDepth && !this.#pruned) {
      let names: { name: string }[] = [];
      try {
        names = await this.#c.p.readdir(path);
      } catch (error) {
        await this.#problem(path, error);
      }
      for (const entry of names) {
        if (entry.name === '.' || entry.name === '..') continue; // a device may be called so
        await this.#visit(path.endsWith('/') ? path + entry.name : `${path}/${entry.name}`, entry.name, depth + 1, test);
      }
    }
    if (depth >= this.#minDepth && this.#depthFirst) await test(seen);
  }

  async #problem(path: string, error: unknown): Promise<void> {
    await this.#c.err(`find: ${quoteName(path)}: ${errorText(error)}\n`);
    this.#status = 1;
  }

  async #or(): Promise<Test> {
    let left = await this.#and();
    while (this.#args[0] === '-o' || this.#args[0] === '-or' || this.#args[0] === ',') {
      this.#args.shift();
      const [a, b] = [left, await this.#and()];
      left = async (seen) => (await a(seen)) || b(seen);
    }
    return left;
  }

  async #and(): Promise<Test> {
    let left = await this.#not();
    for (;;) {
      if (this.#args[0] === '-a' || this.#args[0] === '-and') this.#args.shift();
      else if (this.#args.length === 0 || this.#args[0] === '-o' || this.#args[0] === ')' || this.#args[0] === '-or') return left;
      const [a, b] = [left, await this.#not()];
      left = async (seen) => (await a(seen)) && b(seen);
    }
  }

  async #not(): Promise<Test> {
    const arg = this.#args.shift() ?? '';
    if (arg === '!' || arg === '-not') {
      const inner = await this.#not();
      return async (seen) => !(await inner(seen));
    }
    if (arg === '(') {
      const inner = await this.#or();
      if (this.#args.shift() !== ')') throw await this.#stop("invalid expression; I was expecting to find a ')' somewhere but did not see one.");
      return inner;
    }
    return this.#primary(arg);
  }

  async #primary(arg: string): Promise<Test> {
    const yes: Test = async () => true;
    switch (arg) {
      case '-name': case '-iname': return this.#pattern(await this.#value(arg), arg === '-iname', ({ name }) => name);
      case '-path': case '-wholename': case '-ipath': return this.#pattern(await this.#value(arg), arg === '-ipath', ({ path }) => path);
      case '-type': {
        const kinds = (await this.#value(arg)).split(',').map((letter) => KIND[letter]);
        return async ({ stat }) => kinds.includes(stat.kind);
      }
      case '-maxdepth': this.#maxDepth = await this.#count(arg); return yes;
      case '-mindepth': this.#minDepth = await this.#count(arg); return yes;
      case '-size': {
        const m = /^([-+]?)(\d+)([cwbkMG]?)$/.exec(await this.#value(arg));
        if (m === null) throw await this.#stop('Invalid argument to -size');
        const unit = { c: 1, w: 2, b: 512, '': 512, k: 1024, M: 1024 ** 2, G: 1024 ** 3 }[m[3]] ?? 512;
        const wanted = Number(m[2]);
        return async ({ stat }) => {
          const units = Math.ceil(stat.size / unit);
          return m[1] === '+' ? units > wanted : m[1] === '-' ? units < wanted : units === wanted;
        };
      }
      case '-newer': {
        const file = await this.#value(arg);
        const { mtime } = await this.#c.p.stat(file);
        return async ({ stat }) => stat.mtime > mtime;
      }
      case '-user': case '-uid': {
        const uid = userId(await this.#value(arg));
        return async ({ stat }) => stat.uid === uid;
      }
      case '-links': {
        const n = Number(await this.#value(arg));
        return async ({ stat }) => stat.nlink === n;
      }
      case '-depth': this.#depthFirst = true; return yes;
      case '-xdev': case '-mount': case '-noleaf': case '-follow': return yes;
      case '-true': return yes;
      case '-false': return async () => false;
      case '-prune': return async () => (this.#pruned = true);
      case '-perm': {
        const spec = await this.#value(arg);
        const bits = Number.parseInt(spec.replace(/^[-/]/, ''), 8);
        return async ({ stat }) => (spec.startsWith('-') ? (stat.mode & bits) === bits : spec.startsWith('/') ? (stat.mode & bits) !== 0 : stat.mode === bits);
      }
      case '-empty': return async ({ stat, path }) => (stat.kind === 'dir' ? (await this.#c.p.readdir(path)).length === 0 : stat.kind === 'file' && stat.size === 0);
      case '-print': case '-print0': case '-ls': case '-printf': {
        this.#acts = true;
        const format = arg === '-printf' ? await this.#value(arg) : '';
        return async (seen) => {
          this.#c.out(arg === '-print' ? `${seen.path}\n` : arg === '-print0' ? `${seen.path}\0` : arg === '-ls' ? `${modeString(seen.stat)} ${seen.path}\n` : await this.#formatted(format, seen));
          return true;
        };
      }
      case '-delete':
        this.#acts = true;
        this.#depthFirst = true;
        return async ({ path, stat }) => {
          await (stat.kind === 'dir' ? this.#c.p.rmdir(path) : this.#c.p.unlink(path));
          return true;
        };
      case '-exec': case '-execdir': return this.#exec();
      default:
        throw await this.#stop(`unknown predicate \`${arg}'`);
    }
  }

  async #formatted(format: string, { path, name, stat, depth }: Seen): Promise<string> {
    const target = stat.kind === 'link' ? await this.#c.p.readlink(path) : '';
    return format.replaceAll('\\n', '\n').replaceAll('\\t', '\t').replaceAll('\\0', '\0').replace(/%([pfmMsldyh%])/g, (_, letter: string) => ({
      p: path, f: name, m: stat.mode.toString(8), M: modeString(stat), s: String(stat.size), l: target, d: String(depth),
      y: modeString(stat)[0].replace('-', 'f'), h: path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '.', '%': '%',
    })[letter] ?? '');
  }

  #pattern(pattern: string, insensitive: boolean, of: (seen: Seen) => string): Test {
    const re = new RegExp(patternRegExp(pattern).source, insensitive ? 'si' : 's');
    return async (seen) => re.test(of(seen));
  }

  async #exec(): Promise<Test> {
    this.#acts = true;
    const end = this.#args.findIndex((arg, i) => arg === ';' || (arg === '+' && this.#args[i - 1] === '{}'));
    if (end < 0) throw await this.#stop("missing argument to `-exec'");
    const argv = this.#args.splice(0, end + 1);
    if (argv.pop() === '+') {
      const batch = { argv, paths: [] as string[] };
      this.#batches.push(batch);
      return async ({ path }) => batch.paths.push(path) > 0;
    }
    return async ({ path }) => {
      await this.#c.flush();
      return (await this.#c.launch.runProgram(argv.map((arg) => arg.replaceAll('{}', path)))) === 0;
    };
  }

  async #count(option: string): Promise<number> {
    const text = await this.#value(option);
    if (!/^\d+$/.test(text)) throw await this.#stop(`Expected a positive decimal integer argument to ${option}, but got '${text}'`);
    return Number(text);
  }

  async #value(option: string): Promise<string> {
    const value = this.#args.shift();
    if (value === undefined) throw await this.#stop(`missing argument to \`${option}'`);
    return value;
  }

  async #stop(text: string): Promise<ProgramExit> {
    await writeText(this.#c.p, 2, `find: ${text}\n`);
    return new ProgramExit(1);
  }
}
