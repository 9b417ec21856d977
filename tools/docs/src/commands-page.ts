/** docs/reference/commands.md: every command and option of `vdpalab`, and every program of a lab. */
import { programs, vdpalab } from '@vdpalab/cli';
import type { Argument, Command, Option } from 'commander';
import { code, table, type Page } from './page.ts';
import { origins } from './program-origins.ts';

function argumentText(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function optionText(option: Option): string {
  const choices = option.argChoices === undefined ? '' : ` (${option.argChoices.join(', ')})`;
  const fallback = option.defaultValue === undefined || option.defaultValue === false ? '' : `; default ${String(option.defaultValue)}`;
  return `${option.description}${choices}${fallback}`;
}

/** A command with its options, then those below it. */
function section(command: Command, path: readonly string[]): string {
  const usage = [...path, ...command.registeredArguments.map(argumentText)].join(' ');
  const options = command.options.filter((o) => !o.hidden);
  const own = `### ${code(usage)}\n\n${sentence(command.description())}\n${options.length === 0 ? '' : `\n${table(['option', 'says'], options.map((o) => [code(o.flags), optionText(o)]))}`}\n`;
  const below = command.commands.map((c) => section(c, [...path, c.name()])).join('');
  return command.commands.length > 0 && command.registeredArguments.length === 0 ? `### ${code(usage)}\n\n${sentence(command.description())}\n\n${below}` : own + below;
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

/** The command line, without running any of it. */
function commandLine(): string {
  const nothing = (): undefined => undefined;
  const program = vdpalab({ out: nothing, err: nothing, input: process.stdin, exit: nothing });
  return program.commands.map((c) => section(c, ['vdpalab', c.name()])).join('');
}

/**
 * What a lab's programs are modelled on.
 *
 * @throws Error for a program without an origin, and an origin without a program
 */
function programList(): string {
  const known = new Set(origins.flatMap((o) => o.programs));
  const missing = [...programs.keys()].filter((name) => !known.has(name));
  const gone = [...known].filter((name) => !programs.has(name));
  if (missing.length > 0) throw new Error(`tools/docs/src/program-origins.ts does not say what these programs are: ${missing.join(', ')}`);
  if (gone.length > 0) throw new Error(`tools/docs/src/program-origins.ts names programs that labs do not have: ${gone.join(', ')}`);
  return table(['programs', 'as'], origins.map((o) => [[...o.programs].sort().map(code).join(' '), o.as]));
}

/** The generated parts. */
export function commandsPages(): Page[] {
  const path = 'docs/reference/commands.md';
  return [{ path, part: 'commands', text: commandLine() }, { path, part: 'programs', text: programList() }];
}
