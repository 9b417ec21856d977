/** What a shell remembers: variables, functions, options, traps; a subshell starts with a copy. */
import type { UserProcess } from '@vdpalab/lab';
import type { Function as FunctionNode } from 'unbash';

/** A variable: text, or an indexed array. */
export interface Variable {
  readonly value: string | readonly string[];
  readonly exported: boolean;
  readonly readonly: boolean;
}

/** A function's body as it was parsed, with the source it points into. */
export interface ShellFunction {
  readonly node: FunctionNode;
  readonly source: string;
}

/** Options of `set`. */
export interface ShellOptions {
  errexit: boolean;
  nounset: boolean;
  xtrace: boolean;
  pipefail: boolean;
  noglob: boolean;
}

/** `break`, `continue`, `return`, `exit` on their way out. */
export class Leave {
  readonly kind: 'break' | 'continue' | 'return' | 'exit';
  /** Loops to leave, or the status. */
  count: number;

  constructor(kind: Leave['kind'], count: number) {
    this.kind = kind;
    this.count = count;
  }
}

/** The state of one shell or subshell. */
export class ShellState {
  p: UserProcess;
  /** `$$` */
  readonly shellPid: number;
  vars = new Map<string, Variable>();
  functions = new Map<string, ShellFunction>();
  /** Saved variables of each function call, innermost last. */
  locals: Map<string, Variable | undefined>[] = [];
  /** `$0` */
  name: string;
  positional: readonly string[] = [];
  status = 0;
  lastBackground: number | null = null;
  options: ShellOptions = { errexit: false, nounset: false, xtrace: false, pipefail: false, noglob: false };
  traps = new Map<string, string>();
  /** Descriptors that children do not inherit: what redirections put aside. */
  hidden = new Set<number>();
  /** Depth of conditions, in which `set -e` does not act. */
  lenient = 0;
  loops = 0;
  /** Whose texts and ways it has. */
  dialect: 'bash' | 'dash' = 'bash';
  /** Whether messages tell the line: a shell that runs a text of its own tells, one that is typed into does not. */
  tellsLines = false;
  /** Whether it is a subshell. */
  subshell = false;
  /** Whether a script is being sourced. */
  sourcing = false;

  constructor(p: UserProcess, name = 'bash') {
    this.p = p;
    this.shellPid = p.pid;
    this.name = name;
    this.set('PPID', String(p.proc.parent?.pid ?? 0));
  }

  /** The state of a subshell that runs in `child`. */
  fork(child: UserProcess): ShellState {
    const copy = Object.assign(Object.create(ShellState.prototype) as ShellState, this, {
      p: child, subshell: true, vars: new Map(this.vars), functions: new Map(this.functions), locals: this.locals.map((m) => new Map(m)),
      options: { ...this.options }, traps: new Map<string, string>(), hidden: new Set<number>(),
    });
    return copy;
  }

  /** Text of a variable; of an array its first element. */
  get(name: string): string | undefined {
    const value = this.vars.get(name)?.value;
    return typeof value === 'string' || value === undefined ? value : value[0];
  }

  set(name: string, value: string | readonly string[], exported?: boolean): void {
    const old = this.vars.get(name);
    if (old?.readonly === true) throw new ShellError(`${name}: readonly variable`);
    this.vars.set(name, { value, exported: exported ?? old?.exported ?? false, readonly: false });
  }

  /** Make a variable the innermost function's own. */
  declareLocal(name: string): void {
    const frame = this.locals.at(-1);
    if (frame === undefined || frame.has(name)) return;
    frame.set(name, this.vars.get(name));
    this.vars.delete(name);
  }

  /** Put the variables of the innermost function back. */
  leaveFunction(): void {
    for (const [name, old] of this.locals.pop() ?? []) {
      if (old === undefined) this.vars.delete(name);
      else this.vars.set(name, old);
    }
  }

  /** What programs get. */
  environment(): Map<string, string> {
    const env = new Map<string, string>();
    for (const [name, { value, exported }] of this.vars) if (exported && typeof value === 'string') env.set(name, value);
    return env;
  }
}

/** The command line cannot go on: bash prints `bash: TEXT` and the command ends. */
export class ShellError extends Error {
  /** Status of the command. */
  readonly status: number;
  /** Whether a shell that runs a script ends. */
  readonly fatal: boolean;

  constructor(text: string, status = 1, fatal = true) {
    super(text);
    this.status = status;
    this.fatal = fatal;
  }
}

/** An expansion that failed: all of the command it stands in is dropped, up to the script's next one; a subshell ends. */
export class DiscardError extends ShellError {
  constructor(text: string) {
    super(text, 1, false);
  }
}

/** A file that a redirection could not open. */
export class RedirectError extends ShellError {
  readonly path: string;
  /** As strerror(3) has it. */
  readonly reason: string;
  readonly input: boolean;

  constructor(path: string, reason: string, input: boolean) {
    super(`${path}: ${reason}`, 1, false);
    this.path = path;
    this.reason = reason;
    this.input = input;
  }
}
