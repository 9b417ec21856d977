/** Flow and the shell's own state: cd, set, source, eval, exec ... */
import { joinPath } from '../path-text.ts';
import { runProgram } from '../launch.ts';
import type { Shell } from '../shell.ts';
import { Leave, ShellError, type ShellOptions } from '../state.ts';
import { readText } from '../streams.ts';
import { errorText } from '../system.ts';
import type { Builtin } from './builtin.ts';
import { builtinOutput } from './output.ts';
import { ulimit } from './ulimit.ts';

const SHORT: Readonly<Record<string, keyof ShellOptions>> = { e: 'errexit', u: 'nounset', x: 'xtrace', f: 'noglob' };

async function count(shell: Shell, argv: readonly string[], missing: number): Promise<number> {
  const [name, text] = argv;
  if (text === undefined) return missing;
  if (/^[+-]?\d+$/.test(text)) return Number(text);
  await shell.complain(`${name}: ${text}: numeric argument required`);
  return 2;
}

const set: Builtin = async (shell, argv) => {
  const { state } = shell;
  if (argv.length === 1) {
    return builtinOutput(shell, 'set', [...state.vars].filter(([, v]) => typeof v.value === 'string').sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { value }]) => `${name}=${quotedValue(String(value))}\n`).join(''));
  }
  for (let i = 1; i < argv.length; i++) {
    const arg = argv[i];
    if (arg === '--' || !/^[-+]/.test(arg)) {
      state.positional = argv.slice(arg === '--' ? i + 1 : i);
      return 0;
    }
    const on = arg.startsWith('-');
    if (arg.slice(1) === 'o') {
      const option = argv[++i];
      if (option === undefined) return 0;
      if (option in state.options) state.options[option as keyof ShellOptions] = on; // just looked up
      continue;
    }
    for (const letter of arg.slice(1)) {
      const option = SHORT[letter];
      if (option !== undefined) state.options[option] = on;
      else if (!'mhbBaCEHPTtvnk'.includes(letter)) {
        await shell.complain(`set: ${arg[0]}${letter}: invalid option`);
        return 2;
      }
    }
  }
  return 0;
};

function quotedValue(value: string): string {
  return /^[\w@%+=:,./-]*$/.test(value) ? value : /[\n\t]/.test(value) ? `$'${value.replaceAll('\n', '\\n').replaceAll('\t', '\\t')}'` : `'${value.replaceAll("'", "'\\''")}'`;
}

const cd: Builtin = async (shell, argv) => {
  const { state } = shell;
  const args = argv.slice(1).filter((arg) => arg !== '-P' && arg !== '-L' && arg !== '--');
  if (args.length > 1) {
    await shell.complain('cd: too many arguments');
    return 1;
  }
  const back = args[0] === '-';
  const target = back ? state.get('OLDPWD') : args[0] ?? state.get('HOME') ?? '/root';
  if (target === undefined) {
    await shell.complain('cd: OLDPWD not set');
    return 1;
  }
  const path = joinPath(state.get('PWD') ?? shell.p.proc.cwd, target);
  try {
    if ((await shell.p.stat(path)).kind !== 'dir') {
      await shell.complain(`cd: ${target}: Not a directory`);
      return 1;
    }
    await shell.p.access(path, 1);
  } catch (error) {
    await shell.complain(`cd: ${target}: ${errorText(error)}`);
    return 1;
  }
  state.set('OLDPWD', state.get('PWD') ?? shell.p.proc.cwd, true);
  state.set('PWD', path, true);
  shell.p.proc.cwd = path;
  return back ? builtinOutput(shell, 'cd', `${path}\n`) : 0;
};

const source: Builtin = async (shell, argv) => {
  const [name, path, ...args] = argv;
  if (path === undefined) {
    await shell.complain(`${name}: filename argument required`);
    return 2;
  }
  let text: string;
  try {
    const fd = await shell.p.open(path);
    try {
      text = await readText(shell.p, fd);
    } finally {
      await shell.p.close(fd);
    }
  } catch (error) {
    await shell.complain(`${path}: ${errorText(error)}`);
    return 1;
  }
  const outer = shell.state.positional;
  if (args.length > 0) shell.state.positional = args;
  const sourcing = shell.state.sourcing;
  shell.state.sourcing = true;
  try {
    return await shell.run(text);
  } catch (error) {
    if (error instanceof Leave && error.kind === 'return') return error.count;
    throw error;
  } finally {
    shell.state.sourcing = sourcing;
    if (args.length > 0) shell.state.positional = outer;
  }
};

const typeOf: Builtin = async (shell, argv) => {
  let status = 0;
  const terse = argv[1] === '-t';
  for (const name of argv.slice(terse ? 2 : 1)) {
    const [kind, text] = shell.state.functions.has(name) ? ['function', `${name} is a function`]
      : /^(if|then|else|elif|fi|for|while|until|do|done|case|esac|in|function|time|\{|\}|!|\[\[|\]\])$/.test(name) ? ['keyword', `${name} is a shell keyword`]
        : shell.builtins.has(name) ? ['builtin', `${name} is a shell builtin`]
          : shell.applets.has(name) ? ['file', `${name} is /usr/bin/${name}`] : ['', ''];
    if (kind === '') {
      status = 1;
      if (!terse) await shell.complain(`type: ${name}: not found`);
    } else await builtinOutput(shell, 'type', `${terse ? kind : text}\n`);
  }
  return status;
};

