/** Programs that order, pick and replace: sort, uniq, cut, tr. */
import { utf8Encode } from '@vdpalab/uapi';
import type { Applet } from '../program.ts';
import { byBytes, linesOf, STREAM_BUFFER, writeStream } from '../streams.ts';
import { errorText, refusedWith } from '../system.ts';
import { options } from './options.ts';

const sort: Applet = async (c) => {
  const o = await options(c, 'unrfbk:t:o:sVhzcm', { unique: 'u', 'numeric-sort': 'n', reverse: 'r', key: 'k', 'version-sort': 'V' });
  const texts: { path: string; text: string }[] = [];
  for (const path of o.operands.length === 0 ? ['-'] : o.operands) {
    try {
      texts.push({ path, text: await c.read(path) });
    } catch (error) {
      return c.fail(`cannot read: ${path}: ${errorText(error)}`, 2);
    }
  }
  const ending = o.has('z') ? '\0' : '\n';
  const lines = texts.flatMap(({ text }) => (o.has('z') ? text.split('\0').filter((line, i, all) => line !== '' || i < all.length - 1) : linesOf(text)));
  const keys = o.all('k').map((spec) => /^(\d+)(?:\.\d+)?([a-zA-Z]*)(?:,(\d+)(?:\.\d+)?([a-zA-Z]*))?$/.exec(spec));
  const separator = o.get('t');
  const keyText = (line: string, key: RegExpExecArray | null): string => {
    if (key === null) return line;
    const fields = separator === undefined ? line.match(/\s*\S+/g) ?? [] : line.split(separator);
    return fields.slice(Number(key[1]) - 1, key[3] === undefined ? undefined : Number(key[3])).join(separator ?? '');
  };
  const compare = (a: string, b: string, flags: string): number => {
    const way = flags.includes('r') ? -1 : 1;
    if (flags.includes('n') || flags.includes('h')) return way * (number(a) - number(b));
    if (flags.includes('V')) return way * versionOrder(a, b);
    return way * (flags.includes('f') ? byBytes(a.toUpperCase(), b.toUpperCase()) : byBytes(flags.includes('b') ? a.trimStart() : a, flags.includes('b') ? b.trimStart() : b));
  };
  const global = [...'nrfbVh'].filter((flag) => o.has(flag)).join('');
  const byKeys = (a: string, b: string): number => {
    if (keys.length === 0) return compare(a, b, global);
    for (const key of keys) {
      const flags = `${key?.[2] ?? ''}${key?.[4] ?? ''}` || global;
      const order = compare(keyText(a, key), keyText(b, key), flags);
      if (order !== 0) return order;
    }
    return 0;
  };
  if (o.has('c')) {
    const at = lines.findIndex((line, i) => i > 0 && (byKeys(lines[i - 1], line) || (o.has('u', 's') ? 0 : (o.has('r') ? -1 : 1) * byBytes(lines[i - 1], line))) > (o.has('u') ? -1 : 0));
    return at < 0 ? 0 : c.fail(`${o.operands[0] ?? '-'}:${at + 1}: disorder: ${lines[at]}`);
  }
  let sorted = lines.toSorted((a, b) => byKeys(a, b) || (o.has('u', 's') ? 0 : (o.has('r') ? -1 : 1) * byBytes(a, b)));
  if (o.has('u')) sorted = sorted.filter((line, i) => i === 0 || byKeys(sorted[i - 1], line) !== 0);
  const text = sorted.map((line) => line + ending).join('');
  const file = o.get('o');
  if (file === undefined) c.out(text);
  else await c.p.writeFile(file, text);
  return 0;
};

function number(text: string): number {
  return Number(/^\s*-?\d*\.?\d+/.exec(text)?.[0] ?? 0);
}

function versionOrder(a: string, b: string): number {
  const [x, y] = [a.match(/\d+|\D+/g) ?? [], b.match(/\d+|\D+/g) ?? []];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const order = /^\d/.test(x[i]) && /^\d/.test(y[i]) ? Number(x[i]) - Number(y[i]) : byBytes(x[i], y[i]);
    if (order !== 0) return order;
  }
  return x.length - y.length;
}

const uniq: Applet = async (c) => {
  const o = await options(c, 'cduif:s:w:', { count: 'c', repeated: 'd', unique: 'u' });
  const { texts, failed } = await c.inputs(o.operands.slice(0, 1));
  const key = (line: string): string => {
    let rest = line;
    for (let n = Number(o.get('f') ?? 0); n > 0; n--) rest = rest.replace(/^\s*\S*/, '');
    rest = rest.slice(Number(o.get('s') ?? 0), o.has('w') ? Number(o.get('s') ?? 0) + Number(o.get('w')) : undefined);
    return o.has('i') ? rest.toLowerCase() : rest;
  };
  const runs: { line: string; n: number }[] = [];
  for (const line of texts.flatMap(({ text }) => linesOf(text))) {
    const last = runs.at(-1);
    if (last !== undefined && key(last.line) === key(line)) last.n++;
    else runs.push({ line, n: 1 });
  }
  for (const { line, n } of runs) {
    if ((o.has('d') && n === 1) || (o.has('u') && n > 1)) continue;
    c.out(o.has('c') ? `${String(n).padStart(7)} ${line}\n` : `${line}\n`);
  }
  return failed ? 1 : 0;
};

