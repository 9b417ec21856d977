/** `echo` and `printf`. Their output is line-buffered, so that a store gets one line at a time. */
import { byteText, formatPrintf } from '../printf.ts';
import type { Shell } from '../shell.ts';
import { complain, writeLines } from '../streams.ts';
import { errorText, refusedWith } from '../system.ts';
import type { Builtin } from './builtin.ts';

/** Write a builtin's output. @returns the status */
export async function builtinOutput(shell: Shell, name: string, text: string, status = 0): Promise<number> {
  try {
    if (text !== '' && !shell.p.proc.files.has(1)) {
      await shell.complain(`${name}: write error: Bad file descriptor`);
      return 1;
    }
    await writeLines(shell.p, 1, text);
    return status;
  } catch (error) {
    if (refusedWith(error, 'EPIPE')) throw error;
    await shell.complain(`${name}: write error: ${errorText(error)}`);
    return 1;
  }
}

const echo: Builtin = (shell, argv) => {
  const dash = shell.state.dialect === 'dash';
  let newline = true;
  let escapes = dash;
  let i = 1;
  if (dash && argv[1] === '-n') {
    newline = false;
    i = 2;
  }
  for (; !dash && i < argv.length && /^-[neE]+$/.test(argv[i]); i++) {
    for (const flag of argv[i].slice(1)) {
      if (flag === 'n') newline = false;
      else escapes = flag === 'e';
    }
  }
  let text = argv.slice(i).join(' ');
  if (escapes) {
    const { text: unescaped, stopped } = unescapeEcho(text);
    text = unescaped;
    if (stopped) newline = false;
  }
  return builtinOutput(shell, 'echo', newline ? `${text}\n` : text);
};

const printf: Builtin = async (shell, argv) => {
  const args = argv.slice(1);
  const variable = args[0] === '-v' ? args[1] : undefined;
  if (variable !== undefined) args.splice(0, 2);
  if (args[0] === '--') args.shift();
  if (args.length === 0) {
    await complain(shell.p, 'printf: usage: printf [-v var] format [arguments]\n');
    return 2;
  }
  const { text, problems } = formatPrintf(args[0], args.slice(1));
  for (const problem of problems) await shell.complain(`printf: ${problem}`);
  const status = problems.length > 0 ? 1 : 0;
  if (variable === undefined) return builtinOutput(shell, 'printf', text, status);
  shell.state.set(variable, text);
  return status;
};

/** Escapes of `echo -e`: `\0NNN` is octal, `\c` ends the output. */
export function unescapeEcho(text: string): { text: string; stopped: boolean } {
  const stop = /\\c/.exec(text.replace(/\\[^c]/gs, '..'));
  const kept = stop === null ? text : text.slice(0, stop.index);
  const simple: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v', e: '\x1b', E: '\x1b', '\\': '\\' };
  const out = kept.replace(/\\(?:([ntrabfveE\\])|0([0-7]{0,3})|x([0-9a-fA-F]{1,2}))/g, (_, letter: string | undefined, octal: string | undefined, hex: string | undefined) =>
    letter !== undefined ? simple[letter] : byteText(octal !== undefined ? Number.parseInt(octal === '' ? '0' : octal, 8) & 0xff : Number.parseInt(hex ?? '0', 16)));
  return { text: out, stopped: stop !== null };
}

export const outputBuiltins: [string, Builtin][] = [['echo', echo], ['printf', printf]];
