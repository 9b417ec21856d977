/** Whether a command did what a transcript says, apart from what may differ on any machine. */

/**
 * What may differ without being wrong, and what it is replaced by before comparing.
 *
 * Dates and times, kernel addresses, block totals, module sizes, character majors, numbers of processes in bash's messages and below /proc,
 * trailing blanks and runs of blanks.
 */
export const volatileParts: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d+ +(\d\d:\d\d|\d{4})\b/g, 'DATE'],
  [/\b20\d\d-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?( [+-]\d{4})?\b/g, 'DATE'],
  [/\b0x[0-9a-f]{12,16}\b/g, 'ADDR'],
  [/\b[0-9a-f]{16}\b/g, 'ADDR'],
  [/^total \d+$/gm, 'total N'],
  [/^([a-z0-9_]+ +)\d+( +\d+( |$))/gm, '$1SIZE$2'],
  [/^([a-z0-9_]+) \d+ (-?\d+ \S+ (Live|Loading|Unloading))/gm, '$1 SIZE $2'],
  [/(\/sys\/module\/[^ =]*(coresize|initsize|sections\/\S+|notes\/\S+|srcversion)) = .*/g, '$1 = V'],
  [/[ \t]+$/gm, ''],
  [/\bcrw(.{7}) +\d+ root root +\d+, +\d+/g, 'crw$1 root root MAJ, MIN'],
  [/^(stderr: \d+ bytes .*copied), .*/gm, '$1, TIME'],
  [/\/proc\/\d+(?=\/)/g, '/proc/PID'],
  [/^(stderr: bash: +)\d+ (?=[A-Z])/gm, '$1PID '],
  [/ +/g, ' '],
];

/** Commands whose "Used by" lists are sets. */
const listsAreSets = /^(lsmod|cat \/proc\/modules)/;

/** Lines as they are compared. */
export function normalize(lines: readonly string[], command = ''): string[] {
  let text = lines.join('\n');
  for (const [pattern, replacement] of volatileParts) text = text.replace(pattern, replacement);
  if (listsAreSets.test(command)) text = text.replace(/(\S+,)+\S*/g, (list) => list.split(',').filter((name) => name !== '').sort().join(','));
  const out = text.trim();
  return out === '' ? [] : out.split('\n');
}

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** A line with `...` in it matches any text there. */
function lineMatches(wanted: string, got: string): boolean {
  if (!wanted.includes('...')) return wanted === got;
  return new RegExp(`^${wanted.split('...').map(escapeRegExp).join('.*')}$`).test(got);
}

/** A line `...` alone matches any number of lines. */
function linesMatch(wanted: readonly string[], got: readonly string[]): boolean {
  const [first, ...rest] = wanted;
  if (first === undefined) return got.length === 0;
  if (first === '...') return Array.from({ length: got.length + 1 }, (_, skip) => skip).some((skip) => linesMatch(rest, got.slice(skip)));
  const [head, ...tail] = got;
  return head !== undefined && lineMatches(first, head) && linesMatch(rest, tail);
}

/** Whether what came is what was wanted. @param command the command line, which decides what is a set */
export function sameOutput(wanted: readonly string[], got: readonly string[], command = ''): boolean {
  const want = normalize(wanted, command);
  const have = normalize(got, command);
  return want.length > 200 && !want.includes('...')
    ? want.length === have.length && want.every((line, i) => lineMatches(line, have[i] as string)) // equal lengths: i is inside
    : linesMatch(want, have);
}

/** Both sides of a difference, line by line, with `-` for what was wanted and `+` for what came. */
export function diffLines(wanted: readonly string[], got: readonly string[]): string[] {
  const n = wanted.length;
  const m = got.length;
  const common = Array.from({ length: n + 1 }, () => new Uint32Array(m + 1));
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      const row = common[i] as Uint32Array;
      const below = common[i + 1] as Uint32Array;
      row[j] = wanted[i] === got[j] ? (below[j + 1] as number) + 1 : Math.max(below[j] as number, row[j + 1] as number);
    }
  }
  const out: string[] = [];
  let i = 0;
  let j = 0;
  while (i < n || j < m) {
    if (i < n && j < m && wanted[i] === got[j]) {
      out.push(`  ${wanted[i]}`);
      i++;
      j++;
    } else if (j >= m || (i < n && ((common[i + 1] as Uint32Array)[j] as number) >= ((common[i] as Uint32Array)[j + 1] as number))) {
      out.push(`- ${wanted[i++]}`);
    } else {
      out.push(`+ ${got[j++]}`);
    }
  }
  return out;
}
