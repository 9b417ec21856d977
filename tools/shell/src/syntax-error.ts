/** What bash says of a text it cannot parse. */
import type { ParsedScript } from 'unbash';

/** The message without `bash: `; `null` when the text parses. */
export function syntaxError(script: ParsedScript, text: string): string | null {
  const error = script.errors?.[0];
  if (error === undefined) return null;
  const source = script.source ?? text;
  const line = 1 + (source.slice(0, error.pos).match(/\n/g)?.length ?? 0);
  const quote = /unterminated (double|single) quote/.exec(error.message);
  if (quote !== null) return `line ${line}: unexpected EOF while looking for matching \`${quote[1] === 'double' ? '"' : "'"}'`;
  if (/unterminated/.test(error.message)) return `line ${line}: unexpected EOF while looking for matching \`)'`;
  const ended = /^\s*(for|case|select|function)\s*$/.test(source) ? -1 : source.trimEnd().length;
  const cut = ended >= 0 && script.errors?.some(({ message, pos }) => /^expected/.test(message) && pos >= ended) === true;
  const token = cut ? null : /unexpected (?:token )?'(.+)'/.exec(error.message)?.[1] ?? (tokenAt(source, error.pos) ?? (ended < 0 ? 'newline' : null));
  if (token === null) return `line ${line + (source.endsWith('\n') ? 0 : 1)}: syntax error: unexpected end of file`;
  return `line ${line}: syntax error near unexpected token \`${token}'`;
}

/** The operator or word that begins at or after a place; `null` at the end. */
function tokenAt(source: string, pos: number): string | null {
  const m = /^\s*(;;|&&|\|\||[;|&()<>]|[^\s;|&()<>]+)/.exec(source.slice(pos).replace(/^[ \t]+/, ''));
  return m === null ? null : m[1];
}
