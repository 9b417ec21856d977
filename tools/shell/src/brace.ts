/** Brace expansion: `a{b,c}d`, `{1..5..2}`, on the text of a word before anything else is expanded. */

/** The words a word stands for. Quoted and `${...}` parts are left alone. */
export function expandBraces(text: string): string[] {
  for (let start = 0; start < text.length; start++) {
    start = skipQuoted(text, start);
    if (text[start] !== '{') continue;
    const end = matching(text, start);
    if (end < 0) continue;
    const items = sequence(text.slice(start + 1, end)) ?? commaList(text.slice(start + 1, end));
    if (items === null) continue;
    const tails = expandBraces(text.slice(end + 1));
    return items.flatMap((item) => expandBraces(item)).flatMap((item) => tails.map((tail) => text.slice(0, start) + item + tail));
  }
  return [text];
}

/** Step over quotes, escapes and expansions that begin here. */
function skipQuoted(text: string, at: number): number {
  let i = at;
  for (;;) {
    if (text[i] === '\\') i += 2;
    else if (text[i] === "'") i = after(text, text.indexOf("'", i + 1));
    else if (text[i] === '"') i = after(text, closingQuote(text, i));
    else if (text[i] === '`') i = after(text, text.indexOf('`', i + 1));
    else if (text[i] === '$' && (text[i + 1] === '{' || text[i + 1] === '(')) i = after(text, nested(text, i + 1));
    else return i;
  }
}

function after(text: string, end: number): number {
  return end < 0 ? text.length : end + 1;
}

function closingQuote(text: string, open: number): number {
  for (let i = open + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '$' && (text[i + 1] === '{' || text[i + 1] === '(')) i = after(text, nested(text, i + 1)) - 1;
    else if (text[i] === '"') return i;
  }
  return -1;
}

function nested(text: string, open: number): number {
  const [up, down] = text[open] === '{' ? ['{', '}'] : ['(', ')'];
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === up) depth++;
    else if (text[i] === down && --depth === 0) return i;
  }
  return -1;
}

function matching(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    i = skipQuoted(text, i);
    if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return i;
  }
  return -1;
}

function commaList(inner: string): string[] | null {
  const items = [''];
  let depth = 0;
  for (let i = 0; i < inner.length; i++) {
    const next = skipQuoted(inner, i);
    items[items.length - 1] += inner.slice(i, next);
    i = next;
    if (i >= inner.length) break;
    const char = inner[i];
    if (char === '{') depth++;
    if (char === '}') depth--;
    if (char === ',' && depth === 0) items.push('');
    else items[items.length - 1] += char;
  }
  return items.length > 1 ? items : null;
}

function sequence(inner: string): string[] | null {
  const m = /^(-?\d+|[A-Za-z])\.\.(-?\d+|[A-Za-z])(?:\.\.(-?\d+))?$/.exec(inner);
  if (m === null) return null;
  const numeric = /\d/.test(m[1]);
  if (numeric !== /\d/.test(m[2])) return null;
  const [from, to] = numeric ? [Number(m[1]), Number(m[2])] : [m[1].charCodeAt(0), m[2].charCodeAt(0)];
  const step = Math.abs(Number(m[3] ?? 1)) || 1;
  const width = numeric && (/^-?0\d/.test(m[1]) || /^-?0\d/.test(m[2])) ? Math.max(m[1].length, m[2].length) : 0;
  const out: string[] = [];
  for (let n = from; from <= to ? n <= to : n >= to; n += from <= to ? step : -step) {
    out.push(numeric ? (n < 0 ? '-' : '') + String(Math.abs(n)).padStart(width - (n < 0 ? 1 : 0), '0') : String.fromCharCode(n));
  }
  return out;
}
