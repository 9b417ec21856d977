/** `cmp` and `diff` of diffutils 3.8. */
import { utf8Encode } from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { linesOf } from '../streams.ts';
import { diffLines } from '../transcript/compare.ts';
import { errorText } from '../system.ts';
import { options } from './options.ts';

/** Two texts, or `null` after saying which cannot be read. */
async function two(c: Program, paths: readonly string[]): Promise<readonly [string, string] | null> {
  const texts: string[] = [];
  let failed = false;
  for (const path of paths) {
    try {
      texts.push(await c.read(path));
    } catch (error) {
      await c.fail(`${path}: ${errorText(error)}`);
      failed = true;
    }
  }
  return failed ? null : [texts[0] ?? '', texts[1] ?? ''];
}

export const cmp: Applet = async (c) => {
  const o = await options(c, 'slb', { silent: 's', quiet: 's', verbose: 'l' }, { status: 2 });
  const [first, second = '-'] = o.operands;
  if (first === undefined) {
    await c.err("cmp: missing operand after 'cmp'\ncmp: Try 'cmp --help' for more information.\n");
    return 2;
  }
  const texts = await two(c, [first, second]);
  if (texts === null) return 2;
  const [a, b] = [utf8Encode(texts[0]), utf8Encode(texts[1])];
  const shorter = Math.min(a.length, b.length);
  const differing: number[] = [];
  for (let i = 0; i < shorter; i++) if (a[i] !== b[i]) differing.push(i);
  if (differing.length === 0 && a.length === b.length) return 0;
  if (o.has('s')) return 1;
  const eof = async (): Promise<void> => {
    const name = a.length < b.length ? first : second;
    const before = (a.length < b.length ? a : b).subarray(0, shorter);
    const line = before.reduce((sum, byte) => sum + (byte === 0x0a ? 1 : 0), 0);
    await c.err(`cmp: EOF on ${name}${shorter === 0 ? ' which is empty' : ` after byte ${shorter}${o.has('l') ? '' : `, ${before.at(-1) === 0x0a ? `line ${line}` : `in line ${line + 1}`}`}`}\n`);
  };
  if (o.has('l')) {
    const width = String(Math.max(a.length, b.length)).length;
    for (const i of differing) c.out(`${String(i + 1).padStart(width)} ${(a[i] ?? 0).toString(8).padStart(3)} ${(b[i] ?? 0).toString(8).padStart(3)}\n`);
    if (a.length !== b.length) await eof();
    return 1;
  }
  const [at] = differing;
  if (at === undefined) await eof();
  else c.out(`${first} ${second} differ: char ${at + 1}, line ${1 + a.subarray(0, at).reduce((sum, byte) => sum + (byte === 0x0a ? 1 : 0), 0)}\n`);
  return 1;
};

/** A run of lines that differ: what is gone and what is new, from 0-based places on. */
interface Hunk {
  readonly a: number;
  readonly b: number;
  readonly gone: string[];
  readonly fresh: string[];
}

function hunks(a: readonly string[], b: readonly string[]): Hunk[] {
  const out: Hunk[] = [];
  let [i, j] = [0, 0];
  let open: Hunk | null = null;
  for (const line of diffLines(a, b)) {
    if (line.startsWith('  ')) {
      open = null;
      i++;
      j++;
      continue;
    }
    if (open === null) {
      open = { a: i, b: j, gone: [], fresh: [] };
      out.push(open);
    }
    if (line.startsWith('- ')) {
      open.gone.push(line.slice(2));
      i++;
    } else {
      open.fresh.push(line.slice(2));
      j++;
    }
  }
  return out;
}

const NO_NEWLINE = '\\ No newline at end of file';

/** Lines with a mark at a last one that has no newline, so that it differs from one that has. */
function marked(text: string): string[] {
  const lines = linesOf(text);
  if (text !== '' && !text.endsWith('\n')) lines[lines.length - 1] += `\n${NO_NEWLINE}`;
  return lines;
}

const span = (from: number, count: number): string => (count === 0 ? String(from) : count === 1 ? String(from + 1) : `${from + 1},${from + count}`);

function normal(all: readonly Hunk[]): string {
  return all.map(({ a, b, gone, fresh }) => {
    const letter = gone.length === 0 ? 'a' : fresh.length === 0 ? 'd' : 'c';
    return [`${span(a, gone.length)}${letter}${span(b, fresh.length)}`, ...gone.map((line) => `< ${line}`), ...(letter === 'c' ? ['---'] : []), ...fresh.map((line) => `> ${line}`)].map((line) => `${line}\n`).join('');
  }).join('');
}

function unified(a: readonly string[], all: readonly Hunk[], context: number): string {
  const groups: Hunk[][] = [];
  for (const hunk of all) {
    const last = groups.at(-1)?.at(-1);
    if (last !== undefined && hunk.a - (last.a + last.gone.length) <= 2 * context) groups.at(-1)?.push(hunk);
    else groups.push([hunk]);
  }
  return groups.map((group) => {
    const [first, last] = [group[0], group[group.length - 1]];
    const from = Math.max(0, first.a - context);
    const to = Math.min(a.length, last.a + last.gone.length + context);
    const lines: string[] = [];
    let at = from;
    for (const { a: start, gone, fresh } of group) {
      for (; at < start; at++) lines.push(` ${a[at]}`);
      lines.push(...gone.map((line) => `-${line}`), ...fresh.map((line) => `+${line}`));
      at += gone.length;
    }
    for (; at < to; at++) lines.push(` ${a[at]}`);
    const newFrom = first.b - (first.a - from);
    const grown = group.reduce((sum, hunk) => sum + hunk.fresh.length - hunk.gone.length, 0);
    const range = (start: number, count: number): string => (count === 1 ? String(start + 1) : `${count === 0 ? start : start + 1},${count}`);
    return `@@ -${range(from, to - from)} +${range(newFrom, to - from + grown)} @@\n${lines.map((line) => `${line}\n`).join('')}`;
  }).join('');
}

export const diff: Applet = async (c) => {
  const o = await options(c, 'qubwrNsU:', { brief: 'q', unified: 'u', 'report-identical-files': 's' }, { status: 2 });
  const [first, second] = o.operands;
  if (first === undefined || second === undefined) {
    await c.err(`diff: missing operand after '${first ?? 'diff'}'\ndiff: Try 'diff --help' for more information.\n`);
    return 2;
  }
  const texts = await two(c, [first, second]);
  if (texts === null) return 2;
  if (texts[0] === texts[1]) {
    if (o.has('s')) c.out(`Files ${first} and ${second} are identical\n`);
    return 0;
  }
  if (o.has('q')) c.out(`Files ${first} and ${second} differ\n`);
  else {
    const [a, b] = [marked(texts[0]), marked(texts[1])];
    if (!o.has('u', 'U')) c.out(normal(hunks(a, b)));
    else c.out(`--- ${first}\n+++ ${second}\n${unified(a, hunks(a, b), Number(o.get('U') ?? 3))}`);
  }
  return 1;
};
