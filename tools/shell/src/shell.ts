/** The executor: runs what the parser made of a command line. */
import { isKernelError, type Task } from '@vdpalab/abi';
import { Killed, type UserProcess } from '@vdpalab/lab';
import { parse, type AndOr, type CommandNode, type CompoundList, type ParsedScript, type PipelineNode, type Script, type Statement } from 'unbash';
import { builtins } from './builtins/index.ts';
import { dashError, dashSyntax, dashText, endsDash } from './dash.ts';
import { Jobs } from './jobs.ts';
import { runCommand } from './command.ts';
import { runCompound } from './compound.ts';
import { Expander } from './expand.ts';
import type { Applet } from './program.ts';
import { describeSignal, exitStatus, waitStatus } from './signals.ts';
import { DiscardError, Leave, ShellError, type ShellState } from './state.ts';
import { complain, readBytes } from './streams.ts';
import { syntaxError } from './syntax-error.ts';
import { errorText, refusedWith, type System } from './system.ts';
import { SIGINT, SIGPIPE, SIGTERM, utf8Decode } from '@vdpalab/uapi';
import { ProgramExit } from './program.ts';

/** Programs by name. */
export type AppletTable = ReadonlyMap<string, Applet>;

/** One shell, or a subshell in a child process. */
export class Shell {
  readonly state: ShellState;
  readonly system: System;
  readonly applets: AppletTable;
  readonly builtins = builtins;
  /** What runs now, for nodes' positions. */
  source = '';
  /** Where in it the command that runs stands. */
  at = 0;
  /** Lines in front of the text that runs: `eval` counts on. */
  linesBefore = 0;
  /** A simple command may take over this process: it is a child made for it. */
  mayExec = false;
  #substituted: number | null = null;

  constructor(state: ShellState, system: System, applets: AppletTable) {
    this.state = state;
    this.system = system;
    this.applets = applets;
  }

  get p(): UserProcess {
    return this.state.p;
  }

  /** Run a text. @returns the status of its last command */
  async run(text: string): Promise<number> {
    const script = parse(text);
    const problem = syntaxError(script, text);
    if (problem !== null) {
      if (this.state.dialect === 'dash') throw new ShellError(dashSyntax(problem), 2);
      await complain(this.p, `${this.state.name}: ${problem}\n`);
      return (this.state.status = 2);
    }
    return this.script(script, text);
  }

  /** Run a parsed script in this process. */
  async script(script: Script, source: string): Promise<number> {
    const outer = this.source;
    this.source = source;
    try {
      await this.statements(script.commands, !this.state.subshell);
    } finally {
      this.source = outer;
    }
    return this.state.status;
  }

  /** Run a text to its end, as the whole of a process: `exit`, EXIT traps and fatal errors end here. */
  async main(text: string): Promise<number> {
    let status = await this.guarded(() => this.run(text));
    const trap = this.state.traps.get('EXIT');
    this.state.traps.delete('EXIT');
    if (trap !== undefined && trap !== '') {
      this.state.status = status;
      const ended = await this.guarded(async () => {
        await this.run(trap);
        return status;
      });
      status = ended;
    }
    return status;
  }

  /** Run a body; what ends a shell becomes a status. */
  async guarded(body: () => Promise<number>): Promise<number> {
    try {
      return await body();
    } catch (error) {
      return (this.state.status = await this.statusOf(error));
    }
  }

  /** The status that something thrown means for the process. */
  async statusOf(error: unknown): Promise<number> {
    if (error instanceof Leave) return error.kind === 'exit' || error.kind === 'return' ? error.count : this.state.status;
    if (error instanceof ProgramExit) return error.status;
    if (error instanceof ShellError) {
      const said = this.state.dialect === 'dash' ? dashError(error) : error;
      await this.complain(said.message);
      return said.status;
    }
    if (refusedWith(error, 'EPIPE')) return 128 + SIGPIPE;
    if (isKernelError(error)) {
      await this.complain(errorText(error));
      return 1;
    }
    throw error;
  }

  /** Line of the command that runs, 1-based. */
  get line(): number {
    return this.linesBefore + 1 + (this.source.slice(0, this.at).match(/\n/g)?.length ?? 0);
  }

  /** TEXT on standard error. */
  async say(text: string): Promise<void> {
    await complain(this.p, text);
  }

  /** `bash: TEXT` on standard error; `bash: line 3: TEXT` or dash's `sh: 3: TEXT` of a shell that runs a text of its own. */
  async complain(text: string): Promise<void> {
    const { name, dialect, tellsLines } = this.state;
    const line = tellsLines ? `${dialect === 'bash' ? 'line ' : ''}${this.line}: ` : '';
    await complain(this.p, `${name}: ${line}${dialect === 'dash' ? dashText(text) : text}\n`);
  }

