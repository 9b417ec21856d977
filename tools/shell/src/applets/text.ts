/** Programs on lines of text: cat, head, tail, wc, tee, rev, nl, paste, tac. */
import { utf8Encode, O_APPEND, O_CREAT, O_TRUNC, O_WRONLY } from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { linesOf, readBytes, writeBytes, writeText } from '../streams.ts';
import { errorText, refusedWith } from '../system.ts';
import { options } from './options.ts';

/** Bytes cat and its like read at once. */
const BLOCK = 131072;

const cat: Applet = async (c) => {
  const o = await options(c, 'AbeEnstTuv', { number: 'n', 'show-all': 'A' });
  let status = 0;
  let line = 0;
  for (const path of o.operands.length === 0 ? ['-'] : o.operands) {
    try {
      if (o.has('n', 'A', 'e', 'E', 'T', 'b')) {
        const text = await c.read(path);
        for (const one of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
          const shown = o.has('A', 'T') ? one.replaceAll('\t', '^I') : one;
          c.out((o.has('n') ? `${String(++line).padStart(6)}\t` : '') + (o.has('A', 'e', 'E') ? shown.replace(/\n$/, '$\n') : shown));
        }
        continue;
      }
      if (path !== '-' && (await c.p.stat(path)).kind === 'dir') {
        status = await c.fail(`${path}: Is a directory`);
        continue;
      }
      const fd = path === '-' ? 0 : await c.p.open(path);
      try {
        await copyOut(c, fd);
      } finally {
        if (path !== '-') await c.p.close(fd);
      }
    } catch (error) {
      if (error instanceof WriteProblem) return c.fail(`write error: ${error.text}`);
      if (refusedWith(error, 'EPIPE')) throw error;
      status = await c.fail(`${path}: ${errorText(error)}`);
    }
  }
  return status;
};

