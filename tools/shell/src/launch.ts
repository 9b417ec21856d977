/** Running programs: applets by name, scripts by path. */
import type { Stat } from '@vdpalab/fs';
import { X_OK } from '@vdpalab/uapi';
import { Program, type Launcher, type StartOptions } from './program.ts';
import type { Child, Shell } from './shell.ts';
import { exitStatus } from './signals.ts';
import { ShellError, type ShellState } from './state.ts';
import { readText } from './streams.ts';
import { errorText, refusedWith } from './system.ts';

/** Where programs are said to live. */
const PROGRAM_DIRS = /^(\/usr)?(\/local)?\/s?bin\/([^/]+)$/;

/** Run a program in this process, which is a child made for it. @returns its status */
export async function runProgram(shell: Shell, argv: readonly string[]): Promise<number> {
  const [name] = argv;
  const applet = shell.applets.get(PROGRAM_DIRS.exec(name)?.[3] ?? name);
  if (applet !== undefined && (!name.includes('/') || PROGRAM_DIRS.test(name))) {
    shell.p.proc.comm = (PROGRAM_DIRS.exec(name)?.[3] ?? name).slice(0, 15);
    shell.p.proc.argv = argv;
    const program = new Program([PROGRAM_DIRS.exec(name)?.[3] ?? name, ...argv.slice(1)], shell.p, shell.state.environment(), shell.system, launcher(shell));
    return runApplet(program, applet);
  }
  if (!name.includes('/')) throw new ShellError(name === '' ? ': command not found' : `${name}: command not found`, 127, false);
  return runScript(shell, argv);
}

async function runApplet(program: Program, applet: (c: Program) => Promise<number>): Promise<number> {
  const status = await applet(program);
  try {
    await program.flush();
  } catch (error) {
    if (refusedWith(error, 'EPIPE')) throw error;
    await program.err(`${program.name}: write error: ${errorText(error)}\n`);
    return status === 0 ? 1 : status;
  }
  return status;
}

/** A file of the lab that is a shell script. */
async function runScript(shell: Shell, argv: readonly string[]): Promise<number> {
  const [path, ...args] = argv;
  let stat: Stat;
  try {
    stat = await shell.p.stat(path);
    if (stat.kind === 'dir') throw new ShellError(`${path}: Is a directory`, 126, false);
    await shell.p.access(path, X_OK);
    if ((stat.mode & 0o111) === 0) throw new ShellError(`${path}: Permission denied`, 126, false);
  } catch (error) {
    if (error instanceof ShellError) throw error;
    throw new ShellError(`${path}: ${errorText(error)}`, refusedWith(error, 'ENOENT', 'ENOTDIR') ? 127 : 126, false);
  }
  const fd = await shell.p.open(path);
  const text = await readAndClose(shell, fd);
  const [, interpreter, option] = /^#![ \t]*(\S+)(?:[ \t]+(.*\S))?/.exec(text) ?? [];
  if (interpreter === undefined || /\/(ba|da)?sh$/.test(interpreter)) return asScript(shell, path, args, text, /\/(sh|dash)$/.test(interpreter ?? '') ? 'dash' : 'bash');
  const program = PROGRAM_DIRS.exec(interpreter)?.[3];
  if (program === undefined || !shell.applets.has(program)) throw new ShellError(`${path}: cannot execute: required file not found`, 127, false);
  return runProgram(shell, [interpreter, ...(option === undefined ? [] : [option]), path, ...args]);
}

async function readAndClose(shell: Shell, fd: number): Promise<string> {

  try {
    return await readText(shell.p, fd);
  } finally {
    await shell.p.close(fd);
  }
}

/** Run a text as a new shell in this process: variables that are not exported, functions and options are gone. */
export async function asScript(shell: Shell, name: string, args: readonly string[], text: string, dialect: ShellState['dialect'] = 'bash'): Promise<number> {
  const { state } = shell;
  state.dialect = dialect;
  const version = state.get('BASH_VERSION');
  state.tellsLines = true;
  state.subshell = false;
  state.vars = new Map([...state.vars].filter(([, variable]) => variable.exported));
  state.functions = new Map();
  if (dialect === 'bash' && version !== undefined) state.set('BASH_VERSION', version);
  state.set('IFS', ' \t\n');
  state.locals = [];
  state.name = name;
  state.positional = args;
  state.options = { errexit: false, nounset: false, xtrace: false, pipefail: false, noglob: false };
  state.lenient = 0;
  state.loops = 0;
  shell.jobs.disinherit();
  Object.assign(state, { shellPid: state.p.pid });
  state.set('PPID', String(state.p.proc.parent?.pid ?? 0));
  return shell.main(text);
}

/** How a program in this shell's process starts others. */
export function launcher(shell: Shell): Launcher {
  const inChild = (options: StartOptions, body: (sub: Shell) => Promise<number>): Promise<Child> =>
    shell.child(shell.p.proc.comm, async (sub) => arrange(sub, options), body);
  const waited = async (child: Promise<Child>): Promise<number> => exitStatus(await (await child).wait());
  return {
    start: (argv, options = {}) => inChild(options, (sub) => runProgram(sub, argv)),
    runProgram: (argv, options = {}) => waited(inChild(options, (sub) => runProgram(sub, argv))),
    runShell: (text, argv = ['sh'], options = {}) => waited(inChild(options, (sub) => asScript(sub, argv[0] ?? 'sh', argv.slice(1), text, 'dash'))),
    exec: (argv, options = {}) => {
      arrange(shell, options);
      return runProgram(shell, argv);
    },
    execShell: (text, argv, { dialect = 'bash', ...options } = {}) => {
      arrange(shell, options);
      return asScript(shell, argv[0] ?? 'sh', argv.slice(1), text, dialect);
    },
    hasProgram: (name) => shell.applets.has(PROGRAM_DIRS.exec(name)?.[3] ?? name),
  };
}

/** Give a shell's process the environment and the identity that a program chose for what it runs. */
function arrange(sub: Shell, { env, as }: StartOptions): void {
  if (env !== undefined) {
    for (const [name, variable] of sub.state.vars) if (variable.exported) sub.state.vars.delete(name);
    for (const [name, value] of env) sub.state.set(name, value, true);
  }
  if (as === undefined) return;
  const { cred } = sub.p.proc;
  cred.uid = as.uid;
  cred.gid = as.gid;
  if (as.uid !== 0) cred.caps.clear();
}