const cut: Applet = async (c) => {
  const o = await options(c, 'd:f:c:b:so:n', { delimiter: 'd', fields: 'f', characters: 'c', bytes: 'b', 'only-delimited': 's', 'output-delimiter': 'o' });
  const spec = o.get('f') ?? o.get('c') ?? o.get('b');
  if (spec === undefined) {
    await c.err('cut: you must specify a list of bytes, characters, or fields\nTry \'cut --help\' for more information.\n');
    return 1;
  }
  const ranges = spec.split(',').map((range) => {
    const m = /^(\d*)(-?)(\d*)$/.exec(range);
    const from = m?.[1] === '' ? 1 : Number(m?.[1] ?? 1);
    return { from, to: m?.[2] === '' ? from : m?.[3] === '' ? Infinity : Number(m?.[3]) };
  });
  if (ranges.some(({ from, to }) => from === 0 || Number.isNaN(from) || to < from)) {
    const zero = ranges.some(({ from }) => from === 0);
    await c.err(`cut: ${zero ? (o.has('f') ? 'fields are numbered from 1' : 'byte/character positions are numbered from 1') : `invalid ${o.has('f') ? 'field' : 'byte or character'} range`}\nTry 'cut --help' for more information.\n`);
    return 1;
  }
  const wanted = (i: number): boolean => ranges.some(({ from, to }) => i + 1 >= from && i + 1 <= to);
  const { texts, failed } = await c.inputs(o.operands);
  const delimiter = o.get('d') ?? '\t';
  for (const line of texts.flatMap(({ text }) => linesOf(text))) {
    if (!o.has('f')) c.out(`${[...line].filter((_, i) => wanted(i)).join('')}\n`);
    else if (!line.includes(delimiter)) c.out(o.has('s') ? '' : `${line}\n`);
    else c.out(`${line.split(delimiter).filter((_, i) => wanted(i)).join(o.get('o') ?? delimiter)}\n`);
  }
  return failed ? 1 : 0;
};

const tr: Applet = async (c) => {
  const o = await options(c, 'dscCt', { delete: 'd', 'squeeze-repeats': 's', complement: 'c' }, { stop: true });
  const [first, second] = o.operands;
  if (first === undefined || (second === undefined && !o.has('d', 's'))) {
    await c.err(first === undefined ? "tr: missing operand\nTry 'tr --help' for more information.\n"
      : `tr: missing operand after '${first}'\nTwo strings must be given when translating.\nTry 'tr --help' for more information.\n`);
    return 1;
  }
  const set = trSet(first);
  const isIn = (char: string): boolean => set.includes(char) !== o.has('c', 'C');
  const to = second === undefined ? [] : trSet(second);
  const squeezed = o.has('s') ? new Set(second === undefined ? [] : to) : null;
  let last = '';
  let out = '';
  for (const char of await c.read('-')) {
    let next = char;
    if (isIn(char)) {
      if (o.has('d')) continue;
      if (second !== undefined) next = (o.has('c', 'C') ? to.at(-1) : to[Math.min(set.lastIndexOf(char), to.length - 1)]) ?? char;
    }
    if (squeezed !== null && next === last && (second === undefined ? isIn(next) : squeezed.has(next))) continue;
    last = next;
    out += next;
  }
  try {
    await writeStream(c.p, 1, out);
  } catch (error) {
    if (refusedWith(error, 'EPIPE')) throw error;
    await c.fail(`write error: ${errorText(error)}`);
    return utf8Encode(out).length > STREAM_BUFFER ? c.fail('write error') : 1; // once more when the stream is closed, unless that was when it was written
  }
  return 0;
};

function trSet(text: string): string[] {
  const classes: Readonly<Record<string, string>> = { upper: 'A-Z', lower: 'a-z', digit: '0-9', alpha: 'A-Za-z', alnum: '0-9A-Za-z', space: '\\t\\n\\v\\f\\r ', xdigit: '0-9A-Fa-f', blank: '\\t ' };
  const plain = text.replace(/\[:(\w+):\]/g, (all, name: string) => classes[name] ?? all)
    .replace(/\\(?:([ntrabfv\\])|([0-7]{1,3}))/g, (_, letter: string | undefined, octal: string | undefined) =>
      letter === '\\' ? '\\' : letter !== undefined ? { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v' }[letter] ?? letter : String.fromCharCode(Number.parseInt(octal ?? '0', 8)));
  const chars = [...plain];
  const out: string[] = [];
  for (let i = 0; i < chars.length; i++) {
    if (chars[i + 1] !== '-' || i + 2 >= chars.length) {
      out.push(chars[i]);
      continue;
    }
    for (let code = chars[i].charCodeAt(0); code <= chars[i + 2].charCodeAt(0); code++) out.push(String.fromCharCode(code));
    i += 2;
  }
  return out;
}

export const sortingApplets: [string, Applet][] = [['sort', sort], ['uniq', uniq], ['cut', cut], ['tr', tr]];
