/** `fnmatch(3)` with no flags: `*` and `?` match anything, `/` and a leading dot included. */

const CLASSES: Readonly<Record<string, RegExp>> = {
  alnum: /[A-Za-z0-9]/, alpha: /[A-Za-z]/, blank: /[ \t]/, cntrl: /[\x00-\x1f\x7f]/, digit: /[0-9]/, graph: /[\x21-\x7e]/,
  lower: /[a-z]/, print: /[\x20-\x7e]/, punct: /[!-/:-@[-`{-~]/, space: /[ \t\n\v\f\r]/, upper: /[A-Z]/, xdigit: /[0-9A-Fa-f]/,
};

/** Whether the whole text matches. */
export function fnmatch(pattern: string, text: string): boolean {
  // Where to go back to: the latest star, and the text it has swallowed so far.
  let star = -1;
  let swallowed = 0;
  let p = 0;
  let t = 0;
  while (t < text.length || p < pattern.length) {
    if (pattern[p] === '*') {
      star = p++;
      swallowed = t;
      continue;
    }
    const next = t < text.length ? matchOne(pattern, p, text[t] as string) : 0;
    if (next > 0) {
      p = next;
      t++;
    } else if (star >= 0 && swallowed < text.length) {
      p = star + 1;
      t = ++swallowed;
    } else return false;
  }
  return true;
}

/** @returns the place in the pattern after what matched `c`, or 0 */
function matchOne(pattern: string, at: number, c: string): number {
  switch (pattern[at]) {
    case undefined: return 0;
    case '?': return at + 1;
    case '[': {
      const set = matchSet(pattern, at, c);
      if (set !== null) return set.matched ? set.end : 0;
      return c === '[' ? at + 1 : 0; // an unclosed bracket is a plain character
    }
    case '\\': return at + 1 < pattern.length && pattern[at + 1] === c ? at + 2 : 0;
    default: return pattern[at] === c ? at + 1 : 0;
  }
}

/** Bracket expression at `at`. @returns `null` when it is not closed */
function matchSet(pattern: string, at: number, c: string): { readonly matched: boolean; readonly end: number } | null {
  let i = at + 1;
  const negated = pattern[i] === '!' || pattern[i] === '^';
  if (negated) i++;
  let matched = false;
  for (let first = true; ; first = false) {
    const low = pattern[i];
    if (low === undefined) return null;
    if (low === ']' && !first) return { matched: matched !== negated, end: i + 1 };
    if (low === '[' && pattern[i + 1] === ':') {
      const close = pattern.indexOf(':]', i + 2);
      const known = close < 0 ? undefined : CLASSES[pattern.slice(i + 2, close)];
      if (known !== undefined) {
        matched ||= known.test(c);
        i = close + 2;
        continue;
      }
    }
    const from = low === '\\' ? pattern[++i] : low;
    if (from === undefined) return null;
    i++;
    let to = from;
    if (pattern[i] === '-' && pattern[i + 1] !== undefined && pattern[i + 1] !== ']') {
      i++;
      to = (pattern[i] === '\\' ? pattern[++i] : pattern[i]) ?? from;
      i++;
    }
    matched ||= from <= c && c <= to;
  }
}