class WriteProblem {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

async function copyOut(c: Program, fd: number): Promise<void> {
  for (let chunk = await c.p.read(fd, BLOCK); chunk.length > 0; chunk = await c.p.read(fd, BLOCK)) {
    try {
      await writeBytes(c.p, 1, chunk);
    } catch (error) {
      if (refusedWith(error, 'EPIPE')) throw error;
      throw new WriteProblem(errorText(error));
    }
  }
}

/** `-5` as an option of head and tail. */
function oldStyle(c: Program): Program {
  const args = c.args.map((arg, i) => (i === 0 && /^-\d+$/.test(arg) ? `-n${arg.slice(1)}` : arg));
  return Object.assign(Object.create(c) as Program, { args });
}

const head: Applet = async (given) => {
  const o = await options(oldStyle(given), 'n:c:qv', { lines: 'n', bytes: 'c', quiet: 'q', silent: 'q', verbose: 'v' });
  const c = given;
  const bad = await badCount(c, o.get('c'), o.get('n'));
  if (bad !== null) return bad;
  const paths = o.operands.length === 0 ? ['-'] : o.operands;
  let status = 0;
  let shown = false;
  for (const path of paths) {
    let fd: number;
    try {
      fd = path === '-' ? 0 : await c.p.open(path);
    } catch (error) {
      status = await c.fail(`cannot open '${path}' for reading: ${errorText(error)}`);
      continue;
    }
    if ((paths.length > 1 || o.has('v')) && !o.has('q')) c.out(`${shown ? '\n' : ''}==> ${path === '-' ? 'standard input' : path} <==\n`);
    shown = true;
    try {
      const bytes = await headBytes(c, fd, o.get('c'), o.get('n') ?? '10');
      try {
        await c.flush();
        await writeBytes(c.p, 1, bytes);
      } catch (error) {
        if (refusedWith(error, 'EPIPE')) throw error;
        return await c.fail(`error writing 'standard output': ${errorText(error)}`);
      }
    } catch (error) {
      if (refusedWith(error, 'EPIPE')) throw error;
      status = await c.fail(`error reading '${path === '-' ? 'standard input' : path}': ${errorText(error)}`);
    } finally {
      if (path !== '-') await c.p.close(fd);
    }
  }
  return status;
};

async function headBytes(c: Program, fd: number, count: string | undefined, lines: string): Promise<Uint8Array> {
  if (count?.startsWith('-') === true || lines.startsWith('-')) {
    const all = await readBytes(c.p, fd);
    if (count !== undefined) return all.subarray(0, Math.max(0, all.length - size(count.slice(1))));
    let left = Number(lines.slice(1));
    let end = all.length;
    if (all.at(-1) !== 0x0a && end > 0) left--;
    while (left >= 0 && end > 0) {
      if (all[end - 1] === 0x0a && left-- === 0) break;
      end--;
    }
    return all.subarray(0, end);
  }
  const wanted = count === undefined ? Infinity : size(count);
  let newlines = count === undefined ? size(lines) : Infinity;
  const out: number[] = [];
  if (newlines === 0 || wanted === 0) return new Uint8Array(0);
  for (;;) {
    const chunk = await c.p.read(fd, Math.min(8192, wanted - out.length));
    if (chunk.length === 0) break;
    for (const byte of chunk) {
      out.push(byte);
      if (byte === 0x0a && --newlines === 0) return Uint8Array.from(out);
    }
    if (out.length >= wanted) break;
  }
  return Uint8Array.from(out);
}

/** Complain of a count that is none. @returns the status; `null` when all is well */
async function badCount(c: Program, bytes: string | undefined, lines: string | undefined): Promise<number | null> {
  const isCount = (text: string): boolean => /^[-+]?\d+[kKMGTb]?B?$/.test(text);
  if (bytes !== undefined && !isCount(bytes)) return c.fail(`invalid number of bytes: '${bytes}'`);
  return lines !== undefined && !isCount(lines) ? c.fail(`invalid number of lines: '${lines}'`) : null;
}

/** A count with its suffix. */
function size(text: string): number {
  const m = /^\+?(\d+)([kKMG]?)B?$/.exec(text);
  const unit = { '': 1, k: 1024, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }[m?.[2] ?? ''] ?? 1;
  return Number(m?.[1] ?? 0) * unit;
}

const tail: Applet = async (given) => {
  const o = await options(oldStyle(given), 'n:c:qvfF', { lines: 'n', bytes: 'c' });
  const c = given;
  const bad = await badCount(c, o.get('c'), o.get('n'));
  if (bad !== null) return bad;
  const { texts, failed } = await inputsFor(c, o.operands);
  for (const [i, { path, text }] of texts.entries()) {
    if (o.operands.length > 1 && !o.has('q')) c.out(`${i === 0 ? '' : '\n'}==> ${path} <==\n`);
    const count = o.get('c');
    if (count !== undefined) {
      c.out(count.startsWith('+') ? text.slice(size(count) - 1) : text.slice(Math.max(0, text.length - size(count.replace(/^-/, '')))));
      continue;
    }
    const n = o.get('n') ?? '10';
    const lines = text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
    c.out((n.startsWith('+') ? lines.slice(Math.max(0, size(n) - 1)) : lines.slice(Math.max(0, lines.length - size(n.replace(/^-/, ''))))).join(''));
  }
  return failed ? 1 : 0;
};

async function inputsFor(c: Program, paths: readonly string[]): Promise<{ texts: { path: string; text: string }[]; failed: boolean }> {
  const texts: { path: string; text: string }[] = [];
  let failed = false;
  for (const path of paths.length === 0 ? ['-'] : paths) {
    try {
      texts.push({ path: path === '-' ? 'standard input' : path, text: await c.read(path) });
    } catch (error) {
      failed = true;
      const reading = refusedWith(error, 'EIO', 'EISDIR') ? `error reading '${path}'` : `cannot open '${path}' for reading`;
      await c.err(`${c.name}: ${reading}: ${errorText(error)}\n`);
    }
  }
  return { texts, failed };
}

const wc: Applet = async (c) => {
  const o = await options(c, 'lwcmL', { lines: 'l', words: 'w', bytes: 'c', chars: 'm' });
  const { texts, failed } = await c.inputs(o.operands);
  const usual = !o.has('l', 'w', 'c', 'm', 'L');
  const rows = texts.map(({ path, text }) => {
    const counts: number[] = [];
    if (usual || o.has('l')) counts.push(text.match(/\n/g)?.length ?? 0);
    if (usual || o.has('w')) counts.push(text.match(/\S+/g)?.length ?? 0);
    if (o.has('m')) counts.push([...text].length);
    if (usual || o.has('c')) counts.push(utf8Encode(text).length);
    if (o.has('L')) counts.push(Math.max(0, ...linesOf(text).map((line) => line.length)));
    return { counts, name: o.operands.length === 0 ? '' : path };
  });
  if (rows.length > 1) rows.push({ counts: rows[0].counts.map((_, i) => rows.reduce((sum, row) => sum + row.counts[i], 0)), name: 'total' });
  const single = (rows[0]?.counts.length ?? 0) === 1 && rows.length === 1;
  const width = single ? 1 : o.operands.length === 0 || o.operands.includes('-') ? 7 : String(await totalSize(c, o.operands)).length;
  for (const { counts, name } of rows) c.out(`${counts.map((n) => String(n).padStart(width)).join(' ')}${name === '' ? '' : ` ${name}`}\n`);
  return failed ? 1 : 0;
};

/** Bytes the named files have together, as `stat` tells: wc's columns are as wide as this number. */
async function totalSize(c: Program, paths: readonly string[]): Promise<number> {
  let total = 0;
  for (const path of paths) {
    try {
      const stat = await c.p.stat(path);
      if (stat.kind !== 'file') return 1_000_000; // seven columns where sizes say nothing
      total += stat.size;
    } catch (error) {
      errorText(error); // it was reported when it was to be read
    }
  }
  return total;
}

const tee: Applet = async (c) => {
  const o = await options(c, 'ai', { append: 'a' });
  let status = 0;
  const targets: { path: string; fd: number }[] = [{ path: 'standard output', fd: 1 }];
  for (const path of o.operands) {
    try {
      targets.push({ path, fd: await c.p.open(path, O_WRONLY | O_CREAT | (o.has('a') ? O_APPEND : O_TRUNC), 0o666) });
    } catch (error) {
      status = await c.fail(`${path}: ${errorText(error)}`);
    }
  }
  const bytes = await readBytes(c.p, 0);
  for (const { path, fd } of targets) {
    try {
      await writeBytes(c.p, fd, bytes);
    } catch (error) {
      if (fd === 1 && refusedWith(error, 'EPIPE')) throw error;
      status = await c.fail(`${path}: ${errorText(error)}`);
    } finally {
      if (fd !== 1) await c.p.close(fd);
    }
  }
  return status;
};

const paste: Applet = async (c) => {
  const o = await options(c, 'd:s', { delimiters: 'd', serial: 's' });
  const { texts, failed } = await c.inputs(o.operands);
  const delimiter = o.get('d') ?? '\t';
  const columns = texts.map(({ text }) => linesOf(text));
  if (o.has('s')) for (const column of columns) c.out(`${column.join(delimiter)}\n`);
  else if (o.operands.length > 1 && o.operands.every((path) => path === '-')) {
    const [all = []] = columns;
    for (let i = 0; i < all.length; i += columns.length) c.out(`${columns.map((_, j) => all[i + j] ?? '').join(delimiter)}\n`);
  } else for (let i = 0; i < Math.max(0, ...columns.map((column) => column.length)); i++) c.out(`${columns.map((column) => column[i] ?? '').join(delimiter)}\n`);
  return failed ? 1 : 0;
};

const nl: Applet = async (c) => {
  const o = await options(c, 'b:w:s:');
  const { texts, failed } = await c.inputs(o.operands);
  let n = 0;
  for (const line of texts.flatMap(({ text }) => linesOf(text))) c.out(line === '' && o.get('b') !== 'a' ? '       \n' : `${String(++n).padStart(6)}\t${line}\n`);
  return failed ? 1 : 0;
};

const tac: Applet = async (c) => {
  const { texts, failed } = await c.inputs((await options(c, '')).operands);
  for (const { text } of texts) c.out((text.match(/[^\n]*\n|[^\n]+$/g) ?? []).toReversed().join(''));
  return failed ? 1 : 0;
};

export const textApplets: [string, Applet][] = [
  ['cat', cat], ['head', head], ['tail', tail], ['wc', wc], ['tee', tee],
  ['paste', paste], ['nl', nl], ['tac', tac],
  ['rev', async (c) => {
    const { texts } = await c.inputs((await options(c, '')).operands);
    for (const line of texts.flatMap(({ text }) => linesOf(text))) await writeText(c.p, 1, `${[...line].toReversed().join('')}\n`);
    return 0;
  }],
];