  expander(): Expander {
    return new Expander(this.state, this.source, (script, source) => this.#substitute(script, source));
  }

  /** Status of the command substitutions since the last call; `null` when there was none. */
  takeSubstituted(): number | null {
    const status = this.#substituted;
    this.#substituted = null;
    return status;
  }

  async list(list: CompoundList): Promise<void> {
    await this.statements(list.commands);
  }

  /** Run a condition: `set -e` does not act in it. */
  async condition(list: CompoundList): Promise<boolean> {
    this.state.lenient++;
    try {
      await this.list(list);
    } finally {
      this.state.lenient--;
    }
    return this.state.status === 0;
  }

  /** @param whole whether these are a script's own, at which an expansion that failed ends */
  async statements(statements: readonly Statement[], whole = false): Promise<void> {
    const { mayExec } = this;
    for (const [i, { command, background, pos, end }] of statements.entries()) {
      this.mayExec = mayExec && i === statements.length - 1 && this.state.traps.size === 0;
      await this.jobs.reap();
      if (background === true) await this.#background(command, this.source.slice(pos, end).replace(/\s*&\s*$/, ''));
      else {
        try {
          await this.#andOr(command);
        } catch (error) {
          if (!whole || !(error instanceof DiscardError)) throw error;
          await this.complain(error.message);
          this.state.status = 1;
        }
      }
      await this.runTraps();
    }
    this.mayExec = false;
  }

  /** Run the traps of signals that came since the last command; the status stays. */
  async runTraps(): Promise<void> {
    for (let signal = this.cameIn.shift(); signal !== undefined; signal = this.cameIn.shift()) {
      const action = this.state.traps.get(describeSignal(signal).name);
      const { status } = this.state;
      if (action !== undefined && action !== '') await this.run(action);
      this.state.status = status;
    }
  }

  /** Caught signals whose traps have not run. */
  readonly cameIn: number[] = [];
  readonly jobs = new Jobs(this);

  async #andOr(node: PipelineNode | AndOr): Promise<void> {
    if (node.type !== 'AndOr') {
      await this.#pipeline(node);
      return;
    }
    this.mayExec = false;
    for (const [i, command] of node.commands.entries()) {
      if (i > 0 && (this.state.status === 0) !== (node.operators[i - 1] === '&&')) continue;
      const last = i === node.commands.length - 1;
      if (!last) this.state.lenient++;
      try {
        await this.#pipeline(command);
      } finally {
        if (!last) this.state.lenient--;
      }
    }
  }

