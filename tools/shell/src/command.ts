/** Simple commands: assignments, redirections, functions, builtins, programs. */
import type { Assignment, Command, Redirection, Word } from 'unbash';
import type { Builtin } from './builtins/builtin.ts';
import { dashHas, failureEndsDash } from './dash.ts';
import type { Expander } from './expand.ts';
import { runProgram } from './launch.ts';
import { forget, redirect, restore, type Saved } from './redirect.ts';
import type { Shell } from './shell.ts';
import { Leave, ShellError, type ShellFunction, type Variable } from './state.ts';
import { complain } from './streams.ts';

/** Deepest nesting of functions. */
const MAX_CALLS = 200;

/** Run a simple command. @returns its status */
export async function runCommand(shell: Shell, node: Command): Promise<number> {
  const { state } = shell;
  const mayExec = shell.mayExec;
  shell.mayExec = false;
  shell.at = node.pos;
  const e = shell.expander();
  shell.takeSubstituted();
  const argv = await words(e, node);
  const assignments = node.prefix.filter((item): item is Assignment => item.type === 'Assignment');
  const redirections = node.redirects;
  if (argv.length === 0) return bare(shell, e, assignments, redirections);
  if (state.options.xtrace) await complain(state.p, `+ ${argv.map(quoted).join(' ')}\n`);
  const [name] = argv;
  const func = state.functions.get(name);
  const builtin = func === undefined && (state.dialect === 'bash' || dashHas(name)) ? shell.builtins.get(name) : undefined;
  if (name === 'exec' && argv.length === 1) return execRedirections(e, redirections);
  if (func !== undefined || builtin !== undefined) {
    return inShell(shell, e, assignments, redirections, mayExec, () => (func !== undefined ? call(shell, func, argv) : runBuiltin(shell, builtin as Builtin, argv)));
  }
  const prepared = async (child: Shell): Promise<number> => {
    const ce = child.expander();
    for (const assignment of assignments) await assign(ce, assignment, true);
    await redirect(ce, redirections);
    return runProgram(child, argv);
  };
  if (mayExec) return prepared(shell);
  const child = await shell.child(state.p.proc.comm, async () => {}, prepared);
  return shell.foreground(child, shell.source.slice(node.pos, node.end));
}

/** Expanded words; arguments of `export` and its like that assign are kept whole. */
async function words(e: Expander, node: Command): Promise<string[]> {
  const argv = node.name === undefined ? [] : await e.fields([node.name]);
  for (const item of node.suffix) {
    if (item.type === 'Word') argv.push(...(await e.fields([item])));
    else if (item.type === 'Assignment') {
      if (item.value.type === 'ArrayValue') {
        await assign(e, item, false);
        argv.push(item.name);
      } else argv.push(`${item.name}${item.append === true ? '+' : ''}=${await e.text(item.value, true)}`);
    }
  }
  return argv;
}

/** No command: assignments and redirections alone. */
async function bare(shell: Shell, e: Expander, assignments: readonly Assignment[], redirections: readonly Redirection[]): Promise<number> {
  for (const assignment of assignments) {
    await assign(e, assignment);
    if (shell.state.options.xtrace) await complain(shell.p, `+ ${assignment.name}=${quoted(shell.state.get(assignment.name) ?? '')}\n`);
  }
  const saved: Saved[] = [];
  try {
    await redirect(e, redirections, saved);
  } finally {
    await restore(e, saved);
  }
  return shell.takeSubstituted() ?? 0;
}

/** Carry out one assignment. */
export async function assign(e: Expander, node: Assignment, exported?: boolean): Promise<void> {
  const { state } = e;
  if (node.value.type === 'ArrayValue') {
    const items = await arrayItems(e, node.value.elements);
    const old = state.vars.get(node.name)?.value ?? [];
    state.set(node.name, node.append === true ? [...(typeof old === 'string' ? [old] : old), ...items] : items, exported);
    return;
  }
  const value = await e.text(node.value, true);
  if (node.index !== undefined) {
    const at = Number(await e.arithmeticText(await e.text(node.index)));
    const old = state.vars.get(node.name)?.value ?? [];
    const items = typeof old === 'string' ? [old] : [...old];
    items[at] = node.append === true ? (items[at] ?? '') + value : value;
    state.set(node.name, items, exported);
    return;
  }
  state.set(node.name, node.append === true ? (state.get(node.name) ?? '') + value : value, exported);
}

async function arrayItems(e: Expander, elements: readonly Word[]): Promise<string[]> {
  const items: string[] = [];
  for (const element of elements) {
    const indexed = /^\[(\d+)\]=/.exec(element.text);
    if (indexed === null) items.push(...(await e.fields([element])));
    else items[Number(indexed[1])] = (await e.text(element)).slice(indexed[0].length);
  }
  return items;
}

async function execRedirections(e: Expander, redirections: readonly Redirection[]): Promise<number> {
  const saved: Saved[] = [];
  try {
    await redirect(e, redirections, saved);
  } catch (error) {
    await restore(e, saved);
    throw error;
  }
  await forget(e, saved);
  return 0;
}

/**
 * Run something of the shell itself, under redirections and assignments that end with it.
 *
 * @param own whether the process is a child made for this: it keeps no copy of what it redirects
 */
async function inShell(
  shell: Shell, e: Expander, assignments: readonly Assignment[], redirections: readonly Redirection[], own: boolean, body: () => Promise<number>,
): Promise<number> {
  if (own) {
    await redirect(e, redirections);
    for (const assignment of assignments) await assign(e, assignment, true);
    return body();
  }
  const { vars } = shell.state;
  const before = new Map<string, Variable | undefined>(assignments.map(({ name }) => [name, vars.get(name)]));
  const saved: Saved[] = [];
  try {
    await redirect(e, redirections, saved);
    for (const assignment of assignments) await assign(e, assignment, true);
    return await body();
  } finally {
    await restore(e, saved);
    for (const [name, old] of before) {
      if (old === undefined) vars.delete(name);
      else vars.set(name, old);
    }
  }
}

async function runBuiltin(shell: Shell, builtin: Builtin, argv: readonly string[]): Promise<number> {
  const status = await builtin(shell, argv);
  if (status === 0 || shell.state.dialect !== 'dash') return status;
  if (failureEndsDash(argv[0])) throw new Leave('exit', 2);
  return argv[0] === 'cd' ? 2 : status;
}

async function call(shell: Shell, { node, source }: ShellFunction, argv: readonly string[]): Promise<number> {
  const { state } = shell;
  if (state.locals.length >= MAX_CALLS) throw new ShellError(`${argv[0]}: maximum function nesting level exceeded (${MAX_CALLS})`);
  const outer = { positional: state.positional, source: shell.source, at: shell.at, loops: state.loops };
  state.positional = argv.slice(1);
  state.locals.push(new Map());
  state.loops = 0;
  shell.source = source;
  try {
    if (node.body.type === 'CompoundList') await shell.list(node.body);
    else await shell.command(node.body);
    return state.status;
  } catch (error) {
    if (error instanceof Leave && error.kind === 'return') return error.count;
    throw error;
  } finally {
    state.leaveFunction();
    state.positional = outer.positional;
    state.loops = outer.loops;
    shell.source = outer.source;
    shell.at = outer.at;
  }
}

/** A word as `set -x` shows it. */
export function quoted(text: string): string {
  return text !== '' && /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
