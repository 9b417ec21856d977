/** A script of system calls, line by line: the twin of calls.c, which the recordings of real kernels ran. */
import { isKernelError } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import { errnoText } from '../vhosttest/caller.ts';
import { CallsError, Names, field, joined } from './fields.ts';
import { genlRequest } from './genl.ts';
import { calls, SCRATCH, type Call, type Given } from './statements.ts';

/** Width of what a line says before its arrow. */
const LABEL = 64;
const MS = 1_000_000;

/** What a script needs of whoever runs it. */
export interface CallsHost {
  readonly p: UserProcess;
  /** Write a text at once. */
  readonly say: (text: string) => Promise<void>;
  /** Run a text by `sh -c`. @returns its status */
  readonly shell: (text: string) => Promise<number>;
  /** Run a script in a child that has this process's descriptors. @returns what waits for its end */
  readonly child: (script: readonly string[], vars: ReadonlyMap<string, bigint>) => Promise<() => Promise<void>>;
}

interface Block {
  readonly from: number;
  readonly to: number;
}

const OPENERS = new Set(['fork', 'spawn', 'def']);
const words = (line: string): string[] => line.split(' ').filter((word) => word !== '');

/** One run. */
export class Calls {
  readonly #host: CallsHost;
  readonly #names: Names;
  readonly #lines: readonly string[];
  readonly #defs = new Map<string, Block>();
  readonly #children: (() => Promise<void>)[] = [];
  readonly #given: Given;

  private constructor(host: CallsHost, lines: readonly string[], vars: ReadonlyMap<string, bigint>, scratch: number) {
    this.#host = host;
    this.#lines = lines;
    this.#names = new Names(vars);
    this.#given = { p: host.p, names: this.#names, scratch };
  }

  /** Run a script to its end. @throws CallsError for a line that cannot be understood */
  static async run(host: CallsHost, lines: readonly string[], vars: ReadonlyMap<string, bigint> = new Map()): Promise<void> {
    const scratch = await host.p.mmap(SCRATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    const calls = new Calls(host, lines, vars, scratch);
    await calls.#block({ from: 0, to: lines.length });
  }

  async #block({ from, to }: Block): Promise<void> {
    for (let at = from; at < to; at++) at = await this.#line(this.#lines[at] ?? '', at, to);
  }

  /** The line that ends what begins at `from`. */
  #end(from: number, to: number): number {
    let depth = 1;
    for (let at = from; at < to; at++) {
      const [word = ''] = words(this.#lines[at] ?? '');
      if (OPENERS.has(word)) depth++;
      if (word === 'end' && --depth === 0) return at;
    }
    throw new CallsError('no end', this.#lines[from] ?? '');
  }

  /** One line. @returns the last line it took */
  async #line(line: string, at: number, to: number): Promise<number> {
    const text = line.replace(/^ +/, '');
    const quiet = text.startsWith('@');
    const said = quiet ? text.slice(1) : text;
    const all = words(said);
    if (all.length === 0 || all[0]?.startsWith('#') === true) return at;
    const target = all.length > 2 && all[1] === '=' ? all[0] as string : null; // there are three
    const [name = '', ...args] = target === null ? all : all.slice(2);
    if (OPENERS.has(name)) return this.#opened(name, args, said, at, to);
    const def = this.#defs.get(name);
    if (def === undefined) await this.#statement(name, args, target, said, quiet);
    else {
      for (let i = def.from; i < def.to; i++) {
        const body = (this.#lines[i] ?? '').replace(/^ +/, '').replaceAll(/\$(\d)/g, (_, n: string) => args[Number(n) - 1] ?? '');
        await this.#line(quiet && !body.startsWith('@') ? `@${body}` : body, i, def.to);
      }
    }
    return at;
  }

  async #opened(name: string, args: readonly string[], said: string, at: number, to: number): Promise<number> {
    const end = this.#end(at + 1, to);
    if (name === 'def') {
      this.#defs.set(args[0] ?? '', { from: at + 1, to: end });
      return end;
    }
    await this.#host.say(`${said}\n`);
    const defs = [...this.#defs].flatMap(([def, block]) => [`def ${def}`, ...this.#lines.slice(block.from, block.to), 'end']);
    const wait = await this.#host.child([...defs, ...this.#lines.slice(at + 1, end)], this.#names.vars);
    if (name === 'fork') await wait();
    else this.#children.push(wait);
    return end;
  }

  async #statement(name: string, args: readonly string[], target: string | null, said: string, quiet: boolean): Promise<void> {
    const { say, shell, p } = this.#host;
    switch (name) {
      case 'say': return say(`   ${said.slice('say '.length)}\n`);
      case 'sh': {
        if (!quiet) await say(`${said}\n`);
        const status = await shell(said.slice('sh '.length));
        return status === 0 ? undefined : say(`  exit ${status}\n`);
      }
      case 'sleep': {
        await p.poll([], this.#names.int(args[0] ?? '0') * MS);
        return undefined;
      }
      case 'join': {
        for (const wait of this.#children.splice(0)) await wait();
        return undefined;
      }
      case 'genl': return this.#genl(args, said);
      default:
    }
    const call = calls[name];
    if (call !== undefined) return this.#call(call, args, target, said, quiet);
    if (target === null || args.length > 0) throw new CallsError('no such statement', said);
    this.#names.vars.set(target, this.#names.value(name));
    return undefined;
  }

  async #call(call: Call, args: readonly string[], target: string | null, said: string, quiet: boolean): Promise<void> {
    const line = (result: string): Promise<void> => this.#host.say(`${said.padEnd(LABEL)} -> ${result}\n`);
    try {
      const { value, text } = await call(this.#given, args);
      if (target !== null) this.#names.vars.set(target, BigInt(value));
      if (!quiet) await line(`${target === null ? text ?? value : `ok${text?.replace(/^[^ ]*/, '') ?? ''}`}`);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      if (target !== null) this.#names.vars.set(target, -1n);
      await line(`-1 ${errnoText(error.errno).replace(/ \(.*/, '')}`);
    }
  }

  async #genl(args: readonly string[], said: string): Promise<void> {
    const [family = '', cmd = '0', flags = '0', ...fields] = args;
    const payload = joined(fields.map((text) => field(text, this.#names)));
    const strict = this.#names.vars.get('strict') === 1n;
    const answer = await genlRequest(this.#host.p, family, this.#names.int(cmd), this.#names.int(flags), payload, strict);
    if ('absent' in answer) await this.#host.say(`${said.padEnd(LABEL)} -> no family: ${answer.absent}\n`);
    else await this.#host.say([said, ...answer.lines, ''].join('\n'));
  }
}