const command: Builtin = async (shell, argv) => {
  if (argv[1] === '-v' || argv[1] === '-V') {
    const name = argv[2] ?? '';
    if (shell.state.functions.has(name) || shell.builtins.has(name)) return builtinOutput(shell, 'command', `${name}\n`);
    return shell.applets.has(name) ? builtinOutput(shell, 'command', `/usr/bin/${name}\n`) : 1;
  }
  const args = argv.slice(argv[1] === '--' || argv[1] === '-p' ? 2 : 1);
  if (args.length === 0) return 0;
  const builtin = shell.builtins.get(args[0]);
  if (builtin !== undefined) return builtin(shell, args);
  return shell.foreground(await shell.child(shell.p.proc.comm, async () => {}, (child) => runProgram(child, args)), args.join(' '));
};

export const controlBuiltins: [string, Builtin][] = [
  [':', async () => 0], ['true', async () => 0], ['false', async () => 1],
  ['set', set], ['cd', cd], ['source', source], ['.', source], ['type', typeOf], ['command', command],
  ['builtin', async (shell, argv) => (await shell.builtins.get(argv[1] ?? '')?.(shell, argv.slice(1))) ?? 1],
  ['pwd', (shell, argv) => builtinOutput(shell, 'pwd', `${argv[1] === '-P' ? shell.p.proc.cwd : shell.state.get('PWD') ?? shell.p.proc.cwd}\n`)],
  ['eval', async (shell, argv) => {
    const { linesBefore, at } = shell;
    shell.linesBefore = shell.line - 1;
    try {
      return await shell.run(argv.slice(1).join(' '));
    } finally {
      shell.linesBefore = linesBefore;
      shell.at = at;
    }
  }],
  ['exec', async (shell, argv) => {
    if (!argv[1].includes('/') && !shell.applets.has(argv[1])) throw new Leave('exit', await notFound(shell, argv[1]));
    throw new Leave('exit', await runProgram(shell, argv.slice(1)));
  }],
  ['exit', async (shell, argv) => {
    throw new Leave('exit', (await count(shell, argv, shell.state.status)) & 0xff);
  }],
  ['return', async (shell, argv) => {
    if (shell.state.locals.length === 0 && !shell.state.sourcing && shell.state.dialect === 'bash') {
      await shell.complain("return: can only `return' from a function or sourced script");
      return 2;
    }
    throw new Leave('return', (await count(shell, argv, shell.state.status)) & 0xff);
  }],
  ['break', (shell, argv) => leaveLoop(shell, 'break', argv)],
  ['continue', (shell, argv) => leaveLoop(shell, 'continue', argv)],
  ['shift', async (shell, argv) => {
    const n = await count(shell, argv, 1);
    if (n > shell.state.positional.length || n < 0) {
      if (shell.state.dialect === 'dash') await shell.complain("shift: can't shift that many");
      return 1;
    }
    shell.state.positional = shell.state.positional.slice(n);
    return 0;
  }],
  ['umask', async (shell, argv) => {
    const [text] = argv.slice(1).filter((arg) => arg !== '-S' && arg !== '-p');
    const { proc } = shell.p;
    if (text === undefined) {
      const symbolic = ['u', 'g', 'o'].map((who, i) => `${who}=${[...'rwx'].filter((_, bit) => (proc.umask & (0o400 >> (3 * i + bit))) === 0).join('')}`).join(',');
      return builtinOutput(shell, 'umask', argv.includes('-S') ? `${symbolic}\n` : `${proc.umask.toString(8).padStart(4, '0')}\n`);
    }
    if (!/^[0-7]{1,4}$/.test(text)) {
      await shell.complain(`umask: ${/^\d/.test(text) ? `${text}: octal number out of range` : `\`${text[0]}': invalid symbolic mode character`}`);
      return 1;
    }
    proc.umask = Number.parseInt(text, 8) & 0o777;
    return 0;
  }],
  ['shopt', async () => 0], ['ulimit', ulimit], ['hash', async () => 0], ['history', async () => 0],
  ['let', async (shell, argv) => {
    let value = 0n;
    for (const text of argv.slice(1)) value = await shell.expander().arithmeticText(text);
    return value === 0n ? 1 : 0;
  }],
];

async function notFound(shell: Shell, name: string): Promise<number> {
  await shell.complain(`exec: ${name}: not found`);
  return 127;
}

async function leaveLoop(shell: Shell, kind: 'break' | 'continue', argv: readonly string[]): Promise<number> {
  if (shell.state.loops === 0) return 0;
  const n = await count(shell, argv, 1);
  if (n < 1) throw new ShellError(`${kind}: ${argv[1]}: loop count out of range`, 1, false);
  throw new Leave(kind, n);
}
