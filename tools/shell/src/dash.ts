/** What dash, Debian's `sh`, says and does where bash says or does something else. */
import { RedirectError, ShellError } from './state.ts';

/** A text of bash, dash's own, and the status that dash gives. */
const texts: readonly (readonly [bash: RegExp, dash: string, status?: number])[] = [
  [/^(.*): command not found$/s, '$1: not found'],
  [/^exec: (.*): not found$/s, 'exec: $1: not found'],
  [/^(\d+): Bad file descriptor$/, '$1: Bad file descriptor', 2],
  [/^(.*): unbound variable$/s, '$1: parameter not set', 2],
  [/^(.*): parameter null or not set$/s, '$1: parameter not set or null', 2],
  [/^(.*): parameter not set$/s, '$1: parameter not set', 2],
  [/^(.*): readonly variable$/s, '$1: is read only', 2],
  [/^.*: bad substitution$|^bad substitution$/s, 'Bad substitution', 2],
  [/^(echo|printf|pwd): write error: .*$/, '$1: $1: I/O error'],
  [/^cd: (.*): (?:No such file or directory|Not a directory|Permission denied)$/s, "cd: can't cd to $1"],
  [/^kill: \(-?\d+\) - (.*)$/, 'kill: $1\n'],
  [/^(exit|return|shift|break|continue): (.*): numeric argument required$/s, '$1: Illegal number: $2'],
  [/^(test|\[): (.*): integer expression expected$/s, '$1: Illegal number: $2'],
  [/^(test|\[): (.*): binary operator expected$/s, '$1: $2: unexpected operator'],
  [/^(test|\[): too many arguments$/, '$1: unexpected operator'],
  [/^local: can only be used in a function$/, 'local: not in a function', 2],
  [/^export: `(.*)=.*': not a valid identifier$/s, 'export: $1: bad variable name', 2],
  [/^division by 0 .*$/, 'arithmetic expression: division by zero', 2],
  [/^(.*): Is a directory$/s, '$1: Permission denied'],
  [/^(.*): (?:No such file or directory|Not a directory)$/s, '$1: not found'],
];

/** Builtins whose failures end dash. */
const SPECIAL: ReadonlySet<string> = new Set(['.', ':', 'break', 'continue', 'eval', 'exec', 'exit', 'export', 'readonly', 'return', 'set', 'shift', 'times', 'trap', 'unset']);

/** Builtins of bash that dash has not got. */
const ABSENT: ReadonlySet<string> = new Set(['source', 'let', 'declare', 'typeset', 'shopt', 'mapfile', 'readarray', 'disown', 'builtin', 'history']);

/** Whether a failure of this builtin itself ends dash. */
export function failureEndsDash(name: string): boolean {
  return /^(\.|export|readonly|unset|shift|set|local)$/.test(name);
}

/** Whether dash has the builtin. */
export function dashHas(name: string): boolean {
  return !ABSENT.has(name);
}

/** Whether a failed redirection of this command ends the shell. */
export function endsDash(name: string | undefined): boolean {
  return name !== undefined && SPECIAL.has(name);
}

/** Dash's text for one of bash's. */
export function dashText(text: string): string {
  for (const [bash, dash] of texts) if (bash.test(text)) return text.replace(bash, dash);
  return text;
}

/** Dash's error for one of bash's. */
export function dashError(error: ShellError): ShellError {
  if (error instanceof RedirectError) {
    const missing = /^(No such file or directory|Not a directory)$/.test(error.reason);
    const reason = missing ? (error.input ? 'No such file' : 'Directory nonexistent') : error.reason;
    return new ShellError(`cannot ${error.input ? 'open' : 'create'} ${error.path}: ${reason}`, 2, error.fatal);
  }
  const known = texts.find(([bash]) => bash.test(error.message));
  return new ShellError(dashText(error.message), known?.[2] ?? error.status, error.fatal);
}

/** What dash says of a text it cannot parse, from what bash says. */
export function dashSyntax(problem: string): string {
  const near = /near unexpected token `(.*)'$/s.exec(problem)?.[1];
  const what = near !== undefined ? `${near === 'newline' ? 'newline' : `"${near}"`} unexpected`
    : problem.includes('looking for matching') ? 'Unterminated quoted string' : 'end of file unexpected';
  return `Syntax error: ${what}`;
}
