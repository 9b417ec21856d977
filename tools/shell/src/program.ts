/** What an applet or a builtin works with: its arguments, its process, its streams. */
import type { UserProcess } from '@vdpalab/lab';
import type { Child } from './shell.ts';
import { complain, readText, writeStream } from './streams.ts';
import { errorText, type System } from './system.ts';

/** A program of the lab. @returns its exit status */
export type Applet = (c: Program) => Promise<number>;

/** Ends a program at once. */
export class ProgramExit {
  readonly status: number;

  constructor(status: number) {
    this.status = status;
  }
}

/** What is different in what a program starts. */
export interface StartOptions {
  readonly as?: { readonly uid: number; readonly gid: number };
  /** Instead of the environment it has. */
  readonly env?: ReadonlyMap<string, string>;
}

/** How a program starts others. */
export interface Launcher {
  /** Start a program in a child and do not wait. */
  readonly start: (argv: readonly string[], options?: StartOptions) => Promise<Child>;
  /** Run a program with these arguments in a child and wait. @returns its status */
  readonly runProgram: (argv: readonly string[], options?: StartOptions) => Promise<number>;
  /** Run a text as `sh -c` does, in a child. */
  readonly runShell: (text: string, argv?: readonly string[], options?: StartOptions) => Promise<number>;
  /** Become another program: it runs in this process. */
  readonly exec: (argv: readonly string[], options?: StartOptions) => Promise<number>;
  /** Become a shell that runs a text. @param argv `$0` and what follows */
  readonly execShell: (text: string, argv: readonly string[], options?: StartOptions & { readonly dialect?: 'bash' | 'dash' }) => Promise<number>;
  readonly hasProgram: (name: string) => boolean;
}

/** One run of a program. */
export class Program {
  readonly name: string;
  readonly args: readonly string[];
  readonly p: UserProcess;
  readonly env: ReadonlyMap<string, string>;
  readonly system: System;
  readonly launch: Launcher;
  #pending: string[] = [];
  #size = 0;

  constructor(argv: readonly string[], p: UserProcess, env: ReadonlyMap<string, string>, system: System, launch: Launcher) {
    this.name = argv[0] ?? '';
    this.args = argv.slice(1);
    this.p = p;
    this.env = env;
    this.system = system;
    this.launch = launch;
  }

  /** Append to standard output, which is written when the program ends or {@link flush}es. */
  out(text: string): undefined {
    this.#pending.push(text);
    this.#size += text.length;
  }

  /** Write what was put out. @throws the errno of the write */
  async flush(): Promise<void> {
    if (this.#size === 0) return;
    const text = this.#pending.join('');
    this.#pending = [];
    this.#size = 0;
    await writeStream(this.p, 1, text);
  }

  /** Write to standard error at once. */
  async err(text: string): Promise<void> {
    await complain(this.p, text);
  }

  /** `NAME: TEXT` on standard error. @returns the status, for `return c.fail(...)` */
  async fail(text: string, status = 1): Promise<number> {
    await this.err(`${this.name}: ${text}\n`);
    return status;
  }

  /** A file's text, `-` for standard input. @throws KernelError */
  async read(path: string): Promise<string> {
    if (path === '-') return readText(this.p, 0);
    const fd = await this.p.open(path);
    try {
      return await readText(this.p, fd);
    } finally {
      await this.p.close(fd);
    }
  }

  /** Texts of files; those that cannot be read are reported as coreutils do and left out. */
  async inputs(paths: readonly string[]): Promise<{ texts: { path: string; text: string }[]; failed: boolean }> {
    const texts: { path: string; text: string }[] = [];
    let failed = false;
    for (const path of paths.length === 0 ? ['-'] : paths) {
      try {
        texts.push({ path, text: await this.read(path) });
      } catch (error) {
        await this.err(`${this.name}: ${path}: ${errorText(error)}\n`);
        failed = true;
      }
    }
    return { texts, failed };
  }
}
