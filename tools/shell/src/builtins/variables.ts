/** `export`, `local`, `declare`, `readonly`, `unset`, `getopts`. */
import type { Shell } from '../shell.ts';
import { ShellError } from '../state.ts';
import type { Builtin } from './builtin.ts';
import { builtinOutput } from './output.ts';

/** `NAME`, `NAME=VALUE`, `NAME+=VALUE` of a declaration. */
async function declare(shell: Shell, command: string, args: readonly string[], options: { exported?: boolean; local?: boolean; readonly?: boolean }): Promise<number> {
  const { state } = shell;
  let status = 0;
  for (const arg of args) {
    const m = /^([A-Za-z_]\w*)(?:(\+?)=([\s\S]*))?$/.exec(arg);
    if (m === null) {
      await shell.complain(`${command}: \`${arg}': not a valid identifier`);
      status = 1;
      continue;
    }
    const [, name, append, value] = m;
    const before = state.get(name);
    if (options.local === true) state.declareLocal(name);
    if (value !== undefined) state.set(name, append === '+' ? (before ?? '') + value : value, options.exported);
    else if (options.exported !== undefined) {
      const old = state.vars.get(name);
      if (old !== undefined) state.vars.set(name, { ...old, exported: options.exported });
    }
    const now = state.vars.get(name);
    if (options.readonly === true && now !== undefined) state.vars.set(name, { ...now, readonly: true });
  }
  return status;
}

function listing(shell: Shell, prefix: string, wanted: (v: { exported: boolean; readonly: boolean }) => boolean): string {
  return [...shell.state.vars].filter(([, v]) => wanted(v) && typeof v.value === 'string').sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, v]) => `declare ${prefix} ${name}="${String(v.value).replace(/["\\$`]/g, '\\$&')}"\n`).join('');
}

function split(argv: readonly string[]): { flags: string; args: string[] } {
  const args = argv.slice(1);
  let flags = '';
  while (args.length > 0 && /^[-+][A-Za-z]+$/.test(args[0])) flags += args.shift();
  if (args[0] === '--') args.shift();
  return { flags, args };
}

const exportVars: Builtin = (shell, argv) => {
  const { flags, args } = split(argv);
  if (args.length === 0) return builtinOutput(shell, 'export', listing(shell, '-x', (v) => v.exported));
  return declare(shell, 'export', args, { exported: !flags.includes('n') });
};

const local: Builtin = (shell, argv) => {
  if (shell.state.locals.length === 0) throw new ShellError('local: can only be used in a function', 1, shell.state.dialect === 'dash');
  return declare(shell, 'local', split(argv).args, { local: true });
};

const declareVars: Builtin = (shell, argv) => {
  const { flags, args } = split(argv);
  if (args.length === 0) return builtinOutput(shell, 'declare', listing(shell, '--', () => true));
  return declare(shell, 'declare', args, {
    ...(flags.includes('x') ? { exported: true } : {}), readonly: flags.includes('r'), local: shell.state.locals.length > 0 && !flags.includes('g'),
  });
};

const unset: Builtin = async (shell, argv) => {
  const { flags, args } = split(argv);
  for (const name of args) {
    if (shell.state.vars.get(name)?.readonly === true) {
      await shell.complain(`unset: ${name}: cannot unset: readonly variable`);
      return 1;
    }
    if (!flags.includes('f') && shell.state.vars.delete(name)) continue;
    if (!flags.includes('v')) shell.state.functions.delete(name);
  }
  return 0;
};

const getopts: Builtin = async (shell, argv) => {
  const [, spec = '', name = 'opt', ...own] = argv;
  const { state } = shell;
  const args = own.length > 0 ? own : state.positional;
  const [index, offset] = (state.get('OPTIND') ?? '1').split('.').map(Number);
  const at = index - 1;
  const arg = args[at];
  const inner = Number.isInteger(offset) ? offset : Number(state.get('__getopts') ?? 1);
  if (arg === undefined || !/^-./.test(arg) || arg === '--') {
    state.set(name, '?');
    if (arg === '--') state.set('OPTIND', String(index + 1));
    return 1;
  }
  const letter = arg[inner];
  const known = spec.indexOf(letter);
  const next = inner + 1 < arg.length;
  const advance = (steps: number): void => {
    state.set('OPTIND', String(index + steps));
    state.set('__getopts', steps === 0 ? String(inner + 1) : '1');
  };
  if (known < 0) {
    if (!spec.startsWith(':')) await shell.complain(`illegal option -- ${letter}`);
    else state.set('OPTARG', letter);
    state.set(name, '?');
    advance(next ? 0 : 1);
    return 0;
  }
  state.set(name, letter);
  if (spec[known + 1] !== ':') {
    advance(next ? 0 : 1);
    return 0;
  }
  const value = next ? arg.slice(inner + 1) : args[at + 1];
  if (value === undefined) {
    state.set(name, spec.startsWith(':') ? ':' : '?');
    if (!spec.startsWith(':')) await shell.complain(`option requires an argument -- ${letter}`);
  } else state.set('OPTARG', value);
  advance(next ? 1 : 2);
  return 0;
};

export const variableBuiltins: [string, Builtin][] = [
  ['export', exportVars], ['local', local], ['declare', declareVars], ['typeset', declareVars],
  ['readonly', (shell, argv) => declare(shell, 'readonly', split(argv).args, { readonly: true })],
  ['unset', unset], ['getopts', getopts],
];
