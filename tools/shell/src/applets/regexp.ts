/** POSIX regular expressions as JavaScript's. */

const CLASSES: Readonly<Record<string, string>> = {
  alpha: 'a-zA-Z', digit: '0-9', alnum: 'a-zA-Z0-9', upper: 'A-Z', lower: 'a-z', space: '\\s', blank: ' \\t',
  punct: '!-\\/:-@\\[-`{-~', xdigit: '0-9A-Fa-f', print: ' -~', graph: '!-~', cntrl: '\\x00-\\x1f',
};

/** Source of a JavaScript expression for a POSIX one. @param extended ERE, else BRE with GNU's additions */
export function regExpSource(pattern: string, extended: boolean): string {
  let out = '';
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i];
    if (char === '\\') {
      const next = pattern[++i] ?? '\\';
      if (next === '<' || next === '>') out += '\\b';
      else if (next === 'x' && /^[0-9a-fA-F]{2}/.test(pattern.slice(i + 1))) out += '\\x';
      else if (next === '`') out += '^';
      else if (next === "'") out += '$';
      else if (!extended && '(){}|+?'.includes(next)) out += next;
      else if (/[\d]/.test(next)) out += `\\${next}`;
      else if ('wWsSbBnt'.includes(next)) out += `\\${next}`;
      else out += next.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
    } else if (char === '[') {
      const [set, end] = bracket(pattern, i);
      out += set;
      i = end;
    } else if (!extended && '(){}|+?'.includes(char)) out += `\\${char}`;
    else if (char === '*' && (out === '' || out === '^' || (!extended && /(^|[^\\])[(|]$/.test(out)))) out += '\\*';
    else if (!extended && char === '^' && out !== '' && !/(^|[^\\])[(|]$/.test(out)) out += '\\^';
    else if (!extended && char === '$' && i !== pattern.length - 1 && !/^\\[)|]/.test(pattern.slice(i + 1))) out += '\\$';
    else if (extended && char === '{' && !/^\{\d*,?\d*\}/.test(pattern.slice(i))) out += '\\{';
    else if (extended && char === '}' && !/\{\d*,?\d*$/.test(out)) out += '\\}';
    else out += char === '/' ? '\\/' : char;
  }
  return out;
}

function bracket(pattern: string, start: number): [string, number] {
  let i = start + 1;
  let set = '';
  const negated = pattern[i] === '^';
  if (negated) i++;
  for (let first = true; i < pattern.length && (first || pattern[i] !== ']'); i++, first = false) {
    const named = /^\[:(\w+):\]/.exec(pattern.slice(i));
    if (named === null) set += pattern[i] === '\\' && /[nt]/.test(pattern[i + 1]) ? `\\${pattern[++i]}` : pattern[i].replace(/[\\\]^[]/g, '\\$&');
    else {
      set += CLASSES[named[1]] ?? '';
      i += named[0].length - 1;
    }
  }
  return [`[${negated ? '^' : ''}${set}]`, i];
}
