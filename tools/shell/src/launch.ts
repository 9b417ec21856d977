/** Running programs: applets by name, scripts by path. */
import type { Stat } from '@vdpalab/fs';
import { X_OK } from '@vdpalab/uapi';
import { Program, type Launcher } from './program.ts';
import type { Shell } from './shell.ts';
import { ShellError } from './state.ts';
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
  return asScript(shell, path, args, text);
}

async function readAndClose(shell: Shell, fd: number): Promise<string> {

  try {
    return await readText(shell.p, fd);
  } finally {
    await shell.p.close(fd);
  }
}

/** Run a text as a new shell in this process: variables that are not exported, functions and options are gone. */
export async function asScript(shell: Shell, name: string, args: readonly string[], text: string): Promise<number> {
  const { state } = shell;
  state.vars = new Map([...state.vars].filter(([, variable]) => variable.exported));
  state.functions = new Map();
  state.locals = [];
  state.name = name;
  state.positional = args;
  state.options = { errexit: false, nounset: false, xtrace: false, pipefail: false, noglob: false };
  state.lenient = 0;
  state.loops = 0;
  state.jobs = [];
  Object.assign(state, { shellPid: state.p.pid });
  return shell.main(text);
}

/** How a program in this shell's process starts others. */
export function launcher(shell: Shell): Launcher {
  const inChild = async (
    as: { uid: number; gid: number } | undefined, env: ReadonlyMap<string, string> | undefined, body: (sub: Shell) => Promise<number>,
  ): Promise<number> => {
    const child = await shell.child(shell.p.proc.comm, async (sub) => {
      if (env !== undefined) {
        for (const [name, variable] of sub.state.vars) if (variable.exported) sub.state.vars.delete(name);
        for (const [name, value] of env) sub.state.set(name, value, true);
      }
      if (as === undefined) return;
      const { cred } = sub.p.proc;
      cred.uid = as.uid;
      cred.gid = as.gid;
      if (as.uid !== 0) cred.caps.clear();
    }, body);
    return child.wait();
  };
  return {
    runProgram: (argv, options = {}) => inChild(options.as, options.env, (sub) => runProgram(sub, argv)),
    runShell: (text, argv = ['sh'], env) => inChild(undefined, env, (sub) => asScript(sub, argv[0] ?? 'sh', argv.slice(1), text)),
    hasProgram: (name) => shell.applets.has(PROGRAM_DIRS.exec(name)?.[3] ?? name),
  };
}
