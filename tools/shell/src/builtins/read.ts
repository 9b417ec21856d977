/** `read` and `mapfile`. */
import { utf8Decode } from '@vdpalab/uapi';
import type { Shell } from '../shell.ts';
import { linesOf, readLine, readText } from '../streams.ts';
import { errorText } from '../system.ts';
import type { Builtin } from './builtin.ts';

const read: Builtin = async (shell, argv) => {
  let raw = false;
  let fd = 0;
  let limit: number | null = null;
  let array: string | null = null;
  let i = 1;
  for (; i < argv.length && /^-./.test(argv[i]); i++) {
    if (argv[i] === '--') {
      i++;
      break;
    }
    for (let j = 1; j < argv[i].length; j++) {
      const flag = argv[i][j];
      if (flag === 'r') raw = true;
      else if ('untpda'.includes(flag)) {
        const value = argv[i].slice(j + 1) === '' ? argv[++i] : argv[i].slice(j + 1);
        if (flag === 'u') fd = Number(value);
        if (flag === 'n') limit = Number(value);
        if (flag === 'a') array = value;
        break;
      }
    }
  }
  const names = argv.slice(i);
  let line: string | null;
  try {
    line = limit === null ? await logicalLine(shell, fd, raw) : utf8Decode(await shell.p.read(fd, limit));
  } catch (error) {
    await shell.complain(`read: read error: ${fd}: ${errorText(error)}`);
    return 1;
  }
  const ended = line !== null && line.endsWith('\n');
  const text = (line ?? '').replace(/\n$/, '');
  if (array !== null) shell.state.set(array, splitFields(text, shell.state.get('IFS') ?? ' \t\n', Infinity));
  else if (names.length === 0) shell.state.set('REPLY', text);
  else {
    const fields = splitFields(text, shell.state.get('IFS') ?? ' \t\n', names.length);
    for (const [n, name] of names.entries()) shell.state.set(name, fields[n] ?? '');
  }
  return ended || (limit !== null && text !== '') ? 0 : 1;
};

async function logicalLine(shell: Shell, fd: number, raw: boolean): Promise<string | null> {
  let line = await readLine(shell.p, fd);
  if (raw || line === null) return line;
  while (/(^|[^\\])(\\\\)*\\\n$/.test(line)) {
    const more: string | null = await readLine(shell.p, fd);
    line = line.slice(0, -2) + (more ?? '');
    if (more === null) break;
  }
  return line.replace(/\\(.)/gs, '$1');
}

/** Split as `read` does: the last field takes the rest. */
export function splitFields(text: string, ifs: string, max: number): string[] {
  const space = [...ifs].filter((char) => ' \t\n'.includes(char)).join('');
  const trimmed = trim(text, space);
  if (ifs === '') return [text];
  const out: string[] = [];
  let rest = trimmed;
  while (rest !== '' && out.length < max - 1) {
    let at = 0;
    while (at < rest.length && !ifs.includes(rest[at])) at++;
    out.push(rest.slice(0, at));
    let next = at;
    while (next < rest.length && space.includes(rest[next])) next++;
    if (next < rest.length && ifs.includes(rest[next]) && !space.includes(rest[next])) {
      next++;
      while (next < rest.length && space.includes(rest[next])) next++;
    }
    rest = rest.slice(next);
  }
  if (rest !== '' || out.length === 0) out.push(rest);
  return out;
}

function trim(text: string, chars: string): string {
  let [from, to] = [0, text.length];
  while (from < to && chars.includes(text[from])) from++;
  while (to > from && chars.includes(text[to - 1])) to--;
  return text.slice(from, to);
}

const mapfile: Builtin = async (shell, argv) => {
  const strip = argv.includes('-t');
  const name = argv.slice(1).find((arg) => !arg.startsWith('-')) ?? 'MAPFILE';
  const lines = linesOf(await readText(shell.p, 0));
  shell.state.set(name, strip ? lines : lines.map((line) => `${line}\n`));
  return 0;
};

export const readBuiltins: [string, Builtin][] = [['read', read], ['mapfile', mapfile], ['readarray', mapfile]];