  async #pipeline(node: PipelineNode): Promise<void> {
    if (node.type !== 'Pipeline') {
      await this.command(node);
      this.state.set('PIPESTATUS', [String(this.state.status)]);
      await this.#leaveOnError();
      return;
    }
    const negated = node.prefixes.filter((prefix) => prefix.type === 'Negation').length % 2 === 1;
    const timed = node.prefixes.some((prefix) => prefix.type === 'Time');
    const start = this.system.now();
    this.mayExec = false;
    if (negated) this.state.lenient++;
    try {
      if (node.commands.length === 1) {
        await this.command(node.commands[0]);
        this.state.set('PIPESTATUS', [String(this.state.status)]);
      }
      if (node.commands.length > 1) await this.#pipe(node.commands, node.operators.map((operator) => operator === '|&'));
    } finally {
      if (negated) this.state.lenient--;
    }
    if (timed) await complain(this.p, `\nreal\t${minutes(this.system.now() - start)}\nuser\t0m0.000s\nsys\t0m0.000s\n`);
    if (negated) this.state.status = this.state.status === 0 ? 1 : 0;
    else await this.#leaveOnError();
  }

  async #leaveOnError(): Promise<void> {
    const { status, options, lenient, traps } = this.state;
    if (status === 0 || lenient > 0) return;
    const trap = traps.get('ERR');
    if (trap !== undefined && trap !== '' && this.state.locals.length === 0) {
      traps.delete('ERR'); // it does not act in itself
      await this.run(trap);
      traps.set('ERR', trap);
      this.state.status = status;
    }
    if (options.errexit) throw new Leave('exit', status);
  }

  async command(node: CommandNode): Promise<void> {
    try {
      if (node.type === 'Command') this.state.status = await runCommand(this, node);
      else await runCompound(this, node);
    } catch (error) {
      if (!(error instanceof ShellError) || error instanceof DiscardError) throw error;
      const dash = this.state.dialect === 'dash';
      if (error.fatal || (dash && node.type === 'Command' && endsDash(node.name?.text))) throw error;
      const said = dash ? dashError(error) : error;
      await this.complain(said.message);
      this.state.status = said.status;
    }
  }

  async #pipe(commands: readonly CommandNode[], both: readonly boolean[]): Promise<void> {
    const children: Child[] = [];
    let input: number | null = null;
    for (const [i, command] of commands.entries()) {
      const pipe = i < commands.length - 1 ? this.p.pipe() : null;
      const from: number | null = input;
      const child = await this.child(this.p.proc.comm, async (shell) => {
        if (from !== null) await move(shell.p, from, 0);
        if (pipe !== null) {
          await move(shell.p, pipe[1], 1);
          await shell.p.close(pipe[0]);
          if (both[i]) await shell.p.dup(1, 2);
        }
      }, async (shell) => {
        shell.mayExec = true;
        await shell.command(command);
        return shell.state.status;
      });
      children.push(child);
      if (from !== null) await this.p.close(from);
      if (pipe !== null) await this.p.close(pipe[1]);
      input = pipe?.[0] ?? null;
    }
    const statuses: number[] = [];
    for (const child of children) statuses.push(exitStatus(await child.wait()));
    this.state.set('PIPESTATUS', statuses.map(String));
    const failed = statuses.findLast((status) => status !== 0);
    this.state.status = (this.state.options.pipefail ? failed : statuses.at(-1)) ?? 0;
  }

  /**
   * Start a subshell in a child process.
   *
   * @param prepare arranges the child's descriptors, before it runs
   */
  async child(comm: string, prepare: (shell: Shell) => Promise<void>, body: (shell: Shell) => Promise<number>): Promise<Child> {
    const process = this.system.fork(this.p, comm);
    for (const fd of this.state.hidden) await process.close(fd);
    const shell = new Shell(this.state.fork(process), this.system, this.applets);
    shell.source = this.source;
    shell.at = this.at;
    shell.linesBefore = this.linesBefore;
    shell.jobs.inherit(this.jobs);
    await prepare(shell);
    return this.#started(shell, body);
  }

  #started(shell: Shell, body: (shell: Shell) => Promise<number>): Child {
    const outcome: { failure: unknown } = { failure: undefined };
    const process = shell.p;
    const task = this.system.start(process, process.proc.comm, async () => {
      let status = 0;
      try {
        status = waitStatus(await shell.guarded(() => body(shell)));
        const trap = shell.state.traps.get('EXIT');
        if (trap !== undefined) await shell.guarded(() => shell.run(trap));
      } catch (error) {
        if (error instanceof Killed) status = error.signal;
        else outcome.failure = error;
      } finally {
        await this.system.exit(process, status);
      }
    });
    const { pid } = process;
    const parent = this.p;
    return {
      pid,
      task,
      wait: async () => {
        const status = (await parent.wait4(pid))?.status ?? 0;
        if (outcome.failure !== undefined) throw outcome.failure;
        return status;
      },
      failure: () => outcome.failure,
    };
  }

  /** Wait for a child in the foreground, and say so when a signal ended it. @param text of the command */
  async foreground(child: Child, text: string): Promise<number> {
    const status = await child.wait();
    const signal = status & 0x7f;
    if (this.state.dialect === 'dash' && signal !== 0 && signal !== SIGINT && signal !== SIGPIPE) await complain(this.p, `${describeSignal(signal).text}\n`);
    else if (signal === SIGTERM) await complain(this.p, 'Terminated\n');
    else if (signal !== 0 && signal !== SIGINT && signal !== SIGPIPE) await this.jobs.tellOfEnd(child.pid, signal, text);
    return exitStatus(status);
  }

  async #background(node: PipelineNode | AndOr, text: string): Promise<void> {
    const child = await this.child(this.p.proc.comm, async (shell) => {
      await move(shell.p, await shell.p.open('/dev/null'), 0);
    }, async (shell) => {
      shell.mayExec = true;
      await shell.#andOr(node);
      return shell.state.status;
    });
    this.jobs.add(child, text);
    this.state.lastBackground = child.pid;
    this.state.status = 0;
  }

  async #substitute(script: ParsedScript, source: string): Promise<string> {
    const [read, write] = this.p.pipe();
    const child = await this.child(this.p.proc.comm, async (shell) => {
      await move(shell.p, write, 1);
      await shell.p.close(read);
    }, async (shell) => {
      const problem = syntaxError(script, source);
      if (problem !== null) throw new ShellError(problem, 2);
      if (!this.state.options.errexit) shell.state.lenient = 0;
      shell.state.options.errexit = false;
      shell.mayExec = true;
      return shell.script(script, source);
    });
    await this.p.close(write);
    const bytes = await readBytes(this.p, read);
    await this.p.close(read);
    this.#substituted = exitStatus(await child.wait());
    return utf8Decode(bytes).replaceAll('\0', '');
  }
}

/** A child that runs. */
export interface Child {
  readonly pid: number;
  readonly task: Task;
  /** @returns how it ended, as wait4 reports it. @throws what was no refusal: a bug of the lab */
  readonly wait: () => Promise<number>;
  /** What it threw that was no refusal; `undefined` when nothing. */
  readonly failure: () => unknown;
}

/** Move a descriptor. */
export async function move(p: UserProcess, from: number, to: number): Promise<void> {
  if (from === to) return;
  await p.dup(from, to);
  await p.close(from);
}

function minutes(ns: number): string {
  const ms = Math.round(ns / 1e6);
  return `${Math.floor(ms / 60_000)}m${((ms % 60_000) / 1000).toFixed(3)}s`;
}
