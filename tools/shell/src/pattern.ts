/** Shell patterns as regular expressions. A backslash quotes the next character. */

const CLASSES: Readonly<Record<string, string>> = {
  alpha: 'a-zA-Z', digit: '0-9', alnum: 'a-zA-Z0-9', upper: 'A-Z', lower: 'a-z', space: ' \\t\\n\\r\\f\\v', blank: ' \\t',
  punct: '!-\\/:-@\\[-`{-~', xdigit: '0-9A-Fa-f', print: ' -~', graph: '!-~', cntrl: '\\x00-\\x1f\\x7f',
};

/** Quote every character that a pattern treats specially. */
export function quotePattern(text: string): string {
  return text.replace(/[\\*?[\]()|!+@]/g, '\\$&');
}

/** Whether an unquoted special character is there. */
export function isPattern(pattern: string): boolean {
  const bare = pattern.replace(/\\./gs, '');
  return /[*?]|\[.*\]|[+@!]\(/s.test(bare);
}

/** The text a pattern stands for when nothing matches. */
export function unquotePattern(pattern: string): string {
  return pattern.replace(/\\(.)/gs, '$1');
}

/** Source of a regular expression for the whole of a pattern. @param slash whether wildcards match a slash */
export function patternSource(pattern: string, slash = true, greedy = true): string {
  const any = slash ? '[\\s\\S]' : '[^/]';
  const lazy = greedy ? '' : '?';
  let out = '';
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i];
    if (char === '\\' && i + 1 < pattern.length) out += literal(pattern[++i]);
    else if ('?*+@!'.includes(char) && pattern[i + 1] === '(') {
      const end = closing(pattern, i + 1);
      if (end < 0) {
        out += char === '*' ? `${any}*${lazy}` : char === '?' ? any : literal(char);
        continue;
      }
      const inner = alternatives(pattern.slice(i + 2, end)).map((p) => patternSource(p, slash)).join('|');
      out += char === '!' ? `(?:(?!(?:${inner})$)${any}*)` : `(?:${inner})${char === '@' ? '' : char}`;
      i = end;
    } else if (char === '*') out += `${any}*${lazy}`;
    else if (char === '?') out += any;
    else if (char === '[') {
      const set = bracket(pattern, i);
      if (set === null) out += '\\[';
      else {
        out += set.source;
        i = set.end;
      }
    } else out += literal(char);
  }
  return out;
}

/** A regular expression that matches the whole text. */
export function patternRegExp(pattern: string, slash = true): RegExp {
  return new RegExp(`^(?:${patternSource(pattern, slash)})$`, 's');
}

function literal(char: string): string {
  return char.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

function closing(pattern: string, open: number): number {
  let depth = 0;
  for (let i = open; i < pattern.length; i++) {
    if (pattern[i] === '\\') i++;
    else if (pattern[i] === '(') depth++;
    else if (pattern[i] === ')' && --depth === 0) return i;
  }
  return -1;
}

function alternatives(text: string): string[] {
  const out = [''];
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '(') depth++;
    if (char === ')') depth--;
    if (char === '|' && depth === 0) out.push('');
    else out[out.length - 1] += char === '\\' ? char + (text[++i] ?? '') : char;
  }
  return out;
}

/** A bracket expression from its `[`; `null` when it has no end. */
function bracket(pattern: string, start: number): { source: string; end: number } | null {
  let i = start + 1;
  const negated = pattern[i] === '!' || pattern[i] === '^';
  if (negated) i++;
  let set = '';
  for (let first = true; i < pattern.length; i++, first = false) {
    const char = pattern[i];
    if (char === ']' && !first) return { source: set === '' ? '[^\\s\\S]' : `[${negated ? '^' : ''}${set}]`, end: i };
    const named = /^\[:(\w+):\]/.exec(pattern.slice(i));
    if (named !== null) {
      set += CLASSES[named[1]] ?? '';
      i += named[0].length - 1;
    } else if (char === '\\' && i + 1 < pattern.length) set += pattern[++i].replace(/[\\\]^[-]/g, '\\$&');
    else set += char.replace(/[\\\]^[]/g, '\\$&');
  }
  return null;
}
